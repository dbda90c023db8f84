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
mod event;
mod fetcher;
mod finish;
mod head;
mod items;
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
mod start;
mod state;
mod steer;
mod stream;
mod text;
mod there;
mod transfer;
mod turns;
mod work;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hands::event::Events;

use self::fetcher::Fetcher;

pub use self::board::{FetchProgress, FileProgress};
pub use self::event::{FetchError, FetchEvent};
pub use self::plan::{FetchPlan, FilePlan, RequestPlan, TransferPlan, WhatToFetch};
pub use self::source::NamedUrl;
pub use self::state::{FetchState, NOBODY_READS};
pub use self::stream::is_stdout;
pub use self::text::clean;

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
        let (fetcher, warnings) = start::started(plan).map_err(FetchError::new)?;
        Ok(Fetch { fetcher, warnings })
    }

    /// What a plan names, without fetching any of it: for runs that are spread over machines.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn named(plan: &FetchPlan) -> Result<Vec<NamedUrl>, FetchError> {
        source::named(plan).map_err(FetchError::new)
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
        self.fetcher.retry(Some(number)) > 0
    }

    /// Tries all again that have not come. Returns how many those are.
    pub fn retry_failed(&self) -> usize {
        self.fetcher.retry(None)
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
