//! Coroutines that wait for a descriptor: one thread that waits for all of them.
//!
//! Each wait has a copy of the descriptor of its own, so that any number may wait for the same one,
//! and is watched once (`EPOLLONESHOT`). The thread is started by the first wait, and is never in
//! the way: it only sleeps and wakes.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use rustix::event::epoll;
use rustix::process::{Pid, getpid};

use crate::foreign::{dispose, wake};

struct Reactor {
    epoll: OwnedFd,
    waiting: Mutex<(u64, HashMap<u64, Waker>)>,
    /// A copy of this process by `fork` has no such thread, and needs one of its own.
    owner: Pid,
}

static REACTOR: Mutex<Option<Arc<Reactor>>> = Mutex::new(None);

impl Reactor {
    fn get() -> io::Result<Arc<Reactor>> {
        let mut reactor = REACTOR.lock();
        match &*reactor {
            Some(there) if there.owner == getpid() => return Ok(Arc::clone(there)),
            _ => {}
        }
        let new = Arc::new(Reactor {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            waiting: Mutex::default(),
            owner: getpid(),
        });
        let own = Arc::clone(&new);
        let thread = std::thread::Builder::new().name("hands-reactor".to_owned());
        thread.spawn(move || own.run())?;
        *reactor = Some(Arc::clone(&new));
        Ok(new)
    }

    fn run(&self) {
        let mut ready = [epoll::Event {
            flags: epoll::EventFlags::empty(),
            data: epoll::EventData::new_u64(0),
        }; 64];
        loop {
            let count = match epoll::wait(&self.epoll, &mut ready, None) {
                Ok(count) => count,
                Err(rustix::io::Errno::INTR) => continue,
                // Nothing that waits could be told any more; there is no such error for an epoll
                // that is open.
                Err(_) => return,
            };
            for event in &ready[..count] {
                let data = event.data;
                let waker = self.waiting.lock().1.remove(&data.u64());
                if let Some(waker) = waker {
                    wake(waker);
                }
            }
        }
    }
}

/// Until a descriptor can be read from, or be written to.
pub(super) struct Ready {
    fd: OwnedFd,
    flags: epoll::EventFlags,
    watched: Option<(Arc<Reactor>, u64)>,
}

impl Ready {
    pub(super) fn to_read(fd: BorrowedFd<'_>) -> io::Result<Ready> {
        Ready::new(fd, epoll::EventFlags::IN)
    }

    pub(super) fn to_write(fd: BorrowedFd<'_>) -> io::Result<Ready> {
        Ready::new(fd, epoll::EventFlags::OUT)
    }

    fn new(fd: BorrowedFd<'_>, flags: epoll::EventFlags) -> io::Result<Ready> {
        Ok(Ready {
            fd: fd.try_clone_to_owned()?,
            flags,
            watched: None,
        })
    }
}

impl Future for Ready {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some((reactor, token)) = &self.watched {
            // Cloned before and dropped after the lock, as it is foreign code.
            let waker = context.waker().clone();
            let mut waiting = reactor.waiting.lock();
            let (poll, left) = match waiting.1.get_mut(token) {
                Some(known) => (Poll::Pending, std::mem::replace(known, waker)),
                None => (Poll::Ready(Ok(())), waker),
            };
            drop(waiting);
            dispose(left);
            return poll;
        }
        let reactor = Reactor::get()?;
        let waker = context.waker().clone();
        let token = {
            let mut waiting = reactor.waiting.lock();
            waiting.0 += 1;
            let token = waiting.0;
            waiting.1.insert(token, waker);
            token
        };
        let flags = self.flags | epoll::EventFlags::ONESHOT;
        let added = epoll::add(
            &reactor.epoll,
            &self.fd,
            epoll::EventData::new_u64(token),
            flags,
        );
        self.watched = Some((reactor, token));
        added?;
        Poll::Pending
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        if let Some((reactor, token)) = &self.watched {
            let waker = reactor.waiting.lock().1.remove(token);
            dispose(waker);
            let _ = epoll::delete(&reactor.epoll, &self.fd);
        }
    }
}
