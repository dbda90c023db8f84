//! Tasks are told of their outcomes, which runs the user's code: deserialisers, callbacks, wakers,
//! and the drop of results that nobody wants. So nothing is locked then, and what may block for
//! long holds up nobody.

use std::cell::RefCell;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Wake, Waker};

use parking_lot::Mutex;

use super::inner::ProcessPoolCore;
use super::job::{LastReply, TaskEvent};
use crate::event::TaskEnd;
use crate::pool::process::dispatch::turns::{Delivered, DeliveryTurn};
use crate::pool::process::protocol::message::SocketMessage;
use crate::sync::timer;
use crate::task::TaskError;
use crate::task::remote::Remote;
use crate::thread::panic::caught;
use crate::wire::codec::{self, Message};
use crate::wire::message::Letter;

/// What became of a task by an event.
enum TaskProgress {
    /// It goes on.
    NotOver,
    Over,
    /// It is over when this one's callbacks have run.
    CallsBack(Arc<dyn Remote>),
}

thread_local! {
    /// The pools of whose tasks this thread tells, the innermost last.
    static TELLS: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

impl ProcessPoolCore {
    /// Tells tasks what came of them, which runs the user's code: deserialisers, callbacks, wakers.
    /// The caller has no lock.
    pub(in crate::pool::process) fn tell(&self, events: Vec<TaskEvent>) {
        self.tell_in_turn(events, DeliveryTurn::ANY);
    }

    /// [`tell`](Self::tell), after what was taken in before.
    pub(super) fn tell_in_turn(&self, events: Vec<TaskEvent>, turn: DeliveryTurn) {
        if events.is_empty() {
            return;
        }
        // What this thread is telling itself comes first in any case.
        if !self.is_telling() {
            self.turns.wait_for(turn);
        }
        let _done = Delivered(&self.turns, turn);
        let _telling = Telling::begin(self);
        for event in events {
            // A result that nobody wants is dropped here, and may panic.
            match caught(|| self.tell_one(event)).unwrap_or(TaskProgress::Over) {
                TaskProgress::NotOver => {}
                TaskProgress::Over => self.one_is_over(),
                TaskProgress::CallsBack(task) => self.call_back(task),
            }
        }
    }

    fn one_is_over(&self) {
        if self.unfinished.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.calmed();
        }
    }

    /// Runs a task's callbacks where they hold up nobody: neither the thread that takes in replies,
    /// which waits for another task or only submits one, nor the tasks that have come with it.
    fn call_back(&self, task: Arc<dyn Remote>) {
        let run = move |pool: &ProcessPoolCore| {
            let _telling = Telling::begin(pool);
            // The last that holds it may be this: its outcome is dropped inside the catch.
            let _ = caught(move || task.call_back());
            pool.one_is_over();
        };
        match self.me.upgrade() {
            Some(me) => me.elsewhere(move |pool| {
                run(pool);
                pool.told_for_another();
            }),
            None => run(self),
        }
    }

    /// [`tell`](Self::tell) on a thread that may block, for the pool's own thread, on which all
    /// tasks depend.
    pub(in crate::pool::process) fn tell_elsewhere(
        self: &Arc<Self>,
        events: Vec<TaskEvent>,
        turn: DeliveryTurn,
    ) {
        if !events.is_empty() {
            self.elsewhere(move |pool| {
                pool.tell_in_turn(events, turn);
                pool.told_for_another();
            });
        }
    }

    /// Calls `run` on a thread that may block.
    pub(in crate::pool::process) fn elsewhere(
        self: &Arc<Self>,
        run: impl FnOnce(&Arc<ProcessPoolCore>) + Send + 'static,
    ) {
        struct Errand<F>(Arc<ProcessPoolCore>, Mutex<Option<F>>);
        impl<F: FnOnce(&Arc<ProcessPoolCore>) + Send + 'static> Wake for Errand<F> {
            fn wake(self: Arc<Self>) {
                let run = self.1.lock().take();
                if let Some(run) = run {
                    run(&self.0);
                }
            }
        }
        let errand = Errand(Arc::clone(self), Mutex::new(Some(run)));
        timer::soon(Waker::from(Arc::new(errand)));
    }

    /// Whether the caller is called by what is told of this pool's tasks.
    pub(in crate::pool::process) fn is_telling(&self) -> bool {
        TELLS.with_borrow(|tells| tells.contains(&std::ptr::from_ref(self).addr()))
    }

    fn tell_one(&self, event: TaskEvent) -> TaskProgress {
        let tally = self.events.tally();
        let not_run = || {
            tally.add_finished(1);
            tally.add(TaskEnd::NotRun, 1);
        };
        match event {
            TaskEvent::Came {
                remote,
                payload,
                first,
                count,
                last,
            } => {
                let read = || remote.outcomes(&payload, first, count);
                match codec::with_descriptors(Vec::new(), read) {
                    true => self.finish(remote, last),
                    false => TaskProgress::NotOver,
                }
            }
            TaskEvent::CameApart {
                remote,
                letter,
                number,
                first,
                count,
                last,
            } => match came_apart(&*remote, letter, number, first..first + count) {
                true => self.finish(remote, last),
                false => TaskProgress::NotOver,
            },
            TaskEvent::Failed {
                remote,
                why,
                number,
            } => match remote.fail(number, why) {
                true => self.finish(remote, None),
                false => TaskProgress::NotOver,
            },
            TaskEvent::Refused { remote, why } => {
                not_run();
                match remote.refuse_quietly(why) {
                    true => TaskProgress::Over,
                    false => TaskProgress::CallsBack(remote),
                }
            }
            TaskEvent::Again => {
                tally.add(TaskEnd::Retried, 1);
                TaskProgress::NotOver
            }
            TaskEvent::Over => {
                not_run();
                TaskProgress::Over
            }
            TaskEvent::Ended => {
                tally.add_finished(1);
                TaskProgress::Over
            }
        }
    }

    /// All outcomes of a task have come; `last` is how its last part ended, if somebody listens.
    fn finish(&self, remote: Arc<dyn Remote>, last: Option<LastReply>) -> TaskProgress {
        let tally = self.events.tally();
        // Before anybody who waits for it can look.
        let is_over = remote.finish(&|panicked| {
            tally.add_finished(1);
            tally.add(TaskEnd::Panicked, panicked);
            if let Some(last) = last {
                let ran = if panicked > 0 {
                    TaskEnd::Panicked
                } else {
                    TaskEnd::Well
                };
                let how = last.given_up.unwrap_or(ran);
                let class = remote.class();
                self.events
                    .finished_at(last.ending, class, last.worker, how);
            }
        });
        match is_over {
            true => TaskProgress::Over,
            false => TaskProgress::CallsBack(remote),
        }
    }
}

/// These outcomes of a task have come in a message of their own. True: they were the last.
fn came_apart(
    remote: &dyn Remote,
    letter: io::Result<Letter>,
    task: u64,
    numbers: Range<u64>,
) -> bool {
    match letter.and_then(|letter| read_apart(letter, task)) {
        Ok(Message { bytes, descriptors }) => {
            let read = || remote.outcomes(&bytes, numbers.start, numbers.end - numbers.start);
            codec::with_descriptors(descriptors, read)
        }
        Err(error) => {
            let what = format!("the result: {error}");
            let failed = |number: &u64| {
                let what = what.clone();
                remote.fail(*number, TaskError::Decode { what })
            };
            // All of them, not up to the first that is the last.
            numbers.filter(failed).count() > 0
        }
    }
}

/// What is in a message of a worker, which belongs to this task of it.
fn read_apart(letter: Letter, number: u64) -> io::Result<Message> {
    let Message { bytes, descriptors } = letter.open()?;
    match codec::decode(&bytes) {
        Ok(SocketMessage::Payload { number: its, bytes }) if its == number => {
            Ok(Message { bytes, descriptors })
        }
        _ => Err(io::Error::other("what came is another's")),
    }
}

/// Until it is dropped this thread tells of a pool's tasks.
struct Telling;

impl Telling {
    fn begin(pool: &ProcessPoolCore) -> Telling {
        TELLS.with_borrow_mut(|tells| tells.push(std::ptr::from_ref(pool).addr()));
        Telling
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        let _ = TELLS.try_with(|tells| tells.borrow_mut().pop());
    }
}
