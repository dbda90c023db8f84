//! Which proxy a URL goes through: by `--proxy`, or by the variables that curl knows. What is not
//! understood is an error, and never a direct connection.

use std::net::IpAddr;

use reqwest::Url;

use super::list::shown;

const KINDS: [&str; 6] = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];

#[derive(Clone, Debug, Default)]
pub(super) struct Proxies {
    http: Option<Url>,
    https: Option<Url>,
    /// Hosts that are asked directly.
    direct: Vec<String>,
}

fn parse(text: &str, from: &str) -> Result<Url, String> {
    let whole = match text.contains("://") {
        true => text.to_owned(),
        false => format!("http://{text}"),
    };
    let wrong = |why: &str| format!("`{from}{}` {why}", shown(text));
    let url = Url::parse(&whole).map_err(|error| wrong(&format!("is no proxy: {error}")))?;
    if !KINDS.contains(&url.scheme()) {
        return Err(wrong(
            "is no kind of proxy; http, https, socks4, socks4a, socks5 and socks5h are",
        ));
    }
    match url.has_host() {
        true => Ok(url),
        false => Err(wrong("names no host")),
    }
}

impl Proxies {
    /// For all URLs.
    pub(super) fn all(proxy: &str) -> Result<Proxies, String> {
        let proxy = parse(proxy, "--proxy ")?;
        Ok(Proxies {
            http: Some(proxy.clone()),
            https: Some(proxy),
            direct: Vec::new(),
        })
    }

    /// As the variables say: small letters before capitals; and not `HTTP_PROXY`, which a web
    /// server may have been sent.
    pub(super) fn of_environment(get: impl Fn(&str) -> Option<String>) -> Result<Proxies, String> {
        let first = |names: &[&'static str]| {
            let set = names.iter().filter_map(|name| Some((*name, get(name)?)));
            set.into_iter().find(|(_, value)| !value.is_empty())
        };
        let proxy = |names: &[&'static str]| {
            let found = first(names).or_else(|| first(&["all_proxy", "ALL_PROXY"]));
            found
                .map(|(name, value)| parse(&value, &format!("{name}=")))
                .transpose()
        };
        // An empty `no_proxy` counts, as it does for curl.
        let direct = get("no_proxy")
            .or_else(|| get("NO_PROXY"))
            .unwrap_or_default();
        Ok(Proxies {
            http: proxy(&["http_proxy"])?,
            https: proxy(&["https_proxy", "HTTPS_PROXY"])?,
            direct: direct
                .split([',', ' ', '\t'])
                .map(str::trim)
                .filter(|entry| !entry.is_empty())
                .map(str::to_ascii_lowercase)
                .collect(),
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.http.is_none() && self.https.is_none()
    }

    /// `None`: it is asked directly.
    pub(super) fn of(&self, url: &Url) -> Option<Url> {
        let proxy = match url.scheme() {
            "https" => &self.https,
            _ => &self.http,
        };
        let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
        let host = host.trim_start_matches('[').trim_end_matches([']', '.']);
        let is_direct = self.direct.iter().any(|entry| covers(entry, host));
        proxy.clone().filter(|_| !is_direct)
    }
}

/// Whether an entry of `no_proxy` means this host: `*`, a name and all below it, an address, a
/// network.
fn covers(entry: &str, host: &str) -> bool {
    if entry == "*" {
        return true;
    }
    let entry = entry
        .trim_start_matches("*.")
        .trim_start_matches('.')
        .trim_end_matches('.');
    let entry = entry.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = host.parse::<IpAddr>() {
        let (network, bits) = match entry.split_once('/') {
            Some((network, bits)) => (network, bits.parse().ok()),
            None => (entry, Some(128)),
        };
        let (Ok(network), Some(bits)) = (network.parse::<IpAddr>(), bits) else {
            return false;
        };
        return match (network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let rest = 32_u32.saturating_sub(bits);
                let differ = u32::from(network) ^ u32::from(address);
                differ.checked_shr(rest).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let rest = 128_u32.saturating_sub(bits);
                let differ = u128::from(network) ^ u128::from(address);
                differ.checked_shr(rest).unwrap_or(0) == 0
            }
            _ => false,
        };
    }
    let below = host.strip_suffix(entry);
    !entry.is_empty() && below.is_some_and(|below| below.is_empty() || below.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(set: &[(&str, &str)], url: &str) -> Option<String> {
        let get = |name: &str| {
            let found = set.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let proxies = Proxies::of_environment(get).expect("sense");
        proxies
            .of(&Url::parse(url).expect("a URL"))
            .map(String::from)
    }

    #[test]
    fn the_variables_are_those_of_curl() {
        let p = ("http_proxy", "p:1");
        assert_eq!(of(&[p], "http://a/").as_deref(), Some("http://p:1/"));
        assert_eq!(of(&[p], "https://a/"), None);
        assert_eq!(of(&[("HTTP_PROXY", "p:1")], "http://a/"), None);
        assert_eq!(
            of(&[("ALL_PROXY", "socks5h://p:1")], "https://a/").as_deref(),
            Some("socks5h://p:1")
        );
        for (direct, host, is_direct) in [
            ("*", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.0/8", "127.1.2.3", true),
            ("10.0.0.0/8", "127.1.2.3", false),
            ("::1", "[::1]", true),
            ("example.org", "www.example.org", true),
            (".example.org", "example.org", true),
            ("*.example.org", "a.example.org", true),
            ("ample.org", "example.org", false),
            ("a, b c", "c", true),
            ("", "a", false),
            ("other", "a", false),
        ] {
            let set = [p, ("no_proxy", direct), ("NO_PROXY", host)];
            assert_eq!(
                of(&set, &format!("http://{host}/")).is_none(),
                is_direct,
                "{direct} {host}"
            );
        }
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for proxy in ["sock5://p:1", "socks://p:1", "tor://p:1", "http://", "://p"] {
            assert!(Proxies::all(proxy).is_err(), "{proxy}");
        }
        let told = Proxies::all("ftp://me:secret@p").expect_err("no kind");
        assert!(
            told.contains("`--proxy ftp://p`") && !told.contains("secret"),
            "{told}"
        );
        assert!(Proxies::of_environment(|_| Some("sock5://p".to_owned())).is_err());
    }
}
