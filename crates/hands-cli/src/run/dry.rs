//! `--dry-run`: the commands, one a line, as they would be run.

use std::io::{self, BufWriter, Write};

use hands_batch::input::Pull;
use hands_batch::{JobPlace, Work};
use rustix::event::{PollFd, PollFlags, poll};

use super::work::Jobs;
use crate::ui::codes::NOBODY_READS;

pub(super) fn run(mut jobs: Jobs) -> Result<u8, String> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut written = Ok(());
    while written.is_ok() {
        match jobs.next().map_err(|error| error.to_string())? {
            Pull::Item((number, mut item)) => {
                let place = JobPlace {
                    number,
                    slot: 1,
                    attempt: 1,
                };
                let job = jobs
                    .job(&mut item, place)
                    .map_err(|error| error.to_string())?;
                written = out
                    .write_all(&job.display)
                    .and_then(|()| out.write_all(b"\n"));
            }
            Pull::Pending => {
                // What is known already is shown while the input makes us wait.
                written = out.flush();
                if let Some(fd) = jobs.ready_fd() {
                    let _ = poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], None);
                }
            }
            Pull::End => break,
        }
    }
    match written.and_then(|()| out.flush()) {
        Ok(()) => Ok(0),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(NOBODY_READS),
        Err(error) => Err(format!("cannot write to stdout: {error}")),
    }
}
