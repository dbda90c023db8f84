//! `hands fetch --cluster`: a list of downloads, spread over workers.
//!
//! Who has the list gives each file its name, as if it fetched all of them itself; so no two
//! workers write one file. A worker fetches its share as `hands fetch` does, and tells how each
//! URL ended.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use hands::pool::CoroutinePool;
use hands::task::{Handle, TaskError};
use hands_cluster::{Cluster, RunFiles};
use hands_fetch::{Fetch, FetchEvent, FetchPlan, FetchProgress, FetchState, NamedUrl};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::access::{AccessPlan, with_access};
use super::files::within;
use super::runner;
use crate::fetch::Downloads;

/// The program that an owner allows, if others may fetch files here.
const PROGRAM: &[u8] = b"hands";
/// A worker's share is no longer than this.
const MOST: usize = 64;
/// Each slot gets so many shares in turn.
const SHARES: usize = 4;
/// So long something new is waited for.
const LOOK: Duration = Duration::from_millis(100);

/// A worker's share of the list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FetchShare {
    run: String,
    plan: FetchPlan,
    /// As a file with URLs has them.
    list: String,
    /// Files are brought to who has asked, and not left here.
    is_returned: bool,
}

/// How a URL ended; its place is that in the share.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FetchedUrl {
    number: u64,
    state: FetchState,
    path: Option<PathBuf>,
    time: Duration,
    /// Where the file is stored, if it is to be brought.
    stored: Option<String>,
}

/// Fetches a share of a list.
#[hands::task]
pub(crate) async fn run_fetch(share: FetchShare) -> Result<Vec<FetchedUrl>, String> {
    let rules = runner::rules();
    let name = &rules.name;
    if !rules.allowed.has(PROGRAM) {
        return Err(format!(
            "the worker {name} fetches nothing: its owner allows {}, and not `hands`",
            rules.allowed.told()
        ));
    }
    let stop = StopFlag::default();
    let guard = StopGuard(Arc::clone(&stop.0));
    let (give, ends) = oneshot::channel();
    let files = hands_cluster::current_task().and_then(|task| task.files());
    let files = files.filter(|_| share.is_returned);
    let run = share.run.clone();
    let folder = match share.is_returned {
        false => None,
        true => {
            Some(tempfile::tempdir().map_err(|error| format!("no folder can be made: {error}"))?)
        }
    };
    let own = folder.as_ref().map(|folder| folder.path().to_owned());
    let thread = std::thread::Builder::new().name("hands-fetch".to_owned());
    let fetches = move || {
        let _ = give.send(fetch_here(share, own, &stop));
    };
    let started = thread.spawn(fetches);
    started.map_err(|error| format!("cannot start a thread: {error}"))?;
    let ends = ends
        .await
        .unwrap_or_else(|_| Err("the worker is ending".to_owned()));
    let mut ends = ends?;
    drop(guard);
    if let (Some(files), Some(folder)) = (files, &folder) {
        for end in &mut ends {
            let Some(path) = &end.path else { continue };
            if matches!(end.state, FetchState::Ok { .. }) {
                match files.put(&run, path).await {
                    Ok(stored) => end.stored = Some(stored),
                    Err(why) => end.state = FetchState::Failed(why),
                }
            }
            end.path = path.strip_prefix(folder.path()).ok().map(Path::to_owned);
        }
    }
    Ok(ends)
}

#[derive(Clone, Default)]
struct StopFlag(Arc<AtomicBool>);

/// Dropped with the task: nobody wants its files any more.
struct StopGuard(Arc<AtomicBool>);

impl Drop for StopGuard {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// In this folder, if one is named.
fn fetch_here(
    share: FetchShare,
    folder: Option<PathBuf>,
    stop: &StopFlag,
) -> Result<Vec<FetchedUrl>, String> {
    let lists = tempfile::tempdir().map_err(|error| format!("no folder can be made: {error}"))?;
    let list = lists.path().join("list");
    std::fs::write(&list, &share.list).map_err(|error| format!("`{}`: {error}", list.display()))?;
    let mut plan = share.plan;
    plan.what.input_file = vec![list];
    if folder.is_some() {
        plan.files.dir = folder;
    }
    let fetch = Fetch::start(plan).map_err(|error| error.to_string())?;
    let mut ends = Vec::new();
    loop {
        let (events, is_more) = fetch.wait();
        for event in events {
            match event {
                FetchEvent::End {
                    number,
                    path,
                    state,
                    time,
                    ..
                } => ends.push(FetchedUrl {
                    number,
                    state,
                    path,
                    time,
                    stored: None,
                }),
                FetchEvent::Broken(why) => return Err(why),
                _ => {}
            }
        }
        if !is_more {
            return Ok(ends);
        }
        if stop.0.load(Ordering::SeqCst) {
            fetch.stop();
        }
    }
}

/// Downloads on other machines.
pub(crate) struct ClusterFetch {
    cluster: Cluster,
    files: RunFiles,
    dir: PathBuf,
    is_returned: bool,
    slots: usize,
    shares: Mutex<HashMap<u64, SentShare>>,
    events: Mutex<Vec<FetchEvent>>,
    bell: Arc<FetchBell>,
    bytes: AtomicU64,
}

struct SentShare {
    handle: Handle<Result<Vec<FetchedUrl>, String>>,
    urls: Vec<NamedUrl>,
}

#[derive(Default)]
struct FetchBell {
    has_rung: Mutex<bool>,
    rings: Condvar,
}

impl Wake for FetchBell {
    fn wake(self: Arc<Self>) {
        *self.has_rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.rings.notify_all();
    }
}

impl ClusterFetch {
    /// Names the files, and sends the list in shares.
    pub(crate) fn start(
        access: &AccessPlan,
        label: Option<&str>,
        mut plan: FetchPlan,
        is_returned: bool,
    ) -> Result<ClusterFetch, String> {
        let here =
            std::env::current_dir().map_err(|error| format!("the current folder: {error}"))?;
        let dir = here.join(plan.files.dir.clone().unwrap_or_default());
        plan.files.dir = Some(dir.clone());
        let urls = Fetch::named(&plan).map_err(|error| error.to_string())?;
        plan.what = hands_fetch::WhatToFetch::default();
        plan.files.failed = None;
        plan.files.checksum = None;
        for path in [
            &mut plan.request.cacert,
            &mut plan.request.cert,
            &mut plan.request.key,
        ] {
            *path = path.take().map(|path| here.join(path));
        }
        let access = access.resolve()?;
        let mut builder = with_access!(Cluster::builder(&access.url), access);
        if let Some(label) = label {
            builder = builder.label(label);
        }
        let cluster = builder.connect().map_err(|error| error.to_string())?;
        cluster.ask_statuses(LOOK);
        let slots = cluster.statuses().iter().map(|status| status.slots).sum();
        let fetch = ClusterFetch {
            files: cluster.files(),
            dir,
            is_returned,
            slots,
            shares: Mutex::default(),
            events: Mutex::new(vec![FetchEvent::Total(urls.len() as u64)]),
            bell: Arc::default(),
            bytes: AtomicU64::new(0),
            cluster,
        };
        fetch.send(urls, &plan);
        Ok(fetch)
    }

    fn send(&self, urls: Vec<NamedUrl>, plan: &FetchPlan) {
        let mut wanted = Vec::new();
        for url in urls {
            match &url.entry {
                Ok(_) => wanted.push(url),
                Err(state) => {
                    let state = state.clone();
                    self.tell(&url, None, state, Duration::ZERO, None);
                }
            }
        }
        let size = wanted
            .len()
            .div_ceil((self.slots * SHARES).max(1))
            .clamp(1, MOST);
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        for (number, urls) in (0..).zip(wanted.chunks(size)) {
            let list = urls.iter().filter_map(|url| url.entry.as_deref().ok());
            let share = FetchShare {
                run: self.cluster.run_id().to_owned(),
                plan: plan.clone(),
                list: list.collect(),
                is_returned: self.is_returned,
            };
            for url in urls {
                self.push(FetchEvent::Start {
                    number: url.number,
                    url: url.text.clone(),
                });
            }
            let sent = SentShare {
                handle: self.cluster.submit_async(run_fetch, share),
                urls: urls.to_vec(),
            };
            shares.insert(number, sent);
        }
    }

    fn push(&self, event: FetchEvent) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.push(event);
    }

    fn tell(
        &self,
        url: &NamedUrl,
        path: Option<PathBuf>,
        state: FetchState,
        time: Duration,
        listed: Option<String>,
    ) {
        if let FetchState::Ok { received, .. } = state {
            self.bytes.fetch_add(received, Ordering::Relaxed);
        }
        self.push(FetchEvent::End {
            number: url.number,
            url: url.text.clone(),
            path,
            state,
            time,
            listed,
        });
    }

    /// Takes in which shares have ended. Whether more are under way.
    fn hear(&self) -> bool {
        let waker = Waker::from(Arc::clone(&self.bell));
        let mut context = Context::from_waker(&waker);
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ended = Vec::new();
        for (&number, share) in shares.iter_mut() {
            if let Poll::Ready(outcome) = Pin::new(&mut share.handle).poll(&mut context) {
                ended.push((number, outcome));
            }
        }
        for (number, outcome) in ended {
            if let Some(share) = shares.remove(&number) {
                self.share_ended(&share.urls, outcome);
            }
        }
        !shares.is_empty()
    }

    fn share_ended(
        &self,
        urls: &[NamedUrl],
        outcome: Result<Result<Vec<FetchedUrl>, String>, TaskError>,
    ) {
        let why = match outcome {
            Ok(Ok(ends)) => {
                let mut left: HashMap<u64, FetchedUrl> =
                    ends.into_iter().map(|end| (end.number, end)).collect();
                for (place, url) in (1..).zip(urls) {
                    match left.remove(&place) {
                        Some(end) => self.url_ended(url, end),
                        None => {
                            let why = "its worker did not tell what became of it".to_owned();
                            self.failed(url, why);
                        }
                    }
                }
                return;
            }
            Ok(Err(why)) => why,
            Err(TaskError::Cancelled) => "stopped; what has come is kept".to_owned(),
            Err(TaskError::NoWorker { .. }) => {
                "no worker takes it\n  hint: `hands worker URL --allow hands` starts one".to_owned()
            }
            Err(error) => error.to_string(),
        };
        for url in urls {
            self.failed(url, why.clone());
        }
    }

    fn failed(&self, url: &NamedUrl, why: String) {
        let listed = url.entry.clone().ok();
        self.tell(url, None, FetchState::Failed(why), Duration::ZERO, listed);
    }

    fn url_ended(&self, url: &NamedUrl, end: FetchedUrl) {
        let (mut state, mut path) = (end.state, end.path);
        if let (Some(stored), Some(name)) = (&end.stored, &path) {
            match self.bring(name, stored) {
                Ok(there) => path = Some(there),
                Err(why) => state = FetchState::Failed(format!("it could not be brought: {why}")),
            }
        }
        // What failed is listed as it was sent: with the name that its file is to have.
        let has_failed = matches!(state, FetchState::Failed(_));
        let listed = url.entry.clone().ok().filter(|_| has_failed);
        self.tell(url, path, state, end.time, listed);
    }

    /// A file has its name when it is whole.
    fn bring(&self, name: &Path, stored: &str) -> Result<PathBuf, String> {
        use std::os::unix::ffi::OsStrExt;
        let path = within(&self.dir, name.as_os_str().as_bytes())?;
        super::travel::fetch_one(&path, stored, &self.files)?;
        self.files.remove(stored);
        Ok(path)
    }
}

impl Downloads for ClusterFetch {
    fn wait(&self) -> (Vec<FetchEvent>, bool) {
        let is_more = self.hear();
        let events = self.take();
        if !events.is_empty() || !is_more {
            return (events, is_more);
        }
        let rung = self
            .bell
            .has_rung
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .bell
            .rings
            .wait_timeout_while(rung, LOOK, |rung| !*rung);
        let (mut rung, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *rung = false;
        (Vec::new(), true)
    }

    fn take(&self) -> Vec<FetchEvent> {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *events)
    }

    fn stop(&self) {
        let shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        for share in shares.values() {
            share.handle.cancel();
        }
    }

    fn is_naming(&self) -> bool {
        false
    }

    fn progress(&self) -> FetchProgress {
        FetchProgress {
            bytes: self.bytes.load(Ordering::Relaxed),
            files: Vec::new(),
        }
    }

    fn connections(&self) -> usize {
        self.slots
    }
}
