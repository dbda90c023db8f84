//! `hands run --cluster`: what is different when the jobs of a batch run elsewhere.

use std::collections::HashSet;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hands_batch::input::Pull;
use hands_batch::{Job, JobPlace, Work, WorkError};
use hands_cluster::Cluster;
use rustix::pipe::{PipeFlags, pipe_with};

use super::access::with_access;
use super::attach::{Earlier, Journal, RunRecord};
use super::job::JobConditions;
use super::sender::MachineJobs;
use super::{AccessPlan, say};
use crate::plan::{LINGER, MachinesPlan, Plan};

/// Outcomes are kept for so long for who goes on with a run.
const KEEP: Duration = Duration::from_secs(24 * 3600);
/// A job is begun so often before it counts as what ends its workers. It runs in processes of its
/// own, so that is hardly ever so: machines go for reasons of theirs.
const STARTS: u32 = 10;
/// Bytes of stdin that are written down at a time.
const PIECE: usize = 64 * 1024;

/// A run on other machines, from its first word to its last.
pub(crate) struct MachineRun {
    cluster: Arc<Cluster>,
    journal: Journal,
    earlier: Earlier,
    /// Why stdin could not be read to its end.
    unread: Arc<Mutex<Option<String>>>,
}

impl MachineRun {
    /// Connects, for a new run or one that is gone on with.
    pub(crate) fn open(plan: &MachinesPlan) -> Result<MachineRun, String> {
        let access = plan.access.resolve()?;
        let builder = with_access!(Cluster::builder(&access.url), access);
        let mut builder = builder.keep(KEEP).hold(plan.hold).crash_limit(STARTS);
        if let Some(label) = &plan.label {
            builder = builder.label(label);
        }
        if let Some(run) = &plan.attach {
            builder = builder.run_id(run);
        }
        let cluster = builder.connect().map_err(|error| error.to_string())?;
        let notes = cluster.notes().map_err(|error| error.to_string())?;
        let journal = Journal::new(notes);
        let earlier = match &plan.attach {
            Some(_) => journal.read()?,
            None => {
                journal.begun(&RunRecord::of_this_program())?;
                say(&format!(
                    "hands: run {} begins; if this program ends before it does:\n  hands run --cluster {} --attach {}",
                    cluster.run_id(),
                    access.url,
                    cluster.run_id()
                ));
                Earlier::default()
            }
        };
        Ok(MachineRun {
            cluster: Arc::new(cluster),
            journal,
            earlier,
            unread: Arc::default(),
        })
    }

    /// Has what is read from stdin written down, or reads what was.
    pub(crate) fn take_stdin(&mut self) -> Result<(), String> {
        let wrong = |error: &dyn std::fmt::Display| format!("cannot read stdin: {error}");
        let (read, write) = pipe_with(PipeFlags::CLOEXEC).map_err(|error| wrong(&error))?;
        let thread = std::thread::Builder::new().name("hands-input".to_owned());
        if self.earlier.record.is_some() {
            if !self.earlier.input_is_whole {
                say(
                    "hands: warning: the program that ended had not read all of its input; the run goes on with what it had read",
                );
            }
            let input = std::mem::take(&mut self.earlier.input);
            let writes = move || {
                let _ = std::fs::File::from(write).write_all(&input);
            };
            thread.spawn(writes).map_err(|error| wrong(&error))?;
        } else {
            let own = std::io::stdin();
            let own = rustix::io::fcntl_dupfd_cloexec(own, 3).map_err(|error| wrong(&error))?;
            let (mut own, mut write) = (std::fs::File::from(own), std::fs::File::from(write));
            let (journal, unread) = (self.journal.again(), Arc::clone(&self.unread));
            let copies = move || {
                let mut piece = vec![0; PIECE];
                loop {
                    let length = match own.read(&mut piece) {
                        Ok(length) => length,
                        Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                        Err(error) => {
                            let why = format!("cannot read stdin: {error}");
                            *unread.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
                            0
                        }
                    };
                    // Written down before it is used: what was used can be read again.
                    if let Err(why) = journal.input(&piece[..length]) {
                        say(&format!("hands: {why}"));
                    }
                    if length == 0 || write.write_all(&piece[..length]).is_err() {
                        return;
                    }
                }
            };
            thread.spawn(copies).map_err(|error| wrong(&error))?;
        }
        rustix::stdio::dup2_stdin(&read).map_err(|error| wrong(&error))
    }

    /// The work without what an earlier program has told of, and the machines for the rest.
    pub(crate) fn split<W: Work>(
        &mut self,
        work: W,
        plan: &Plan,
        machines: &MachinesPlan,
    ) -> Result<(RestOfRun<W>, MachineJobs), String> {
        let conditions = conditions(plan, machines)?;
        let journal = self.journal.again();
        let cluster = Arc::clone(&self.cluster);
        let mut jobs = MachineJobs::new(cluster, journal, conditions, machines.most)?;
        jobs.take_up(std::mem::take(&mut self.earlier.sent), &self.earlier.ended);
        let rest = RestOfRun {
            work,
            ended: std::mem::take(&mut self.earlier.ended),
        };
        Ok((rest, jobs))
    }

    /// How many jobs had failed that an earlier program has told of.
    pub(crate) fn failed_before(&self) -> u64 {
        self.earlier.failed
    }

    /// Whether an earlier program has begun this run.
    pub(crate) fn goes_on(&self) -> bool {
        self.earlier.record.is_some()
    }

    /// The batch is over, and with it the run.
    ///
    /// # Errors
    ///
    /// When there was more on stdin than could be read.
    pub(crate) fn end(self) -> Result<(), String> {
        self.journal.remove();
        let unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        let unread = unread.clone();
        // The program ends in a moment, and what is left was given up: a server that is away is
        // not waited for.
        let _left = std::mem::ManuallyDrop::new(self.cluster);
        unread.map_or(Ok(()), Err)
    }
}

fn conditions(plan: &Plan, machines: &MachinesPlan) -> Result<JobConditions, String> {
    let limits = &plan.limits;
    let here = || std::env::current_dir().map_err(|error| format!("the current folder: {error}"));
    let directory = match &limits.workdir {
        Some(directory) if directory.is_absolute() => directory.clone(),
        Some(directory) => here()?.join(directory),
        None => here()?,
    };
    let bytes = |text: &std::ffi::OsString| text.as_bytes().to_vec();
    let variables = limits.env.iter();
    Ok(JobConditions {
        directory: directory.as_os_str().as_bytes().to_vec(),
        variables: variables
            .map(|(name, value)| (bytes(name), bytes(value)))
            .collect(),
        memory_limit: limits.memory,
        cpu_limit: limits.cpu,
        nice: limits.nice.unwrap_or(0),
        grace: limits.grace,
        linger: (!plan.wait_pipes).then_some(LINGER),
        live: plan.output.shows_at_once(),
        apart: !machines.send.is_empty() || !machines.fetch.is_empty(),
    })
}

/// Work of which some is done.
pub(crate) struct RestOfRun<W> {
    work: W,
    ended: HashSet<u64>,
}

impl<W: Work> Work for RestOfRun<W> {
    type Item = W::Item;

    fn next(&mut self) -> Result<Pull<(u64, W::Item)>, WorkError> {
        loop {
            match self.work.next()? {
                Pull::Item((number, _)) if self.ended.contains(&number) => {}
                next => return Ok(next),
            }
        }
    }

    fn ready_fd(&self) -> Option<BorrowedFd<'_>> {
        self.work.ready_fd()
    }

    fn job(&mut self, item: &mut W::Item, place: JobPlace) -> Result<Job, WorkError> {
        self.work.job(item, place)
    }

    fn total(&self) -> Option<u64> {
        let ended = self.ended.len() as u64;
        self.work.total().map(|total| total.saturating_sub(ended))
    }
}

/// The words and the folder with which a run was begun, that is gone on with.
pub(crate) fn begun_as(access: &AccessPlan, run: &str) -> Result<RunRecord, String> {
    let access = access.resolve()?;
    let builder = with_access!(Cluster::builder(&access.url), access).run_id(run);
    let cluster = builder.connect().map_err(|error| error.to_string())?;
    let notes = cluster.notes().map_err(|error| error.to_string())?;
    let record = Journal::new(notes).read()?.record;
    record.ok_or_else(|| {
        format!("the server knows nothing of a run {run}: it is over, or was another's\n  hint: the line that it began with names it")
    })
}
