//! The pool's own thread: replies that nobody waits for, and time that is up. Of workers that have
//! died it hears here; what follows is in `death`.

use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};

use super::crew::{HELD_UP, SHORT_AGAIN};
use crate::pool::process::dispatch::inner::ProcessPoolCore;
use crate::pool::process::dispatch::lead::Watching;
use crate::pool::process::dispatch::start::Starter;
use crate::pool::process::dispatch::turns::DeliveryTurn;
use crate::pool::process::dispatch::worker_handle::{Notifier, WorkerHandle};
use crate::process::SpawnError;
use crate::task::TaskError;
use crate::task::remote::Remote;

const SERVICE: u64 = u64::MAX;
const INTERRUPT: u64 = u64::MAX - 1;

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
    pub(super) pool: Arc<ProcessPoolCore>,
    pub(super) starter: Starter,
    pub(super) bad_starts: u32,
    /// How many processes the kernel had killed for want of memory.
    pub(super) memory_kills: u64,
}

/// Of the whole machine, or of what of it we can see.
pub(super) fn memory_kills() -> u64 {
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
                self.expire_in(worker, now, retries_late, &mut late, &mut sooner);
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

    /// The same of one worker: what is too late is put into `late`, and `sooner` is told when to
    /// look again.
    fn expire_in(
        &self,
        worker: &mut WorkerHandle,
        now: Instant,
        retries_late: bool,
        late: &mut Vec<(Duration, Arc<dyn Remote>)>,
        mut sooner: impl FnMut(Option<Instant>),
    ) {
        let plan = &self.pool.plan;
        if !worker.is_ready() {
            return match worker.born.checked_add(plan.start_timeout) {
                Some(at) if at <= now => worker.is_late(plan),
                at => sooner(at),
            };
        }
        if worker.is_stuck(now, STUCK) {
            return worker.kill();
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
            worker.retry(at, plan.grace);
            sooner(now.checked_add(plan.grace));
        }
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
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Service")
            .field(&self.starter.epoll().as_raw_fd())
            .finish()
    }
}
