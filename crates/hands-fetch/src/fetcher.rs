//! What all transfers share.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use hands::pool::AsyncPool;
use hands::sync::{CancelToken, Mutex};
use reqwest::cookie::CookieStore;
use reqwest::header::{COOKIE, HeaderValue};
use reqwest::{Client, RequestBuilder, Url};

use super::board::{Board, RunningFile};
use super::checksum::{Checksum, ChecksumList};
use super::client::Netrc;
use super::cookies::Cookies;
use super::disk::Disk;
use super::event::FetchEvent;
use super::mailbox::EventBox;
use super::name::TakenNames;
use super::pace::{Connections, Rate};
use super::plan::FetchPlan;
use super::steer::Steering;
use super::turns::FetchTurns;

/// What all transfers share.
pub(crate) struct Fetcher {
    pub(crate) flags: FetchPlan,
    pub(crate) client: Client,
    pub(crate) pool: AsyncPool,
    pub(crate) connections: Connections,
    pub(crate) rate: Option<Rate>,
    pub(crate) board: Board,
    pub(crate) names: Mutex<TakenNames>,
    pub(crate) sums: ChecksumList,
    pub(crate) netrc: Netrc,
    pub(crate) user: Option<(String, String)>,
    pub(crate) cookies: Option<Arc<Cookies>>,
    /// What is sent with each request.
    pub(crate) data: Option<Vec<u8>>,
    pub(crate) disk: Disk,
    /// Names that servers choose are given in this order.
    pub(crate) naming: FetchTurns,
    /// What goes to stdout goes in this order.
    pub(crate) going_out: FetchTurns,
    /// Files that are being given their names, and of which it has not been told.
    pub(crate) being_named: AtomicUsize,
    pub(crate) stop: CancelToken,
    pub(crate) steering: Steering,
    pub(crate) told: EventBox,
}

impl Fetcher {
    pub(crate) fn tell(&self, told: FetchEvent) {
        self.told.put(told);
    }

    /// See [`Fetch::retry`](super::Fetch::retry) and
    /// [`Fetch::retry_failed`](super::Fetch::retry_failed). Returns how many those are.
    pub(crate) fn retry(&self, one: Option<u64>) -> usize {
        self.steering.retry(one, |event| self.tell(event))
    }

    pub(crate) fn authorized(&self, request: RequestBuilder, url: &Url) -> RequestBuilder {
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
    pub(crate) fn with_cookies(&self, request: RequestBuilder, url: &Url) -> RequestBuilder {
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

    pub(crate) async fn keep_rate(&self, running: &RunningFile, bytes: u64) {
        self.steering.wait_while_paused().await;
        if let Some(rate) = &self.rate {
            rate.spend(bytes).await;
        }
        if let Some(rate) = &running.rate {
            rate.spend(bytes).await;
        }
    }

    /// What a file of this name should be, by the lists of checksums.
    pub(crate) fn checksum_of(&self, path: &Path) -> Option<Checksum> {
        if self.sums.is_empty() {
            return None;
        }
        let dir = self.flags.files.dir.as_deref().unwrap_or(Path::new(""));
        let below = path.strip_prefix(dir).unwrap_or(path);
        self.sums.of(&below.to_string_lossy()).cloned()
    }

    /// How long to wait after `tries` tries: twice as long each time, and not all at the same
    /// moment.
    pub(crate) fn back_off(&self, tries: u32) -> Duration {
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
