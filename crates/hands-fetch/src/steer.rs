//! A run that is steered while it goes: all wait, one file is given up or tried again, more are
//! added.
//!
//! A run that is not ([`FetchPlan::steered`](super::FetchPlan::steered)) pays one look at a flag
//! for it. In one that is, those that fetch stay until nothing of what is under way can be tried
//! again: until the list is at its end, nobody fetches, and nothing waits for its next try.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use hands::sync::{CancelToken, Mutex};
use tokio::sync::watch;

use super::event::FetchEvent;
use super::part;
use super::state::{FetchTarget, FetchWork};

/// Failed files that are kept, so that they can be tried again; the oldest are forgotten first.
const KEPT: usize = 10_000;

/// Why one that was given up has not come.
pub(super) const CANCELLED: &str = "cancelled; what has come is kept";
/// Why one that is of no interest any more has not come.
pub(super) const REMOVED: &str = "removed";

pub(super) struct Steering {
    is_on: bool,
    paused: watch::Sender<bool>,
    /// Grows with each change of what is inside.
    version: watch::Sender<u64>,
    inside: Mutex<SteeredFiles>,
    has_ended: AtomicBool,
    is_draining: AtomicBool,
}

#[derive(Default)]
struct SteeredFiles {
    again: VecDeque<FetchWork>,
    busy: usize,
    running: HashMap<u64, CancelToken>,
    failed: BTreeMap<u64, FetchWork>,
    removed: HashSet<u64>,
    /// Where texts are added; `None`: no more are.
    added: Option<mpsc::Sender<String>>,
    count: u64,
    /// Nobody fetches any more.
    is_over: bool,
}

impl Steering {
    pub(super) fn new(is_on: bool) -> Steering {
        Steering {
            is_on,
            paused: watch::Sender::new(false),
            version: watch::Sender::new(0),
            inside: Mutex::default(),
            has_ended: AtomicBool::new(false),
            is_draining: AtomicBool::new(false),
        }
    }

    fn changed(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    pub(super) fn pause(&self, pause: bool) {
        self.paused.send_replace(pause);
    }

    pub(super) fn is_paused(&self) -> bool {
        *self.paused.borrow()
    }

    /// Waits as long as all are to wait.
    pub(super) async fn wait_while_paused(&self) {
        if self.is_paused() {
            let mut paused = self.paused.subscribe();
            // It is there as long as this is.
            let _ = paused.wait_for(|paused| !paused).await;
        }
    }

    /// Texts that are added come out here, until no more are.
    pub(super) fn opened(&self) -> mpsc::Receiver<String> {
        let (put, get) = mpsc::channel();
        self.inside.lock().added = Some(put);
        get
    }

    /// Its number, unless no more are taken.
    pub(super) fn add(&self, text: &str) -> Option<u64> {
        let mut inside = self.inside.lock();
        inside.added.as_ref()?.send(text.to_owned()).ok()?;
        inside.count += 1;
        Some(inside.count)
    }

    /// No more is added.
    pub(super) fn close(&self) {
        self.inside.lock().added = None;
    }

    /// Nothing more is begun.
    pub(super) fn drain(&self) {
        self.is_draining.store(true, Ordering::SeqCst);
        self.close();
        self.pause(false);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::SeqCst)
    }

    /// The next to be fetched, of those that are tried again and those of the list.
    pub(super) async fn next<F>(&self, listed: impl Fn() -> F) -> F::Output
    where
        F: Future<Output = Option<Result<FetchWork, String>>>,
    {
        if !self.is_on {
            return listed().await;
        }
        let mut version = self.version.subscribe();
        loop {
            self.wait_while_paused().await;
            version.borrow_and_update();
            let has_ended = self.has_ended.load(Ordering::SeqCst);
            {
                let mut inside = self.inside.lock();
                if let Some(work) = inside.again.pop_front() {
                    inside.busy += 1;
                    return Some(Ok(work));
                }
                if has_ended && inside.busy == 0 {
                    inside.is_over = true;
                    drop(inside);
                    self.changed();
                    return None;
                }
            }
            tokio::select! {
                biased;
                _ = version.changed() => {}
                next = listed(), if !has_ended => match next {
                    Some(next) => {
                        self.inside.lock().busy += 1;
                        return Some(next);
                    }
                    None => {
                        self.has_ended.store(true, Ordering::SeqCst);
                        self.changed();
                    }
                },
            }
        }
    }

    /// What [`next`](Self::next) has given is through.
    pub(super) fn done(&self) {
        if self.is_on {
            let mut inside = self.inside.lock();
            inside.busy -= 1;
            let is_last = inside.busy == 0;
            drop(inside);
            if is_last {
                self.changed();
            }
        }
    }

    /// A file is being fetched: cancelled when it is given up.
    pub(super) fn begin(&self, number: u64) -> Option<CancelToken> {
        if !self.is_on {
            return None;
        }
        let token = CancelToken::new();
        let mut inside = self.inside.lock();
        if inside.removed.contains(&number) {
            token.cancel();
        }
        inside.running.insert(number, token.clone());
        Some(token)
    }

    pub(super) fn why(&self, number: u64) -> &'static str {
        match self.inside.lock().removed.contains(&number) {
            true => REMOVED,
            false => CANCELLED,
        }
    }

    /// A file has come, or has not: then it is kept, to be tried again, or forgotten if it has been
    /// removed.
    pub(super) fn end(&self, work: FetchWork, has_come: bool) {
        let number = work.number;
        let mut inside = self.inside.lock();
        inside.running.remove(&number);
        if inside.removed.remove(&number) {
            drop(inside);
            if !has_come {
                forget_part(&work);
            }
        } else if !has_come {
            if inside.failed.len() == KEPT {
                inside.failed.pop_first();
            }
            inside.failed.insert(number, work);
        }
    }

    /// Whether it is on its way, and is given up now.
    pub(super) fn cancel(&self, number: u64) -> bool {
        let token = self.inside.lock().running.get(&number).cloned();
        let is_running = token.is_some();
        if let Some(token) = token {
            token.cancel();
        }
        is_running
    }

    /// It is given up, and what has come of it is deleted; unless it is whole.
    pub(super) fn remove(&self, number: u64) {
        let mut inside = self.inside.lock();
        if let Some(work) = inside.failed.remove(&number) {
            drop(inside);
            return forget_part(&work);
        }
        let at = inside.again.iter().position(|work| work.number == number);
        if let Some(work) = at.and_then(|at| inside.again.remove(at)) {
            drop(inside);
            return forget_part(&work);
        }
        inside.removed.insert(number);
        drop(inside);
        self.cancel(number);
    }

    /// Tries one of the failed again, or all. What is told of each is told here.
    pub(super) fn retry(&self, one: Option<u64>, tell: impl Fn(FetchEvent)) -> usize {
        let mut inside = self.inside.lock();
        if inside.is_over || self.is_draining() {
            return 0;
        }
        let wanted: Vec<u64> = match one {
            Some(number) => vec![number],
            None => inside.failed.keys().copied().collect(),
        };
        let before = inside.again.len();
        for number in &wanted {
            let Some(mut work) = inside.failed.remove(number) else {
                continue;
            };
            if let Ok(job) = &mut work.job {
                job.is_being_named = Default::default();
            }
            tell(FetchEvent::Again {
                number: *number,
                url: work.text.clone(),
            });
            inside.again.push_back(work);
        }
        let tried = inside.again.len() - before;
        drop(inside);
        self.changed();
        tried
    }
}

/// What has come of a file that nobody wants any more.
fn forget_part(work: &FetchWork) {
    if let Ok(job) = &work.job
        && let FetchTarget::File(path) = &job.target
    {
        part::forget(path);
    }
}
