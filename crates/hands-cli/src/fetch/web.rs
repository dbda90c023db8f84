//! `--web`: downloads, as a page shows and steers them.
//!
//! With URLs it shows the run. Without, it is a page of its own: links are pasted into it, and what
//! is there, or not yet, is noted in a [book](super::book) beside the files.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use hands::event::TaskEnd;
use hands::sync::Mutex;
use hands_fetch::{Fetch, FetchEvent, FetchPlan, FetchState, clean};
use hands_web::{Action, End, Ledger, Overview, Phase, Refused, Source, Verb};

use super::book::{BookEntry, DownloadBook, LinkState};
use crate::ui::page::ServedPage;

/// Links that are taken up at once.
const MOST: usize = 100_000;

/// What the downloads have told; the page fetches it.
#[derive(Default)]
struct ToldDownloads {
    events: Vec<FetchEvent>,
    is_over: bool,
    has_stopped: bool,
}

/// The downloads' side.
pub(super) struct FetchPage {
    told: Arc<Mutex<ToldDownloads>>,
    /// Dropped at the end: it shows that until then.
    _page: ServedPage,
}

impl FetchPage {
    /// Serves it. A plan that is open goes on where its folder's book ends.
    pub(super) fn open(
        address: SocketAddr,
        plan: &FetchPlan,
        fetch: &Arc<Fetch>,
    ) -> Result<FetchPage, String> {
        let told = Arc::new(Mutex::new(ToldDownloads::default()));
        let dir = plan.files.dir.clone().unwrap_or_default();
        let book = plan.open.then(|| DownloadBook::open(&dir)).transpose()?;
        let title = match book.is_some() {
            true => "Downloads".to_owned(),
            false => "hands fetch".to_owned(),
        };
        let mut ledger = Ledger::new(title);
        let mut source = FetchSource {
            fetch: Arc::clone(fetch),
            told: Arc::clone(&told),
            book,
            ids: HashMap::new(),
            numbers: HashMap::new(),
            lanes: Lanes::default(),
            ended: HashMap::new(),
            failed: 0,
            total: None,
            removed: HashSet::new(),
        };
        source.restore(&mut ledger);
        let page = ServedPage::open(address, ledger, source)?;
        Ok(FetchPage { told, _page: page })
    }

    pub(super) fn told(&self, event: &FetchEvent) {
        self.told.lock().events.push(event.clone());
    }

    /// Whether the run was stopped by the page.
    pub(super) fn has_stopped(&self) -> bool {
        self.told.lock().has_stopped
    }

    /// All is over: pages that are open are told so.
    pub(super) fn end(&self) {
        self.told.lock().is_over = true;
    }
}

/// The lowest free place among those that fetch.
#[derive(Default)]
struct Lanes {
    free: BTreeSet<u32>,
    most: u32,
    taken: HashMap<u64, u32>,
}

impl Lanes {
    fn take(&mut self, id: u64) -> u32 {
        let lane = self.free.pop_first().unwrap_or_else(|| {
            self.most += 1;
            self.most
        });
        self.taken.insert(id, lane);
        lane
    }

    fn give(&mut self, id: u64) {
        self.free.extend(self.taken.remove(&id));
    }
}

/// The page's side. Where there is a book, a file is known by its number there, and not by that in
/// the run.
struct FetchSource {
    fetch: Arc<Fetch>,
    told: Arc<Mutex<ToldDownloads>>,
    book: Option<DownloadBook>,
    ids: HashMap<u64, u64>,
    numbers: HashMap<u64, u64>,
    lanes: Lanes,
    /// How those have ended that have; true: it is there.
    ended: HashMap<u64, bool>,
    /// How many of them are not there.
    failed: u64,
    total: Option<u64>,
    /// Those that are not listed any more, and of which more may be told.
    removed: HashSet<u64>,
}

impl FetchSource {
    fn id(&self, number: u64) -> u64 {
        match &self.book {
            Some(_) => self.ids.get(&number).copied().unwrap_or(0),
            None => number,
        }
    }

    fn number(&self, id: u64) -> Option<u64> {
        match &self.book {
            Some(_) => self.numbers.get(&id).copied(),
            None => Some(id),
        }
    }

    /// What the book has from earlier: what is not there yet is fetched.
    fn restore(&mut self, ledger: &mut Ledger) {
        let Some(book) = &self.book else { return };
        let entries: Vec<BookEntry> = book.entries().cloned().collect();
        for entry in &entries {
            if let LinkState::Done {
                path: Some(path), ..
            } = &entry.state
            {
                self.fetch.keep_off(path);
            }
        }
        for BookEntry { id, url, state } in entries {
            match state {
                LinkState::Wanted => self.want(ledger, id, &url),
                LinkState::Failed { why } => {
                    let mut end = End::new(TaskEnd::Failed, Default::default());
                    end.why = why;
                    ledger.finished(id, &shown(&url), end);
                    self.has_ended(id, false);
                }
                LinkState::Done { path, bytes } => {
                    let mut end = End::new(TaskEnd::Well, Default::default());
                    end.why = saved_as(path.as_deref());
                    ledger.finished(id, &shown(&url), end);
                    ledger.had(id, bytes);
                    self.has_ended(id, true);
                }
                LinkState::Removed => {}
            }
        }
    }

    /// Hands a link over to the run.
    fn want(&mut self, ledger: &mut Ledger, id: u64, url: &str) {
        if let Some(number) = self.fetch.add(url) {
            self.ids.insert(number, id);
            self.numbers.insert(id, number);
            ledger.queued(id, &shown(url));
        }
    }

    fn has_ended(&mut self, id: u64, is_there: bool) {
        self.forget_end(id);
        self.ended.insert(id, is_there);
        self.failed += u64::from(!is_there);
    }

    fn forget_end(&mut self, id: u64) {
        if self.ended.remove(&id) == Some(false) {
            self.failed -= 1;
        }
    }

    fn note(&mut self, ledger: &mut Ledger, id: u64, state: LinkState) {
        let noted = self.book.as_mut().map(|book| book.set(id, state));
        if let Some(Err(error)) = noted {
            ledger.note(format!("the list cannot be noted: {error}"));
        }
    }

    fn hear(&mut self, ledger: &mut Ledger, event: FetchEvent) {
        match event {
            FetchEvent::Start { number, url } => {
                let id = self.id(number);
                if self.removed.contains(&id) {
                    return;
                }
                let lane = self.lanes.take(id);
                ledger.started(id, &shown(&url), lane);
            }
            FetchEvent::Retry { url, why, .. } => {
                ledger.note(format!("{}: {}; tried again", shown(&url), clean(&why)));
            }
            FetchEvent::End {
                number,
                url,
                path,
                state,
                time,
                ..
            } => {
                let id = self.id(number);
                self.lanes.give(id);
                if self.removed.contains(&id) {
                    return ledger.forget(id);
                }
                let (how, why, bytes) = match &state {
                    FetchState::Ok { bytes, .. } => {
                        (TaskEnd::Well, saved_as(path.as_deref()), *bytes)
                    }
                    FetchState::Unchanged => (TaskEnd::Well, "unchanged".to_owned(), 0),
                    FetchState::Skipped(why) | FetchState::Failed(why) => {
                        (TaskEnd::Failed, clean(why), 0)
                    }
                };
                let mut end = End::new(how, time);
                end.why = why.clone();
                ledger.finished(id, &shown(&url), end);
                ledger.had(id, bytes);
                let is_there = how == TaskEnd::Well;
                self.has_ended(id, is_there);
                let noted = match is_there {
                    true => LinkState::Done { path, bytes },
                    // One that the end of the program has stopped is wanted still.
                    false if self.told.lock().has_stopped || self.told.lock().is_over => return,
                    false => LinkState::Failed { why },
                };
                self.note(ledger, id, noted);
            }
            FetchEvent::Again { number, url } => {
                let id = self.id(number);
                self.forget_end(id);
                ledger.queued(id, &shown(&url));
                self.note(ledger, id, LinkState::Wanted);
            }
            FetchEvent::Total(total) => self.total = Some(total),
            FetchEvent::Broken(why) => ledger.note(clean(&why)),
            _ => {}
        }
    }

    /// The links of a text that are not in the book yet, and how many were.
    fn links(book: &DownloadBook, text: &str) -> (Vec<String>, usize) {
        let lines = text.lines().map(str::trim);
        let lines: Vec<&str> = lines
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .collect();
        let mut known: HashSet<&str> = book.entries().map(|entry| entry.url.as_str()).collect();
        let all = lines.len();
        let new: Vec<String> = lines
            .into_iter()
            .filter(|line| known.insert(line))
            .map(str::to_owned)
            .collect();
        let double = all - new.len();
        (new, double)
    }

    fn add(&mut self, ledger: &mut Ledger, text: &str) -> Result<String, Refused> {
        let Some(book) = &mut self.book else {
            return Err(Refused::new("this run takes no more links"));
        };
        let (new, double) = FetchSource::links(book, text);
        if new.is_empty() && double == 0 {
            return Err(Refused::new("there is no link in that text"));
        }
        if book.len() + new.len() > MOST {
            return Err(Refused::new(format!(
                "that would be more than {MOST} links; remove some first"
            )));
        }
        let count = new.len();
        let ids = book
            .add(new.clone())
            .map_err(|error| Refused::new(format!("the links cannot be noted: {error}")))?;
        for (id, url) in ids.into_iter().zip(new) {
            self.want(ledger, id, &url);
        }
        let s = if count == 1 { "" } else { "s" };
        Ok(match double {
            0 => format!("{count} link{s} taken up"),
            _ => format!("{count} link{s} taken up; {double} in the list already"),
        })
    }

    fn retry(&mut self, ledger: &mut Ledger, id: u64) -> bool {
        if let Some(number) = self.number(id) {
            return self.fetch.retry(number);
        }
        // Of an earlier start.
        let Some(entry) = self.book.as_ref().and_then(|book| book.entry(id)) else {
            return false;
        };
        let url = entry.url.clone();
        self.forget_end(id);
        ledger.forget_failure(id);
        self.want(ledger, id, &url);
        self.note(ledger, id, LinkState::Wanted);
        true
    }

    fn remove(&mut self, ledger: &mut Ledger, id: u64) {
        if let Some(number) = self.number(id) {
            self.fetch.remove(number);
        }
        self.forget_end(id);
        self.removed.insert(id);
        ledger.forget(id);
        self.note(ledger, id, LinkState::Removed);
    }
}

impl Source for FetchSource {
    fn update(&mut self, ledger: &mut Ledger) {
        let (events, is_over, has_stopped) = {
            let mut told = self.told.lock();
            let events = std::mem::take(&mut told.events);
            (events, told.is_over, told.has_stopped)
        };
        // All that are tried again come together: there may be thousands.
        let mut again = HashSet::new();
        for event in events {
            if let FetchEvent::Again { number, .. } = &event {
                again.insert(self.id(*number));
            } else {
                ledger.forget_failures(&std::mem::take(&mut again));
            }
            self.hear(ledger, event);
        }
        ledger.forget_failures(&again);
        let progress = self.fetch.progress();
        for file in &progress.files {
            let expected = file.expected.unwrap_or(0);
            ledger.moved(self.id(file.number), file.received, expected);
        }
        let finished = self.ended.len() as u64;
        let running = progress.files.len() as u64;
        let total = match &self.book {
            Some(book) => Some(book.len() as u64),
            None => self.total,
        };
        let waiting = match (&self.book, total) {
            (None, Some(total)) => total.saturating_sub(finished + running),
            _ => ledger.waiting() as u64,
        };
        let connections = self.fetch.connections();
        ledger.overview(Overview {
            phase: match () {
                () if is_over => Phase::Done,
                () if has_stopped => Phase::Stopping,
                () if self.fetch.is_paused() => Phase::Paused,
                () if self.book.is_some() && running + waiting == 0 => Phase::Idle,
                () => Phase::Running,
            },
            total,
            waiting,
            finished,
            failed: self.failed,
            retrying: 0,
            workers: connections,
            busy: progress.files.len(),
            sizing: format!("up to {connections} connections at once"),
            bytes: progress.bytes,
        });
    }

    fn verbs(&self) -> Vec<Verb> {
        let mut verbs = vec![
            Verb::Pause,
            Verb::Stop,
            Verb::Cancel,
            Verb::Retry,
            Verb::RetryFailed,
        ];
        if self.book.is_some() {
            verbs.extend([Verb::Add, Verb::Remove]);
        }
        verbs
    }

    fn act(&mut self, action: Action, ledger: &mut Ledger) -> Result<String, Refused> {
        if ledger.phase() == Phase::Done {
            return Err(Refused::new("all is over"));
        }
        // What has happened is known before anything is done about it.
        self.update(ledger);
        Ok(match action {
            Action::Add { links } => self.add(ledger, &links)?,
            Action::Pause => {
                self.fetch.pause(true);
                "nothing is received until it is resumed".to_owned()
            }
            Action::Resume => {
                self.fetch.pause(false);
                "it goes on".to_owned()
            }
            Action::Stop { now: true } => {
                self.told.lock().has_stopped = true;
                self.fetch.stop();
                "it ends; what has come is kept".to_owned()
            }
            Action::Stop { now: false } => {
                self.told.lock().has_stopped = true;
                self.fetch.drain();
                "no further file is begun; those on their way come to their end".to_owned()
            }
            Action::Cancel { id } => {
                match self.number(id).map(|number| self.fetch.cancel(number)) {
                    Some(true) => "it is given up; what has come is kept".to_owned(),
                    _ => return Err(Refused::new("it is not on its way any more")),
                }
            }
            Action::Retry { id } => match self.retry(ledger, id) {
                true => "it is tried again".to_owned(),
                false => return Err(Refused::new("it cannot be tried again any more")),
            },
            Action::RetryFailed => {
                let mut count = self.fetch.retry_failed();
                // And those of earlier starts.
                let failed = self.ended.iter().filter(|(_, is_there)| !**is_there);
                let mut earlier: Vec<u64> = failed
                    .map(|(id, _)| *id)
                    .filter(|id| self.number(*id).is_none())
                    .collect();
                earlier.sort_unstable();
                count += earlier.len();
                ledger.forget_failures(&earlier.iter().copied().collect());
                for id in earlier {
                    self.retry(ledger, id);
                }
                format!("{count} tried again")
            }
            Action::Remove { id } => {
                self.remove(ledger, id);
                "it is removed from the list".to_owned()
            }
            _ => return Err(Refused::new("that cannot be done with downloads")),
        })
    }
}

fn saved_as(path: Option<&std::path::Path>) -> String {
    path.map_or_else(String::new, |path| {
        format!("saved as {}", clean(&path.to_string_lossy()))
    })
}

/// A link without what only its server should see.
fn shown(url: &str) -> String {
    let url = url.split('\t').next().unwrap_or(url);
    let hidden = url.split_once("://").and_then(|(scheme, rest)| {
        let host = rest.split(['/', '?', '#']).next()?;
        let (_, bare) = host.rsplit_once('@')?;
        Some(format!("{scheme}://…@{bare}{}", &rest[host.len()..]))
    });
    clean(&hidden.unwrap_or_else(|| url.to_owned()))
}
