//! What is to be fetched: URLs from the command line, from lists, from Metalink files.
//!
//! A list has a URL a line, with further sources of the same file behind tabs. Lines that begin
//! with white space are options of the URL above them; empty lines, and those that begin with `#`,
//! are nothing.
//!
//! ```text
//! https://example.org/a.iso<TAB>https://mirror.example/a.iso
//!   out=images/a.iso
//!   checksum=sha256:0123…
//!   header=Accept: application/octet-stream
//! ```
//!
//! aria2's options of a URL are known by its names, where they mean something here.
//!
//! A line that makes no sense is a failure of its own, and costs no other.

use std::io::BufRead;

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, REFERER, USER_AGENT};

use super::checksum::{Checksum, Pieces};

/// One file that is wanted.
#[derive(Clone, Debug)]
pub(crate) struct ListItem {
    /// As it was written.
    pub(crate) text: String,
    /// Where it is to be had, or why that makes no sense.
    pub(crate) wanted: Result<Wanted, String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// At least one; the best first.
    pub(crate) sources: Vec<Url>,
    /// Below the folder for downloads, and below that folder what it is called.
    pub(crate) dir: Option<String>,
    pub(crate) out: Option<String>,
    pub(crate) checksum: Option<Checksum>,
    pub(crate) headers: HeaderMap,
    /// Bytes, where a Metalink says so.
    pub(crate) size: Option<u64>,
    /// What each piece of it should be, likewise.
    pub(crate) pieces: Option<Pieces>,
    /// It was written without a scheme.
    pub(crate) is_assumed: bool,
}

impl Wanted {
    pub(crate) fn new(sources: Vec<Url>) -> Wanted {
        Wanted {
            sources,
            dir: None,
            out: None,
            checksum: None,
            headers: HeaderMap::new(),
            size: None,
            pieces: None,
            is_assumed: false,
        }
    }

    /// As a list has it.
    pub(crate) fn listed(&self) -> String {
        let sources: Vec<&str> = self.sources.iter().map(Url::as_str).collect();
        let mut text = sources.join("\t");
        text.push('\n');
        let mut option = |name: &str, value: &str| text.push_str(&format!("  {name}={value}\n"));
        if let Some(dir) = &self.dir {
            option("dir", dir);
        }
        if let Some(out) = &self.out {
            option("out", out);
        }
        if let Some(checksum) = &self.checksum {
            option("checksum", &checksum.to_string());
        }
        for (name, value) in &self.headers {
            option(
                "header",
                &format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())),
            );
        }
        text
    }
}

/// `http` and `https`; a name without a scheme is `https`, as people type it.
pub(crate) fn url(text: &str) -> Result<Url, String> {
    let is_bare = !text.contains("://") && !text.starts_with(['/', '.']);
    let whole = if is_bare {
        format!("https://{text}")
    } else {
        text.to_owned()
    };
    let url = Url::parse(&whole).map_err(|error| format!("no URL: {error}"))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        scheme => Err(format!(
            "`{scheme}` URLs are not fetched; http and https are"
        )),
    }
}

/// One from the command line, or from a line.
pub(crate) fn item(text: &str) -> ListItem {
    let sources: Result<Vec<Url>, String> = text
        .split('\t')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(url)
        .collect();
    let wanted = sources.and_then(|sources| match sources.is_empty() {
        true => Err("an empty text is no URL".to_owned()),
        false => Ok(Wanted {
            is_assumed: !text.contains("://"),
            ..Wanted::new(sources)
        }),
    });
    ListItem {
        text: shown(text.split('\t').next().unwrap_or_default().trim()),
        wanted,
    }
}

/// A URL as it may be shown: without the name and password that it may have.
pub(crate) fn shown(url: &str) -> String {
    let from = url.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = url.split_at(from);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}{}", &rest[at + 1..]),
        None => url.to_owned(),
    }
}

/// `Name: value`.
pub(crate) fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let wrong = || format!("`{text}` is no header; write it as `Name: value`");
    let (name, value) = text.split_once(':').ok_or_else(wrong)?;
    let name = name.trim().parse().map_err(|_| wrong())?;
    let value = value.trim().parse().map_err(|_| wrong())?;
    Ok((name, value))
}

/// What aria2 would do and we do anyway, or in another way: neither needs to be said to anybody.
const HAPPENS_ANYWAY: [&str; 9] = [
    "gid",
    "continue",
    "split",
    "min-split-size",
    "max-connection-per-server",
    "auto-file-renaming",
    "allow-overwrite",
    "check-integrity",
    "file-allocation",
];

fn set(wanted: &mut Wanted, option: &str) -> Result<(), String> {
    let (name, value) = option.split_once('=').unwrap_or((option, ""));
    let mut add = |name: HeaderName, value: &str| {
        let value = value.trim().parse::<HeaderValue>();
        let value =
            value.map_err(|_| format!("`{option}` has a character that no header may have"))?;
        wanted.headers.append(name, value);
        Ok::<(), String>(())
    };
    match name.trim() {
        "out" => {
            super::name::within(value)?;
            wanted.out = Some(value.to_owned());
        }
        // An absolute one may be in the folder for downloads, and is looked at when that is known.
        "dir" => wanted.dir = Some(value.trim().to_owned()),
        "checksum" => wanted.checksum = Some(value.trim().parse()?),
        "header" => {
            let (name, value) = header(value)?;
            wanted.headers.append(name, value);
        }
        "referer" => add(REFERER, value)?,
        "user-agent" => add(USER_AGENT, value)?,
        "mirror" => wanted.sources.push(url(value.trim())?),
        "http-user" | "http-passwd" => {
            let url = wanted.sources.iter_mut();
            let is_user = name.trim() == "http-user";
            let set = url.map(|url| match is_user {
                true => url.set_username(value.trim()),
                false => url.set_password(Some(value.trim())),
            });
            set.collect::<Result<(), ()>>()
                .map_err(|()| format!("`{}` cannot be set", name.trim()))?;
        }
        known if HAPPENS_ANYWAY.contains(&known) => {}
        other => {
            return Err(format!(
                "`{other}` is no option of a URL; `out=`, `dir=`, `checksum=`, `header=`, `mirror=`, `referer=`, `user-agent=`, `http-user=` and \
                 `http-passwd=` are"
            ));
        }
    }
    Ok(())
}

/// The items of a list, read as they are asked for.
pub(crate) struct UrlList<R> {
    lines: R,
    /// Whose options may still come.
    pending: Option<ListItem>,
    is_over: bool,
    /// Of the line that was read last.
    number: u64,
}

/// A longer line is no URL, and would fill the memory.
const LONGEST: u64 = 1 << 20;

impl<R: BufRead> UrlList<R> {
    pub(crate) fn new(lines: R) -> UrlList<R> {
        UrlList {
            lines,
            pending: None,
            is_over: false,
            number: 0,
        }
    }

    /// The next line; `None` at the end.
    fn line(&mut self) -> std::io::Result<Option<String>> {
        self.number += 1;
        let mut line = Vec::new();
        let read = std::io::Read::take(&mut self.lines, LONGEST).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(None);
        }
        if read as u64 == LONGEST && !line.ends_with(b"\n") {
            let why = format!("line {} has more than 1 MiB, and is no URL", self.number);
            return Err(std::io::Error::other(why));
        }
        Ok(Some(String::from_utf8_lossy(&line).into_owned()))
    }
}

impl<R: BufRead> Iterator for UrlList<R> {
    type Item = std::io::Result<ListItem>;

    fn next(&mut self) -> Option<std::io::Result<ListItem>> {
        while !self.is_over {
            let line = match self.line() {
                Ok(Some(line)) => line,
                Ok(None) => {
                    self.is_over = true;
                    break;
                }
                Err(error) => {
                    self.is_over = true;
                    return Some(Err(error));
                }
            };
            // Some editors put a mark at the beginning of a file.
            let line = line.trim_start_matches('\u{feff}');
            let text = line.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let is_url = text
                .split('=')
                .next()
                .is_some_and(|first| first.contains("://"));
            if line.starts_with([' ', '\t']) && !is_url {
                let first = self.pending.get_or_insert_with(|| ListItem {
                    text: text.to_owned(),
                    wanted: Err(format!(
                        "line {}: an option without a URL above it",
                        self.number
                    )),
                });
                if let Ok(wanted) = &mut first.wanted
                    && let Err(why) = set(wanted, text)
                {
                    first.wanted = Err(format!("line {}: {why}", self.number));
                }
                continue;
            }
            let mut item = item(text);
            item.wanted = item
                .wanted
                .map_err(|why| format!("line {}: {why}", self.number));
            if let Some(before) = self.pending.replace(item) {
                return Some(Ok(before));
            }
        }
        self.pending.take().map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(text: &str) -> Vec<ListItem> {
        let items: Result<Vec<_>, _> = UrlList::new(text.as_bytes()).collect();
        items.expect("memory can be read")
    }

    #[test]
    fn a_list_has_urls_options_and_comments() {
        let text = "# comment\n\nhttp://a/x\thttp://b/x\n  out=d/y\n\theader=A: b\n mirror=http://c/x\nexample.org\r\nftp://a/b\nhttp://z/\n  colour=red\n";
        let items = items(text);
        assert_eq!(items.len(), 4);
        let first = items[0].wanted.as_ref().expect("sense");
        assert_eq!(first.sources.len(), 3);
        assert_eq!(first.out.as_deref(), Some("d/y"));
        assert_eq!(
            first.headers.get("a").map(HeaderValue::as_bytes),
            Some(&b"b"[..])
        );
        let second = items[1].wanted.as_ref().expect("sense");
        assert_eq!(second.sources[0].as_str(), "https://example.org/");
        assert!(
            items[2]
                .wanted
                .as_ref()
                .is_err_and(|why| why.contains("ftp"))
        );
        assert!(
            items[3]
                .wanted
                .as_ref()
                .is_err_and(|why| why.contains("colour"))
        );
    }

    #[test]
    fn options_of_aria2_are_known_and_a_list_can_be_written_again() {
        let text = "http://a/x\thttp://b/x\n  dir=d\n  out=y\n  referer=http://r/\n  split=5\n  http-user=me\n  http-passwd=pw\n  checksum=sha-1=da39a3ee5e6b4b0d3255bfef95601890afd80709\n";
        let first = items(text)[0].wanted.clone().expect("sense");
        assert_eq!(
            (first.dir.as_deref(), first.out.as_deref()),
            (Some("d"), Some("y"))
        );
        assert_eq!(first.sources[1].as_str(), "http://me:pw@b/x");
        assert_eq!(first.headers.len(), 1);
        let again = items(&first.listed())[0].wanted.clone().expect("sense");
        assert_eq!(again.listed(), first.listed());
        assert_eq!(again.checksum, first.checksum);
    }

    #[test]
    fn a_line_that_makes_no_sense_is_named_by_its_number() {
        let items = items("http://a/x\n\nftp://a/b\nhttp://c/\n  colour=red\n");
        for (at, line) in [(1, "line 3: "), (2, "line 5: ")] {
            let why = items[at].wanted.as_ref().expect_err("no sense");
            assert!(why.starts_with(line), "{why}");
        }
    }

    #[test]
    fn an_indented_url_is_a_url_and_a_mark_at_the_beginning_is_nothing() {
        let items =
            items("\u{feff}http://a/a\n  http://a/b?x=y\n  mirror=http://c/b\nhttp://a/c\n");
        let texts: Vec<&str> = items.iter().map(|item| item.text.as_str()).collect();
        assert_eq!(texts, ["http://a/a", "http://a/b?x=y", "http://a/c"]);
        assert!(items.iter().all(|item| item.wanted.is_ok()));
        assert_eq!(
            items[1].wanted.as_ref().map(|wanted| wanted.sources.len()),
            Ok(2)
        );
    }

    #[test]
    fn an_empty_text_is_no_url_and_a_password_is_not_shown() {
        assert!(item("").wanted.is_err() && item(" \t ").wanted.is_err());
        for (url, text) in [
            ("http://bob:s3@cret@a/x@y", "http://a/x@y"),
            ("bob:pw@a?b@c", "a?b@c"),
            ("http://a/x", "http://a/x"),
        ] {
            assert_eq!(shown(url), text);
            assert_eq!(item(url).text, text);
        }
    }

    #[test]
    fn what_makes_no_sense_costs_no_other() {
        let items = items("  out=x\nhttp://\nhttp://a/b\n  out=../c\n  header=none\nhttp://a/d\n");
        let is_ok: Vec<bool> = items.iter().map(|item| item.wanted.is_ok()).collect();
        assert_eq!(is_ok, [false, false, false, true]);
    }
}
