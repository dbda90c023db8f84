//! What a server's answer says: whether another try is worth it and when, what file it is about,
//! how fast it comes.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use reqwest::header::{
    CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    LAST_MODIFIED, LOCATION, RETRY_AFTER,
};
use reqwest::{StatusCode, Url};
use tokio::time::Instant;

use super::client::chain;
use super::part::{Identity, known_as};
use super::state::Trouble;

/// Too slow is as good as gone.
pub(super) struct Speed {
    least: Option<u64>,
    since: Instant,
    came: u64,
}

impl Speed {
    const OVER: Duration = Duration::from_secs(10);

    pub(super) fn new(least: Option<u64>) -> Speed {
        Speed {
            least,
            since: Instant::now(),
            came: 0,
        }
    }

    pub(super) fn check(&mut self, bytes: u64) -> Result<(), Trouble> {
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
    let is_connect = error.is_connect();
    let is_unanswered = error.is_request() && !is_connect;
    let why = chain(&error.without_url());
    let has = |words: &[&str]| words.iter().any(|word| why.contains(word));
    if is_for_ever || has(&["--no-private"]) {
        return Trouble::Source(why);
    }
    // What does not heal, and how to go on.
    if has(&["invalid peer certificate"]) {
        return Trouble::Source(format!(
            "{why}; --cacert names whom to trust, --insecure (-k) trusts anybody"
        ));
    }
    if has(&["InvalidContentType", "WRONG_VERSION_NUMBER"]) {
        return Trouble::Source(format!(
            "no TLS is spoken there ({why}); `http://` in front asks without"
        ));
    }
    if has(&[
        "Name or service not known",
        "No address associated with hostname",
    ]) {
        return Trouble::Source(format!("there is no host of this name ({why})"));
    }
    if has(&["message head is too large"]) {
        return Trouble::Source(format!(
            "the server sends more than 100 header lines ({why})"
        ));
    }
    if is_unanswered && has(&["connection closed before message completed"]) {
        return Trouble::Stale(why);
    }
    match is_connect {
        true => Trouble::Absent(why),
        false => Trouble::Again(why, None),
    }
}

/// What to make of a status that brings no file. `more`: these, too, are worth another try.
pub(super) fn refused(status: StatusCode, headers: &HeaderMap, more: &[u16]) -> Trouble {
    let why = format!("the server says {status}");
    let after = retry_after(headers);
    match status.as_u16() {
        429 => Trouble::Busy(why, after),
        503 if after.is_some() => Trouble::Busy(why, after),
        408 | 425 | 500 | 502 | 503 | 504 | 520..=524 => Trouble::Again(why, after),
        other if more.contains(&other) => Trouble::Again(why, after),
        407 => Trouble::Source(format!(
            "{why}; --proxy http://name:password@host names who asks"
        )),
        401 => Trouble::Source(format!("{why}; --user or --netrc say who asks")),
        _ => Trouble::Source(why),
    }
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

pub(super) fn identity(headers: &HeaderMap) -> Identity {
    Identity {
        etag: text(headers, ETAG),
        last_modified: text(headers, LAST_MODIFIED),
        length: text(headers, CONTENT_LENGTH).and_then(|length| length.parse().ok()),
    }
}

/// Whether an answer is about the same file, by all that both say of it.
pub(super) fn is_same(known: &Identity, headers: &HeaderMap) -> bool {
    let said = identity(headers);
    let agree = |known: &Option<String>, said: &Option<String>| match (known, said) {
        (Some(known), Some(said)) => known == said,
        _ => true,
    };
    agree(&known.etag, &said.etag) && agree(&known.last_modified, &said.last_modified)
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

/// Where it is kept which URL a file with a name of the server's choice is from.
const FROM_KEPT: &str = "user.hands.from";

/// Whether a file has come from here.
pub(super) fn is_from(path: &Path, url: &str) -> bool {
    let mut from = [0; 128];
    let length = rustix::fs::lgetxattr(path, FROM_KEPT, &mut from[..]);
    length.is_ok_and(|length| from[..length] == *known_as(url).as_bytes())
}

/// Keeps that; where it cannot be kept, the file is nobody's the next time.
pub(super) fn keep_from(file: &fs::File, url: &str) {
    let none = rustix::fs::XattrFlags::empty();
    let _ = rustix::fs::fsetxattr(file, FROM_KEPT, known_as(url).as_bytes(), none);
}

/// Whether a file that is there is what an answer is about.
pub(super) fn is_current(path: &Path, headers: &HeaderMap) -> bool {
    let said = identity(headers);
    let length = fs::metadata(path).map(|metadata| metadata.len()).ok();
    let conditions = conditions(path);
    let kept = |name: HeaderName| {
        let found = conditions.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str())
    };
    let is_same = match (&said.etag, kept(IF_NONE_MATCH)) {
        (Some(said), Some(kept)) => said == kept,
        _ => {
            said.last_modified.is_some() && said.last_modified.as_deref() == kept(IF_MODIFIED_SINCE)
        }
    };
    is_same && said.length.is_none_or(|said| Some(said) == length)
}

/// The address that an answer leads to, where that is no text: the bytes as they are, each for
/// itself.
pub(super) fn odd_location(status: StatusCode, from: &Url, headers: &HeaderMap) -> Option<Url> {
    let location = headers.get(LOCATION).filter(|_| status.is_redirection())?;
    if std::str::from_utf8(location.as_bytes()).is_ok() {
        return None;
    }
    let text = location.as_bytes().iter().map(|&byte| match byte {
        0x80.. => format!("%{byte:02X}"),
        _ => char::from(byte).to_string(),
    });
    from.join(&text.collect::<String>()).ok()
}

/// What to ask by, whether a file that is there is still the same.
pub(super) fn conditions(path: &Path) -> Vec<(HeaderName, String)> {
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

/// Gives a file the time and the ETag that the server says; where that cannot be done it is fetched
/// again the next time.
pub(super) fn date(file: &fs::File, headers: &HeaderMap) {
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
