//! The thread that runs a command that its caller speaks to: how far it has come, what it was asked
//! for, and what is kept of stderr.

use std::io;
use std::mem::take;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Waker};

use parking_lot::{Condvar, Mutex};
use rustix::event::{EventfdFlags, eventfd};

use crate::command::engine::{Cause, ChildEnd, Engine, EngineEvent, Flow, Key, OutputTarget};
use crate::command::error::CommandError;
use crate::command::mark::RunMark;
use crate::command::{Command, Output, OutputStream, run};
use crate::foreign::{self, dispose};

/// Bytes of stderr that are kept.
const LAST: usize = 64 * 1024;
/// What the thread has been asked for.
pub(super) const TERMINATE: u8 = 1;
pub(super) const KILL: u8 = 2;

/// How far it has come.
#[derive(Debug, Default)]
pub(super) enum ChildPhase {
    #[default]
    Starting,
    Running {
        pid: u32,
    },
    Ended(Box<Result<Output, CommandError>>),
    /// The end has been told.
    Told,
}

pub(super) struct ChildState {
    pub(super) phase: Mutex<ChildPhase>,
    pub(super) changed: Condvar,
    /// Of the coroutine that waits: it has the child to itself.
    waker: Mutex<Option<Waker>>,
    asked: AtomicU8,
    bell: OwnedFd,
}

impl ChildState {
    fn new() -> Result<Arc<ChildState>, CommandError> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let bell = eventfd(0, flags).map_err(|error| prepare(error.into()))?;
        Ok(Arc::new(ChildState {
            phase: Mutex::default(),
            changed: Condvar::new(),
            waker: Mutex::default(),
            asked: AtomicU8::new(0),
            bell,
        }))
    }

    pub(super) fn ask(&self, what: u8) {
        self.asked.fetch_max(what, Ordering::SeqCst);
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }

    fn enter(&self, phase: ChildPhase) {
        *self.phase.lock() = phase;
        self.changed.notify_all();
        self.wake();
    }

    /// Wakes the coroutine that waits.
    pub(super) fn wake(&self) {
        let waker = self.waker.lock().take();
        if let Some(waker) = waker {
            foreign::wake(waker);
        }
    }

    /// The caller is woken when something changes. It is to look once more after this.
    pub(super) fn wakes(&self, context: &Context<'_>) {
        let waker = context.waker().clone();
        let before = self.waker.lock().replace(waker);
        dispose(before);
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(*self.phase.lock(), ChildPhase::Ended(_) | ChildPhase::Told)
    }

    /// The end, once it has come. Only one is told of it.
    pub(super) fn end(&self) -> Option<Result<Output, CommandError>> {
        let mut phase = self.phase.lock();
        match take(&mut *phase) {
            ChildPhase::Ended(result) => {
                *phase = ChildPhase::Told;
                Some(*result)
            }
            other => {
                *phase = other;
                None
            }
        }
    }
}

pub(super) fn prepare(error: io::Error) -> CommandError {
    CommandError::system("prepare to run a command")(error)
}

/// What is kept of an output.
struct Kept {
    bytes: Vec<u8>,
    limit: usize,
    /// Of more than that the last is kept; otherwise it is an error.
    is_last: bool,
}

impl Kept {
    fn new(limit: usize, is_last: bool) -> Kept {
        Kept {
            bytes: Vec::new(),
            limit,
            is_last,
        }
    }

    /// False: it is too much.
    fn add(&mut self, bytes: &[u8]) -> bool {
        if !self.is_last {
            let room = self.limit - self.bytes.len();
            self.bytes
                .extend_from_slice(&bytes[..bytes.len().min(room)]);
            return bytes.len() <= room;
        }
        self.bytes.extend_from_slice(bytes);
        // Not each time.
        if self.bytes.len() > 2 * self.limit {
            let surplus = self.bytes.len() - self.limit;
            self.bytes.drain(..surplus);
        }
        true
    }

    fn into_bytes(mut self) -> Vec<u8> {
        let surplus = self.bytes.len().saturating_sub(self.limit);
        if self.is_last {
            self.bytes.drain(..surplus);
        }
        self.bytes
    }
}

/// The ends of pipes that become the command's; `None` for what is taken in here.
#[derive(Default)]
pub(super) struct ChildEnds {
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stdout: Option<OwnedFd>,
}

/// Starts a thread that runs the command, and returns when the command has been started.
pub(super) fn start(
    command: &Command,
    ends: ChildEnds,
) -> Result<(Arc<ChildState>, u32), CommandError> {
    let shared = ChildState::new()?;
    let (own, command) = (Arc::clone(&shared), command.clone());
    let thread = std::thread::Builder::new().name("hands-command".to_owned());
    thread
        .spawn(move || {
            let result = live(&command, ends, &own);
            own.enter(ChildPhase::Ended(Box::new(result)));
        })
        .map_err(prepare)?;
    let mut phase = shared.phase.lock();
    while let ChildPhase::Starting = *phase {
        shared.changed.wait(&mut phase);
    }
    if let ChildPhase::Running { pid } = *phase {
        drop(phase);
        return Ok((shared, pid));
    }
    drop(phase);
    match shared.end() {
        Some(Err(error)) => Err(error),
        // It has ended already; the caller finds that out as it would later.
        Some(ended) => {
            *shared.phase.lock() = ChildPhase::Ended(Box::new(ended));
            Ok((shared, 0))
        }
        None => unreachable!("its end is told to us alone"),
    }
}

/// The thread's life.
fn live(command: &Command, ends: ChildEnds, shared: &ChildState) -> Result<Output, CommandError> {
    let mut engine = Engine::new().map_err(prepare)?;
    engine.watch(&shared.bell, 0, false).map_err(prepare)?;
    let upstream = ends.stdin.as_ref().map(OwnedFd::as_raw_fd);
    let stdout = ends.stdout.as_ref().map(OwnedFd::as_raw_fd);
    let mut kept = [
        Kept::new(command.capture_limit, false),
        match stdout {
            Some(_) => Kept::new(LAST, true),
            None => Kept::new(command.capture_limit, false),
        },
    ];
    let target = stdout.map_or(OutputTarget::Capture, OutputTarget::Fd);
    let key = run::start(
        &mut engine,
        &RunMark::new(),
        0,
        command,
        upstream,
        target,
        OutputTarget::Capture,
    )?;
    drop(ends);
    let pid = engine.pid(key).map_or(0, |pid| pid.as_raw_nonzero().get());
    shared.enter(ChildPhase::Running {
        pid: pid.unsigned_abs(),
    });
    let mut is_too_much = false;
    let ended = attend(&mut engine, key, shared, &mut |stream, bytes| {
        is_too_much |= !kept[stream as usize].add(bytes);
        !is_too_much
    })?;
    let [stdout, stderr] = kept.map(Kept::into_bytes);
    let output = Output::new(&ended, stdout, stderr);
    if is_too_much {
        return Err(CommandError::TooMuchOutput {
            program: command.name().into(),
            limit: command.capture_limit,
            output: Box::new(output),
        });
    }
    let mut outputs = vec![output];
    run::judge(std::slice::from_ref(command), &[ended], &mut outputs)?;
    Ok(outputs.pop().unwrap_or_default())
}

/// Waits for the command's end, and does what it is asked for.
fn attend(
    engine: &mut Engine,
    key: Key,
    shared: &ChildState,
    receive: &mut dyn FnMut(OutputStream, &[u8]) -> bool,
) -> Result<ChildEnd, CommandError> {
    let mut events = Vec::new();
    let mut done = 0;
    loop {
        let mut is_over = false;
        let mut on_output = |_: Key, stream: OutputStream, bytes: &[u8]| {
            is_over |= !receive(stream, bytes);
            Flow::Continue
        };
        engine
            .turn(None, &mut on_output, &mut events)
            .map_err(CommandError::system("wait for a command"))?;
        if is_over {
            shared.asked.fetch_max(KILL, Ordering::SeqCst);
        }
        for event in events.drain(..) {
            match event {
                EngineEvent::Finished(_, ended) => return Ok(ended),
                EngineEvent::Stopped(..) => {}
                EngineEvent::Ready(_) => {
                    let _ = rustix::io::read(&shared.bell, &mut [0; 8][..]);
                }
            }
        }
        let asked = shared.asked.load(Ordering::SeqCst);
        if asked > done {
            done = asked;
            match asked {
                TERMINATE => engine.terminate(key, Cause::Asked),
                _ => engine.kill_all(&[key]),
            }
        }
    }
}
