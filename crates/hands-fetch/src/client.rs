//! The HTTP client: what it may connect to, how it proves who it is, what it carries along.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, USER_AGENT};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Identity, Proxy, Url};

use super::cookies::Cookies;
use super::plan::FetchPlan;
use super::proxy::Proxies;

/// What a server may take to accept a connection, unless told otherwise.
const CONNECT: Duration = Duration::from_secs(10);

/// Makes the client that the flags ask for.
pub(crate) fn new(
    flags: &FetchPlan,
    headers: HeaderMap,
    connections: usize,
    cookies: Option<Arc<Cookies>>,
) -> Result<Client, String> {
    let request = &flags.request;
    let mut client = Client::builder()
        .pool_max_idle_per_host(connections)
        .connect_timeout(flags.transfer.connect_timeout.unwrap_or(CONNECT))
        .tcp_nodelay(true)
        .http2_adaptive_window(true)
        // Servers as they are.
        .http1_allow_obsolete_multiline_headers_in_responses(true)
        .http1_allow_spaces_after_header_name_in_responses(true)
        .http1_ignore_invalid_headers_in_responses(true)
        .redirect(match flags.what.head {
            true => Policy::none(),
            false => redirects(request.max_redirects, request.no_private),
        })
        // gzip is ours: it may have several members.
        .brotli(request.compressed)
        .zstd(request.compressed)
        .referer(false);
    if !headers.contains_key(USER_AGENT) {
        client = client.user_agent(concat!("hands/", env!("CARGO_PKG_VERSION")));
    }
    client = client.default_headers(headers);
    if request.http1 {
        client = client.http1_only();
    }
    if request.insecure {
        client = client.danger_accept_invalid_certs(true);
    }
    // What the environment says is read here: what is not understood is an error, and never a
    // direct connection.
    client = client.no_proxy();
    // Behind a proxy nobody here knows what a name leads to.
    let is_direct = request.no_proxy || request.no_private;
    let proxies = match &request.proxy {
        Some(proxy) => Proxies::all(proxy)?,
        None if is_direct => Proxies::default(),
        None => Proxies::of_environment(|name| std::env::var(name).ok())?,
    };
    if !proxies.is_empty() {
        client = client.proxy(Proxy::custom(move |url| proxies.of(url)));
    }
    if request.no_private {
        client = client.dns_resolver(Arc::new(Public));
    }
    if let Some(path) = &request.cacert {
        let pem = read(path, "--cacert")?;
        let certificates = Certificate::from_pem_bundle(&pem);
        let certificates = certificates.map_err(|error| wrong(path, "--cacert", &chain(&error)))?;
        if certificates.is_empty() {
            return Err(wrong(path, "--cacert", "there is no certificate in it"));
        }
        for certificate in certificates {
            client = client.add_root_certificate(certificate);
        }
    }
    if let Some(path) = &request.cert {
        let mut pem = read(path, "--cert")?;
        if let Some(path) = &request.key {
            pem.push(b'\n');
            pem.extend(read(path, "--key")?);
        }
        let identity = Identity::from_pem(&pem);
        let identity = identity.map_err(|error| wrong(path, "--cert", &chain(&error)))?;
        client = client.identity(identity);
    }
    if let Some(cookies) = cookies {
        client = client.cookie_provider(cookies);
    }
    if let Some(address) = local_address(flags)? {
        client = client.local_address(address);
    } else if let Some(name) = &request.interface {
        client = client.interface(name);
    }
    for text in &request.resolve {
        let (host, addresses) = resolved(text)?;
        let private = addresses.iter().find(|address| !is_public(address.ip()));
        if let Some(address) = private.filter(|_| request.no_private) {
            return Err(refused(&host, address.ip()));
        }
        client = client.resolve_to_addrs(&host, &addresses);
    }
    client.build().map_err(|error| chain(&error))
}

fn read(path: &Path, flag: &str) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| wrong(path, flag, &error.to_string()))
}

/// That from which connections are made, if it is to be a certain one.
fn local_address(flags: &FetchPlan) -> Result<Option<IpAddr>, String> {
    let request = &flags.request;
    if request.ipv4 {
        return Ok(Some(Ipv4Addr::UNSPECIFIED.into()));
    }
    if request.ipv6 {
        return Ok(Some(Ipv6Addr::UNSPECIFIED.into()));
    }
    let Some(name) = &request.interface else {
        return Ok(None);
    };
    if let Ok(address) = name.parse() {
        return Ok(Some(address));
    }
    let known = Path::new("/sys/class/net");
    match known.exists() && !known.join(name).exists() {
        true => Err(format!(
            "`--interface {name}`: there is no such interface, and it is no address"
        )),
        false => Ok(None),
    }
}

/// `HOST:PORT:ADDRESS[,ADDRESS]`, as curl writes it.
fn resolved(text: &str) -> Result<(String, Vec<SocketAddr>), String> {
    let wrong = || format!("`--resolve {text}`: write it as `HOST:PORT:ADDRESS`");
    let mut parts = text.splitn(3, ':');
    let (host, port, addresses) = (parts.next(), parts.next(), parts.next());
    let (Some(host), Some(port), Some(addresses)) = (host, port, addresses) else {
        return Err(wrong());
    };
    let port: u16 = port.parse().map_err(|_| wrong())?;
    let address = |text: &str| {
        let text = text.trim_start_matches('[').trim_end_matches(']');
        Ok(SocketAddr::new(text.parse().map_err(|_| wrong())?, port))
    };
    let addresses = addresses.split(',').map(address);
    Ok((host.to_owned(), addresses.collect::<Result<_, String>>()?))
}

fn wrong(path: &Path, flag: &str, what: &str) -> String {
    format!("`{flag} {}`: {what}", path.display())
}

/// Follows at most `most` redirects, and with `no_private` to no address that is not public.
fn redirects(most: usize, no_private: bool) -> Policy {
    Policy::custom(move |attempt| {
        if attempt.previous().len() > most {
            return attempt.error(format!("more than {most} redirects"));
        }
        let refused = no_private.then(|| refused_literal(attempt.url())).flatten();
        match refused {
            Some(why) => attempt.error(why),
            None => attempt.follow(),
        }
    })
}

/// Why an address in a URL is not to be asked. Names are looked at when they are resolved.
pub(crate) fn refused_literal(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address: IpAddr = host.parse().ok()?;
    (!is_public(address)).then(|| refused(host, address))
}

fn refused(host: &str, address: IpAddr) -> String {
    format!("`{host}` is at {address}, which is not public, and --no-private refuses that")
}

/// Resolves names, and refuses those that lead to this machine or its network. Who connects gets
/// the address that was looked at.
struct Public;

impl Resolve for Public {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found: Vec<SocketAddr> = found.collect();
            // One that is private among public ones is a trick, too.
            if let Some(address) = found.iter().find(|address| !is_public(address.ip())) {
                return Err(io::Error::other(refused(name.as_str(), address.ip())).into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Whether it is reached over the internet, by the registries of RFC 6890.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = address.is_unspecified()
        || address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_multicast()
        || address.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b));
    !is_special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(v4) = address.to_ipv4_mapped() {
        return is_public_v4(v4);
    }
    let segments = address.segments();
    let embedded = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        // NAT64 and 6to4 lead to an address of the old kind.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        [0x2002, high, low, ..] => embedded(high, low),
        // Documentation, Teredo and other special purposes.
        [0x2001, 0xdb8, ..] => false,
        [0x2001, second, ..] if second < 0x200 => false,
        // What is handed out.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// An error with all that caused it, each once.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let said = next.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = next.source();
    }
    text
}

/// The words of a netrc: in quotes where they have spaces, with a backslash before what would end
/// them. Comments and macros, which end at an empty line, are none.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut is_macro = false;
    for line in text.lines() {
        is_macro &= !line.trim().is_empty();
        let mut letters = line.chars().peekable();
        while !is_macro {
            while letters.next_if(|letter| letter.is_whitespace()).is_some() {}
            let Some(&first) = letters.peek() else { break };
            if first == '#' {
                break;
            }
            let is_quoted = letters.next_if_eq(&'"').is_some();
            let mut word = String::new();
            while let Some(letter) = letters.next() {
                match letter {
                    '\\' if is_quoted => word.extend(letters.next()),
                    '"' if is_quoted => break,
                    letter if !is_quoted && letter.is_whitespace() => break,
                    letter => word.push(letter),
                }
            }
            is_macro = word == "macdef" && !is_quoted;
            words.push(word);
        }
    }
    words
}

/// Names and passwords by host, as `~/.netrc` has them.
#[derive(Debug, Default)]
pub(crate) struct Netrc {
    hosts: Vec<(Option<String>, String, String)>,
}

impl Netrc {
    pub(crate) fn read(path: &Path) -> Result<Netrc, String> {
        let text = read(path, "--netrc")?;
        Ok(Netrc::parse(&String::from_utf8_lossy(&text)))
    }

    fn parse(text: &str) -> Netrc {
        let mut netrc = Netrc::default();
        let mut words = words(text).into_iter();
        while let Some(word) = words.next() {
            let last = netrc.hosts.last_mut();
            let mut next = || words.next().unwrap_or_default();
            match (word.as_str(), last) {
                ("machine", _) => {
                    let host = next();
                    netrc.hosts.push((Some(host), String::new(), String::new()));
                }
                ("default", _) => netrc.hosts.push((None, String::new(), String::new())),
                ("login", Some(last)) => last.1 = next(),
                ("password", Some(last)) => last.2 = next(),
                ("account", Some(_)) => drop(next()),
                _ => {}
            }
        }
        netrc
    }

    /// Name and password for a host.
    pub(crate) fn of(&self, host: &str) -> Option<(&str, &str)> {
        let is_it = |known: &Option<String>| {
            known
                .as_deref()
                .is_none_or(|known| known.eq_ignore_ascii_case(host))
        };
        let found = self.hosts.iter().find(|(known, ..)| is_it(known));
        found.map(|(_, login, password)| (login.as_str(), password.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_public_or_not() {
        for public in [
            "8.8.8.8",
            "100.128.0.1",
            "2606:4700::1111",
            "64:ff9b::808:808",
        ] {
            assert!(is_public(public.parse().expect("an address")), "{public}");
        }
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "ff02::1",
        ] {
            assert!(
                !is_public(private.parse().expect("an address")),
                "{private}"
            );
        }
        for url in [
            "http://127.1/",
            "http://0x7f000001/",
            "http://[::1]/",
            "http://2130706433/",
        ] {
            let url = Url::parse(url).expect("a URL");
            assert!(refused_literal(&url).is_some(), "{url}");
        }
    }

    #[test]
    fn a_netrc_has_hosts_and_a_default() {
        let netrc = Netrc::parse(
            "# c\nmachine a.example login x password y\nmachine b\n login z\n password w\ndefault login anonymous password me\n",
        );
        assert_eq!(netrc.of("A.example"), Some(("x", "y")));
        assert_eq!(netrc.of("b"), Some(("z", "w")));
        assert_eq!(netrc.of("c"), Some(("anonymous", "me")));
        assert_eq!(Netrc::default().of("c"), None);
        let quoted = r#"machine a login "b c" password "d \"e\" # f" # password g
macdef m
  machine x

machine h login i account j password k"#;
        let netrc = Netrc::parse(quoted);
        assert_eq!(netrc.of("a"), Some(("b c", "d \"e\" # f")));
        assert_eq!(netrc.of("h"), Some(("i", "k")));
        assert_eq!(netrc.of("x"), None);
    }

    #[test]
    fn a_host_has_the_address_that_it_is_given() {
        let (host, addresses) = resolved("a.example:443:127.0.0.1,[::1]").expect("sense");
        assert_eq!(host, "a.example");
        assert_eq!(addresses.len(), 2);
        for text in ["a", "a:443", "a:x:127.0.0.1", "a:443:nowhere"] {
            assert!(resolved(text).is_err(), "{text}");
        }
    }
}
