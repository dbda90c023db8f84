//! One try: what is asked, what the answer means, and how it is received.
//!
//! Every piece of a file belongs to one representation (RFC 9110, 13.1.5 and 15.3.7.3): each answer
//! is compared with what is known of it, its validators and its whole length; where they differ all
//! begins again.

use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::header::{ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_RANGE, HeaderMap, IF_RANGE, RANGE};
use reqwest::{Response, StatusCode, Url};

use super::answer::{
    Speed, conditions, content_range, identity, is_same, odd_location, refused, seconds, trouble,
};
use super::client::refused_literal;
use super::part::Identity;
use super::state::{CameWhole, Trouble};
use super::transfer::{Transfer, TransferSink};

/// What an answer has come to.
enum Step {
    Came(CameWhole),
    /// It is to be asked for again, since by now more is known.
    Again,
    Elsewhere(Url),
}

/// One request: for what comes after this offset, and whether it may be answered by "unchanged".
struct FetchAsk {
    request: reqwest::RequestBuilder,
    offset: u64,
    is_conditional: bool,
}

/// Unpacks what a server calls `gzip` or `x-gzip`, of one member or of several.
type Unzip = flate2::write::MultiGzDecoder<Vec<u8>>;

impl Transfer<'_> {
    pub(super) async fn ask(&mut self, source: &Url) -> Result<CameWhole, Trouble> {
        let most = self.fetcher.flags.request.max_redirects;
        let mut url = source.clone();
        for _ in 0..=most.saturating_add(2) {
            match self.ask_once(source, &url).await? {
                Step::Came(came) => return Ok(came),
                Step::Again => {}
                Step::Elsewhere(other) if other.host() == url.host() => url = other,
                Step::Elsewhere(_) => {
                    let why = "the server sends to another host, by an address that is no text";
                    return Err(Trouble::Source(why.to_owned()));
                }
            }
        }
        Err(Trouble::Source(format!("more than {most} redirects")))
    }

    /// Waits for the answer; the server is there.
    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Response, Trouble> {
        let sent = self
            .within_idle(request.send(), "the server does not answer")
            .await;
        if sent.is_ok() {
            self.host.is_there(true);
        }
        sent
    }

    fn refused(&self, response: &Response) -> Trouble {
        let more = &self.fetcher.flags.transfer.retry_on_http_error;
        refused(response.status(), response.headers(), more)
    }

    /// `url` is where `source` has led to.
    async fn ask_once(&mut self, source: &Url, url: &Url) -> Result<Step, Trouble> {
        let flags = &self.fetcher.flags;
        if flags.request.no_private
            && let Some(why) = refused_literal(url)
        {
            return Err(Trouble::Source(why));
        }
        self.open_part(source)?;
        if let Some(TransferSink::Part(part)) = &self.sink {
            if part.received() > 0 && part.is_whole() {
                return self.confirm(source, url).await.map(Step::Came);
            }
            if !part.segments.is_empty() {
                return self.segments(source, None).await.map(Step::Came);
            }
        }
        let FetchAsk {
            request,
            offset,
            is_conditional,
        } = self.asked(url)?;
        let response = self.send(request).await?;
        if let Some(url) = odd_location(response.status(), url, response.headers()) {
            return Ok(Step::Elsewhere(url));
        }
        self.answered(source, response, offset, is_conditional)
            .await
    }

    /// The request, for what has not come yet.
    fn asked(&mut self, url: &Url) -> Result<FetchAsk, Trouble> {
        let mut request = self.request(url);
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
        if let Some(range) = &self.fetcher.flags.request.range {
            request = request.header(RANGE, format!("bytes={range}"));
        }
        let flags = &self.fetcher.flags;
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
        Ok(FetchAsk {
            request,
            offset,
            is_conditional,
        })
    }

    /// What the answer to a request from this offset on means.
    async fn answered(
        &mut self,
        source: &Url,
        response: Response,
        offset: u64,
        is_conditional: bool,
    ) -> Result<Step, Trouble> {
        let flags = &self.fetcher.flags;
        let status = response.status();
        match status {
            StatusCode::NOT_MODIFIED if is_conditional => Ok(Step::Came(CameWhole::Unchanged)),
            StatusCode::PARTIAL_CONTENT if flags.request.range.is_some() => {
                self.name_by(&response).await?;
                self.begin(source, response).await.map(Step::Came)
            }
            _ if flags.request.range.is_some() && status.is_success() => Err(Trouble::Source(
                "the server sends all of it, and no range of bytes".to_owned(),
            )),
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
                self.receive(response, None).await.map(Step::Came)
            }
            StatusCode::RANGE_NOT_SATISFIABLE if offset > 0 => {
                self.nothing_more(response.headers(), offset)
            }
            StatusCode::OK | StatusCode::NON_AUTHORITATIVE_INFORMATION => {
                let is_new = self.name_by(&response).await?;
                if is_new && self.goes_on(source, response.headers())? {
                    // What has come of it before is found by its name, which is known only now.
                    return Ok(Step::Again);
                }
                if matches!(self.sink, Some(TransferSink::Stream(_))) {
                    self.begin_again()?;
                }
                self.begin(source, response).await.map(Step::Came)
            }
            _ => Err(self.refused(&response)),
        }
    }

    /// The server has nothing from this offset on: all has come, or too much.
    fn nothing_more(&mut self, headers: &HeaderMap, offset: u64) -> Result<Step, Trouble> {
        let total = headers
            .get(CONTENT_RANGE)
            .and_then(|range| range.to_str().ok());
        let total = total.and_then(|range| range.strip_prefix("bytes */")?.parse::<u64>().ok());
        if total == Some(offset) && self.known_length().is_none_or(|length| length == offset) {
            return Ok(Step::Came(CameWhole::Whole));
        }
        self.begin_again()?;
        Err(Trouble::Again(
            "the server has less of it than has come".to_owned(),
            None,
        ))
    }

    /// Whether a part of an earlier run is part of what an answer is about.
    fn goes_on(&mut self, source: &Url, headers: &HeaderMap) -> Result<bool, Trouble> {
        self.open_part(source)?;
        let Some(TransferSink::Part(part)) = &self.sink else {
            return Ok(false);
        };
        let known = part.identity();
        Ok(part.received() > 0
            && known.validator().is_some()
            && known.length == identity(headers).length
            && is_same(known, headers))
    }

    /// What is said to be all there is from an earlier run: the server is asked whether it is still
    /// that.
    async fn confirm(&mut self, source: &Url, url: &Url) -> Result<CameWhole, Trouble> {
        let known = self.known();
        let length = self.kept();
        let last = length.saturating_sub(1);
        let mut request = self.request(url);
        request = request.header(RANGE, format!("bytes={last}-{last}"));
        if let Some(validator) = known.validator() {
            request = request.header(IF_RANGE, validator);
        }
        let response = self.send(request).await?;
        let is_same = is_same(&known, response.headers());
        match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                let range = content_range(response.headers());
                if is_same && range == Some((last, Some(length))) {
                    self.headers = response.headers().clone();
                    return Ok(CameWhole::Whole);
                }
            }
            StatusCode::OK | StatusCode::NON_AUTHORITATIVE_INFORMATION => {
                let has_said =
                    known.etag.is_some() && identity(response.headers()).etag == known.etag;
                if is_same && has_said && response.content_length() == Some(length) {
                    self.headers = response.headers().clone();
                    return Ok(CameWhole::Whole);
                }
                return self.begin(source, response).await;
            }
            StatusCode::RANGE_NOT_SATISFIABLE => {}
            _ => return Err(self.refused(&response)),
        }
        self.begin_again()?;
        let why = "what has come is another file than the server has by now";
        Err(Trouble::Again(why.to_owned(), None))
    }

    /// What is known of the file that bytes have come of.
    fn known(&self) -> Identity {
        match &self.sink {
            Some(TransferSink::Part(part)) => part.identity().clone(),
            _ => identity(&self.headers),
        }
    }

    /// A file, from its beginning.
    async fn begin(&mut self, source: &Url, response: Response) -> Result<CameWhole, Trouble> {
        self.open_part(source)?;
        let mut identity = identity(response.headers());
        let request = &self.fetcher.flags.request;
        let is_whole_file = request.range.is_none() && request.data.is_none();
        if request.compressed || !is_whole_file {
            // What is stored has another length than what is sent, and none of its places; what
            // answers a question is never the same again.
            identity = Identity::default();
        } else if let Some(length) = identity.length {
            self.check_size(length)?;
            self.running.expect(length);
        }
        self.headers = response.headers().clone();
        let accepts = response.headers().get(ACCEPT_RANGES);
        let accepts_ranges = accepts.is_some_and(|unit| unit == "bytes");
        if let Some(TransferSink::Part(part)) = &mut self.sink {
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
        let encoding = response.headers().get(CONTENT_ENCODING);
        let is_gzip = encoding.is_some_and(|encoding| {
            let encoding = encoding.as_bytes().to_ascii_lowercase();
            encoding == b"gzip" || encoding == b"x-gzip"
        });
        let unzip =
            (self.fetcher.flags.request.compressed && is_gzip).then(|| Unzip::new(Vec::new()));
        self.receive(response, unzip).await
    }

    /// The rest of it, at the end of what has come.
    async fn receive(
        &mut self,
        mut response: Response,
        mut unzip: Option<Unzip>,
    ) -> Result<CameWhole, Trouble> {
        let expected = response.content_length();
        let damaged = |error| Trouble::Again(format!("it cannot be unpacked: {error}"), None);
        let mut came = 0;
        let mut speed = Speed::new(self.fetcher.flags.transfer.min_speed);
        while let Some(bytes) = self
            .within_idle(response.chunk(), "nothing comes any more")
            .await?
        {
            came += bytes.len() as u64;
            let unpacked = match &mut unzip {
                Some(unzip) => {
                    unzip.write_all(&bytes).map_err(damaged)?;
                    Some(std::mem::take(unzip.get_mut()))
                }
                None => None,
            };
            let stored = unpacked.as_deref().unwrap_or(&bytes);
            let total = self.store(stored)?;
            self.check_size(total)?;
            self.note(stored.len() as u64).await;
            speed.check(bytes.len() as u64)?;
        }
        if let Some(expected) = expected.filter(|&expected| expected != came) {
            return Err(Trouble::Again(
                format!("{came} bytes came of {expected}"),
                None,
            ));
        }
        if let Some(unzip) = unzip.filter(|_| came > 0) {
            let rest = unzip.finish().map_err(damaged)?;
            let total = self.store(&rest)?;
            self.check_size(total)?;
            self.note(rest.len() as u64).await;
        }
        if let Some(TransferSink::Stream(stream)) = &mut self.sink {
            stream.flush()?;
        }
        Ok(CameWhole::Whole)
    }

    /// Puts bytes where they belong; how many there are by now.
    fn store(&mut self, bytes: &[u8]) -> Result<u64, Trouble> {
        Ok(match &mut self.sink {
            Some(TransferSink::Part(part)) => {
                part.append(bytes)?;
                part.received()
            }
            Some(TransferSink::Stream(stream)) => {
                stream.write(bytes)?;
                stream.sent
            }
            None => return Err(Trouble::Final("there is nowhere to put it".to_owned())),
        })
    }

    /// Bytes have come: counted, and kept to the rates.
    pub(super) async fn note(&self, bytes: u64) {
        self.received_now.fetch_add(bytes, Ordering::Relaxed);
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
