//! One file, from its first try to its state: `ok`, `unchanged`, `skipped` or `failed`.
//!
//! ```text
//! sources ─▶ try: ask from where the part ends ─▶ 206: append   200: begin again   416: whole already   304: unchanged
//!   ▲           │ connection lost, 5xx, too slow, cut short          │
//!   └─ next ◀───┘ wait, longer each time, or as Retry-After says     ▼
//!                                             checksum ─▶ on the disk ─▶ its name
//! ```

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use reqwest::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderName,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE, RETRY_AFTER,
};
use reqwest::{RequestBuilder, Response, StatusCode, Url};
use tokio::time::Instant;

use super::client::{chain, refused_literal};
use super::list::Wanted;
use super::name;
use super::part::{Identity, Part};
use super::progress::Running;
use super::{Fetcher, Told};

/// What became of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It is there.
    Ok {
        /// Bytes of the file.
        bytes: u64,
        /// Those of them that came in this run.
        received: u64,
    },
    /// What was there is what the server has.
    Unchanged,
    /// It was not asked for.
    Skipped(String),
    Failed(String),
}

/// A file, and where it goes.
pub(crate) struct Job {
    pub(crate) number: u64,
    pub(crate) wanted: Wanted,
    pub(crate) target: Target,
}

#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// A path that nobody else of this run has.
    File(PathBuf),
    /// A folder: the server is to say the name, or else this is it.
    Named {
        folder: PathBuf,
        otherwise: String,
    },
    Stdout,
}

/// Why one that goes to stdout has failed when it is nobody's fault.
pub(super) const NOBODY_READS: &str = "nobody reads stdout any more";

/// Why a try came to nothing.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Another may do better: after so long, if the server has said so.
    Again(String, Option<Duration>),
    /// Another source may do better, and this one will not.
    Source(String),
    /// Nothing will.
    Final(String),
}

impl From<io::Error> for Trouble {
    /// What goes wrong with a file is no affair of the server.
    fn from(error: io::Error) -> Trouble {
        Trouble::Final(match error.kind() {
            io::ErrorKind::StorageFull => "the disk is full; what has come is kept".to_owned(),
            io::ErrorKind::BrokenPipe => NOBODY_READS.to_owned(),
            _ => format!("it cannot be written: {error}"),
        })
    }
}

/// How a try ended well.
pub(super) enum Came {
    Whole,
    Unchanged,
}

/// Where bytes go while they come.
pub(super) enum Sink {
    Part(Box<Part>),
    /// How many have gone out.
    Stdout(u64),
}

/// A transfer in progress.
pub(super) struct Transfer<'a> {
    pub(super) fetcher: &'a Fetcher,
    pub(super) job: &'a Job,
    pub(super) sink: Option<Sink>,
    pub(super) path: Option<PathBuf>,
    pub(super) running: Arc<Running>,
    /// Bytes that came in this run.
    received: AtomicU64,
    /// What the server says of the file, for its time.
    headers: HeaderMap,
    pub(super) no_segments: bool,
    /// The server has not sent a range that it was asked for.
    pub(super) no_ranges: AtomicBool,
}

impl Fetcher {
    /// Fetches a file.
    pub(crate) async fn fetch(&self, job: Job) -> (State, Option<PathBuf>) {
        let path = match &job.target {
            Target::File(path) => Some(path.clone()),
            _ => None,
        };
        let mut transfer = Transfer {
            fetcher: self,
            job: &job,
            sink: matches!(job.target, Target::Stdout).then_some(Sink::Stdout(0)),
            path,
            running: self.board.begin(job.number, job.wanted.sources[0].as_str()),
            received: AtomicU64::new(0),
            headers: HeaderMap::new(),
            no_segments: false,
            no_ranges: AtomicBool::new(false),
        };
        let whole = transfer.all_tries();
        let state = match self.flags.transfer.max_time {
            None => whole.await,
            Some(limit) => match tokio::time::timeout(limit, whole).await {
                Ok(state) => state,
                Err(_) => State::Failed(format!("it took longer than {}", seconds(limit))),
            },
        };
        if let Some(Sink::Part(part)) = transfer.sink.take() {
            part.drop_if_empty();
        }
        let path = transfer.path.take();
        self.board.end(job.number);
        (state, path)
    }
}

impl Transfer<'_> {
    async fn all_tries(&mut self) -> State {
        if let Some(path) = &self.path
            && self.fetcher.flags.files.no_clobber
            && path.exists()
        {
            return State::Skipped("it is there already".to_owned());
        }
        let mut sources: Vec<Url> = self.job.wanted.sources.clone();
        let most = match self.fetcher.flags.transfer.retries {
            0 => u32::MAX,
            most => most,
        };
        let mut tries = 0;
        let mut at = 0;
        loop {
            let source = sources[at].clone();
            let before = self.received();
            let trouble = match self.one_try(&source).await {
                Ok(Came::Unchanged) => return State::Unchanged,
                Ok(Came::Whole) => return self.finish().await,
                Err(trouble) => trouble,
            };
            match trouble {
                Trouble::Final(why) => return State::Failed(why),
                Trouble::Source(why) => {
                    sources.remove(at);
                    if sources.is_empty() {
                        return State::Failed(why);
                    }
                    at %= sources.len();
                    self.tell_retry(
                        &format!("{why}; the next source is {}", sources[at]),
                        Duration::ZERO,
                    );
                }
                Trouble::Again(why, after) => {
                    // One that got further has not failed in vain.
                    tries = if self.received() > before + (1 << 20) {
                        1
                    } else {
                        tries + 1
                    };
                    if tries >= most {
                        return State::Failed(match tries {
                            1 => why,
                            _ => format!("{why} (after {tries} tries)"),
                        });
                    }
                    at = (at + 1) % sources.len();
                    let most_wait = self.fetcher.flags.transfer.retry_after_max;
                    let most_wait = most_wait.unwrap_or(Duration::from_secs(300));
                    if let Some(after) = after.filter(|&after| after > most_wait) {
                        let asked = format!(
                            "{why}; the server asks to come back after {}",
                            seconds(after)
                        );
                        return State::Failed(asked);
                    }
                    let wait = after.unwrap_or_else(|| self.fetcher.back_off(tries));
                    self.tell_retry(&why, wait);
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    fn tell_retry(&self, why: &str, wait: Duration) {
        self.fetcher.tell(Told::Retry {
            number: self.job.number,
            url: self.job.wanted.sources[0].to_string(),
            why: why.to_owned(),
            wait,
        });
    }

    /// A request with what the flags and the list say.
    pub(super) fn request(&self, source: &Url) -> RequestBuilder {
        let mut request = self.fetcher.client.get(source.clone());
        request = request.headers(self.job.wanted.headers.clone());
        self.fetcher.authorized(request, source)
    }

    async fn one_try(&mut self, source: &Url) -> Result<Came, Trouble> {
        let limit = self.fetcher.flags.transfer.timeout;
        let host = source.host_str().unwrap_or_default();
        let _permit = self.fetcher.connections.permit(host).await;
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

    async fn ask(&mut self, source: &Url) -> Result<Came, Trouble> {
        let flags = &self.fetcher.flags;
        if flags.request.no_private
            && let Some(why) = refused_literal(source)
        {
            return Err(Trouble::Source(why));
        }
        self.open_part(source)?;
        if let Some(Sink::Part(part)) = &self.sink {
            if part.received() > 0 && part.is_whole() {
                return Ok(Came::Whole);
            }
            if !part.segments.is_empty() {
                return self.segments(source, None).await;
            }
        }
        let mut request = self.request(source);
        let mut offset = 0;
        let (received, validator) = self.begun();
        match validator {
            Some(validator) if received > 0 => {
                offset = received;
                request = request.header(RANGE, format!("bytes={offset}-"));
                request = request.header(IF_RANGE, validator);
            }
            _ if received > 0 => self.begin_again()?,
            _ => {}
        }
        let mut is_conditional = false;
        if flags.files.timestamping
            && offset == 0
            && let Some(path) = &self.path
        {
            for (name, value) in conditions(path) {
                request = request.header(name, value);
                is_conditional = true;
            }
        }
        let response = self
            .within_idle(request.send(), "the server does not answer")
            .await?;
        let status = response.status();
        match status {
            StatusCode::NOT_MODIFIED if is_conditional => Ok(Came::Unchanged),
            StatusCode::PARTIAL_CONTENT if offset > 0 => {
                let length = self.known_length();
                let (start, total) = content_range(response.headers()).unwrap_or((0, None));
                if start != offset || (length.is_some() && total.is_some() && total != length) {
                    self.begin_again()?;
                    return Err(Trouble::Again(
                        "the server sent another part than it was asked for".to_owned(),
                        None,
                    ));
                }
                self.headers = response.headers().clone();
                self.receive(response).await
            }
            StatusCode::RANGE_NOT_SATISFIABLE if offset > 0 => {
                let total = response
                    .headers()
                    .get(CONTENT_RANGE)
                    .and_then(|range| range.to_str().ok());
                let total =
                    total.and_then(|range| range.strip_prefix("bytes */")?.parse::<u64>().ok());
                if total == Some(offset)
                    && self.known_length().is_none_or(|length| length == offset)
                {
                    return Ok(Came::Whole);
                }
                self.begin_again()?;
                Err(Trouble::Again(
                    "the server has less of it than has come".to_owned(),
                    None,
                ))
            }
            StatusCode::OK | StatusCode::NON_AUTHORITATIVE_INFORMATION => {
                self.name_by(&response)?;
                if let Some(Sink::Stdout(sent)) = self.sink
                    && sent > 0
                {
                    return Err(Trouble::Final(
                        "it was cut short, and the server cannot go on in the middle".to_owned(),
                    ));
                }
                self.begin(source, response).await
            }
            status => Err(refused(status, response.headers())),
        }
    }

    /// Opens the part, once it is known which.
    fn open_part(&mut self, source: &Url) -> Result<(), Trouble> {
        if let (None, Some(path)) = (&self.sink, &self.path) {
            let mut part = Part::open(path, source.as_str());
            if part
                .as_ref()
                .is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
                && let Some(folder) = path.parent()
            {
                fs::create_dir_all(folder).map_err(|error| {
                    Trouble::Final(format!("`{}` cannot be made: {error}", folder.display()))
                })?;
                part = Part::open(path, source.as_str());
            }
            let part = part
                .map_err(|error| Trouble::Final(format!("`{}.part`: {error}", path.display())))?;
            if part.received() > 0 {
                self.running.resumed(part.received());
            }
            self.sink = Some(Sink::Part(Box::new(part)));
        }
        Ok(())
    }

    /// What has come, and what the server can tell by whether it is still the same.
    fn begun(&self) -> (u64, Option<String>) {
        match &self.sink {
            Some(Sink::Part(part)) => (
                part.received(),
                part.identity().validator().map(str::to_owned),
            ),
            // What went out cannot be taken back, so this needs a validator, too.
            Some(Sink::Stdout(sent)) => (
                *sent,
                identity(&self.headers).validator().map(str::to_owned),
            ),
            None => (0, None),
        }
    }

    fn known_length(&self) -> Option<u64> {
        match &self.sink {
            Some(Sink::Part(part)) => part.identity().length,
            _ => None,
        }
    }

    pub(super) fn begin_again(&mut self) -> Result<(), Trouble> {
        match &mut self.sink {
            Some(Sink::Part(part)) => {
                part.begin_again()?;
                self.running.begin_again();
                Ok(())
            }
            Some(Sink::Stdout(sent)) if *sent > 0 => Err(Trouble::Final(
                "it was cut short, and the server cannot go on in the middle".to_owned(),
            )),
            _ => Ok(()),
        }
    }

    /// The name that the server says, where it may.
    fn name_by(&mut self, response: &Response) -> Result<(), Trouble> {
        let Target::Named { folder, otherwise } = &self.job.target else {
            return Ok(());
        };
        if self.path.is_some() {
            return Ok(());
        }
        let said = response.headers().get(CONTENT_DISPOSITION);
        let said = said.and_then(|said| name::of_disposition(said.as_bytes()));
        let behind_redirects = || name::of_url(response.url());
        let name = said
            .or_else(behind_redirects)
            .unwrap_or_else(|| otherwise.clone());
        let path = self.fetcher.names.lock().claim(folder.join(name));
        if self.fetcher.flags.files.no_clobber && path.exists() {
            return Err(Trouble::Final(format!(
                "`{}` is there already",
                path.display()
            )));
        }
        self.path = Some(path);
        Ok(())
    }

    /// A file, from its beginning.
    async fn begin(&mut self, source: &Url, response: Response) -> Result<Came, Trouble> {
        self.open_part(source)?;
        let mut identity = identity(response.headers());
        if self.fetcher.flags.request.compressed {
            // What is stored has another length than what is sent, and none of its places.
            identity = Identity::default();
        } else if let Some(length) = identity.length {
            self.check_size(length)?;
            self.running.expect(length);
        }
        self.headers = response.headers().clone();
        let accepts = response.headers().get(ACCEPT_RANGES);
        let accepts_ranges = accepts.is_some_and(|unit| unit == "bytes");
        if let Some(Sink::Part(part)) = &mut self.sink {
            let segments = match identity.length {
                Some(length)
                    if accepts_ranges && !self.no_segments && identity.validator().is_some() =>
                {
                    super::segments::split(length, self.fetcher.flags.transfer.segments.get())
                }
                _ => Vec::new(),
            };
            let is_split = !segments.is_empty();
            part.begin(source.as_str(), identity, segments)?;
            self.running.begin_again();
            if is_split {
                return self.segments(source, Some(response)).await;
            }
        }
        self.receive(response).await
    }

    /// The rest of it, at the end of what has come.
    async fn receive(&mut self, mut response: Response) -> Result<Came, Trouble> {
        let expected = response.content_length();
        let mut came = 0;
        let mut speed = Speed::new(self.fetcher.flags.transfer.min_speed);
        while let Some(bytes) = self
            .within_idle(response.chunk(), "nothing comes any more")
            .await?
        {
            came += bytes.len() as u64;
            let total = match &mut self.sink {
                Some(Sink::Part(part)) => {
                    part.append(&bytes)?;
                    part.received()
                }
                Some(Sink::Stdout(sent)) => {
                    io::stdout().lock().write_all(&bytes)?;
                    *sent += bytes.len() as u64;
                    *sent
                }
                None => return Err(Trouble::Final("there is nowhere to put it".to_owned())),
            };
            self.check_size(total)?;
            self.note(bytes.len() as u64).await;
            speed.check(bytes.len() as u64)?;
        }
        if let Some(expected) = expected.filter(|&expected| expected != came) {
            return Err(Trouble::Again(
                format!("{came} bytes came of {expected}"),
                None,
            ));
        }
        if matches!(self.sink, Some(Sink::Stdout(_))) {
            io::stdout().lock().flush()?;
        }
        Ok(Came::Whole)
    }

    /// Bytes have come: counted, and kept to the rates.
    pub(super) async fn note(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
        self.running.received(bytes);
        self.fetcher.connections.did(bytes);
        self.fetcher.keep_rate(&self.running, bytes).await;
    }

    fn check_size(&self, bytes: u64) -> Result<(), Trouble> {
        let flags = &self.fetcher.flags.request;
        let most = flags.max_size.or(flags.compressed.then_some(4 << 30));
        match most.filter(|&most| bytes > most) {
            Some(most) => Err(Trouble::Final(format!(
                "it is larger than {most} bytes, which --max-size allows"
            ))),
            None => Ok(()),
        }
    }

    /// No longer than nothing may come.
    pub(super) async fn within_idle<T>(
        &self,
        wait: impl Future<Output = Result<T, reqwest::Error>>,
        what: &str,
    ) -> Result<T, Trouble> {
        let limit = self.fetcher.flags.transfer.idle_timeout;
        let limit = limit.unwrap_or(Duration::from_secs(30));
        match tokio::time::timeout(limit, wait).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(trouble(error)),
            Err(_) => Err(Trouble::Again(
                format!("{what} (waited {})", seconds(limit)),
                None,
            )),
        }
    }

    /// Checks it, and gives it its name.
    async fn finish(&mut self) -> State {
        let part = match self.sink.take() {
            Some(Sink::Part(part)) => part,
            _ => {
                let received = self.received();
                return State::Ok {
                    bytes: received,
                    received,
                };
            }
        };
        let named = async {
            let whole = part.finish()?;
            let expected = self.job.wanted.size.filter(|&size| size != whole.length);
            if let Some(size) = expected {
                let bad = whole.set_aside()?;
                return Ok(Err(format!(
                    "it has {} bytes and not {size}; it is kept as `{}`",
                    whole.length,
                    bad.display()
                )));
            }
            let checksum = self.job.wanted.checksum.clone();
            let checksum = checksum.or_else(|| self.fetcher.checksum_of(&whole.name));
            if let Some(checksum) = checksum {
                let path = whole.part.clone();
                let wanted = checksum.clone();
                let checked = self
                    .fetcher
                    .pool
                    .spawn_blocking(move || checksum.check(&path));
                match checked.await {
                    Ok(Ok(Ok(()))) => {}
                    Ok(Ok(Err(found))) => {
                        let bad = whole.set_aside()?;
                        return Ok(Err(format!(
                            "its checksum is {found} and not {wanted}; it is kept as `{}`",
                            bad.display()
                        )));
                    }
                    Ok(Err(error)) => return Err(error),
                    Err(error) => return Err(io::Error::other(error)),
                }
            }
            if self.fetcher.flags.files.timestamping {
                date(&whole.file, &self.headers);
            }
            let bytes = whole.length;
            self.fetcher.disk.name(whole).await?;
            Ok(Ok(bytes))
        };
        match named.await {
            Ok(Ok(bytes)) => {
                self.fetcher.connections.did_file();
                State::Ok {
                    bytes,
                    received: self.received(),
                }
            }
            Ok(Err(why)) => State::Failed(why),
            Err(error) => match Trouble::from(error) {
                Trouble::Again(why, _) | Trouble::Source(why) | Trouble::Final(why) => {
                    State::Failed(why)
                }
            },
        }
    }
}

/// Too slow is as good as gone.
struct Speed {
    least: Option<u64>,
    since: Instant,
    came: u64,
}

impl Speed {
    const OVER: Duration = Duration::from_secs(10);

    fn new(least: Option<u64>) -> Speed {
        Speed {
            least,
            since: Instant::now(),
            came: 0,
        }
    }

    fn check(&mut self, bytes: u64) -> Result<(), Trouble> {
        let Some(least) = self.least else {
            return Ok(());
        };
        self.came += bytes;
        let time = self.since.elapsed();
        if time < Speed::OVER {
            return Ok(());
        }
        if (self.came as f64) < least as f64 * time.as_secs_f64() {
            return Err(Trouble::Again(
                format!("it was slower than {least} bytes a second"),
                None,
            ));
        }
        *self = Speed::new(Some(least));
        Ok(())
    }
}

/// Whether another try is worth it.
pub(super) fn trouble(error: reqwest::Error) -> Trouble {
    let is_for_ever = error.is_builder() || error.is_redirect();
    let why = chain(&error.without_url());
    if is_for_ever || why.contains("--no-private") {
        return Trouble::Source(why);
    }
    Trouble::Again(why, None)
}

/// What to make of a status that brings no file.
pub(super) fn refused(status: StatusCode, headers: &HeaderMap) -> Trouble {
    let why = format!("the server says {status}");
    let is_passing = matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504);
    if is_passing {
        return Trouble::Again(why, retry_after(headers));
    }
    Trouble::Source(why)
}

/// How long the server wants to be left alone.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(text).ok()?;
    Some(at.duration_since(SystemTime::now()).unwrap_or_default())
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

fn identity(headers: &HeaderMap) -> Identity {
    Identity {
        etag: text(headers, ETAG),
        last_modified: text(headers, LAST_MODIFIED),
        length: text(headers, CONTENT_LENGTH).and_then(|length| length.parse().ok()),
    }
}

/// The first byte of an answer, and the length of the whole.
pub(super) fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let range = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = range.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.trim().parse().ok()?, total.trim().parse().ok()))
}

/// Where the ETag of a file is kept.
const ETAG_KEPT: &str = "user.hands.etag";

/// What to ask by, whether a file that is there is still the same.
fn conditions(path: &Path) -> Vec<(HeaderName, String)> {
    let Ok(metadata) = fs::metadata(path) else {
        return Vec::new();
    };
    let mut conditions = Vec::new();
    let mut etag = [0; 1024];
    if let Ok(length) = rustix::fs::getxattr(path, ETAG_KEPT, &mut etag[..])
        && let Ok(etag) = std::str::from_utf8(&etag[..length])
    {
        conditions.push((IF_NONE_MATCH, etag.to_owned()));
    }
    if let Ok(modified) = metadata.modified() {
        conditions.push((IF_MODIFIED_SINCE, httpdate::fmt_http_date(modified)));
    }
    conditions
}

/// Gives a file the time and the ETag that the server says; where that cannot be done it is fetched again the next time.
fn date(file: &fs::File, headers: &HeaderMap) {
    let modified =
        text(headers, LAST_MODIFIED).and_then(|date| httpdate::parse_http_date(&date).ok());
    if let Some(modified) = modified {
        let _ = file.set_modified(modified);
    }
    if let Some(etag) = text(headers, ETAG) {
        let _ = rustix::fs::fsetxattr(
            file,
            ETAG_KEPT,
            etag.as_bytes(),
            rustix::fs::XattrFlags::empty(),
        );
    }
}

pub(super) fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}
