//! Downloads: many URLs at once, each to a file, and each in exactly one state at the end.
//!
//! ```text
//! FetchPlan ─▶ list, metalink ─▶ source: named, in order ─▶ fetchers on an AsyncPool: transfer ─▶ mailbox ─▶ FetchEvent
//!                                                       │ permits: pace
//!                                                       └ part ─▶ disk
//! ```
//!
//! A [`FetchPlan`] goes in and [`FetchEvent`]s come out. Nothing is printed, but what the plan
//! sends to stdout. The program `hands fetch` is flags and words around it.
//!
//! ```no_run
//! use hands_fetch::{FetchEvent, Fetch, FetchPlan, FetchState};
//!
//! let fetch = Fetch::start(FetchPlan::of(["https://example.org/a.tar.gz"]))?;
//! for event in fetch.events() {
//!     if let FetchEvent::End { url, state, .. } = event {
//!         println!("{url}: {state:?}");
//!     }
//! }
//! # Ok::<(), hands_fetch::FetchError>(())
//! ```
//!
//! Names are given in the order of the list, before anything is asked, so that the next run gives
//! the same ones, and finds what this one has left.
#![forbid(unsafe_code)]

mod answer;
mod ask;
mod board;
mod checksum;
mod client;
mod cookies;
mod disk;
mod finish;
mod head;
mod list;
mod mailbox;
mod metalink;
mod name;
mod pace;
mod part;
mod plan;
mod proxy;
mod ranges;
mod segments;
mod source;
mod state;
mod steer;
mod stream;
mod text;
mod there;
mod transfer;
mod turns;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use hands::event::{EventKind, Events, Name, TaskEnd};
use hands::pool::AsyncPool;
use hands::sync::{CancelToken, Mutex};
use reqwest::cookie::CookieStore;
use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_TYPE, COOKIE, HeaderMap, HeaderValue, REFERER, USER_AGENT,
};
use reqwest::{Client, RequestBuilder, Url};

use self::board::{Board, RunningFile};
use self::checksum::{Checksum, ChecksumList};
use self::client::Netrc;
use self::cookies::Cookies;
use self::disk::Disk;
use self::mailbox::EventBox;
use self::name::TakenNames;
use self::pace::{Connections, Pauses, Rate};
use self::source::{FetchWork, Items, UrlSource};
use self::state::STOPPED;
use self::steer::Steering;
use self::turns::FetchTurns;

pub use self::board::{FetchProgress, FileProgress};
pub use self::plan::{FetchPlan, FilePlan, RequestPlan, TransferPlan, WhatToFetch};
pub use self::source::NamedUrl;
pub use self::state::{FetchState, NOBODY_READS};
pub use self::stream::is_stdout;
pub use self::text::clean;

/// Connections in all, and to one host, unless told otherwise.
const CONNECTIONS: usize = 64;
const PER_HOST: usize = 16;
/// Connections that `-j auto` begins with.
const AT_FIRST: usize = 8;
/// For each connection this number of coroutines take from the list, so that those that wait for a
/// busy host keep nobody from another.
const FETCHERS: usize = 4;

/// What happens, as it happens.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum FetchEvent {
    /// A URL is being asked for.
    Start {
        /// Its place in the list, from 1.
        number: u64,
        /// As it was written.
        url: String,
    },
    /// A try has failed, and there will be another.
    Retry {
        /// The place of its URL in the list, from 1.
        number: u64,
        /// As it was written.
        url: String,
        /// Why it has failed.
        why: String,
        /// How long the next one waits.
        wait: Duration,
    },
    /// It is known what has become of a URL. Each has exactly one.
    End {
        /// Its place in the list, from 1.
        number: u64,
        /// As it was written.
        url: String,
        /// The file, if there is one.
        path: Option<PathBuf>,
        /// What has become of it.
        state: FetchState,
        /// How long it took.
        time: Duration,
        /// If it has failed and the plan writes down what fails: its lines for a list.
        listed: Option<String>,
    },
    /// Status line and headers, where the plan asks for no more.
    Head {
        /// Its place in the list, from 1.
        number: u64,
        /// As it was written.
        url: String,
        /// The text, or why there is none.
        head: Result<Vec<u8>, String>,
    },
    /// A URL that had not come is tried again, as somebody has asked for that: what was told of
    /// its end does not count.
    Again {
        /// Its place in the list, from 1.
        number: u64,
        /// As it was written.
        url: String,
    },
    /// The list is at its end: it had this number of URLs.
    Total(u64),
    /// The list cannot be read any further.
    Broken(String),
}

impl FetchEvent {
    /// How the task of its URL has ended with it.
    fn how(&self) -> TaskEnd {
        match self {
            FetchEvent::End { state, .. } => match state {
                FetchState::Failed(_) => TaskEnd::Failed,
                FetchState::Skipped(_) => TaskEnd::Cancelled,
                _ => TaskEnd::Well,
            },
            FetchEvent::Head { head: Err(_), .. } => TaskEnd::Failed,
            _ => TaskEnd::Well,
        }
    }
}

/// What all transfers share.
struct Fetcher {
    flags: FetchPlan,
    client: Client,
    pool: AsyncPool,
    connections: Connections,
    rate: Option<Rate>,
    board: Board,
    names: Mutex<TakenNames>,
    sums: ChecksumList,
    netrc: Netrc,
    user: Option<(String, String)>,
    cookies: Option<Arc<Cookies>>,
    /// What is sent with each request.
    data: Option<Vec<u8>>,
    disk: Disk,
    /// Names that servers choose are given in this order.
    naming: FetchTurns,
    /// What goes to stdout goes in this order.
    going_out: FetchTurns,
    /// Files that are being given their names, and of which it has not been told.
    being_named: AtomicUsize,
    stop: CancelToken,
    steering: Steering,
    told: EventBox,
}

impl Fetcher {
    fn tell(&self, told: FetchEvent) {
        self.told.put(told);
    }

    fn authorized(&self, request: RequestBuilder, url: &Url) -> RequestBuilder {
        if !url.username().is_empty() {
            return request;
        }
        if let Some((name, password)) = &self.user {
            return request.basic_auth(name, Some(password));
        }
        match self.netrc.of(url.host_str().unwrap_or_default()) {
            Some((name, password)) => request.basic_auth(name, Some(password)),
            None => request,
        }
    }

    /// With `--cookie`, and with what else belongs to the URL: a header of ours stands for both.
    fn with_cookies(&self, request: RequestBuilder, url: &Url) -> RequestBuilder {
        let own = &self.flags.request.cookie;
        if own.is_empty() {
            return request;
        }
        let mut all = own.join("; ").into_bytes();
        if let Some(kept) = self
            .cookies
            .as_ref()
            .and_then(|cookies| cookies.cookies(url))
        {
            all.extend(b"; ");
            all.extend(kept.as_bytes());
        }
        match HeaderValue::from_bytes(&all) {
            Ok(all) => request.header(COOKIE, all),
            Err(_) => request,
        }
    }

    async fn keep_rate(&self, running: &RunningFile, bytes: u64) {
        self.steering.wait_while_paused().await;
        if let Some(rate) = &self.rate {
            rate.spend(bytes).await;
        }
        if let Some(rate) = &running.rate {
            rate.spend(bytes).await;
        }
    }

    /// What a file of this name should be, by the lists of checksums.
    fn checksum_of(&self, path: &Path) -> Option<Checksum> {
        if self.sums.is_empty() {
            return None;
        }
        let dir = self.flags.files.dir.as_deref().unwrap_or(Path::new(""));
        let below = path.strip_prefix(dir).unwrap_or(path);
        self.sums.of(&below.to_string_lossy()).cloned()
    }

    /// How long to wait after `tries` tries: twice as long each time, and not all at the same
    /// moment.
    fn back_off(&self, tries: u32) -> Duration {
        let base = self
            .flags
            .transfer
            .retry_delay
            .unwrap_or(Duration::from_millis(500));
        let doubled = base
            .saturating_mul(1 << (tries - 1).min(16))
            .min(Duration::from_secs(60));
        // A hash of nothing with new keys is as random as this needs to be.
        let random = RandomState::new().hash_one(tries) as f64 / u64::MAX as f64;
        doubled.mul_f64(0.5 + random)
    }
}

/// Why a run of downloads cannot begin: a sentence, and perhaps a hint on what to do.
#[derive(Clone, PartialEq, Eq)]
pub struct FetchError(String);

impl std::fmt::Display for FetchError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FetchError {}

hands::debug_is_sentence!(FetchError);

/// A run of downloads that is under way. Dropping it stops it; what has come is kept.
pub struct Fetch {
    fetcher: Arc<Fetcher>,
    warnings: Vec<String>,
}

impl Fetch {
    /// Begins. Lists and files that the plan names are opened, so that what is not there is told
    /// before anything is fetched.
    ///
    /// # Errors
    ///
    /// The plan names no URL, or something that cannot be read or understood; threads or
    /// descriptors are short.
    pub fn start(plan: FetchPlan) -> Result<Fetch, FetchError> {
        started(plan).map_err(FetchError)
    }

    /// What a plan names, without fetching any of it: for runs that are spread over machines.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn named(plan: &FetchPlan) -> Result<Vec<NamedUrl>, FetchError> {
        source::named(plan).map_err(FetchError)
    }

    /// What was odd about the plan, and is passed over.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// What has happened since the last call, and whether there may be more. Waits until something
    /// fails or all is over, and an eighth of a second at most.
    pub fn wait(&self) -> (Vec<FetchEvent>, bool) {
        self.fetcher.told.wait()
    }

    /// What has happened since the last call, without waiting.
    pub fn take(&self) -> Vec<FetchEvent> {
        self.fetcher.told.take()
    }

    /// All that happens, to the end. Blocks while nothing does.
    pub fn events(&self) -> impl Iterator<Item = FetchEvent> + '_ {
        let mut is_over = false;
        std::iter::from_fn(move || {
            if is_over {
                return None;
            }
            let (events, is_more) = self.wait();
            is_over = !is_more;
            Some(events)
        })
        .flatten()
    }

    /// Starts nothing more and ends what is under way; each URL still gets its `End`. What has come
    /// is kept for the next run.
    pub fn stop(&self) {
        self.fetcher.stop.cancel();
        self.fetcher.steering.close();
        self.fetcher.steering.pause(false);
    }

    /// Begins nothing more: what is on its way comes to its end, and each other URL gets its `End`
    /// as skipped.
    pub fn drain(&self) {
        self.fetcher.steering.drain();
    }

    /// While paused, nothing is asked for and nothing is received. A server may lose its patience
    /// meanwhile: then it is asked for the rest.
    pub fn pause(&self, pause: bool) {
        self.fetcher.steering.pause(pause);
    }

    /// Whether it is paused.
    pub fn is_paused(&self) -> bool {
        self.fetcher.steering.is_paused()
    }

    /// Adds a URL, as a line of a list has it, to a run that is [open](FetchPlan::open). Returns
    /// its number; `None` if the run takes no more.
    pub fn add(&self, url: &str) -> Option<u64> {
        self.fetcher.steering.add(url)
    }

    /// No more is [added](Self::add): an open run ends when all has come.
    pub fn close(&self) {
        self.fetcher.steering.close();
    }

    /// Gives a file up that is on its way; what has come of it is kept. False: it is not on its
    /// way, or the run is not [steered](FetchPlan::steered).
    pub fn cancel(&self, number: u64) -> bool {
        self.fetcher.steering.cancel(number)
    }

    /// Tries one again that has not come: as if that had not been told yet. False: it is not among
    /// those, or all is over, or the run is not [steered](FetchPlan::steered).
    pub fn retry(&self, number: u64) -> bool {
        self.fetcher.retry(number)
    }

    /// Tries all again that have not come. Returns how many those are.
    pub fn retry_failed(&self) -> usize {
        self.fetcher.retry_failed()
    }

    /// Gives a file up, wherever it is on its way, and deletes what has come of it, unless it is
    /// whole.
    pub fn remove(&self, number: u64) {
        self.fetcher.steering.remove(number);
    }

    /// No file of this run is to have this name.
    pub fn keep_off(&self, path: &Path) {
        self.fetcher.names.lock().take(path);
    }

    /// Whether a file is being given its name just now: the code that ends the program waits for
    /// that.
    pub fn is_naming(&self) -> bool {
        self.fetcher.being_named.load(Ordering::SeqCst) > 0
    }

    /// What happens, without texts: a URL's place in the list is its task's number.
    /// [`events`](Self::events) has names and reasons.
    pub fn work_events(&self) -> Events {
        self.fetcher.board.events.clone()
    }

    /// Where things stand.
    pub fn progress(&self) -> FetchProgress {
        self.fetcher.board.progress()
    }

    /// How many connections may be open at once now.
    pub fn connections(&self) -> usize {
        self.fetcher.connections.size()
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        self.stop();
    }
}

fn started(flags: FetchPlan) -> Result<Fetch, String> {
    let source = UrlSource::new(&flags)?;
    let headers = headers(&flags)?;
    let (size, most) = match flags.transfer.jobs {
        Some(jobs) => (jobs.get(), jobs.get()),
        None => (AT_FIRST, CONNECTIONS),
    };
    let most = flags
        .transfer
        .max_connections
        .map_or(most, |limit| most.min(limit.get()));
    let size = size.min(most);
    let per_host = match (flags.transfer.per_host, flags.transfer.jobs) {
        (Some(limit), _) => limit.get(),
        (None, Some(jobs)) => jobs.get(),
        (None, None) => PER_HOST,
    };
    hands::command::raise_descriptor_limit();
    let (size, most) = (size.min(affordable()), most.min(affordable()));
    let cookies = cookies::of_flags(&flags)?;
    let client = client::new(&flags, headers, per_host, cookies.clone())?;
    let data = data_of(&flags)?;
    let (sums, warnings) = checksums_of(&flags)?;
    let netrc = netrc(&flags)?;
    let user = flags.request.user.as_ref().map(|user| {
        let (name, password) = user.split_once(':').unwrap_or((user, ""));
        (name.to_owned(), password.to_owned())
    });
    if let Some(dir) = &flags.files.dir {
        std::fs::create_dir_all(dir)
            .map_err(|error| format!("`--dir {}` cannot be made: {error}", dir.display()))?;
    }
    let mut builder = AsyncPool::builder()
        .name("fetch")
        .in_flight(FETCHERS * most + 1);
    if flags.what.head {
        builder = builder.threads(1);
    }
    let pool = builder
        .build()
        .map_err(|error| format!("cannot start threads: {error}"))?;
    let pauses = Pauses {
        host: flags.transfer.wait.unwrap_or_default(),
        all: flags.transfer.rate.unwrap_or_default(),
    };
    let disk = Disk::new().map_err(|error| format!("cannot start a thread: {error}"))?;
    let fetchers = FETCHERS * most;
    let fetcher = Arc::new(Fetcher {
        connections: Connections::new(size, most, per_host, pauses),
        rate: flags.transfer.limit_rate.map(Rate::new),
        board: Board::new(flags.transfer.limit_rate_each),
        client,
        pool,
        names: Mutex::default(),
        sums,
        netrc,
        user,
        cookies,
        data,
        disk,
        naming: FetchTurns::default(),
        going_out: FetchTurns::default(),
        being_named: AtomicUsize::new(0),
        stop: CancelToken::new(),
        steering: Steering::new(flags.steered || flags.open),
        told: EventBox::new(fetchers),
        flags,
    });
    if most > size {
        let sized = Arc::clone(&fetcher);
        let is_over = fetcher.stop.clone();
        drop(fetcher.pool.spawn(async move {
            tokio::select! {
                () = sized.connections.size_by_throughput() => {}
                _ = is_over.cancelled() => {}
            }
        }));
    }
    let items = Arc::new(Items::new(source, &fetcher)?);
    for worker in 0..fetchers {
        let worker = u32::try_from(worker).unwrap_or(u32::MAX);
        let fetches = take_and_fetch(Arc::clone(&fetcher), Arc::clone(&items), worker);
        drop(fetcher.pool.spawn(fetches));
    }
    Ok(Fetch { fetcher, warnings })
}

/// What is sent with each request.
fn data_of(flags: &FetchPlan) -> Result<Option<Vec<u8>>, String> {
    let Some(text) = flags.request.data.as_deref() else {
        return Ok(None);
    };
    match text.strip_prefix('@') {
        None => Ok(Some(text.as_bytes().to_vec())),
        Some("-") => Err("`--data @-`: name a file; stdin may be the list".to_owned()),
        Some(path) => {
            let data = std::fs::read(path);
            Ok(Some(
                data.map_err(|error| format!("`--data @{path}`: {error}"))?,
            ))
        }
    }
}

/// The lists of checksums, and what in them was passed over.
fn checksums_of(flags: &FetchPlan) -> Result<(ChecksumList, Vec<String>), String> {
    let mut warnings = Vec::new();
    let mut sums = ChecksumList::default();
    for path in &flags.files.checksums {
        let text = source::text(path, "--checksums")?;
        let wrong = |line| {
            format!(
                "`--checksums {}`: line {line} is no checksum and name, as `sha256sum` writes them",
                path.display()
            )
        };
        let odd = sums.add(&text).map_err(wrong)?;
        let odd = odd.into_iter().map(wrong);
        warnings.extend(odd.map(|line| format!("{line}; it is passed over")));
    }
    Ok((sums, warnings))
}

/// How many connections the limit on descriptors allows: each has a socket, a file and its state,
/// and one more for a moment.
fn affordable() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let limit = limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    });
    (limit.saturating_sub(OTHERS) / 4).max(1)
}

/// Descriptors that are not a connection's.
const OTHERS: usize = 24;

/// Fetches one URL after the other, as long as there are any.
async fn take_and_fetch(fetcher: Arc<Fetcher>, items: Arc<Items>, worker: u32) {
    let _leave = fetcher.told.sender();
    while let Some(work) = fetcher.steering.next(&items).await {
        match work {
            Ok(work) => one(&fetcher, work, worker).await,
            Err(why) => {
                fetcher.tell(FetchEvent::Broken(why));
                return fetcher.steering.done();
            }
        }
        fetcher.steering.done();
    }
}

async fn one(fetcher: &Fetcher, work: FetchWork, worker: u32) {
    let number = work.number;
    let since = std::time::Instant::now();
    let (task, name) = (number, Name::NONE);
    let events = &fetcher.board.events;
    events.tell(EventKind::Started {
        task,
        name,
        worker,
        waited: None,
    });
    let job = work.job.as_ref().ok();
    let is_being_named = job.map(|job| Arc::clone(&job.is_being_named));
    let token = fetcher.steering.begin(number);
    let kept = token.is_some().then(|| work.clone());
    let told = fetched(fetcher, work, token.as_ref()).await;
    let has_come = told.how() == TaskEnd::Well;
    events.tell(EventKind::Finished {
        task,
        name,
        worker: Some(worker),
        how: told.how(),
        wall: since.elapsed(),
        cpu: None,
    });
    if let FetchEvent::End {
        state: FetchState::Failed(_),
        ..
    } = told
        && fetcher.flags.transfer.fail_fast
    {
        // Here and not where it is said: by then others would have begun.
        fetcher.stop.cancel();
    }
    fetcher.tell(told);
    if let Some(kept) = kept {
        // Only now: that it is tried again is told after its end.
        fetcher.steering.end(kept, has_come);
    }
    fetcher.going_out.leave(number);
    if is_being_named.is_some_and(|is_so| is_so.load(Ordering::SeqCst)) {
        fetcher.being_named.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What is to be told of it in the end.
async fn fetched(fetcher: &Fetcher, work: FetchWork, token: Option<&CancelToken>) -> FetchEvent {
    let since = std::time::Instant::now();
    let FetchWork { number, text, job } = work;
    let url = text.clone();
    let end = |path, state: FetchState, listed: Option<String>| FetchEvent::End {
        number,
        url,
        path,
        listed: listed.filter(|_| matches!(state, FetchState::Failed(_))),
        state,
        time: since.elapsed(),
    };
    let is_listed = fetcher.flags.files.failed.is_some();
    let job = match job {
        Ok(job) => job,
        Err(state) => return end(None, state, is_listed.then(|| format!("{text}\n"))),
    };
    let listed = is_listed.then(|| job.wanted.listed());
    if fetcher.stop.is_cancelled() || fetcher.steering.is_draining() {
        return end(
            None,
            FetchState::Skipped("stopped before".to_owned()),
            listed,
        );
    }
    if token.is_some_and(CancelToken::is_cancelled) {
        let why = fetcher.steering.why(number);
        return end(None, FetchState::Skipped(why.to_owned()), listed);
    }
    fetcher.tell(FetchEvent::Start {
        number,
        url: text.clone(),
    });
    if fetcher.flags.what.head {
        let head = head::of(fetcher, &job).await;
        return FetchEvent::Head {
            number,
            url: text,
            head,
        };
    }
    let is_being_named = Arc::clone(&job.is_being_named);
    let fetched = AssertUnwindSafe(fetcher.fetch(job)).catch_unwind();
    tokio::pin!(fetched);
    let panicked = || {
        let why = "it panicked, which is a mistake in this program";
        (FetchState::Failed(why.to_owned()), None)
    };
    let given_up = async {
        match token {
            Some(token) => drop(token.cancelled().await),
            None => std::future::pending().await,
        }
        fetcher.steering.why(number)
    };
    let why = tokio::select! {
        biased;
        why = given_up => why,
        _ = fetcher.stop.cancelled() => STOPPED,
        fetched = &mut fetched => {
            let (state, path) = fetched.unwrap_or_else(|_| panicked());
            return end(path, state, listed);
        }
    };
    let (state, path) = match is_being_named.load(Ordering::SeqCst) {
        // It has its name in a moment, or has it already.
        true => fetched.await.unwrap_or_else(|_| panicked()),
        false => {
            fetcher.board.end(number);
            (FetchState::Skipped(why.to_owned()), None)
        }
    };
    end(path, state, listed)
}

fn headers(flags: &FetchPlan) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    if let Some(name) = &flags.request.user_agent {
        let name = HeaderValue::from_str(name);
        headers.insert(
            USER_AGENT,
            name.map_err(|_| "`--user-agent` has a character that no header may have".to_owned())?,
        );
    }
    if let Some(page) = &flags.request.referer {
        let page = HeaderValue::from_str(page);
        headers.insert(
            REFERER,
            page.map_err(|_| "`--referer` has a character that no header may have".to_owned())?,
        );
    }
    if flags.request.compressed {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, br, zstd"));
    }
    if flags.request.data.is_some() {
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, form);
    }
    for header in &flags.request.header {
        let (name, value) = list::header(header)?;
        match name == CONTENT_TYPE || name == USER_AGENT || name == REFERER {
            true => drop(headers.insert(name, value)),
            false => drop(headers.append(name, value)),
        }
    }
    Ok(headers)
}

fn netrc(flags: &FetchPlan) -> Result<Netrc, String> {
    match &flags.request.netrc {
        None => Ok(Netrc::default()),
        Some(Some(path)) => Netrc::read(path),
        Some(None) => {
            let home = std::env::var_os("HOME").unwrap_or_default();
            Netrc::read(&Path::new(&home).join(".netrc"))
        }
    }
}
