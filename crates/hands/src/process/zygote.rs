//! The zygote: a copy of the program that has done nothing but start, and forks itself on request.
//!
//! # Protocol
//!
//! ```text
//! program                          zygote (one thread)                worker
//!   │ exec itself, once ──────────►│ hello (image) ─► welcome
//!   │ order + descriptors ────────►│ clone ─────────────────────────►│ has the order in memory already
//!   │◄───────────────── its pid ───│                                 │ set up, run
//!   │◄──────────────────────────────────────────────────── answer ───│ end
//!   │◄── status, what it used ─────│ waitid ◄────────────────────────┘
//! ```
//!
//! - **A fork of one thread is a whole copy.** A program with threads cannot be forked: whatever
//!   lock another thread had is locked for ever in the copy. The zygote refuses to begin when there
//!   is another thread, be it from `preload` or from before `main`.
//! - **The zygote reaps**, and says how each process ended where that one answers. A child of the
//!   program itself would be subject to what the program does with `SIGCHLD` (ignored, the kernel
//!   throws the status away) and to any `wait` for any child; and a child that was made silent
//!   becomes a loud one by `execve`. So a signal to a process goes by the zygote too, which knows
//!   whether the number is still that process's.
//! - **Everything ends with the program.** The zygote watches it through a pidfd; when it ends, in
//!   whatever way, all processes are killed with their groups. When the zygote itself is killed,
//!   the kernel kills them (`PR_SET_PDEATHSIG`).
//! - **What a process has started ends with it**, however it ended itself, also what made a session
//!   of its own: a process is the parent of whatever below it has lost its own
//!   (`PR_SET_CHILD_SUBREAPER`), and when it has ended the zygote is, which ends it.

use std::collections::HashMap;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::epoll;
use rustix::net::SendFlags;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, getpid, getppid, kill_process, kill_process_group,
    pidfd_open, waitpid,
};

use super::fork::{Forked, fork, undo};
use super::order::next;
use super::order::{Hello, Loaded, Made, Request, SpawnOrder, Told, Welcome};
use super::{afresh, worker};
use crate::wire::codec::{self, Message};
use crate::wire::message as wire;

use crate::command::sys::{tree, wait};
use crate::task::TaskError;
use crate::thread::panic::caught;

/// Tokens of what is watched; those of children are their pids.
const REQUESTS: u64 = 0;
const PROGRAM: u64 = u64::MAX;

/// So long all that is to end may take to do so, before nobody waits for it any more.
const PATIENCE: Duration = Duration::from_secs(2);

/// A zygote's whole life.
pub(super) fn run(socket: OwnedFd) -> ! {
    worker::clear_signals();
    worker::keep_descendants();
    let Some(program) = watch_program() else {
        leave()
    };
    say(&socket, &Hello::new());
    let Ok(Some((welcome, _))) = next::<Welcome>(&socket) else {
        leave()
    };
    let told = while_it_lives(&socket, || welcome.preload.and_then(preload)).or_else(other_threads);
    let is_loaded = told.is_none();
    say(&socket, &Loaded(told));
    if !is_loaded {
        leave();
    }
    // The program, or what was loaded, may not want to know how children end; we do.
    // SAFETY: no handler is set, but the default.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
    crate::command::raise_descriptor_limit();
    let Ok(mut zygote) = Zygote::new(socket, program) else {
        leave()
    };
    loop {
        if let Some((order, descriptors)) = zygote.turn() {
            // What is watched here is not the child's business, and would keep others' ends open.
            drop(zygote);
            worker::run(order, descriptors);
        }
    }
}

fn leave() -> ! {
    std::process::exit(0)
}

/// Readable once the program has ended.
fn watch_program() -> Option<OwnedFd> {
    let program = getppid()?;
    let watched = pidfd_open(program, PidfdFlags::empty()).ok()?;
    // It may have ended, and the number be another's, before it was opened; then we have another
    // parent by now.
    (getppid() == Some(program)).then_some(watched)
}

/// Calls `load`, which may take long, and ends this process if the program does meanwhile: the
/// kernel signals that the other end is closed.
fn while_it_lives<T>(socket: &OwnedFd, load: impl FnOnce() -> T) -> T {
    let set = |command: libc::c_int, value: libc::c_int| {
        let fd = std::os::fd::AsRawFd::as_raw_fd(socket);
        // SAFETY: it takes numbers only, and changes what the kernel does about this socket, which
        // is ours.
        unsafe { libc::fcntl(fd, command, value) }
    };
    let heed = |is_heeded: bool| {
        set(libc::F_SETOWN, getpid().as_raw_nonzero().get());
        set(F_SETSIG, if is_heeded { libc::SIGKILL } else { 0 });
        let flags = set(libc::F_GETFL, 0);
        let flags = match is_heeded {
            true => flags | libc::O_ASYNC,
            false => flags & !libc::O_ASYNC,
        };
        set(libc::F_SETFL, flags);
    };
    heed(true);
    // It may have ended before.
    if worker::is_hung_up(socket) {
        leave();
    }
    let loaded = load();
    heed(false);
    loaded
}

/// Linux's number for it, which the `libc` crate does not have.
const F_SETSIG: libc::c_int = 10;

/// Nobody is there to be told when the other end is closed.
fn say<T: serde::Serialize>(socket: &OwnedFd, what: &T) {
    if let Ok(message) = codec::encode(what) {
        let _ = wire::send(socket, &message);
    }
}

/// Runs the user's function, and says what is wrong, if something is.
fn preload(code: crate::wire::image::Code) -> Option<String> {
    // SAFETY: the program has compared our hello's image with its own before it sent this.
    let Some(entry) = (unsafe { code.entry() }) else {
        return Some("what was to be loaded before is not in this program".to_owned());
    };
    let why = match caught(|| entry(&[], Vec::new())) {
        Ok(Ok(_)) => None,
        Ok(Err(failure)) => Some(format!("{failure:?}")),
        Err(caught) => Some(TaskError::from(caught).to_string()),
    };
    let why = why.map(|why| format!("what was to be loaded before could not be: {why}"));
    // Each copy would write it once more.
    let _ = io::stdout().flush();
    why
}

/// What another thread has locked just now would be locked in every copy for ever.
fn other_threads() -> Option<String> {
    let others = match super::threads() {
        Ok(threads) => threads.saturating_sub(1),
        Err(error) => return Some(error.to_string()),
    };
    (others > 0).then(|| {
        format!(
            "{} running in a fresh one, and a process can be copied only while it has no other; let nothing come before \
             `hands::init()`, and let what is loaded leave no thread",
            match others {
                1 => "a thread is".to_owned(),
                more => format!("{more} threads are"),
            }
        )
    })
}

struct ForkedChild {
    pid: Pid,
    pidfd: OwnedFd,
    answers: OwnedFd,
    leads_group: bool,
}

struct Zygote {
    requests: OwnedFd,
    epoll: OwnedFd,
    children: HashMap<i32, ForkedChild>,
    /// Kept open: the kernel forgets what is watched when it is closed.
    _program: OwnedFd,
}

impl Zygote {
    fn new(requests: OwnedFd, program: OwnedFd) -> io::Result<Zygote> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let watch = |fd: &OwnedFd, token| {
            epoll::add(
                &epoll,
                fd,
                epoll::EventData::new_u64(token),
                epoll::EventFlags::IN,
            )
        };
        watch(&requests, REQUESTS)?;
        watch(&program, PROGRAM)?;
        Ok(Zygote {
            requests,
            epoll,
            children: HashMap::new(),
            _program: program,
        })
    }

    /// Waits for what happens next. `Some`: this is the child now, and what it is to do.
    fn turn(&mut self) -> Option<(SpawnOrder, Vec<OwnedFd>)> {
        let mut ready = [epoll::Event {
            flags: epoll::EventFlags::empty(),
            data: epoll::EventData::new_u64(0),
        }; 32];
        let count = match epoll::wait(&self.epoll, &mut ready, None) {
            Ok(count) => count,
            Err(rustix::io::Errno::INTR) => 0,
            Err(_) => self.end_all(),
        };
        for event in &ready[..count] {
            let data = event.data;
            match data.u64() {
                PROGRAM => self.end_all(),
                REQUESTS => {
                    if let Some(work) = self.request() {
                        return Some(work);
                    }
                }
                pid => self.reap(pid),
            }
        }
        None
    }

    /// The program has ended, or wants no more: nothing of it stays, nor of what its processes have
    /// started.
    fn end_all(&self) -> ! {
        for child in self.children.values() {
            child.signal(Signal::KILL, true);
        }
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            for stray in own_children() {
                let _ = kill_process(stray, Signal::KILL);
            }
            match waitpid(None, WaitOptions::NOHANG) {
                // Its own children are ours now.
                Ok(Some(_)) => {}
                Ok(None) => std::thread::park_timeout(Duration::from_millis(1)),
                Err(_) => break,
            }
        }
        leave()
    }

    fn request(&mut self) -> Option<(SpawnOrder, Vec<OwnedFd>)> {
        let (request, descriptors) = match next::<Request>(&self.requests) {
            Ok(Some(request)) => request,
            // It came, but not with all that belongs to it.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                let errno = libc::EMFILE;
                say(&self.requests, &Made::Refused { errno });
                return None;
            }
            Ok(None) | Err(_) => self.end_all(),
        };
        match request {
            Request::Signal { pid, signal, group } => {
                if let (Some(child), Some(signal)) =
                    (self.children.get(&pid), Signal::from_named_raw(signal))
                {
                    child.signal(signal, group);
                }
                None
            }
            Request::Make(order) => self.make(order, descriptors),
        }
    }

    fn make(
        &mut self,
        order: SpawnOrder,
        descriptors: Vec<OwnedFd>,
    ) -> Option<(SpawnOrder, Vec<OwnedFd>)> {
        let leads_group = order.group.is_none();
        let forked = match descriptors.first().map(|answers| answers.try_clone()) {
            // SAFETY: `run` has counted the threads, and we start none.
            Some(Ok(answers)) => unsafe { fork() }.map(|forked| (forked, answers)),
            Some(Err(error)) => Err(error),
            None => Err(io::ErrorKind::InvalidInput.into()),
        };
        let made = match forked {
            Ok((Forked::Child { parent }, _)) => {
                worker::die_with_parent(parent);
                if order.afresh {
                    afresh::start(order, descriptors);
                }
                return Some((order, descriptors));
            }
            Ok((Forked::Parent { pid, pidfd }, answers)) => self.watch(ForkedChild {
                pid,
                pidfd,
                answers,
                leads_group,
            }),
            Err(error) => Made::Refused {
                errno: error.raw_os_error().unwrap_or(libc::EINVAL),
            },
        };
        say(&self.requests, &made);
        None
    }

    /// One whose end would not be seen is ended at once.
    fn watch(&mut self, child: ForkedChild) -> Made {
        let pid = child.pid.as_raw_nonzero().get();
        let token = epoll::EventData::new_u64(u64::from(pid.unsigned_abs()));
        match epoll::add(&self.epoll, &child.pidfd, token, epoll::EventFlags::IN) {
            Ok(()) => {
                self.children.insert(pid, child);
                Made::Process { pid }
            }
            Err(error) => {
                undo(child.pid);
                Made::Refused {
                    errno: error.raw_os_error(),
                }
            }
        }
    }

    fn reap(&mut self, pid: u64) {
        let Ok(pid) = i32::try_from(pid) else {
            return;
        };
        let Some(child) = self.children.get(&pid) else {
            return;
        };
        // Before its number may be another's: what it has started and left in its group.
        if child.leads_group {
            let _ = kill_process_group(child.pid, Signal::KILL);
        }
        let ended = match wait::try_reap(&child.pidfd) {
            Ok(Some((status, usage))) => Some((status, usage)),
            Ok(None) => return,
            Err(_) => None,
        };
        let Some(child) = self.children.remove(&pid) else {
            return;
        };
        let _ = epoll::delete(&self.epoll, &child.pidfd);
        self.end_strays();
        if let Some((status, usage)) = ended {
            let told = Told::Ended {
                status: std::os::unix::process::ExitStatusExt::into_raw(status),
                cpu_user: nanoseconds(usage.cpu_user),
                cpu_system: nanoseconds(usage.cpu_system),
                max_rss: usage.max_rss,
            };
            // A process that has filled its place with something else holds up nobody; that it is
            // closed tells the end, too.
            let _ = wire::send_with(&child.answers, &told.message(), SendFlags::DONTWAIT);
        }
    }
}

impl Zygote {
    /// What a process leaves behind that has left its group, by a session of its own, say, is our
    /// child from its end on: processes keep what they have started [below
    /// themselves](worker::keep_descendants) until then. It has ended when the process's end is
    /// told, unless that takes long.
    fn end_strays(&self) {
        let until = Instant::now() + PATIENCE;
        let is_stray = |pid: &Pid| !self.children.contains_key(&pid.as_raw_nonzero().get());
        while Instant::now() < until {
            let strays: Vec<Pid> = own_children().into_iter().filter(is_stray).collect();
            if strays.is_empty() {
                return;
            }
            for stray in strays {
                let _ = kill_process(stray, Signal::KILL);
                // Its own children are ours then.
                while let Ok(None) = waitpid(Some(stray), WaitOptions::NOHANG)
                    && Instant::now() < until
                {
                    std::thread::park_timeout(Duration::from_micros(100));
                }
            }
        }
    }
}

/// All processes that this one is the parent of.
fn own_children() -> Vec<Pid> {
    let Ok(text) = std::fs::read_to_string("/proc/thread-self/children") else {
        // Not every kernel has it.
        return tree::children_of(getpid());
    };
    let pids = text.split_whitespace().filter_map(|pid| pid.parse().ok());
    pids.filter_map(Pid::from_raw).collect()
}

fn nanoseconds(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl ForkedChild {
    /// It has not been reaped, so the number is its own.
    fn signal(&self, signal: Signal, group: bool) {
        if group && self.leads_group {
            let _ = kill_process_group(self.pid, signal);
        }
        // Also before it has become the leader of its group.
        let _ = kill_process(self.pid, signal);
    }
}

/// For [`Message`]s that have no descriptors.
impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Message {
        Message {
            bytes,
            descriptors: Vec::new(),
        }
    }
}
