//! `--round-robin`: few jobs that read long, and each block of stdin to one that is ready for more.
//!
//! A thread reads the blocks and writes them into the jobs' pipes. A block goes to a job that has
//! taken all of its last one; where there is none, a new job is begun, up to as many as may run at
//! once. A job that ends early, or closes its stdin, gets no more; what it has not taken of its
//! block is gone, as with a pipe in a shell.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

use hands_batch::WorkError;
use hands_batch::input::{InputError, InputSource, Pull};
use hands_batch::records::Records;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

/// The stdins of the jobs, as they are needed.
pub(super) struct Robin {
    jobs: Receiver<Result<OwnedFd, InputError>>,
    /// A byte for each of them.
    ready: OwnedFd,
}

impl Robin {
    pub(super) fn start(records: Records, most: usize) -> io::Result<Robin> {
        let (sender, jobs) = channel();
        let (ready, bell) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let dealer = Dealer {
            records,
            most,
            jobs: sender,
            bell,
            outlets: Vec::new(),
            begun: 0,
        };
        let thread = std::thread::Builder::new().name("hands-deal".to_owned());
        thread.spawn(move || dealer.run())?;
        Ok(Robin { jobs, ready })
    }

    /// The stdin of the next job.
    pub(super) fn pull(&mut self) -> Result<Pull<OwnedFd>, WorkError> {
        let _ = rustix::io::read(&self.ready, &mut [0; 1][..]);
        match self.jobs.try_recv() {
            Ok(Ok(stdin)) => Ok(Pull::Item(stdin)),
            Ok(Err(error)) => Err(error.into()),
            Err(TryRecvError::Empty) => Ok(Pull::Pending),
            Err(TryRecvError::Disconnected) => Ok(Pull::End),
        }
    }

    pub(super) fn ready_fd(&self) -> BorrowedFd<'_> {
        self.ready.as_fd()
    }
}

/// Where a job's stdin is written to.
struct Outlet {
    pipe: OwnedFd,
    block: Vec<u8>,
    written: usize,
}

struct Dealer {
    records: Records,
    most: usize,
    jobs: Sender<Result<OwnedFd, InputError>>,
    bell: OwnedFd,
    outlets: Vec<Outlet>,
    begun: usize,
}

impl Dealer {
    fn run(mut self) {
        let mut waiting = None;
        loop {
            if waiting.is_none() {
                match self.records.pull() {
                    Ok(Pull::Item(block)) => waiting = Some(block),
                    Ok(Pull::Pending) => {
                        self.turn(true);
                        continue;
                    }
                    Ok(Pull::End) => break,
                    Err(error) => {
                        let _ = self.jobs.send(Err(error));
                        return;
                    }
                }
            }
            waiting = match waiting.map(|block| self.deal(block)) {
                Some(Ok(left)) => left,
                // Short of descriptors, and nobody that it could be given to will come.
                Some(Err(error)) => {
                    let name = "a pipe for a job".into();
                    let _ = self.jobs.send(Err(InputError::Open { name, error }));
                    return;
                }
                None => None,
            };
            // With every job that may run begun and ended, nobody is left to read.
            if waiting.is_some() && self.outlets.is_empty() && self.begun == self.most {
                return;
            }
            self.turn(false);
        }
        while self.outlets.iter().any(|outlet| !outlet.is_idle()) {
            self.outlets.retain(|outlet| !outlet.is_idle());
            self.turn(false);
        }
    }

    /// Gives the block to a job; gives it back if none is ready.
    fn deal(&mut self, block: Vec<u8>) -> io::Result<Option<Vec<u8>>> {
        if let Some(outlet) = self.outlets.iter_mut().find(|outlet| outlet.is_idle()) {
            outlet.block = block;
            outlet.written = 0;
            return Ok(None);
        }
        if self.begun == self.most {
            return Ok(Some(block));
        }
        let (stdin, pipe) = match pipe_with(PipeFlags::CLOEXEC) {
            Ok(ends) => ends,
            Err(_) if !self.outlets.is_empty() => return Ok(Some(block)),
            Err(error) => return Err(error.into()),
        };
        // Ours only: the job is to wait, as with any pipe.
        let _ = rustix::fs::fcntl_setfl(&pipe, rustix::fs::OFlags::NONBLOCK);
        self.begun += 1;
        self.outlets.push(Outlet {
            pipe,
            block,
            written: 0,
        });
        let _ = self.jobs.send(Ok(stdin));
        let _ = rustix::io::write(&self.bell, &[0]);
        Ok(None)
    }

    /// Waits until a job takes more (or has gone) or, if that is `wanted`, until there is more to
    /// read; and writes.
    fn turn(&mut self, wanted: bool) {
        let gone: Vec<bool> = {
            let more = self.records.ready_fd().filter(|_| wanted);
            let mut fds: Vec<PollFd<'_>> = more
                .iter()
                .map(|fd| PollFd::new(fd, PollFlags::IN))
                .collect();
            for outlet in &self.outlets {
                let flags = if outlet.is_idle() {
                    PollFlags::empty()
                } else {
                    PollFlags::OUT
                };
                fds.push(PollFd::new(&outlet.pipe, flags));
            }
            // A job may be ready already, with nothing to be waited for.
            let idle = !wanted && self.outlets.iter().any(Outlet::is_idle);
            let now = rustix::event::Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            };
            let _ = poll(&mut fds, idle.then_some(&now));
            let outlets = &fds[fds.len() - self.outlets.len()..];
            let is_gone = |fd: &PollFd<'_>| fd.revents().contains(PollFlags::ERR);
            outlets.iter().map(is_gone).collect()
        };
        // One that has ended takes no block, and must not wake this again and again.
        let mut gone = gone.into_iter();
        self.outlets
            .retain_mut(|outlet| gone.next() == Some(false) && outlet.write());
    }
}

impl Outlet {
    fn is_idle(&self) -> bool {
        self.written == self.block.len()
    }

    /// Writes what the pipe takes. `false`: nobody reads it any more.
    fn write(&mut self) -> bool {
        while !self.is_idle() {
            match rustix::io::write(&self.pipe, &self.block[self.written..]) {
                Ok(written) => self.written += written,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return true,
                Err(_) => return false,
            }
        }
        true
    }
}
