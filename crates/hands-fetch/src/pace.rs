//! How fast, and how many at once: rates that are kept to, connections that are given away, and how
//! many of them are worth it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use hands::sync::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Bytes a second that are not exceeded for longer than a moment.
#[derive(Debug)]
pub(crate) struct Rate {
    bytes_a_second: f64,
    /// When all that was let through would have been, at that rate.
    until: Mutex<Option<Instant>>,
}

/// So much may come at once after a pause.
const BURST: Duration = Duration::from_millis(100);

impl Rate {
    pub(crate) fn new(bytes_a_second: u64) -> Rate {
        Rate {
            bytes_a_second: bytes_a_second.max(1) as f64,
            until: Mutex::new(None),
        }
    }

    /// Waits until these bytes, which have come, are no more than the rate allows.
    pub(crate) async fn spend(&self, bytes: u64) {
        let now = Instant::now();
        let until = {
            let mut until = self.until.lock();
            let from = until.map_or(now, |until| {
                until.max(now.checked_sub(BURST).unwrap_or(now))
            });
            let next = from + Duration::from_secs_f64(bytes as f64 / self.bytes_a_second);
            *until = Some(next);
            next
        };
        if until > now {
            tokio::time::sleep_until(until).await;
        }
    }
}

/// The limits on connections: in all, and to each host.
#[derive(Debug)]
pub(crate) struct Connections {
    all: Arc<Semaphore>,
    /// How many permits there are of that.
    size: AtomicUsize,
    most: usize,
    per_host: usize,
    pauses: Pauses,
    /// When the next request of all is due.
    next: Mutex<Option<Instant>>,
    hosts: Mutex<HashMap<String, Arc<HostTurns>>>,
    /// Bytes and files so far: what more connections should give more of.
    work: AtomicU64,
}

/// What is to pass between two requests: to one host, and to whomever.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pauses {
    pub(crate) host: Duration,
    pub(crate) all: Duration,
}

/// Waits until the next is due, when there is to be some time between two.
async fn space(next: &Mutex<Option<Instant>>, pause: Duration) {
    if pause.is_zero() {
        return;
    }
    let now = Instant::now();
    let due = {
        let mut next = next.lock();
        let due = next.map_or(now, |next| next.max(now));
        *next = Some(due + pause);
        due
    };
    tokio::time::sleep_until(due).await;
}

/// What is known of one host.
#[derive(Debug)]
pub(crate) struct HostTurns {
    slots: Arc<Semaphore>,
    manners: Mutex<Manners>,
    /// When the next request to it is due.
    next: Mutex<Option<Instant>>,
}

#[derive(Debug, Default)]
struct Manners {
    /// It has asked to be left alone until then.
    quiet_until: Option<Instant>,
    /// How often in a row it has asked for that without saying for how long.
    asked_for_quiet: u32,
    /// URLs in a row for which nobody was there.
    absent: u32,
    /// Files that it has given.
    good: u64,
}

impl HostTurns {
    fn quiet_until(&self) -> Option<Instant> {
        let mut manners = self.manners.lock();
        let until = manners.quiet_until.filter(|until| *until > Instant::now());
        manners.quiet_until = until;
        until
    }

    /// It wants to be left alone, by all: for so long if it has said so, else longer each time. For
    /// how long that is from now.
    pub(crate) fn quiet(
        &self,
        after: Option<Duration>,
        otherwise: impl Fn(u32) -> Duration,
    ) -> Duration {
        let now = Instant::now();
        let mut manners = self.manners.lock();
        if after.is_none()
            && let Some(until) = manners.quiet_until.filter(|until| *until > now)
        {
            // An answer to what was asked before that.
            return until - now;
        }
        let wait = after.unwrap_or_else(|| {
            manners.asked_for_quiet += 1;
            otherwise(manners.asked_for_quiet)
        });
        let until = manners
            .quiet_until
            .map_or(now + wait, |until| until.max(now + wait));
        manners.quiet_until = Some(until);
        until.saturating_duration_since(now)
    }

    /// It has given a file.
    pub(crate) fn gave(&self) {
        let mut manners = self.manners.lock();
        manners.good += 1;
        manners.asked_for_quiet = 0;
    }

    /// How many files it has given.
    pub(crate) fn good(&self) -> u64 {
        self.manners.lock().good
    }

    /// Somebody has answered there, or for one URL more nobody has.
    pub(crate) fn is_there(&self, is_there: bool) {
        let mut manners = self.manners.lock();
        manners.absent = if is_there { 0 } else { manners.absent + 1 };
    }

    /// Nobody was there for several URLs, each tried several times: one try is enough for the next.
    pub(crate) fn is_absent(&self) -> bool {
        self.manners.lock().absent >= ABSENT
    }
}

/// After this number of URLs in a row whose host did not answer, the host is taken to be down.
const ABSENT: u32 = 3;

/// The permission to have one.
#[derive(Debug)]
pub(crate) struct Connection {
    _host: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

/// The number of bytes that a file counts for: what asking for one costs.
const FILE: u64 = 16 * 1024;

impl Connections {
    pub(crate) fn new(size: usize, most: usize, per_host: usize, pauses: Pauses) -> Connections {
        Connections {
            all: Arc::new(Semaphore::new(size)),
            size: AtomicUsize::new(size),
            most,
            per_host,
            pauses,
            next: Mutex::default(),
            hosts: Mutex::default(),
            work: AtomicU64::new(0),
        }
    }

    pub(crate) fn host(&self, host: &str) -> Arc<HostTurns> {
        let mut hosts = self.hosts.lock();
        match hosts.get(host) {
            Some(host) => Arc::clone(host),
            None => {
                let new = Arc::new(HostTurns {
                    slots: Arc::new(Semaphore::new(self.per_host)),
                    manners: Mutex::default(),
                    next: Mutex::default(),
                });
                hosts.insert(host.to_owned(), Arc::clone(&new));
                new
            }
        }
    }

    /// One that is free. Who has one already never waits for another: all might.
    pub(crate) fn try_permit(&self, host: &str) -> Option<Connection> {
        let host = self.host(host);
        if host.quiet_until().is_some() || !self.pauses.host.is_zero() || !self.pauses.all.is_zero()
        {
            return None;
        }
        let of_host = Arc::clone(&host.slots).try_acquire_owned().ok()?;
        let all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some(Connection {
            _host: of_host,
            _all: all,
        })
    }

    /// Waits for one, and until the host wants to be asked.
    pub(crate) async fn permit(&self, host: &str) -> Connection {
        let host = self.host(host);
        loop {
            if let Some(until) = host.quiet_until() {
                tokio::time::sleep_until(until).await;
            }
            // That of the host first: who waits for a busy host keeps nobody from another.
            let Ok(of_host) = Arc::clone(&host.slots).acquire_owned().await else {
                unreachable!("nobody closes it");
            };
            space(&host.next, self.pauses.host).await;
            let Ok(all) = Arc::clone(&self.all).acquire_owned().await else {
                unreachable!("nobody closes it");
            };
            space(&self.next, self.pauses.all).await;
            // Meanwhile it may have asked to be left alone.
            if host.quiet_until().is_none() {
                return Connection {
                    _host: of_host,
                    _all: all,
                };
            }
        }
    }

    pub(crate) fn did(&self, bytes: u64) {
        self.work.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn did_file(&self) {
        self.did(FILE);
    }

    pub(crate) fn size(&self) -> usize {
        self.size.load(Ordering::Relaxed)
    }

    fn resize(&self, size: usize) {
        let before = self.size.load(Ordering::Relaxed);
        let now = if size > before {
            self.all.add_permits(size - before);
            size
        } else {
            // Those that are in use are not taken away.
            before - self.all.forget_permits(before - size)
        };
        self.size.store(now, Ordering::Relaxed);
    }

    /// Finds out how many are worth it, by what they do: for ever.
    pub(crate) async fn size_by_throughput(&self) {
        let mut climb = Climb::new(self.size(), self.most);
        let mut before = self.work.load(Ordering::Relaxed);
        let mut at = Instant::now();
        loop {
            tokio::time::sleep(climb.period()).await;
            let (work, now) = (self.work.load(Ordering::Relaxed), Instant::now());
            let rate = (work - before) as f64 / (now - at).as_secs_f64();
            (before, at) = (work, now);
            // With permits to spare nobody would use more.
            let is_full = self.all.available_permits() == 0;
            self.resize(climb.next(rate, is_full));
        }
    }
}

/// Twice as many, as long as that gives a tenth more; then it stays, and tries again now and then.
#[derive(Debug)]
struct Climb {
    size: usize,
    most: usize,
    /// The size before the last step, and what it gave.
    before: Option<(usize, f64)>,
    /// Periods until it tries again.
    rest: u32,
}

impl Climb {
    const REST: u32 = 40;

    fn new(size: usize, most: usize) -> Climb {
        Climb {
            size,
            most,
            before: None,
            rest: 0,
        }
    }

    fn period(&self) -> Duration {
        Duration::from_millis(250)
    }

    fn next(&mut self, rate: f64, is_full: bool) -> usize {
        if let Some((size, gave)) = self.before.take()
            && rate < 1.1 * gave
        {
            self.size = size;
            self.rest = Climb::REST;
        } else if self.rest > 0 {
            self.rest -= 1;
        } else if is_full && rate > 0.0 && self.size < self.most {
            self.before = Some((self.size, rate));
            self.size = (2 * self.size).min(self.most);
        }
        self.size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a number of connections gives, where it is no more from `enough` on.
    fn settled(enough: usize) -> usize {
        let mut climb = Climb::new(8, 64);
        let mut size = 8;
        for _ in 0..30 {
            size = climb.next(size.min(enough) as f64, true);
        }
        size
    }

    #[test]
    fn it_grows_while_that_gives_more() {
        assert_eq!(settled(4), 8);
        assert_eq!(settled(20), 32);
        assert_eq!(settled(1000), 64);
    }

    #[test]
    fn it_does_not_grow_for_nobody() {
        let mut climb = Climb::new(8, 64);
        assert!((0..10).all(|_| climb.next(100.0, false) == 8));
    }

    #[test]
    fn a_rate_is_kept_to() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build();
        runtime.expect("a runtime").block_on(async {
            let rate = Rate::new(1000);
            let from = Instant::now();
            for _ in 0..20 {
                rate.spend(500).await;
            }
            let took = from.elapsed();
            assert!((9.8..=10.1).contains(&took.as_secs_f64()), "{took:?}");
        });
    }
}
