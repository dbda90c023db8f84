//! The pool's own thread: replies that nobody waits for, time that is up, and workers that have
//! died.

use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};

use super::crew::{HELD_UP, SHORT_AGAIN};
use super::job::TaskEvent;
use crate::event::{EventKind, Parting, TaskEnd};
use crate::pool::process::dispatch::inner::ProcessPoolCore;
use crate::pool::process::dispatch::lead::Watching;
use crate::pool::process::dispatch::start::Starter;
use crate::pool::process::dispatch::tail::{KEPT, wants_memory};
use crate::pool::process::dispatch::turns::DeliveryTurn;
use crate::pool::process::dispatch::worker_handle::{Notifier, SentTask, WorkerHandle};
use crate::process::SpawnError;
use crate::task::remote::Remote;
use crate::task::{Died, TaskError};

const SERVICE: u64 = u64::MAX;
const INTERRUPT: u64 = u64::MAX - 1;

/// A task that was next in line when this number of workers ended, none of which had taken it, can
/// be taken by none: it has failed as if it had begun.
const UNDELIVERABLE: u32 = 3;
/// The number of workers that may end in a row before they were ready for a task.
const BAD_STARTS: u32 = 5;

/// A worker that has not begun a task after so long, with none before it, is killed: it has begun
/// nothing, so that costs nothing.
const STUCK: Duration = Duration::from_secs(2);
/// So long the workers are busy with short tasks that they have.
const SOON: Duration = Duration::from_micros(50);
/// So often replies are taken in though somebody else does that, who may be stuck in the user's
/// code.
const STUCK_LEADER: Duration = Duration::from_millis(100);
/// How often it is looked how much memory workers have, if that is limited.
const WEIGH: Duration = Duration::from_millis(20);
/// It is looked for that so often.
const ROUND: Duration = Duration::from_secs(1);

pub(in crate::pool::process) struct Service {
    pool: Arc<ProcessPoolCore>,
    starter: Starter,
    bad_starts: u32,
    /// How many processes the kernel had killed for want of memory.
    memory_kills: u64,
}

/// Of the whole machine, or of what of it we can see.
fn memory_kills() -> u64 {
    let text = std::fs::read_to_string("/proc/vmstat").unwrap_or_default();
    let mut lines = text.lines();
    let count = lines.find_map(|line| line.strip_prefix("oom_kill "));
    count.and_then(|count| count.parse().ok()).unwrap_or(0)
}

/// Bytes that a process has in memory.
fn resident(pid: u32) -> Option<u64> {
    let pages = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = pages.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

impl Service {
    /// Starts the workers of a new pool.
    pub(in crate::pool::process) fn new(pool: Arc<ProcessPoolCore>) -> Result<Service, SpawnError> {
        let system = SpawnError::system("watch workers");
        let service = Service {
            starter: Starter::new(&pool).map_err(&system)?,
            pool,
            bad_starts: 0,
            memory_kills: memory_kills(),
        };
        let starter = &service.starter;
        starter
            .watch(&service.pool.service, SERVICE)
            .map_err(&system)?;
        if let Some(interrupts) = &service.pool.interrupts {
            starter.watch(interrupts.fd(), INTERRUPT).map_err(&system)?;
        }
        for slot in 0..service.pool.plan.workers {
            starter.start(slot)?;
        }
        Ok(service)
    }

    /// Until the pool is over.
    pub(in crate::pool::process) fn run(mut self) {
        let mut ready = [epoll::Event {
            flags: epoll::EventFlags::empty(),
            data: epoll::EventData::new_u64(0),
        }; 32];
        while !self.pool.is_over.load(Ordering::SeqCst) {
            self.pool.collect_elsewhere();
            let watching = self.pool.watch_as_service();
            let next = self.expire();
            self.fill();
            let weigh = self.weigh();
            let mut next = next.map(|at| at.saturating_duration_since(Instant::now()));
            next = [next, weigh].into_iter().flatten().min();
            if self.pool.is_led() {
                // Who leads may be stuck in a callback.
                next = Some(next.map_or(STUCK_LEADER, |next| next.min(STUCK_LEADER)));
            }
            let timeout = match watching {
                Watching::Now => Some(Duration::ZERO),
                Watching::Soon => Some(next.map_or(SOON, |next| next.min(SOON))),
                Watching::Woken => next,
            };
            let timeout = timeout.map(|timeout| Timespec {
                tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: timeout.subsec_nanos().into(),
            });
            let count =
                epoll::wait(self.starter.epoll(), &mut ready, timeout.as_ref()).unwrap_or(0);
            for event in &ready[..count] {
                let data = event.data;
                match data.u64() {
                    INTERRUPT => self.interrupted(),
                    SERVICE => {
                        let _ = rustix::io::read(&self.pool.service, &mut [0; 8][..]);
                    }
                    slot => self.look_at(slot as usize),
                }
            }
        }
    }

    /// Tries again to start workers that could not be started when others had died, for want of
    /// descriptors, say.
    fn fill(&self) {
        let empty: Vec<usize> = {
            let mut crew = self.pool.crew.lock();
            let is_due = crew.missing.is_some_and(|since| since.elapsed() >= ROUND);
            if !is_due || crew.is_ending || crew.broken.is_some() {
                return;
            }
            crew.missing = None;
            let slots = crew.slots.iter().enumerate();
            let empty = slots
                .take(crew.wanted)
                .filter(|(_, worker)| worker.is_none());
            let empty: Vec<usize> = empty.map(|(slot, _)| slot).collect();
            let events = empty.into_iter().filter(|slot| crew.starting.insert(*slot));
            events.collect()
        };
        for slot in empty {
            self.starter.start_elsewhere(slot);
        }
    }

    /// Sees to tasks whose time is up. Returns when to do so again.
    fn expire(&self) -> Option<Instant> {
        let pool = &self.pool;
        let now = Instant::now();
        let mut next = now.checked_add(ROUND);
        let mut sooner = |at: Option<Instant>| {
            next = [next, at].into_iter().flatten().min();
        };
        let mut late: Vec<(Duration, Arc<dyn Remote>)> = Vec::new();
        let (mut events, mut wake) = (Vec::new(), Vec::new());
        {
            let mut crew = pool.crew.lock();
            late.extend(crew.deadlines.passed(now));
            sooner(crew.deadlines.next());
            if pool.unfinished() == 0 {
                crew.shortest = None;
            }
            sooner(crew.shortest.and_then(|shortest| now.checked_add(shortest)));
            let retries_late = crew.retries_late;
            for worker in crew.workers_mut() {
                if !worker.is_ready() {
                    match worker.born.checked_add(pool.plan.start_timeout) {
                        Some(at) if at <= now => worker.is_late(&pool.plan),
                        at => sooner(at),
                    }
                    continue;
                }
                if worker.is_stuck(now, STUCK) {
                    worker.kill();
                    continue;
                }
                let mut again = Vec::new();
                for (at, sent) in worker.begun().enumerate() {
                    if let Some(until) = sent.until {
                        if until <= now {
                            worker.kill();
                            break;
                        }
                        sooner(Some(until));
                        continue;
                    }
                    let Some(timeout) = sent.job.options.timeout else {
                        continue;
                    };
                    if let Some(spent) = worker.running_for(sent) {
                        match timeout.checked_sub(spent) {
                            None if retries_late && sent.job.retries > 0 => again.push(at),
                            None => late.push((timeout, Arc::clone(&sent.job.remote))),
                            Some(left) => sooner(now.checked_add(left)),
                        }
                    }
                }
                for at in again {
                    worker.retry(at, pool.plan.grace);
                    sooner(now.checked_add(pool.plan.grace));
                }
            }
            if crew.short_since.is_some() {
                crew.dispatch(&mut events, &mut wake);
                sooner(now.checked_add(SHORT_AGAIN));
            }
            crew.is_watched_for_unevenness = crew.is_uneven();
            if crew.is_watched_for_unevenness {
                crew.rebalance();
                crew.dispatch(&mut events, &mut wake);
                sooner(now.checked_add(2 * HELD_UP));
            }
        }
        wake.iter().for_each(Notifier::ring);
        pool.tell_elsewhere(events, DeliveryTurn::ANY);
        for (after, task) in late {
            let why = TaskError::TimedOut { after };
            pool.elsewhere(move |pool| {
                pool.give_up(&*task, why);
            });
        }
        next
    }

    /// Ends workers that have more in memory than they may. Returns when to look again.
    fn weigh(&self) -> Option<Duration> {
        let limit = self.pool.plan.resident_limit?;
        let at_work: Vec<(usize, u32)> = {
            let crew = self.pool.crew.lock();
            let at_work = crew.workers().filter(|worker| !worker.sent.is_empty());
            at_work
                .map(|worker| (worker.slot, worker.process.pid()))
                .collect()
        };
        if at_work.is_empty() {
            return None;
        }
        for (slot, pid) in at_work {
            if resident(pid).is_none_or(|bytes| bytes <= limit) {
                continue;
            }
            let mut crew = self.pool.crew.lock();
            let worker = crew.slots.get_mut(slot).and_then(Option::as_mut);
            if let Some(worker) = worker.filter(|worker| worker.process.pid() == pid) {
                worker.is_too_large = true;
                worker.kill();
            }
        }
        Some(WEIGH)
    }

    /// The first time what has begun may end, the second time it may not.
    fn interrupted(&self) {
        let Some(interrupts) = &self.pool.interrupts else {
            return;
        };
        for _ in 0..interrupts.look() {
            self.pool.elsewhere(|pool| pool.interrupt());
        }
    }

    fn look_at(&mut self, slot: usize) {
        let has_ended = {
            let crew = self.pool.crew.lock();
            let worker = crew.slots.get(slot).and_then(Option::as_ref);
            worker.is_some_and(|worker| worker.process.is_finished())
        };
        if has_ended {
            self.reap(slot);
        }
    }

    /// A worker has ended: what it had finished counts, what it had begun has failed, what it had
    /// not is others'.
    fn reap(&mut self, slot: usize) {
        let pool = Arc::clone(&self.pool);
        let mut events = Vec::new();
        let mut crew = pool.crew.lock();
        let Some(mut worker) = crew.slots[slot].take() else {
            return;
        };
        // Before it is closed: a copy of this process on its way to another program may still have
        // it.
        let _ = epoll::delete(self.starter.epoll(), worker.process.events());
        if !worker.is_damaged {
            let mut pace = crew.pace;
            worker.is_damaged = worker.collect(&mut events, &mut pace).is_err();
        }
        let is_sound = |sent: &SentTask| worker.control.is_sound(sent.number);
        if !worker.begun().all(is_sound) {
            worker.is_damaged = true;
        }
        let died = self.died(&worker);
        let back = self.left_behind(&mut worker, &died, &mut events);
        for job in back.into_iter().rev() {
            crew.queue.push_front(job);
        }
        if let Some(why) = self.no_more_starts(&mut worker, &died) {
            crew.broken = Some(why.into());
        }
        let is_replaced = !crew.is_ending && crew.broken.is_none() && slot < crew.wanted;
        if is_replaced {
            pool.events.tally().add_replaced();
            crew.starting.insert(slot);
        }
        // Places that are no longer wanted.
        while crew.slots.len() > crew.wanted && matches!(crew.slots.last(), Some(None)) {
            crew.slots.pop();
        }
        let pid = Some(worker.process.pid());
        pool.events.tell(EventKind::WorkerDied {
            worker: worker.number(),
            pid,
            why: match (died.signal, died.code) {
                (Some(signal), _) => Parting::Killed(signal),
                (None, Some(code)) if !worker.is_closing => Parting::Exited(code),
                _ => Parting::Dismissed,
            },
        });
        drop(worker);
        let turn = crew.turn(&events);
        drop(crew);
        pool.tell_elsewhere(events, turn);
        if is_replaced {
            self.starter.start_elsewhere(slot);
        }
        pool.refuse_if_broken();
        pool.wake_joiner();
        pool.calmed();
    }

    /// How a worker has ended, with the last that it wrote to stderr.
    fn died(&mut self, worker: &WorkerHandle) -> Died {
        let (mut last, rest) = worker.tail.last();
        let captured = worker.capture.last(KEPT);
        if !captured.is_empty() {
            last = String::from_utf8_lossy(&captured).into_owned();
        }
        if let Some(forwarder) = &self.pool.forwarder {
            forwarder.remove(&worker.tail, rest);
        }
        let mut died = Died::new(worker.process.pid(), worker.process.exit_status());
        died.stderr_tail = last;
        died.out_of_memory = self.is_out_of_memory(&died, worker.is_killed.get());
        died
    }

    /// What a worker that has ended was given and had not finished: returned is what goes on
    /// elsewhere.
    fn left_behind(
        &self,
        worker: &mut WorkerHandle,
        died: &Died,
        events: &mut Vec<TaskEvent>,
    ) -> Vec<super::job::ProcessJob> {
        let is_ready = worker.is_ready();
        let mut back = std::mem::take(&mut worker.back);
        for (nth, sent) in std::mem::take(&mut worker.sent).into_iter().enumerate() {
            // Where a worker has been at what is not its own, all are in doubt but those that
            // nobody has touched.
            let is_taken = match worker.is_damaged {
                true => !worker.control.is_offered(sent.number),
                false => worker.control.is_taken(sent.number),
            };
            let may_have_begun = nth == 0 || worker.doorbell.is_some() || worker.is_damaged;
            let mut sent = sent;
            if nth == 0 && !is_taken && is_ready {
                // What it died of may be that it tried to receive this one.
                sent.job.undelivered += 1;
                if sent.job.undelivered >= UNDELIVERABLE && !sent.job.remote.is_open() {
                    worker.tell_ended(&sent, TaskEnd::NotRun);
                    events.push(TaskEvent::Over);
                    continue;
                }
                if sent.job.undelivered >= UNDELIVERABLE {
                    self.pool.events.tally().add(TaskEnd::Died, 1);
                    sent.job.retries = 0;
                    back.extend(self.in_doubt(worker, sent, died, events));
                    continue;
                }
            }
            if may_have_begun && is_taken {
                self.pool.events.tally().add(TaskEnd::Died, 1);
                back.extend(self.in_doubt(worker, sent, died, events));
            } else {
                worker.tell_ended(&sent, TaskEnd::Retried);
                back.push(sent.job);
            }
        }
        back
    }

    /// Why no further worker is to be started, if this one has shown that none would be ready.
    fn no_more_starts(&mut self, worker: &mut WorkerHandle, died: &Died) -> Option<String> {
        self.bad_starts = if worker.is_ready() || worker.is_closing {
            0
        } else {
            self.bad_starts + 1
        };
        let slot = worker.slot;
        if let Some(why) = worker.bad_start.take() {
            return Some(format!("the initialiser of worker {slot} failed: {why}"));
        }
        (self.bad_starts >= BAD_STARTS).then(|| {
            format!(
                "{BAD_STARTS} workers in a row ended before they were ready; of the last, {died}"
            )
        })
    }

    /// The task that a worker was at when it died. Returned if it is to go on elsewhere.
    fn in_doubt(
        &self,
        worker: &mut WorkerHandle,
        sent: SentTask,
        died: &Died,
        events: &mut Vec<TaskEvent>,
    ) -> Option<super::job::ProcessJob> {
        let told = |how| worker.tell_ended(&sent, how);
        if !sent.job.remote.is_open() {
            told(sent.given_up.unwrap_or(TaskEnd::Cancelled));
            events.push(TaskEvent::Ended);
            return None;
        }
        told(
            match sent.job.retries > 0 && (sent.is_again || sent.until.is_none()) {
                true => TaskEnd::Retried,
                false => sent.given_up.unwrap_or(TaskEnd::Died),
            },
        );
        let mut job = sent.job;
        if !worker.is_damaged {
            let mut payload = Vec::new();
            match worker.replies.left(&mut payload) {
                Ok(count @ 1..) if count < sent.goal - job.done => {
                    let first = job.done;
                    job.done += count;
                    events.push(TaskEvent::Came {
                        remote: Arc::clone(&job.remote),
                        payload,
                        first,
                        count,
                        last: None,
                    });
                }
                Ok(0) => {}
                _ => worker.is_damaged = true,
            }
        }
        job.remote.runs_on(worker.id());
        if sent.is_again && job.retries > 0 {
            job.retries -= 1;
            events.push(TaskEvent::Again);
            return Some(job);
        }
        if sent.until.is_some() {
            events.push(TaskEvent::Refused {
                remote: job.remote,
                why: TaskError::Cancelled,
            });
            return None;
        }
        if job.retries > 0 {
            job.retries -= 1;
            events.push(TaskEvent::Again);
            return Some(job);
        }
        // Of a chunk the one that it was at; or all, if it cannot be said which that was.
        let doubtful = match worker.is_damaged {
            true => sent.goal.saturating_sub(job.done).max(1),
            false => 1,
        };
        let first = job.done;
        job.done += doubtful;
        let is_last = job.done >= job.count;
        let resident = self
            .pool
            .plan
            .resident_limit
            .filter(|_| worker.is_too_large);
        let limit = resident.or(self.pool.plan.memory_limit);
        let why = match limit {
            Some(limit) if resident.is_some() => TaskError::MemoryLimit { limit },
            // Rust's allocator says so when it is refused memory, and aborts.
            Some(limit)
                if died.signal == Some(libc::SIGABRT)
                    && (worker.tail.wants_memory() || wants_memory(&died.stderr_tail)) =>
            {
                TaskError::MemoryLimit { limit }
            }
            _ => TaskError::Died(Box::new(died.clone())),
        };
        events.extend((first..job.done).map(|number| TaskEvent::Failed {
            remote: Arc::clone(&job.remote),
            why: why.clone(),
            number,
        }));
        (!is_last).then_some(job)
    }

    /// Whether the kernel seems to have killed it for want of memory: it says only how often it has
    /// done so.
    fn is_out_of_memory(&mut self, died: &Died, is_ours: bool) -> bool {
        let before = std::mem::replace(&mut self.memory_kills, memory_kills());
        died.signal == Some(libc::SIGKILL) && !is_ours && self.memory_kills > before
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Service")
            .field(&self.starter.epoll().as_raw_fd())
            .finish()
    }
}
