//! A process that works: sets itself up as ordered, runs the function, answers, ends.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, Resource, Rlimit, Signal, getppid, set_parent_process_death_signal, setpgid,
};

use super::exit;
use super::fork::{end_if_copy, mark_original};
use super::order::next;
use super::order::{Hello, SpawnOrder, Told};
use super::role::stop;
use crate::wire::answer::Answer;
use crate::wire::codec::{Failure, Message};
use crate::wire::message as wire;

use crate::thread::panic::{caught, watch_places, watch_this_thread};

/// Exit codes of processes whose function has not returned. That of a panic is the one Rust's own
/// programs have.
const PANICKED: i32 = 101;
const NOT_RUN: i32 = 2;

/// A worker that was started afresh.
pub(super) fn alone(socket: OwnedFd) -> ! {
    clear_signals();
    match next::<(Hello, SpawnOrder)>(&socket) {
        Ok(Some(((hello, _), _))) if hello != Hello::new() => {
            stop("this copy of the program was ordered by another one")
        }
        Ok(Some(((_, order), descriptors))) => {
            drop(socket);
            run(order, descriptors)
        }
        _ => stop("this copy of the program was given nothing to do"),
    }
}

/// No signal is blocked: the process that started us may have blocked some.
pub(super) fn clear_signals() {
    crate::command::sys::spawn::unblock_signals();
}

/// The caller dies when its parent does, however that comes.
pub(super) fn die_with_parent(parent: Pid) {
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    // It may have died before; then nobody would signal us.
    if getppid() != Some(parent) {
        std::process::exit(0);
    }
}

/// What this process starts stays below it, also what leaves its group and its parents: so it is
/// found at this process's end.
pub(super) fn keep_descendants() {
    // SAFETY: it takes no pointers, and changes who is the parent of orphans.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
}

/// The rest of a worker's life.
pub(super) fn run(order: SpawnOrder, descriptors: Vec<OwnedFd>) -> ! {
    let mut descriptors = descriptors.into_iter();
    let Some(answers) = descriptors.next() else {
        stop("this copy of the program was not told where to answer")
    };
    // The process that wanted it has given up while it was being made, or is gone.
    if is_hung_up(&answers) {
        std::process::exit(0);
    }
    mark_original();
    keep_descendants();
    let (answer, code) = match set_up(&order, &mut descriptors) {
        Err(why) => (told(Answer::SetUp(why)), NOT_RUN),
        Ok(()) => work(&order, descriptors.collect()),
    };
    // The function may have made a copy of this process, which returns, too.
    end_if_copy();
    match wire::send(&answers, &answer) {
        Ok(()) => {}
        // Nobody is left to hear it.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        // More shared things than a message carries, or no memory for a large one: that can be said
        // in a few words.
        Err(error) => {
            let _ = wire::send(&answers, &told(Answer::Encode(error.to_string())));
        }
    }
    drop(answers);
    // As at the end of `main`: what this process has started is waited for, unless it is a daemon.
    exit::finish();
    std::process::exit(code)
}

pub(super) fn is_hung_up(socket: &OwnedFd) -> bool {
    let mut polled = [PollFd::new(socket, PollFlags::empty())];
    let now = Timespec::default();
    matches!(poll(&mut polled, Some(&now)), Ok(1)) && polled[0].revents().contains(PollFlags::HUP)
}

fn told(answer: Answer) -> Message {
    Told::Answer(answer).message()
}

fn set_up(
    order: &SpawnOrder,
    descriptors: &mut impl Iterator<Item = OwnedFd>,
) -> Result<(), String> {
    let failed = |what: &'static str| {
        move |error: rustix::io::Errno| format!("cannot {what}: {}", std::io::Error::from(error))
    };
    let mut next = || {
        descriptors
            .next()
            .ok_or("a descriptor is missing".to_owned())
    };
    rustix::stdio::dup2_stdin(next()?).map_err(failed("set stdin"))?;
    rustix::stdio::dup2_stdout(next()?).map_err(failed("set stdout"))?;
    rustix::stdio::dup2_stderr(next()?).map_err(failed("set stderr"))?;
    if order.has_directory {
        rustix::process::fchdir(next()?).map_err(failed("enter the directory"))?;
    }
    let group = order.group.and_then(Pid::from_raw);
    setpgid(None, group).map_err(failed("enter the process group"))?;
    for (name, value) in &order.environment {
        let name = OsStr::from_bytes(name);
        match value {
            // SAFETY: nobody else looks at the environment: this process has one thread, as the one
            // that it was forked from has counted. One that was started afresh was given its
            // environment then, and has none to change.
            Some(value) => unsafe { std::env::set_var(name, OsStr::from_bytes(value)) },
            // SAFETY: as above.
            None => unsafe { std::env::remove_var(name) },
        }
    }
    if order.nice != 0 {
        rustix::process::nice(order.nice).map_err(failed("set the niceness"))?;
    }
    let limits = [
        (Resource::As, order.memory_limit),
        (Resource::Cpu, order.cpu_limit),
    ];
    for (resource, limit) in limits {
        if let Some(limit) = limit {
            let limit = Rlimit {
                current: Some(limit),
                maximum: Some(limit),
            };
            rustix::process::setrlimit(resource, limit).map_err(failed("set a limit"))?;
        }
    }
    if let Some(name) = &order.name {
        super::set_own_name(name);
    }
    Ok(())
}

fn work(order: &SpawnOrder, carried: Vec<OwnedFd>) -> (Message, i32) {
    watch_places();
    watch_this_thread();
    // SAFETY: the image's id has been compared, by the program with the zygote's or by `alone` with
    // the order's; and the process that sent it has no fewer rights than we have, which `enter` has
    // seen to.
    let entry = order.code.and_then(|code| unsafe { code.entry() });
    let Some(entry) = entry else {
        let why = "the function is not in this program".to_owned();
        return (told(Answer::SetUp(why)), NOT_RUN);
    };
    match caught(|| entry(&order.argument, carried)) {
        Ok(Ok(Message { bytes, descriptors })) => {
            let message = told(Answer::Result(bytes));
            (
                Message {
                    descriptors,
                    ..message
                },
                0,
            )
        }
        Ok(Err(Failure::Decode(what))) => (told(Answer::Decode(what)), NOT_RUN),
        Ok(Err(Failure::Encode(what))) => (told(Answer::Encode(what)), NOT_RUN),
        Err(caught) => (told(caught.into()), PANICKED),
    }
}
