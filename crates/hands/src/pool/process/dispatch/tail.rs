//! What workers write to stderr: forwarded, and the last of it kept for who asks why a worker died.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::OFlags;
use rustix::pipe::{PipeFlags, pipe_with};

/// As much is kept of each worker.
pub(in crate::pool::process) const KEPT: usize = 4096;

/// What Rust's allocator says before it aborts.
const WANTS_MEMORY: &str = "memory allocation of ";

pub(in crate::pool::process) fn wants_memory(text: &str) -> bool {
    text.contains(WANTS_MEMORY)
}

/// What one worker has written lately.
#[derive(Default)]
pub(in crate::pool::process) struct StderrTail {
    kept: Mutex<VecDeque<u8>>,
    /// Where it can be read; gone at its end.
    pipe: Mutex<Option<OwnedFd>>,
    /// It has said that it was refused memory.
    wants_memory: AtomicBool,
}

impl StderrTail {
    /// With the end that is the worker's stderr.
    pub(in crate::pool::process) fn new() -> io::Result<(Arc<StderrTail>, OwnedFd)> {
        let (ours, its) = pipe_with(PipeFlags::CLOEXEC)?;
        // Ours only: the worker's stderr is to wait, as any other.
        rustix::fs::fcntl_setfl(&ours, OFlags::NONBLOCK)?;
        let tail = StderrTail {
            kept: Mutex::default(),
            pipe: Mutex::new(Some(ours)),
            wants_memory: AtomicBool::new(false),
        };
        Ok((Arc::new(tail), its))
    }

    pub(in crate::pool::process) fn wants_memory(&self) -> bool {
        self.wants_memory.load(Ordering::Relaxed)
    }

    /// Takes in what is there. Returned is what is to be forwarded; `None` at the end.
    fn read(&self) -> Option<Vec<u8>> {
        let mut pipe = self.pipe.lock();
        let mut buffer = vec![0; KEPT];
        let read = rustix::io::read(pipe.as_ref()?.as_fd(), &mut buffer[..]);
        match read {
            Ok(0) => *pipe = None,
            Ok(length) => buffer.truncate(length),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return Some(Vec::new()),
            Err(_) => *pipe = None,
        }
        pipe.as_ref()?;
        let mut kept = self.kept.lock();
        // What Rust's allocator says, perhaps before more than is kept; perhaps in two pieces.
        let said = WANTS_MEMORY.as_bytes();
        let mut seen: Vec<u8> = kept.iter().rev().take(said.len()).rev().copied().collect();
        seen.extend(&buffer);
        if seen.windows(said.len()).any(|window| window == said) {
            self.wants_memory.store(true, Ordering::Relaxed);
        }
        kept.extend(&buffer);
        let surplus = kept.len().saturating_sub(KEPT);
        kept.drain(..surplus);
        drop(kept);
        Some(buffer)
    }

    /// The last that it wrote, now that it has ended; with what is to be forwarded still.
    pub(in crate::pool::process) fn last(&self) -> (String, Vec<u8>) {
        let mut rest = Vec::new();
        // What it has started may hold the pipe, and write on: so no further than what is there.
        while let Some(bytes) = self.read().filter(|bytes| !bytes.is_empty()) {
            rest.extend(bytes);
            if rest.len() > 16 * KEPT {
                break;
            }
        }
        let bytes: Vec<u8> = self.kept.lock().iter().copied().collect();
        (String::from_utf8_lossy(&bytes).into_owned(), rest)
    }
}

/// Forwards what the workers write, so that a program whose stderr is not read keeps nobody but
/// this thread waiting.
pub(in crate::pool::process) struct Forwarder {
    tails: Mutex<Vec<Arc<StderrTail>>>,
    rest: Mutex<Vec<u8>>,
    /// Written to when there is something new to look at.
    notifier: OwnedFd,
    is_over: AtomicBool,
}

impl Forwarder {
    pub(in crate::pool::process) fn start() -> io::Result<Arc<Forwarder>> {
        let flags = rustix::event::EventfdFlags::CLOEXEC | rustix::event::EventfdFlags::NONBLOCK;
        let forwarder = Arc::new(Forwarder {
            tails: Mutex::default(),
            rest: Mutex::default(),
            notifier: rustix::event::eventfd(0, flags)?,
            is_over: false.into(),
        });
        let own = Arc::clone(&forwarder);
        let thread = std::thread::Builder::new().name("hands-stderr".to_owned());
        thread.stack_size(128 * 1024).spawn(move || own.run())?;
        Ok(forwarder)
    }

    fn ring(&self) {
        let _ = rustix::io::write(&self.notifier, &1_u64.to_ne_bytes());
    }

    pub(in crate::pool::process) fn add(&self, tail: Arc<StderrTail>) {
        self.tails.lock().push(tail);
        self.ring();
    }

    /// The last of one that has ended.
    pub(in crate::pool::process) fn remove(&self, tail: &Arc<StderrTail>, rest: Vec<u8>) {
        self.tails.lock().retain(|other| !Arc::ptr_eq(other, tail));
        self.rest.lock().extend(rest);
        self.ring();
    }

    /// Ends when all has been forwarded.
    pub(in crate::pool::process) fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
        self.ring();
    }

    fn run(&self) {
        loop {
            let tails = self.tails.lock().clone();
            {
                let held: Vec<_> = tails.iter().map(|tail| tail.copy()).collect();
                let mut ready = vec![PollFd::new(&self.notifier, PollFlags::IN)];
                ready.extend(
                    held.iter()
                        .flatten()
                        .map(|fd| PollFd::new(fd, PollFlags::IN)),
                );
                let _ = poll(&mut ready, None);
            }
            let _ = rustix::io::read(&self.notifier, &mut [0; 8][..]);
            let rest = std::mem::take(&mut *self.rest.lock());
            forward(&rest);
            for tail in &tails {
                if let Some(bytes) = tail.read() {
                    forward(&bytes);
                } else {
                    self.tails.lock().retain(|other| !Arc::ptr_eq(other, tail));
                }
            }
            let is_over = self.is_over.load(Ordering::SeqCst);
            if is_over && self.tails.lock().is_empty() && self.rest.lock().is_empty() {
                return;
            }
        }
    }
}

impl StderrTail {
    /// To wait for it without the lock.
    fn copy(&self) -> Option<OwnedFd> {
        self.pipe.lock().as_ref()?.try_clone().ok()
    }
}

fn forward(bytes: &[u8]) {
    if !bytes.is_empty() {
        // A thread that has closed stderr does not want it.
        let _ = io::stderr().write_all(bytes);
    }
}
