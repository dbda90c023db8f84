//! Where events are told, and who listens.

use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use super::ring::EventRing;
use super::words::{nanos, read, written};
use super::{EventKind, Name, Tally, TaskEnd, WorkEvent};

/// As many may listen at once.
const LISTENERS: usize = 8;
/// The number of events a listener may be behind: 4 MiB.
const ROOM: usize = 1 << 16;
/// What happens in a pool, a batch or a list of downloads: counts, and events for those who listen.
/// A clone is the same.
#[derive(Clone)]
pub struct Events(Arc<Hub>);

struct Hub {
    since: u64,
    began: SystemTime,
    tally: Tally,
    /// How many listen.
    listeners: AtomicUsize,
    places: [Place; LISTENERS],
    /// The last number that a task was given.
    last: AtomicU64,
    room: usize,
}

/// Of one listener, and of the next one after it is gone.
#[derive(Default)]
struct Place {
    is_taken: AtomicBool,
    listens: AtomicBool,
    /// Made for the first listener.
    ring: OnceLock<EventRing>,
}

impl Default for Events {
    fn default() -> Events {
        Events::new()
    }
}

impl Events {
    /// Counts of nothing yet, to which nobody listens.
    pub fn new() -> Events {
        Events::with_room(ROOM)
    }

    /// As [`new`](Events::new), with room for this number of events that a listener has not taken
    /// yet, rounded up to a power of two, of 64 bytes each; [`new`](Events::new) has room for
    /// 65,536.
    pub fn with_room(events: usize) -> Events {
        Events(Arc::new(Hub {
            since: clock(),
            began: SystemTime::now(),
            tally: Tally::default(),
            listeners: AtomicUsize::new(0),
            places: Default::default(),
            last: AtomicU64::new(0),
            room: events.clamp(2, 1 << 24),
        }))
    }

    /// When the time of the events begins.
    pub fn began(&self) -> SystemTime {
        self.0.began
    }

    /// The counts, for those that tell. (A pool of threads counts here only what did not go well;
    /// its `stats()` has all.)
    #[doc(hidden)]
    pub fn tally(&self) -> &Tally {
        &self.0.tally
    }

    /// Whether somebody listens.
    pub fn is_watched(&self) -> bool {
        self.0.listeners.load(Ordering::Relaxed) > 0
    }

    /// Listens from now on, until the listener is dropped.
    ///
    /// # Errors
    ///
    /// When eight listen already.
    pub fn listen(&self) -> Result<Listener, TooManyListeners> {
        let is_free = |place: &&Place| !place.is_taken.swap(true, Ordering::Acquire);
        let mut places = self.0.places.iter();
        let at = places.position(|place| is_free(&place));
        let at = at.ok_or(TooManyListeners(()))?;
        let place = &self.0.places[at];
        let ring = place.ring.get_or_init(|| EventRing::new(self.0.room));
        // What was told to the one before.
        while ring.get().is_some() {}
        ring.take_lost();
        let since = self.now();
        place.listens.store(true, Ordering::Release);
        self.0.listeners.fetch_add(1, Ordering::Relaxed);
        Ok(Listener {
            events: self.clone(),
            at,
            since,
            lost: 0,
        })
    }

    /// Nanoseconds since the events began.
    fn now(&self) -> u64 {
        clock().saturating_sub(self.0.since)
    }

    /// Tells what has happened just now, if somebody listens.
    #[inline]
    pub fn tell(&self, kind: EventKind) {
        if self.is_watched() {
            self.tell_at(self.now(), &kind);
        }
    }

    // Into each function that tells, where most of the words are known: 8 ns a task.
    #[inline(always)]
    fn tell_at(&self, at: u64, kind: &EventKind) {
        let words = written(at, kind);
        let mut left = self.0.listeners.load(Ordering::Acquire);
        for place in &self.0.places {
            if left == 0 {
                break;
            }
            if place.listens.load(Ordering::Acquire)
                && let Some(ring) = place.ring.get()
            {
                ring.put(&words);
                left -= 1;
            }
        }
    }

    /// A task is queued. Returns its number, or 0 if nobody listens: the number of a task is the
    /// moment at which it was queued, so that one word says both.
    #[inline]
    pub fn queued(&self, name: &'static str) -> u64 {
        if !self.is_watched() {
            return 0;
        }
        self.tell_queued(name)
    }

    #[cold]
    fn tell_queued(&self, name: &'static str) -> u64 {
        let now = self.now();
        let (set, got) = (Ordering::Relaxed, Ordering::Relaxed);
        let last = &self.0.last;
        let next = |last: u64| Some(now.max(last + 1));
        let before = last.fetch_update(set, got, next).unwrap_or(0);
        let task = now.max(before + 1);
        let name = Name::of(name);
        self.tell_at(now, &EventKind::Queued { task, name });
        task
    }

    /// A task that was [queued](Events::queued) with this number is started. Returns when, for
    /// [`finished`](Events::finished).
    #[inline]
    pub fn started(&self, task: u64, name: &'static str, worker: u32) -> Begun {
        self.started_at(Moment::UNKNOWN, task, name, worker)
    }

    /// As [`started`](Events::started), at this moment, or when it was queued if that was later:
    /// who has just told of another task's end need not look at the clock again.
    #[inline]
    pub(crate) fn started_at(
        &self,
        at: Moment,
        task: u64,
        name: &'static str,
        worker: u32,
    ) -> Begun {
        if !self.is_watched() {
            return Begun { task, at: 0 };
        }
        self.tell_started(at, task, name, worker)
    }

    #[cold]
    fn tell_started(
        &self,
        Moment(at): Moment,
        task: u64,
        name: &'static str,
        worker: u32,
    ) -> Begun {
        let at = if at > 0 { at.max(task) } else { self.now() };
        // One that was queued when nobody listened gets its number now.
        let (task, waited) = match task {
            0 => (self.0.last.fetch_add(1, Ordering::Relaxed) + 1, None),
            task => (task, Some(Duration::from_nanos(at.saturating_sub(task)))),
        };
        let what = EventKind::Started {
            task,
            name: Name::of(name),
            worker,
            waited,
        };
        self.tell_at(at, &what);
        Begun { task, at }
    }

    /// A task that was [started](Events::started) has ended so.
    #[inline]
    pub fn finished(&self, begun: Begun, name: &'static str, worker: u32, how: TaskEnd) {
        self.finished_now(begun, name, worker, how);
    }

    /// As [`finished`](Events::finished); returns when that was.
    #[inline]
    pub(crate) fn finished_now(
        &self,
        begun: Begun,
        name: &'static str,
        worker: u32,
        how: TaskEnd,
    ) -> Moment {
        // Nobody listened when it began.
        if begun.at == 0 {
            return Moment::UNKNOWN;
        }
        let ending = self.ending(begun);
        self.finished_at(ending, name, worker, how);
        Moment(ending.at)
    }

    /// The end of a task that was [started](Events::started), just now: how it has ended can be
    /// told later.
    pub(crate) fn ending(&self, begun: Begun) -> Ending {
        let is_told = begun.at > 0 && self.is_watched();
        let at = if is_told { self.now() } else { 0 };
        Ending { begun, at }
    }

    /// A task has [ended](Events::ending) so.
    pub(crate) fn finished_at(
        &self,
        Ending { begun, at }: Ending,
        name: &'static str,
        worker: u32,
        how: TaskEnd,
    ) {
        if at == 0 {
            return;
        }
        let what = EventKind::Finished {
            task: begun.task,
            name: Name::of(name),
            worker: Some(worker),
            how,
            wall: Duration::from_nanos(at.saturating_sub(begun.at)),
            cpu: None,
        };
        self.tell_at(at, &what);
    }

    /// A task that was [queued](Events::queued) with this number has run elsewhere, for this long,
    /// and has ended by now; tells that it began, too, not before `after`. Returns when it ended.
    #[doc(hidden)]
    pub fn ran(
        &self,
        task: u64,
        name: &'static str,
        worker: u32,
        how: TaskEnd,
        wall: Duration,
        after: Duration,
    ) -> Duration {
        let at = self.now().max(nanos(after));
        let began = at.saturating_sub(nanos(wall)).max(nanos(after)).max(task);
        let (task, waited) = match task {
            0 => (self.0.last.fetch_add(1, Ordering::Relaxed) + 1, None),
            task => (task, Some(Duration::from_nanos(began - task))),
        };
        let name = Name::of(name);
        let started = EventKind::Started {
            task,
            name,
            worker,
            waited,
        };
        let finished = EventKind::Finished {
            task,
            name,
            worker: Some(worker),
            how,
            wall: Duration::from_nanos(at.saturating_sub(began)),
            cpu: None,
        };
        self.tell_at(began, &started);
        self.tell_at(at.max(began), &finished);
        Duration::from_nanos(at.max(began))
    }

    /// A task that was [queued](Events::queued) with this number has an outcome, and was not run.
    pub fn not_run(&self, task: u64, name: &'static str) {
        if task > 0 && self.is_watched() {
            let what = EventKind::Finished {
                task,
                name: Name::of(name),
                worker: None,
                how: TaskEnd::NotRun,
                wall: Duration::ZERO,
                cpu: None,
            };
            self.tell_at(self.now(), &what);
        }
    }
}

/// A moment at which somebody looked at the clock to tell of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moment(u64);

impl Moment {
    /// Nobody has looked, as nobody listened.
    pub(crate) const UNKNOWN: Moment = Moment(0);
}

/// A task that has been started: its number, and when that was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Begun {
    task: u64,
    /// 0: nobody listened.
    at: u64,
}

/// A task that has been started and has ended, and when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ending {
    begun: Begun,
    /// 0: nobody listened.
    at: u64,
}

/// A [`Begun`] that is written by one thread and read by others.
#[cfg(feature = "async")]
#[derive(Debug)]
pub(crate) struct AtomicBegun {
    task: AtomicU64,
    at: AtomicU64,
}

#[cfg(feature = "async")]
impl AtomicBegun {
    /// Of a task that is queued with this number.
    pub(crate) fn new(task: u64) -> AtomicBegun {
        AtomicBegun {
            task: AtomicU64::new(task),
            at: AtomicU64::new(0),
        }
    }

    pub(crate) fn task(&self) -> u64 {
        self.task.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, begun: Begun) {
        self.task.store(begun.task, Ordering::Relaxed);
        self.at.store(begun.at, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> Begun {
        Begun {
            task: self.task(),
            at: self.at.load(Ordering::Relaxed),
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("tally", &self.0.tally)
            .field("listeners", &self.0.listeners)
            .finish_non_exhaustive()
    }
}

/// Hears of events, in about the order in which they happened: how a process's task has ended is
/// known when its result has been read, a moment after the next one began. Sorted by
/// [`at`](WorkEvent::at), and at the same moment ends before beginnings, they are in order.
///
/// While nobody takes them, 65,536 are kept for it; what comes after those is [lost](Self::lost)
/// and counted.
///
/// It does not wait: those who show events look at a rate of their own.
pub struct Listener {
    events: Events,
    at: usize,
    /// What was told before this was told to another one.
    since: u64,
    lost: u64,
}

impl Listener {
    fn ring(&self) -> Option<&EventRing> {
        self.events.0.places[self.at].ring.get()
    }

    /// How many events were lost so far, because there was no room for them.
    pub fn lost(&mut self) -> u64 {
        self.lost += self.ring().map_or(0, EventRing::take_lost);
        self.lost
    }
}

/// The next event; `None`: there is none for now, and there may be later.
impl Iterator for Listener {
    type Item = WorkEvent;

    fn next(&mut self) -> Option<WorkEvent> {
        loop {
            let words = self.ring()?.get()?;
            if words[0] >= self.since
                && let Some(event) = read(&words)
            {
                return Some(event);
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let hub = &self.events.0;
        let place = &hub.places[self.at];
        // In this order: whoever finds one listener less does not take this one for another.
        place.listens.store(false, Ordering::Relaxed);
        hub.listeners.fetch_sub(1, Ordering::Release);
        place.is_taken.store(false, Ordering::Release);
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").finish_non_exhaustive()
    }
}

/// Eight listen already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooManyListeners(());

impl fmt::Display for TooManyListeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{LISTENERS} listeners hear of these events already, and no more can; drop one of them"
        )
    }
}

impl Error for TooManyListeners {}

/// Nanoseconds of the clock that never goes back. With fewer steps than by `Instant`, as it is
/// looked at for each event.
fn clock() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_hears_what_is_told_while_it_listens_and_nothing_else() {
        let events = Events::with_room(4);
        let sized = |to| EventKind::Sized { from: 0, to };
        events.tell(sized(1));
        let mut first = events.listen().expect("a place");
        events.tell(sized(2));
        let mut second = events.listen().expect("a place");
        events.tell(sized(3));
        drop(events.listen().expect("a place"));
        let heard = |listener: &mut Listener| listener.map(|event| event.kind).collect::<Vec<_>>();
        assert_eq!(heard(&mut first), [sized(2), sized(3)]);
        assert_eq!(heard(&mut second), [sized(3)]);
        drop(first);
        let mut third = events.listen().expect("a place");
        (0..6).for_each(|n| events.tell(sized(n)));
        assert_eq!(
            (heard(&mut third).len(), third.lost(), third.lost()),
            (4, 2, 2)
        );
        drop((second, third));
        assert!(!events.is_watched());
    }

    #[test]
    fn the_ninth_listener_is_refused() {
        let events = Events::with_room(2);
        let eight: Vec<_> = (0..8).map(|_| events.listen().expect("a place")).collect();
        let refused = events.listen().expect_err("nine");
        assert!(
            refused.to_string().contains("drop one of them"),
            "{refused}"
        );
        drop(eight);
        assert!(events.listen().is_ok());
    }

    #[test]
    fn a_task_begins_where_the_last_ended_and_not_before_it_was_queued() {
        let events = Events::new();
        let mut listener = events.listen().expect("a place");
        let [first, second] = [(); 2].map(|()| events.queued("f"));
        let begun = events.started(first, "f", 0);
        let end = events.finished_now(begun, "f", 0, TaskEnd::Well);
        // That one was there already, and the next came when its worker was free.
        let begun = events.started_at(end, second, "f", 0);
        assert_eq!(begun.at, end.0);
        events.finished(begun, "f", 0, TaskEnd::Well);
        let third = events.queued("f");
        let begun = events.started_at(end, third, "f", 0);
        assert_eq!(begun.at, third);
        let told: Vec<_> = listener.by_ref().map(|event| event.at).collect();
        assert!(told.is_sorted(), "{told:?}");
        // Nobody has looked at the clock while nobody listened.
        drop(listener);
        let begun = events.started(events.queued("f"), "f", 0);
        let end = events.finished_now(begun, "f", 0, TaskEnd::Well);
        assert_eq!(end, Moment::UNKNOWN);
    }

    #[test]
    fn no_two_tasks_have_one_number() {
        let events = Events::with_room(2);
        let _listener = events.listen().expect("a place");
        let numbers = |_| -> Vec<u64> { (0..1000).map(|_| events.queued("f")).collect() };
        let mut all: Vec<u64> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..2).map(|n| scope.spawn(move || numbers(n))).collect();
            let numbers = threads
                .into_iter()
                .map(|thread| thread.join().expect("numbers"));
            numbers.flatten().collect()
        });
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
