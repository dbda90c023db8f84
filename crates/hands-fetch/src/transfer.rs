//! One file, from its first try to its state: `ok`, `unchanged`, `skipped` or `failed`.
//!
//! ```text
//! sources ─▶ try: ask from where the part ends ─▶ 206: append   200: begin again   416: whole already   304: unchanged
//!   ▲           │ connection lost, 5xx, too slow, cut short          │
//!   └─ next ◀───┘ wait, longer each time, or as Retry-After says     ▼
//!                                             checksum ─▶ on the disk ─▶ its name
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, Url};
use tokio::time::Instant;

use super::answer::{identity, seconds};
use super::board::RunningFile;
use super::event::FetchEvent;
use super::fetcher::Fetcher;
use super::list::shown;
use super::name;
use super::pace::HostTurns;
use super::part::PartFile;
use super::state::{CameWhole, FetchJob, FetchState, FetchTarget, Trouble, is_shortage};
use super::stream::{self, FetchStream, Out};

/// Where bytes go while they come.
pub(super) enum TransferSink {
    Part(Box<PartFile>),
    Stream(Box<FetchStream>),
}

/// A server that may have the file, and how it went there.
struct PartPlace {
    url: Url,
    tries: u32,
    /// It is not to be asked before.
    ready: Option<Instant>,
    /// How many files its host had given then.
    good: u64,
}

/// Between two looks at a pipe that nobody reads yet.
const NOBODY_YET: Duration = Duration::from_millis(20);

/// Connections that a server had ended before are nobody's fault, up to this number in a row.
const STALE: u32 = 3;

/// A transfer in progress.
pub(super) struct Transfer<'a> {
    pub(super) fetcher: &'a Fetcher,
    pub(super) job: &'a FetchJob,
    pub(super) sink: Option<TransferSink>,
    pub(super) path: Option<PathBuf>,
    pub(super) running: Arc<RunningFile>,
    /// Bytes that came in this run.
    pub(super) received_now: AtomicU64,
    /// What the server says of the file, for its time.
    pub(super) headers: HeaderMap,
    /// That which is asked at the moment.
    pub(super) host: Arc<HostTurns>,
    pub(super) no_segments: bool,
    /// The server has not sent a range that it was asked for.
    pub(super) no_ranges: AtomicBool,
}

impl Fetcher {
    /// Fetches a file.
    pub(crate) async fn fetch(&self, job: FetchJob) -> (FetchState, Option<PathBuf>) {
        let path = match &job.target {
            FetchTarget::File(path) => Some(path.clone()),
            _ => None,
        };
        let mut transfer = Transfer {
            fetcher: self,
            job: &job,
            sink: None,
            path,
            running: self
                .board
                .begin(job.number, &shown(job.wanted.sources[0].as_str())),
            received_now: AtomicU64::new(0),
            headers: HeaderMap::new(),
            host: self.connections.host(&host_of(&job.wanted.sources[0])),
            no_segments: false,
            no_ranges: AtomicBool::new(false),
        };
        let whole = transfer.all_tries();
        let state = match self.flags.transfer.max_time {
            None => whole.await,
            Some(limit) => match tokio::time::timeout(limit, whole).await {
                Ok(state) => state,
                Err(_) => FetchState::Failed(format!("it took longer than {}", seconds(limit))),
            },
        };
        if let Some(TransferSink::Part(part)) = transfer.sink.take() {
            part.drop_if_empty();
        }
        let path = transfer.path.take();
        self.board.end(job.number);
        (state, path)
    }
}

/// What follows from a try that came to nothing.
enum AnswerVerdict {
    Over(FetchState),
    AtOnce,
    /// There again, after so long.
    Later(String, Duration),
    /// Not there again.
    Never(String),
}

impl PartPlace {
    fn wait(&self) -> Duration {
        let ready = self
            .ready
            .map(|ready| ready.saturating_duration_since(Instant::now()));
        ready.unwrap_or_default()
    }
}

/// The one that can be asked first; of several, the next from this one on.
fn soonest(places: &[PartPlace], from: usize) -> usize {
    let turned = (0..places.len()).map(|number| (from + number) % places.len());
    turned.min_by_key(|&at| places[at].wait()).unwrap_or(0)
}

/// Hosts are told apart by name and port.
pub(super) fn host_of(url: &Url) -> String {
    let port = url.port_or_known_default().unwrap_or_default();
    format!("{}:{port}", url.host_str().unwrap_or_default())
}

impl Transfer<'_> {
    /// Opens what is written to as it comes, if it is that. A pipe is waited for until somebody
    /// reads it.
    async fn open_stream(&mut self) -> Result<(), Trouble> {
        let wrong = |error: io::Error| Trouble::Final(format!("it cannot be written: {error}"));
        let out = match &self.job.target {
            FetchTarget::Stdout { waits: false } => Out::Stdout,
            FetchTarget::Stdout { waits: true } => Out::Waiting(stream::nameless().map_err(wrong)?),
            FetchTarget::Stream(path) => loop {
                let why = |error| Trouble::Final(format!("`{}`: {error}", path.display()));
                match stream::open(path).map_err(why)? {
                    Some(out) => break out,
                    None => tokio::time::sleep(NOBODY_YET).await,
                }
            },
            _ => return Ok(()),
        };
        let of_list = || {
            let name = name::of_url(self.job.wanted.sources.first()?)?;
            self.fetcher.checksum_of(Path::new(&name))
        };
        let wanted = self.job.wanted.checksum.clone().or_else(of_list);
        self.sink = Some(TransferSink::Stream(Box::new(FetchStream::new(
            out, wanted,
        ))));
        Ok(())
    }

    /// Bytes that are there, and would not have to come again.
    pub(super) fn kept(&self) -> u64 {
        match &self.sink {
            Some(TransferSink::Part(part)) => part.received(),
            Some(TransferSink::Stream(stream)) => stream.sent,
            None => 0,
        }
    }

    async fn all_tries(&mut self) -> FetchState {
        if let Err(Trouble::Final(why)) = self.open_stream().await {
            return FetchState::Failed(why);
        }
        if let Some(path) = self.path.clone()
            && let Some(state) = self.look(&path).await
        {
            return state;
        }
        if self.fetcher.flags.files.check_integrity {
            let why = "what its name would be is known only to the server; name it with `out=`";
            return FetchState::Failed(why.to_owned());
        }
        let place = |url: &Url| PartPlace {
            url: url.clone(),
            tries: 0,
            ready: None,
            good: 0,
        };
        let mut places: Vec<PartPlace> = self.job.wanted.sources.iter().map(place).collect();
        let mut at = 0;
        let mut stale = 0;
        loop {
            if let Some(ready) = places[at].ready {
                tokio::time::sleep_until(ready).await;
            }
            self.host = self.fetcher.connections.host(&host_of(&places[at].url));
            let source = places[at].url.clone();
            let before = self.kept();
            let trouble = match self.one_try(&source).await {
                Ok(CameWhole::Unchanged) => return FetchState::Unchanged,
                Ok(CameWhole::Whole) => match self.finish().await {
                    Ok(state) => {
                        self.host.gave();
                        return state;
                    }
                    // A wrong file is its source's fault.
                    Err(why) => Trouble::Source(why),
                },
                Err(trouble) => trouble,
            };
            let got_further = self.kept() > before + (1 << 20);
            let (why, wait) = match self.judged(&mut places[at], trouble, got_further, &mut stale) {
                AnswerVerdict::Over(state) => return state,
                AnswerVerdict::AtOnce => continue,
                AnswerVerdict::Later(why, wait) => (why, Some(wait)),
                AnswerVerdict::Never(why) => (why, None),
            };
            let Some(wait) = wait else {
                places.remove(at);
                if places.is_empty() {
                    return FetchState::Failed(self.with_hint(why));
                }
                at = soonest(&places, at);
                let next = shown(places[at].url.as_str());
                let wait = places[at].wait();
                self.tell_retry(&format!("{why}; the next source is {next}"), wait);
                continue;
            };
            places[at].ready = Some(Instant::now() + wait);
            at = soonest(&places, at + 1);
            self.tell_retry(&why, places[at].wait());
        }
    }

    /// What to make of a try that came to nothing.
    fn judged(
        &self,
        place: &mut PartPlace,
        trouble: Trouble,
        got_further: bool,
        stale: &mut u32,
    ) -> AnswerVerdict {
        let transfer = &self.fetcher.flags.transfer;
        let is_repeatable = self.fetcher.flags.request.data.is_none();
        let is_busy = matches!(trouble, Trouble::Busy(..));
        let is_absent = matches!(trouble, Trouble::Absent(_));
        let (why, after) = match trouble {
            Trouble::Final(why) => return AnswerVerdict::Over(FetchState::Failed(why)),
            Trouble::Is(state) => return AnswerVerdict::Over(state),
            Trouble::Source(why) => return AnswerVerdict::Never(why),
            Trouble::Stale(_) if *stale < STALE && is_repeatable => {
                *stale += 1;
                return AnswerVerdict::AtOnce;
            }
            Trouble::Stale(why) | Trouble::Again(why, _) if !is_repeatable => {
                let why = format!("{why}; what was sent may have arrived, so it is not sent again");
                return AnswerVerdict::Over(FetchState::Failed(why));
            }
            Trouble::Stale(why) | Trouble::Absent(why) => (why, None),
            Trouble::Again(why, after) | Trouble::Busy(why, after) => (why, after),
        };
        // One that got further has not failed in vain; what would have to come again is not
        // further. Nor has one that waits while others are served: those since its last try, as
        // answers overtake one another.
        let served = self.host.good();
        let others_were_served = served > std::mem::replace(&mut place.good, served);
        place.tries = match got_further {
            true => 1,
            false if is_busy && others_were_served => place.tries,
            false => place.tries + 1,
        };
        let most = match transfer.retries {
            0 => u32::MAX,
            _ if is_absent && self.host.is_absent() => 1,
            most => most,
        };
        if place.tries >= most {
            if is_absent {
                self.host.is_there(false);
            }
            return AnswerVerdict::Never(match place.tries {
                0 | 1 => why,
                tries => format!("{why} (after {tries} tries)"),
            });
        }
        let longest = transfer.retry_after_max.unwrap_or(Duration::from_secs(300));
        if let Some(after) = after.filter(|&after| after > longest) {
            let after = seconds(after);
            return AnswerVerdict::Never(format!(
                "{why}; the server asks to come back after {after}"
            ));
        }
        let back_off = |tries| self.fetcher.back_off(tries);
        let wait = match is_busy {
            true => self.host.quiet(after, back_off),
            false => after.unwrap_or_else(|| back_off(place.tries)),
        };
        AnswerVerdict::Later(why, wait)
    }

    fn with_hint(&self, why: String) -> String {
        let is_connecting = why.contains("error trying to connect") || why.contains("tcp connect");
        match self.job.wanted.is_assumed && is_connecting {
            true => {
                format!("{why}; `https://` was assumed, and `http://` in front asks without TLS")
            }
            false => why,
        }
    }

    pub(super) fn received(&self) -> u64 {
        self.received_now.load(Ordering::Relaxed)
    }

    pub(super) fn tell_retry(&self, why: &str, wait: Duration) {
        self.fetcher.tell(FetchEvent::Retry {
            number: self.job.number,
            url: shown(self.job.wanted.sources[0].as_str()),
            why: why.to_owned(),
            wait,
        });
    }

    /// A request with what the flags and the list say.
    pub(super) fn request(&self, source: &Url) -> RequestBuilder {
        let method = self.fetcher.flags.request.data.is_some();
        let method = if method { Method::POST } else { Method::GET };
        let mut request = self.fetcher.client.request(method, source.clone());
        if let Some(data) = &self.fetcher.data {
            request = request.body(data.clone());
        }
        request = request.headers(self.job.wanted.headers.clone());
        let request = self.fetcher.authorized(request, source);
        self.fetcher.with_cookies(request, source)
    }

    async fn one_try(&mut self, source: &Url) -> Result<CameWhole, Trouble> {
        let limit = self.fetcher.flags.transfer.timeout;
        let _permit = self.fetcher.connections.permit(&host_of(source)).await;
        let named_by_server =
            matches!(self.job.target, FetchTarget::Named { .. }) && self.path.is_none();
        let fetcher = self.fetcher;
        let _turn = named_by_server.then(|| fetcher.naming.turn(self.job.number));
        match limit {
            None => self.ask(source).await,
            Some(limit) => match tokio::time::timeout(limit, self.ask(source)).await {
                Ok(came) => came,
                Err(_) => Err(Trouble::Again(
                    format!("a try took longer than {}", seconds(limit)),
                    None,
                )),
            },
        }
    }

    /// Opens the part, once it is known which.
    pub(super) fn open_part(&mut self, source: &Url) -> Result<(), Trouble> {
        if let (None, Some(path)) = (&self.sink, &self.path) {
            let mut part = PartFile::open(path, source.as_str());
            if part
                .as_ref()
                .is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
                && let Some(folder) = path.parent()
            {
                fs::create_dir_all(folder).map_err(|error| {
                    Trouble::Final(format!("`{}` cannot be made: {error}", folder.display()))
                })?;
                part = PartFile::open(path, source.as_str());
            }
            let part = part.map_err(|error| match is_shortage(&error) {
                true => Trouble::from(error),
                false => Trouble::Final(format!("`{}.part`: {error}", path.display())),
            })?;
            if part.received() > 0 {
                self.running.resumed(part.received());
            }
            self.sink = Some(TransferSink::Part(Box::new(part)));
        }
        Ok(())
    }

    /// What has come, and what the server can tell by whether it is still the same.
    pub(super) fn begun(&self) -> (u64, Option<String>) {
        match &self.sink {
            Some(TransferSink::Part(part)) => (
                part.received(),
                part.identity().validator().map(str::to_owned),
            ),
            // What went out cannot be taken back, so this needs a validator, too.
            Some(TransferSink::Stream(stream)) => (
                stream.sent,
                identity(&self.headers).validator().map(str::to_owned),
            ),
            None => (0, None),
        }
    }

    pub(super) fn known_length(&self) -> Option<u64> {
        match &self.sink {
            Some(TransferSink::Part(part)) => part.identity().length,
            _ => None,
        }
    }

    pub(super) fn begin_again(&mut self) -> Result<(), Trouble> {
        match &mut self.sink {
            Some(TransferSink::Part(part)) => {
                part.begin_again()?;
                self.running.begin_again();
                Ok(())
            }
            Some(TransferSink::Stream(stream)) => match stream.begin_again()? {
                true => {
                    self.running.begin_again();
                    Ok(())
                }
                false => Err(Trouble::Final(
                    "it was cut short, and the server cannot go on in the middle".to_owned(),
                )),
            },
            None => Ok(()),
        }
    }
}
