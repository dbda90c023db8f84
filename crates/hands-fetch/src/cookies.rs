//! Cookies: those of a file, as browsers and curl write it, and those that servers set.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use hands::sync::Mutex;
use reqwest::Url;
use reqwest::cookie::{CookieStore, Jar};
use reqwest::header::HeaderValue;

/// Those of a file count until a server sets others of the same name.
#[derive(Debug, Default)]
pub(super) struct Cookies {
    set: Jar,
    read: Mutex<Vec<Cookie>>,
}

/// A line of a file. The value is sent as it stands there, whatever is in it.
#[derive(Clone, Debug)]
struct Cookie {
    domain: String,
    with_subdomains: bool,
    path: String,
    secure: bool,
    name: String,
    value: String,
}

impl Cookies {
    /// Reads a file of cookies: a line each, seven columns, tabs between; one without a value has
    /// six. Those that have expired are left out. `Err`: the number of a line that is none.
    pub(super) fn read(&self, text: &str) -> Result<(), usize> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default().as_secs_f64();
        let mut cookies = self.read.lock();
        let lines = text.trim_start_matches('\u{feff}').lines();
        for (number, line) in (1_usize..).zip(lines) {
            let line = line.strip_prefix("#HttpOnly_").unwrap_or(line);
            let line = line.trim_end_matches('\r');
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let columns: Vec<&str> = line.splitn(7, '\t').collect();
            let (&[domain, subdomains, path, secure, expires, name], value) =
                columns.split_first_chunk::<6>().ok_or(number)?;
            let expires: f64 = expires.trim().parse().map_err(|_| number)?;
            // 0: it ends with the session of the browser.
            if expires > 0.0 && expires < now {
                continue;
            }
            cookies.push(Cookie {
                domain: domain.trim_start_matches('.').to_ascii_lowercase(),
                with_subdomains: subdomains.eq_ignore_ascii_case("TRUE"),
                path: path.to_owned(),
                secure: secure.eq_ignore_ascii_case("TRUE"),
                name: name.to_owned(),
                value: value.first().copied().unwrap_or_default().to_owned(),
            });
        }
        Ok(())
    }
}

impl Cookie {
    fn is_for(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let below = host.strip_suffix(self.domain.as_str());
        let is_host = below.is_some_and(|below| {
            below.is_empty() || (self.with_subdomains && below.ends_with('.'))
        });
        // RFC 6265, 5.1.4.
        let rest = url.path().strip_prefix(self.path.as_str());
        let is_path = rest.is_some_and(|rest| {
            rest.is_empty() || rest.starts_with('/') || self.path.ends_with('/')
        });
        is_host && is_path && (!self.secure || url.scheme() == "https")
    }
}

impl CookieStore for Cookies {
    fn set_cookies(&self, headers: &mut dyn Iterator<Item = &HeaderValue>, url: &Url) {
        let headers: Vec<&HeaderValue> = headers.collect();
        let name_of = |header: &&HeaderValue| {
            let (name, _) = header.to_str().ok()?.split_once('=')?;
            Some(name.trim().to_owned())
        };
        let names: Vec<String> = headers.iter().filter_map(name_of).collect();
        let is_replaced = |cookie: &Cookie| cookie.is_for(url) && names.contains(&cookie.name);
        self.read.lock().retain(|cookie| !is_replaced(cookie));
        self.set.set_cookies(&mut headers.into_iter(), url);
    }

    fn cookies(&self, url: &Url) -> Option<HeaderValue> {
        let read = self.read.lock();
        let mut found: Vec<&Cookie> = read.iter().filter(|cookie| cookie.is_for(url)).collect();
        // Longer paths come first.
        found.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let mut all: Vec<Vec<u8>> = found
            .iter()
            .map(|cookie| format!("{}={}", cookie.name, cookie.value).into_bytes())
            .collect();
        drop(read);
        all.extend(self.set.cookies(url).map(|set| set.as_bytes().to_vec()));
        if all.is_empty() {
            return None;
        }
        HeaderValue::from_bytes(&all.join(&b"; "[..])).ok()
    }
}

/// Makes those that the flags ask for; none: no cookies are kept.
pub(super) fn of_flags(flags: &super::FetchPlan) -> Result<Option<Arc<Cookies>>, String> {
    let request = &flags.request;
    if request.cookie_jar.is_none() && !request.cookies {
        return Ok(None);
    }
    let cookies = Cookies::default();
    if let Some(path) = &request.cookie_jar {
        let wrong = |what: &str| format!("`--cookie-jar {}`: {what}", path.display());
        let text = std::fs::read(path).map_err(|error| wrong(&error.to_string()))?;
        cookies
            .read(&String::from_utf8_lossy(&text))
            .map_err(|line| {
                wrong(&format!(
                    "line {line} is no cookie; browsers and curl write them with 7 columns, tabs between"
                ))
            })?;
    }
    Ok(Some(Arc::new(cookies)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(cookies: &Cookies, url: &str) -> Option<String> {
        let url = Url::parse(url).expect("a URL");
        let sent = cookies.cookies(&url)?;
        Some(sent.to_str().expect("text").to_owned())
    }

    #[test]
    fn cookies_of_browsers_and_of_curl_are_read() {
        let cookies = Cookies::default();
        let text = "# Netscape HTTP Cookie File\n\n.example.org\tTRUE\t/\tFALSE\t0\ta\t1; x=2\n\
            #HttpOnly_example.org\tFALSE\t/x\tTRUE\t4000000000\tb\t2\r\n\
            example.org\tFALSE\t/\tFALSE\t1000\told\t3\n\
            example.org\tFALSE\t/\tFALSE\t4000000000.25\tempty\n";
        assert_eq!(cookies.read(text), Ok(()));
        assert_eq!(
            sent(&cookies, "http://www.example.org/").as_deref(),
            Some("a=1; x=2")
        );
        assert_eq!(
            sent(&cookies, "https://example.org/x/y").as_deref(),
            Some("b=2; a=1; x=2; empty=")
        );
        assert_eq!(
            sent(&cookies, "https://example.org/xy").as_deref(),
            Some("a=1; x=2; empty=")
        );
        assert_eq!(sent(&cookies, "http://example.com/"), None);
        assert_eq!(sent(&cookies, "http://badexample.org/"), None);
        let url = Url::parse("http://example.org/").expect("a URL");
        cookies.set_cookies(&mut [&HeaderValue::from_static("a=new")].into_iter(), &url);
        assert_eq!(
            sent(&cookies, "http://example.org/").as_deref(),
            Some("empty=; a=new")
        );
        for text in [
            "nonsense\n",
            "a\tTRUE\t/\tFALSE\tsoon\tb\tc\n",
            "\n\na\tb\n",
        ] {
            let lines = text.matches('\n').count();
            assert_eq!(Cookies::default().read(text), Err(lines));
        }
    }
}
