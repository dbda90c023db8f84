//! Ctrl-C, for pools that want to end in order.
//!
//! A handler may hardly do anything, so this one counts, and rings for each pool that wants to
//! know. It is there as long as such a pool is; then what was there before is there again.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use parking_lot::Mutex;
use rustix::event::{EventfdFlags, eventfd};

/// The number of pools at a time.
const MOST: usize = 32;
const NONE: i32 = -1;

static BELLS: [AtomicI32; MOST] = [const { AtomicI32::new(NONE) }; MOST];
static COUNT: AtomicU32 = AtomicU32::new(0);
/// How many listen, and what was there before the first did.
static LISTENING: Mutex<(usize, Option<libc::sigaction>)> = Mutex::new((0, None));

extern "C" fn interrupted(_: libc::c_int) {
    // SAFETY: the place of the calling thread's own, always.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: as above; the interrupted code may be about to look at it, so it is put back below.
    let errno = unsafe { *place };
    COUNT.fetch_add(1, Ordering::SeqCst);
    for notifier in &BELLS {
        let fd = notifier.load(Ordering::SeqCst);
        if fd != NONE {
            let one = 1_u64;
            // SAFETY: 8 bytes of a local. `write` may be called in a handler, and these descriptors
            // are never closed: another file would have the number.
            unsafe { libc::write(fd, (&raw const one).cast(), 8) };
        }
    }
    // SAFETY: as above.
    unsafe { *place = errno };
}

/// Hears of Ctrl-C.
#[derive(Debug)]
pub(in crate::pool::process) struct InterruptListener {
    notifier: &'static OwnedFd,
    slot: usize,
    heard: AtomicU32,
}

/// Descriptors that a handler may have seen stay open, for the next listener.
static IDLE: Mutex<Vec<&'static OwnedFd>> = Mutex::new(Vec::new());

impl InterruptListener {
    pub(in crate::pool::process) fn new() -> io::Result<InterruptListener> {
        let idle = IDLE.lock().pop();
        let notifier = match idle {
            Some(notifier) => notifier,
            None => Box::leak(Box::new(eventfd(
                0,
                EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK,
            )?)),
        };
        let mut listening = LISTENING.lock();
        let free = BELLS
            .iter()
            .position(|notifier| notifier.load(Ordering::SeqCst) == NONE);
        let Some(slot) = free else {
            IDLE.lock().push(notifier);
            return Err(io::Error::other(format!(
                "{MOST} pools listen for Ctrl-C already"
            )));
        };
        let heard = COUNT.load(Ordering::SeqCst);
        BELLS[slot].store(notifier.as_raw_fd(), Ordering::SeqCst);
        if listening.0 == 0 {
            listening.1 = Some(listen()?);
        }
        listening.0 += 1;
        Ok(InterruptListener {
            notifier,
            slot,
            heard: AtomicU32::new(heard),
        })
    }

    pub(in crate::pool::process) fn fd(&self) -> &OwnedFd {
        self.notifier
    }

    /// How often it was pressed since the last look.
    pub(in crate::pool::process) fn look(&self) -> u32 {
        let _ = rustix::io::read(self.notifier, &mut [0; 8][..]);
        let count = COUNT.load(Ordering::SeqCst);
        count.wrapping_sub(self.heard.swap(count, Ordering::SeqCst))
    }
}

impl Drop for InterruptListener {
    fn drop(&mut self) {
        let mut listening = LISTENING.lock();
        BELLS[self.slot].store(NONE, Ordering::SeqCst);
        IDLE.lock().push(self.notifier);
        listening.0 -= 1;
        if listening.0 == 0
            && let Some(before) = listening.1.take()
        {
            // SAFETY: what the system itself gave us as the action before ours.
            unsafe { libc::sigaction(libc::SIGINT, &raw const before, ptr::null_mut()) };
        }
    }
}

/// Returns what was there before.
fn listen() -> io::Result<libc::sigaction> {
    // SAFETY: zeroes are a valid value of this structure of numbers.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = interrupted as extern "C" fn(libc::c_int) as usize;
    action.sa_flags = libc::SA_RESTART;
    let mut before = action;
    // SAFETY: both are ours; the handler does nothing that a handler may not do.
    match unsafe { libc::sigaction(libc::SIGINT, &raw const action, &raw mut before) } {
        0 => Ok(before),
        _ => Err(io::Error::last_os_error()),
    }
}
