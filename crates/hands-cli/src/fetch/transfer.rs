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
use std::time::Duration;

use reqwest::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_RANGE, HeaderMap, IF_RANGE, RANGE,
};
use reqwest::{RequestBuilder, Response, StatusCode, Url};

use super::answer::{
    Speed, conditions, content_range, identity, is_same, refused, seconds, trouble,
};
use super::checksum::{self, Checksum};
use super::client::refused_literal;
use super::list::shown;
use super::name;
use super::part::{Identity, Part};
use super::progress::Running;
use super::state::{Came, Job, State, Target, Trouble, is_shortage};
use super::{Fetcher, Told};

/// Where bytes go while they come.
pub(super) enum Sink {
    Part(Box<Part>),
    Stream(Box<Stream>),
}

/// What goes out as it comes: to stdout, a device, a pipe.
pub(super) struct Stream {
    /// `None`: stdout.
    file: Option<fs::File>,
    pub(super) sent: u64,
    /// What it should be, and what it is so far.
    pub(super) check: Option<(Checksum, checksum::Running)>,
}

impl Stream {
    fn new(file: Option<fs::File>, wanted: Option<Checksum>) -> Stream {
        Stream {
            file,
            sent: 0,
            check: wanted.map(|wanted| {
                let running = checksum::Running::new(&wanted);
                (wanted, running)
            }),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.file {
            Some(file) => file.write_all(bytes)?,
            None => io::stdout().lock().write_all(bytes)?,
        }
        if let Some((_, running)) = &mut self.check {
            running.write_all(bytes)?;
        }
        self.sent += bytes.len() as u64;
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        match &self.file {
            Some(_) => Ok(()),
            None => io::stdout().lock().flush(),
        }
    }
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
    pub(super) headers: HeaderMap,
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
            sink: None,
            path,
            running: self
                .board
                .begin(job.number, &shown(job.wanted.sources[0].as_str())),
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
    /// Opens what is written to as it comes, if it is that. A pipe is waited for until somebody reads it.
    async fn open_stream(&mut self) -> Result<(), Trouble> {
        let file = match &self.job.target {
            Target::Stdout => None,
            Target::Stream(path) => {
                let own = path.clone();
                let open = move || fs::OpenOptions::new().write(true).open(own);
                let opened = self.fetcher.pool.spawn_blocking(open).await;
                let opened = opened.map_err(|error| Trouble::Final(error.to_string()))?;
                let why = |error| Trouble::Final(format!("`{}`: {error}", path.display()));
                Some(opened.map_err(why)?)
            }
            _ => return Ok(()),
        };
        let of_list = || {
            let name = name::of_url(self.job.wanted.sources.first()?)?;
            self.fetcher.checksum_of(Path::new(&name))
        };
        let wanted = self.job.wanted.checksum.clone().or_else(of_list);
        self.sink = Some(Sink::Stream(Box::new(Stream::new(file, wanted))));
        Ok(())
    }

    /// Bytes that are there, and would not have to come again.
    fn kept(&self) -> u64 {
        match &self.sink {
            Some(Sink::Part(part)) => part.received(),
            Some(Sink::Stream(stream)) => stream.sent,
            None => 0,
        }
    }

    async fn all_tries(&mut self) -> State {
        if let Err(Trouble::Final(why)) = self.open_stream().await {
            return State::Failed(why);
        }
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
            let before = self.kept();
            let trouble = match self.one_try(&source).await {
                Ok(Came::Unchanged) => return State::Unchanged,
                Ok(Came::Whole) => match self.finish().await {
                    Ok(state) => return state,
                    // A wrong file is its source's fault.
                    Err(why) => Trouble::Source(why),
                },
                Err(trouble) => trouble,
            };
            match trouble {
                Trouble::Final(why) => return State::Failed(why),
                Trouble::Skip(why) => return State::Skipped(why),
                Trouble::Source(why) => {
                    sources.remove(at);
                    if sources.is_empty() {
                        return State::Failed(why);
                    }
                    at %= sources.len();
                    self.tell_retry(
                        &format!("{why}; the next source is {}", shown(sources[at].as_str())),
                        Duration::ZERO,
                    );
                }
                Trouble::Again(why, after) => {
                    // One that got further has not failed in vain; what would have to come again is not further.
                    tries = if self.kept() > before + (1 << 20) {
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

    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    pub(super) fn tell_retry(&self, why: &str, wait: Duration) {
        self.fetcher.tell(Told::Retry {
            number: self.job.number,
            url: shown(self.job.wanted.sources[0].as_str()),
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
                return self.confirm(source).await;
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
                let is_other = length.is_some() && total.is_some() && total != length;
                // Not all servers look at `If-Range`.
                if start != offset || is_other || !is_same(&self.known(), response.headers()) {
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
                if let Some(Sink::Stream(stream)) = &self.sink
                    && stream.sent > 0
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

    /// What is said to be all there is from an earlier run: the server is asked whether it is still that.
    async fn confirm(&mut self, source: &Url) -> Result<Came, Trouble> {
        let known = self.known();
        let length = self.kept();
        let last = length.saturating_sub(1);
        let mut request = self.request(source);
        request = request.header(RANGE, format!("bytes={last}-{last}"));
        if let Some(validator) = known.validator() {
            request = request.header(IF_RANGE, validator);
        }
        let sent = self.within_idle(request.send(), "the server does not answer");
        let response = sent.await?;
        let is_same = is_same(&known, response.headers());
        match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                let range = content_range(response.headers());
                if is_same && range == Some((last, Some(length))) {
                    self.headers = response.headers().clone();
                    return Ok(Came::Whole);
                }
            }
            StatusCode::OK | StatusCode::NON_AUTHORITATIVE_INFORMATION => {
                let has_said =
                    known.etag.is_some() && identity(response.headers()).etag == known.etag;
                if is_same && has_said && response.content_length() == Some(length) {
                    self.headers = response.headers().clone();
                    return Ok(Came::Whole);
                }
                return self.begin(source, response).await;
            }
            StatusCode::RANGE_NOT_SATISFIABLE => {}
            status => return Err(refused(status, response.headers())),
        }
        self.begin_again()?;
        let why = "what has come is another file than the server has by now";
        Err(Trouble::Again(why.to_owned(), None))
    }

    /// What is known of the file that bytes have come of.
    fn known(&self) -> Identity {
        match &self.sink {
            Some(Sink::Part(part)) => part.identity().clone(),
            _ => identity(&self.headers),
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
            let part = part.map_err(|error| match is_shortage(&error) {
                true => Trouble::from(error),
                false => Trouble::Final(format!("`{}.part`: {error}", path.display())),
            })?;
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
            Some(Sink::Stream(stream)) => (
                stream.sent,
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
            Some(Sink::Stream(stream)) if stream.sent > 0 => Err(Trouble::Final(
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
        let is_elsewhere = !self.job.wanted.sources.contains(response.url());
        let behind_redirects = || name::of_url(response.url()).filter(|_| is_elsewhere);
        let chosen = said.or_else(behind_redirects);
        let own = || folder.join(otherwise);
        let no_clobber = self.fetcher.flags.files.no_clobber;
        let wanted = chosen.as_ref().map_or_else(own, |name| folder.join(name));
        if no_clobber && wanted.exists() {
            return Err(Trouble::Skip(format!(
                "`{}` is there already",
                wanted.display()
            )));
        }
        let mut names = self.fetcher.names.lock();
        let path = match chosen {
            Some(_) => names.claim_new(wanted),
            None => names.claim(wanted),
        };
        drop(names);
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
                Some(Sink::Stream(stream)) => {
                    stream.write(&bytes)?;
                    stream.sent
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
        if let Some(Sink::Stream(stream)) = &mut self.sink {
            stream.flush()?;
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
}
