//! What a pool of processes is, apart from its handle: who takes in replies, who is woken for them,
//! and how it ends.
//!
//! # Who takes in replies
//!
//! The thread that joins a task does it (one of them, if there are several), as long as it waits:
//! so a task that is waited for costs two wake-ups, the worker's and the joiner's, and none where
//! both are awake. When nobody waits the pool's own thread is woken. A waiter writes into the
//! worker's memory that it wants to be woken, and then looks at every ring once more; a worker
//! writes its reply, and then looks whether somebody wants to be woken. One of the two always sees
//! the other.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::crew::{FLOW, WorkerTable};
use super::job::{ProcessJob, TaskEvent};
use super::plan::StateFunction;
use crate::event::{Events, TaskEnd};
use crate::machine::Spin;
use crate::pool::process::dispatch::interrupt::InterruptListener;
use crate::pool::process::dispatch::tail::Forwarder;
use crate::pool::process::dispatch::turns::{Delivered, DeliveryTurn, Turns};
use crate::pool::process::dispatch::worker_handle::{Notifier, SentTask};
use crate::pool::process::protocol::message::{Kind, SocketMessage};
use crate::pool::process::protocol::reserved::{JOINER, SERVICE};
use crate::pool::process::protocol::wake::{self, NOBODY};
use crate::process::rights::KnownRights;
use crate::process::spawner;
use crate::queue::Shutdown;
use crate::shared::Memory;
use crate::shared::wait;
use crate::sync::timer;
use crate::task::remote::{Remote, RemotePool};
use crate::task::{TaskError, WorkerId};
use crate::thread::panic::caught;
use crate::thread::registry::Unfinished;
use crate::wire::codec::{self, Message};
use crate::wire::image::Code;
use crate::wire::message::Letter;

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

pub(in crate::pool::process) struct ProcessPoolCore {
    me: Weak<ProcessPoolCore>,
    turns: Turns,
    pub(in crate::pool::process) plan: StateFunction,
    pub(in crate::pool::process) crew: Mutex<WorkerTable>,
    /// Somebody who joins a task takes in replies.
    leading: AtomicBool,
    /// One word, where that one sleeps.
    pub(in crate::pool::process) notifier: Memory,
    /// What wakes the pool's own thread.
    pub(in crate::pool::process) service: OwnedFd,
    spin: Spin,
    unfinished: AtomicU64,
    idle: (Mutex<()>, Condvar),
    pub(in crate::pool::process) events: Events,
    pub(in crate::pool::process) forwarder: Option<Arc<Forwarder>>,
    /// The program's, when somebody last looked.
    rights: Mutex<KnownRights>,
    /// How many short tasks were submitted since then, so that it is not done for each.
    asked: AtomicU64,
    pub(in crate::pool::process) is_over: AtomicBool,
    pub(in crate::pool::process) interrupts: Option<InterruptListener>,
}

impl RemotePool for ProcessPoolCore {
    fn cancel(&self, task: &dyn Remote) -> bool {
        self.give_up(task, TaskError::Cancelled)
    }

    fn runs(&self, task: &dyn Remote) -> Option<WorkerId> {
        self.worker_of(task)
    }

    fn assist(&self, deadline: Option<Instant>, is_over: &dyn Fn() -> bool) {
        self.take_in_until(deadline, is_over);
    }
}

impl ProcessPoolCore {
    pub(in crate::pool::process) fn new(
        me: Weak<ProcessPoolCore>,
        plan: StateFunction,
        notifier: Memory,
        service: OwnedFd,
        forwarder: Option<Arc<Forwarder>>,
        interrupts: Option<InterruptListener>,
    ) -> ProcessPoolCore {
        let mut crew = WorkerTable::default();
        let events = crew.events.clone();
        crew.slots.resize_with(plan.workers, || None);
        crew.wanted = plan.workers;
        crew.retries_late = plan.retries_late;
        crew.coroutines = plan.coroutines;
        crew.most_tasks = plan.most_tasks;
        ProcessPoolCore {
            me,
            turns: Turns::default(),
            plan,
            crew: Mutex::new(crew),
            leading: AtomicBool::new(false),
            notifier,
            service,
            spin: Spin::default(),
            unfinished: AtomicU64::new(0),
            idle: (Mutex::default(), Condvar::new()),
            events,
            forwarder,
            rights: Mutex::new(KnownRights::now()),
            asked: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            interrupts,
        }
    }

    /// Wakes the pool's own thread.
    pub(in crate::pool::process) fn kick(&self) {
        let _ = rustix::io::write(&self.service, &1_u64.to_ne_bytes());
    }

    /// What the program has given up since workers were started, they shall not have either.
    fn renew_if_rights_changed(&self) {
        let changed = self.rights.lock().changed();
        if let Some(rights) = changed {
            // Here, where they are. If it cannot be, the thread that starts the next worker is
            // told.
            let _ = spawner::prepare(rights, self.plan.start_timeout);
            self.crew.lock().renew(rights);
        }
    }

    pub(in crate::pool::process) fn submit(&self, (code, kind): (Code, Kind), mut job: ProcessJob) {
        // Of many short tasks in a row not before each.
        if self
            .asked
            .fetch_add(1, Ordering::Relaxed)
            .is_multiple_of(FLOW)
        {
            self.renew_if_rights_changed();
        }
        let mut crew = self.crew.lock();
        let refused = match &crew.broken {
            Some(why) => Some(TaskError::Init {
                message: Arc::clone(why),
            }),
            None => crew.is_closed.then_some(TaskError::PoolClosed),
        };
        if let Some(why) = refused {
            drop(crew);
            job.remote.refuse(why);
            return;
        }
        let Some(number) = crew.function(code, kind) else {
            drop(crew);
            job.remote.refuse(TaskError::Encode {
                what: "a pool calls no more than 65,536 different functions".to_owned(),
            });
            return;
        };
        job.function = number;
        job.number = self.events.queued(job.remote.class());
        self.unfinished.fetch_add(1, Ordering::SeqCst);
        let mut is_limited = false;
        if let Some(timeout) = job.options.timeout {
            crew.shortest = Some(crew.shortest.map_or(timeout, |other| other.min(timeout)));
            is_limited = true;
        }
        if let Some(deadline) = job.options.deadline {
            let after = deadline.saturating_duration_since(Instant::now());
            crew.deadlines.note(deadline, after, &job.remote);
            is_limited = true;
        }
        if !crew.is_brisk() {
            self.asked.store(0, Ordering::Relaxed);
        }
        crew.queue.push_back(job);
        let (mut events, mut wake) = (Vec::new(), Vec::new());
        crew.dispatch(&mut events, &mut wake);
        // A thread that submits faster than the workers run takes in replies now and then: so
        // nobody else need be woken for them.
        crew.submitted += 1;
        let is_turn = crew.submitted.is_multiple_of(FLOW) && crew.is_brisk();
        if is_turn {
            crew.collect(&mut events);
            crew.dispatch(&mut events, &mut wake);
        }
        let turn = crew.turn(&events);
        is_limited |= crew.short_since.is_some();
        drop(crew);
        wake.iter().for_each(Notifier::ring);
        let is_any = is_turn && !events.is_empty();
        self.tell_in_turn(events, turn);
        if is_any {
            self.told_for_another();
        }
        if is_limited {
            self.kick();
        }
    }

    /// Tells tasks what came of them, which runs the user's code: deserialisers, callbacks, wakers.
    /// The caller has no lock.
    pub(in crate::pool::process) fn tell(&self, events: Vec<TaskEvent>) {
        self.tell_in_turn(events, DeliveryTurn::ANY);
    }

    /// [`tell`](Self::tell), after what was taken in before.
    fn tell_in_turn(&self, events: Vec<TaskEvent>, turn: DeliveryTurn) {
        if events.is_empty() {
            return;
        }
        let here = match self.me.upgrade() {
            Some(me) => me.tell_callbacks_apart(events),
            None => events,
        };
        self.tell_here(here, turn);
    }

    /// Each task that has a callback is told of on a thread that may block, where it holds up
    /// nobody: neither the thread that takes in replies, which waits for another task or only
    /// submits one, nor the tasks that have come with it. Returned are the others.
    fn tell_callbacks_apart(self: &Arc<Self>, mut events: Vec<TaskEvent>) -> Vec<TaskEvent> {
        for apart in events.extract_if(.., |event| event.calls_back()) {
            self.elsewhere(move |pool| {
                pool.tell_here(vec![apart], DeliveryTurn::ANY);
                pool.told_for_another();
            });
        }
        events
    }

    fn tell_here(&self, events: Vec<TaskEvent>, turn: DeliveryTurn) {
        // What this thread is telling itself comes first in any case.
        if !self.is_telling() {
            self.turns.wait_for(turn);
        }
        let _done = Delivered(&self.turns, turn);
        let _telling = Telling::begin(self);
        for events in events {
            // A result that nobody wants is dropped here, and may panic.
            let ended = caught(|| self.tell_one(events)).unwrap_or(true);
            if ended && self.unfinished.fetch_sub(1, Ordering::SeqCst) == 1 {
                self.calmed();
            }
        }
    }

    /// [`tell`](Self::tell) on a thread that may block, for the pool's own thread, on which all
    /// tasks depend.
    pub(in crate::pool::process) fn tell_elsewhere(
        self: &Arc<Self>,
        events: Vec<TaskEvent>,
        turn: DeliveryTurn,
    ) {
        if events.is_empty() {
            return;
        }
        // Even if none is left, the turn is to be taken.
        let rest = self.tell_callbacks_apart(events);
        self.elsewhere(move |pool| {
            pool.tell_here(rest, turn);
            pool.told_for_another();
        });
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

    /// Whether the task is over with it.
    fn tell_one(&self, events: TaskEvent) -> bool {
        let tally = self.events.tally();
        let not_run = || {
            tally.add_finished(1);
            tally.add(TaskEnd::NotRun, 1);
        };
        let finished = match events {
            TaskEvent::Came {
                remote,
                payload,
                first,
                count,
                last,
            } => {
                let read = || remote.outcomes(&payload, first, count);
                if !codec::with_descriptors(Vec::new(), read) {
                    return false;
                }
                Some((remote, last))
            }
            TaskEvent::CameApart {
                remote,
                letter,
                number,
                first,
                count,
                last,
            } => {
                let is_last = match letter.and_then(|letter| read_apart(letter, number)) {
                    Ok(Message { bytes, descriptors }) => {
                        let read = || remote.outcomes(&bytes, first, count);
                        codec::with_descriptors(descriptors, read)
                    }
                    Err(error) => {
                        let what = format!("the result: {error}");
                        let failed = |number| {
                            let what = what.clone();
                            remote.fail(number, TaskError::Decode { what })
                        };
                        // All of them, not up to the first that is the last.
                        (first..first + count)
                            .filter(|number| failed(*number))
                            .count()
                            > 0
                    }
                };
                if !is_last {
                    return false;
                }
                Some((remote, last))
            }
            TaskEvent::Failed {
                remote,
                why,
                number,
            } => {
                if !remote.fail(number, why) {
                    return false;
                }
                Some((remote, None))
            }
            TaskEvent::Refused { remote, why } => {
                not_run();
                remote.refuse(why);
                None
            }
            TaskEvent::Again => {
                tally.add(TaskEnd::Retried, 1);
                return false;
            }
            TaskEvent::Over => {
                not_run();
                None
            }
            TaskEvent::Ended => {
                tally.add_finished(1);
                None
            }
        };
        if let Some((remote, last)) = finished {
            // Before anybody who waits for it can look.
            remote.finish(&|panicked| {
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
        }
        true
    }

    /// Something that is waited for may have come: no task is unfinished, or a worker has ended.
    pub(in crate::pool::process) fn calmed(&self) {
        drop(self.idle.0.lock());
        self.idle.1.notify_all();
    }

    /// Waits until `is_so`, which [`calmed`](Self::calmed) is called for. False: the deadline has
    /// passed.
    fn await_calm(&self, deadline: Option<Instant>, is_so: impl Fn() -> bool) -> bool {
        let mut held = self.idle.0.lock();
        while !is_so() {
            match deadline {
                None => self.idle.1.wait(&mut held),
                Some(deadline) => {
                    if self.idle.1.wait_until(&mut held, deadline).timed_out() {
                        return is_so();
                    }
                }
            }
        }
        true
    }

    pub(in crate::pool::process) fn unfinished(&self) -> u64 {
        self.unfinished.load(Ordering::SeqCst)
    }

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
    fn gather(&self) -> (Vec<TaskEvent>, DeliveryTurn) {
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
        loop {
            let came = self.spin.look(|| {
                self.collect();
                is_finished().then_some(())
            });
            if came.is_some() || is_finished() {
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
            self.collect();
        }
        if is_nested {
            return;
        }
        self.leading.store(false, Ordering::SeqCst);
        // From here on it is the pool's thread again.
        if self.watch_as_service() == Watching::Now {
            self.collect();
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

    /// What ends a task when the work that it is part of is no longer wanted.
    pub(in crate::pool::process) fn waker(self: &Arc<Self>, task: &Arc<dyn Remote>) -> Waker {
        struct Outer {
            pool: Weak<ProcessPoolCore>,
            task: Weak<dyn Remote>,
        }
        impl Wake for Outer {
            fn wake(self: Arc<Self>) {
                if let (Some(pool), Some(task)) = (self.pool.upgrade(), self.task.upgrade()) {
                    pool.cancel(&*task);
                }
            }
        }
        Waker::from(Arc::new(Outer {
            pool: Arc::downgrade(self),
            task: Arc::downgrade(task),
        }))
    }

    /// True: it will never begin.
    pub(in crate::pool::process) fn cancel(&self, task: &dyn Remote) -> bool {
        self.give_up(task, TaskError::Cancelled)
    }

    /// As [`cancel`](Self::cancel), for this reason. One that runs has the outcome at once, unless
    /// it is merely cancelled: then it has some time to come to an end of its own.
    pub(in crate::pool::process) fn give_up(&self, task: &dyn Remote, why: TaskError) -> bool {
        let place = std::ptr::from_ref(task).cast::<()>();
        let is_it =
            |remote: &Arc<dyn Remote>| std::ptr::eq(Arc::as_ptr(remote).cast::<()>(), place);
        let mut crew = self.crew.lock();
        let mut revoked = None;
        let mut is_running = false;
        for worker in crew.workers_mut() {
            let at = worker.sent.iter().position(|sent| is_it(&sent.job.remote));
            let Some(at) = at else { continue };
            if worker.control.revoke(worker.sent[at].number) {
                revoked = worker.take_back(at);
            } else {
                let how = match &why {
                    TaskError::TimedOut { .. } => TaskEnd::TimedOut,
                    _ => TaskEnd::Cancelled,
                };
                worker.give_up(at, self.plan.grace, how);
                is_running = true;
            }
            break;
        }
        drop(crew);
        if let Some(job) = revoked {
            let is_late = matches!(why, TaskError::TimedOut { .. });
            let was_open = job.remote.refuse(why);
            self.events.not_run(job.number, job.remote.class());
            if is_late && was_open {
                self.events.tally().add(TaskEnd::TimedOut, 1);
            }
            self.tell(vec![TaskEvent::Over]);
            self.wake_joiner();
            return was_open;
        }
        let is_late = matches!(why, TaskError::TimedOut { .. });
        let is_refused = match (is_running, why) {
            (true, TaskError::Cancelled) => false,
            (_, why) => task.refuse(why),
        };
        if is_late && is_refused {
            self.events.tally().add(TaskEnd::TimedOut, 1);
        }
        if is_running {
            self.kick();
        }
        self.wake_joiner();
        is_refused && !is_running
    }

    /// Who runs a task just now.
    fn worker_of(&self, task: &dyn Remote) -> Option<WorkerId> {
        let place = std::ptr::from_ref(task).cast::<()>();
        let crew = self.crew.lock();
        let mut running = crew.workers().flat_map(|worker| {
            let begun = worker
                .begun()
                .filter(|sent| worker.control.is_taken(sent.number));
            begun.map(move |sent| (worker, sent))
        });
        let is_it =
            |sent: &SentTask| std::ptr::eq(Arc::as_ptr(&sent.job.remote).cast::<()>(), place);
        running
            .find(|(_, sent)| is_it(sent))
            .map(|(worker, _)| worker.id())
    }

    /// Sets the number of workers.
    pub(in crate::pool::process) fn resize(&self, workers: usize) {
        let mut crew = self.crew.lock();
        crew.wanted = workers;
        if crew.slots.len() < workers {
            crew.slots.resize_with(workers, || None);
        }
        // Due at once.
        crew.missing = Instant::now().checked_sub(Duration::from_secs(60));
        crew.dismiss();
        drop(crew);
        self.kick();
    }

    pub(in crate::pool::process) fn close(&self) {
        self.crew.lock().is_closed = true;
    }

    pub(in crate::pool::process) fn join(&self) {
        self.await_calm(None, || self.unfinished() == 0);
    }

    /// Takes nothing more, and with `Now` gives up what there is.
    pub(in crate::pool::process) fn begin_shutdown(&self, how: Shutdown) {
        self.close();
        if how == Shutdown::Now {
            self.give_up_all();
        }
    }

    /// Ends all, and returns when all workers have ended.
    pub(in crate::pool::process) fn shutdown(&self, how: Shutdown) {
        self.begin_shutdown(how);
        self.join();
        let has_ended = || {
            let crew = self.crew.lock();
            crew.workers().next().is_none() && crew.starting.is_empty()
        };
        {
            let mut crew = self.crew.lock();
            crew.is_ending = true;
            crew.workers_mut()
                .for_each(crate::pool::process::dispatch::worker_handle::WorkerHandle::close);
        }
        let until = Instant::now().checked_add(self.plan.grace);
        self.await_calm(until, has_ended);
        loop {
            {
                let crew = self.crew.lock();
                crew.workers().for_each(|worker| worker.kill());
                if crew.workers().next().is_none() {
                    // One that is still being started is ended by who starts it, who looks at this
                    // under the lock.
                    self.is_over.store(true, Ordering::SeqCst);
                    break;
                }
            }
            self.await_calm(None, || self.crew.lock().workers().next().is_none());
        }
        if let Some(forwarder) = &self.forwarder {
            forwarder.end();
        }
        self.kick();
    }

    /// Ctrl-C: what has not begun never will, and the second time what has is ended.
    pub(in crate::pool::process) fn interrupt(&self) {
        let is_first = !std::mem::replace(&mut self.crew.lock().is_interrupted, true);
        self.close();
        self.give_up_waiting();
        if !is_first {
            let crew = self.crew.lock();
            let busy = crew.workers().filter(|worker| !worker.sent.is_empty());
            busy.for_each(crate::pool::process::dispatch::worker_handle::WorkerHandle::kill);
        }
    }

    fn give_up_all(&self) {
        self.give_up_waiting();
        for worker in self.crew.lock().workers_mut() {
            for at in 0..worker.begun().count() {
                worker.give_up(at, self.plan.grace, TaskEnd::Cancelled);
            }
        }
        self.kick();
    }

    /// What waits when no worker can be had has that outcome.
    pub(in crate::pool::process) fn refuse_if_broken(self: &Arc<Self>) {
        let mut events = Vec::new();
        {
            let mut crew = self.crew.lock();
            let Some(why) = crew.broken.clone() else {
                return;
            };
            let refused = |job: ProcessJob| {
                self.events.not_run(job.number, job.remote.class());
                TaskEvent::Refused {
                    remote: job.remote,
                    why: TaskError::Init {
                        message: Arc::clone(&why),
                    },
                }
            };
            events.extend(crew.queue.drain(..).map(refused));
        }
        self.tell_elsewhere(events, DeliveryTurn::ANY);
    }

    fn give_up_waiting(&self) {
        let mut events = Vec::new();
        let refused = |job: ProcessJob| {
            self.events.not_run(job.number, job.remote.class());
            TaskEvent::Refused {
                remote: job.remote,
                why: TaskError::Cancelled,
            }
        };
        {
            let mut crew = self.crew.lock();
            events.extend(crew.queue.drain(..).map(refused));
            for worker in crew.workers_mut() {
                while let Some(last) = worker.sent.back()
                    && worker.control.revoke(last.number)
                {
                    events.extend(worker.take_back(worker.sent.len() - 1).map(refused));
                }
            }
        }
        self.tell(events);
        self.wake_joiner();
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

thread_local! {
    /// The pools of whose tasks this thread tells, the innermost last.
    static TELLS: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
    /// The pool whose replies this thread takes in.
    static REPLY_LOCK: Cell<usize> = const { Cell::new(0) };
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

impl Unfinished for ProcessPoolCore {
    fn is_unfinished(&self) -> bool {
        self.unfinished() > 0
    }

    fn finish(&self) {
        self.join();
    }
}

impl fmt::Debug for ProcessPoolCore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner")
            .field("unfinished", &self.unfinished())
            .finish_non_exhaustive()
    }
}
