//! Who takes in replies, and who is woken for them.
//!
//! The thread that joins a task does it (one of them, if there are several), as long as it waits:
//! so a task that is waited for costs two wake-ups, the worker's and the joiner's, and none where
//! both are awake. When nobody waits the pool's own thread is woken. A waiter writes into the
//! worker's memory that it wants to be woken, and then looks at every ring once more; a worker
//! writes its reply, and then looks whether somebody wants to be woken. One of the two always sees
//! the other.
//!
//! A thread that waits with a time-out takes replies in as well, but has others read them: a result
//! may take as long to be read as its type likes, and the time-out is kept all the same.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::Instant;

use super::inner::ProcessPoolCore;
use super::job::TaskEvent;
use crate::pool::process::dispatch::turns::DeliveryTurn;
use crate::pool::process::dispatch::worker_handle::Notifier;
use crate::pool::process::protocol::reserved::{JOINER, SERVICE};
use crate::pool::process::protocol::wake::{self, NOBODY};
use crate::shared::wait;

/// When the pool's thread is to look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool::process) enum Watching {
    /// There are replies.
    Now,
    /// There will be many in a moment: to be woken for each of the first would cost more than it is
    /// worth.
    Soon,
    /// When it is woken.
    Woken,
}

thread_local! {
    /// The pool whose replies this thread takes in.
    static REPLY_LOCK: Cell<usize> = const { Cell::new(0) };
}

impl ProcessPoolCore {
    /// Takes in replies, and hands over what waits. Says whether anything came.
    pub(in crate::pool::process) fn collect(&self) -> bool {
        let (events, turn) = self.gather();
        let is_any = !events.is_empty();
        self.tell_in_turn(events, turn);
        is_any
    }

    /// [`collect`](Self::collect) for the pool's own thread, which tells elsewhere.
    pub(in crate::pool::process) fn collect_elsewhere(self: &Arc<Self>) {
        let (events, turn) = self.gather();
        self.tell_elsewhere(events, turn);
    }

    /// What has come, and whose turn it is to tell of it.
    pub(super) fn gather(&self) -> (Vec<TaskEvent>, DeliveryTurn) {
        let turn;
        let (mut events, mut wake) = (Vec::new(), Vec::new());
        {
            let mut crew = self.crew.lock();
            crew.collect(&mut events);
            if !crew.queue.is_empty() {
                crew.dispatch(&mut events, &mut wake);
            }
            if !crew.is_watched_for_unevenness && crew.is_uneven() {
                crew.is_watched_for_unevenness = true;
                self.kick();
            }
            if crew.short_since.is_some() {
                self.kick();
            }
            turn = crew.turn(&events);
        }
        wake.iter().for_each(Notifier::ring);
        (events, turn)
    }

    /// The pool's thread is to be woken by replies, unless somebody else takes them in.
    pub(in crate::pool::process) fn watch_as_service(&self) -> Watching {
        let mut crew = self.crew.lock();
        // Under the lock, under which a thread that leads says that it wants to be woken: what it
        // has said is not taken back.
        if self.leading.load(Ordering::SeqCst) {
            return Watching::Woken;
        }
        if crew.is_in_flow() {
            crew.watch(NOBODY);
            return Watching::Soon;
        }
        crew.watch(SERVICE);
        match crew.has_replies() {
            true => Watching::Now,
            false => Watching::Woken,
        }
    }

    /// Whether somebody who waits takes in replies.
    pub(in crate::pool::process) fn is_led(&self) -> bool {
        self.leading.load(Ordering::SeqCst)
    }

    /// Takes in replies on behalf of all, until `is_finished`; nobody else does at the moment, or
    /// it returns at once.
    pub(in crate::pool::process) fn take_in_until(
        &self,
        deadline: Option<Instant>,
        is_finished: impl Fn() -> bool,
    ) {
        // A callback of what this thread has taken in leads on.
        let is_nested = self.is_telling() && REPLY_LOCK.get() == std::ptr::from_ref(self).addr();
        if is_finished() || self.leading.swap(true, Ordering::SeqCst) && !is_nested {
            return;
        }
        let _reply_lock = ReplyLock::begin(self);
        fence(Ordering::SeqCst);
        self.crew.lock().attend();
        // Reading other tasks' results is the user's code, which may take long: a thread that is
        // to be back in time leaves it to others.
        let take_in = || match deadline.and_then(|_| self.me.upgrade()) {
            Some(me) => me.collect_elsewhere(),
            None => {
                self.collect();
            }
        };
        loop {
            let came = self.spin.look(|| {
                take_in();
                is_finished().then_some(())
            });
            // Others' replies may come for ever.
            let is_late = deadline.is_some_and(|deadline| deadline <= Instant::now());
            if came.is_some() || is_finished() || is_late {
                break;
            }
            let notifier = self.notifier.word(0);
            let seen = notifier.load(Ordering::SeqCst);
            let is_none_there = {
                let crew = self.crew.lock();
                crew.watch(JOINER);
                !crew.has_replies()
            };
            if is_none_there && !is_finished() && !wait::wait(notifier, seen, deadline) {
                break;
            }
            take_in();
        }
        if is_nested {
            return;
        }
        self.leading.store(false, Ordering::SeqCst);
        // From here on it is the pool's thread again.
        if self.watch_as_service() == Watching::Now {
            take_in();
        }
        if self.watch_as_service() != Watching::Woken {
            self.kick();
        }
    }

    /// Outcomes have been told by one who does not wait for them: the one who does, and takes in
    /// replies for that, may have found none, and be about to sleep.
    pub(in crate::pool::process) fn told_for_another(&self) {
        fence(Ordering::SeqCst);
        if self.leading.load(Ordering::SeqCst) {
            self.wake_joiner();
        }
    }

    /// A task may have got its outcome in another way than by a reply.
    pub(in crate::pool::process) fn wake_joiner(&self) {
        wake::ring(self.notifier.word(0));
    }
}

/// Until it is dropped this thread takes in a pool's replies.
struct ReplyLock(usize);

impl ReplyLock {
    fn begin(pool: &ProcessPoolCore) -> ReplyLock {
        ReplyLock(REPLY_LOCK.replace(std::ptr::from_ref(pool).addr()))
    }
}

impl Drop for ReplyLock {
    fn drop(&mut self) {
        let _ = REPLY_LOCK.try_with(|leads| leads.set(self.0));
    }
}
