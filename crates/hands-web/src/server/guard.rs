//! [`PageGuard`]: who may look, and who may do something.
//!
//! Each request must name the page as it may be named, so that no other site can have a browser ask
//! through a name of its own (DNS rebinding); must come from the page itself where the browser says
//! from where it comes; and must show the token or the cookie that stands for it. Cookies do not
//! tell ports apart, so the port is in the cookie's name, and where a request comes from is looked
//! at in spite of `SameSite`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, COOKIE, HOST, LOCATION, ORIGIN,
    REFERRER_POLICY, SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hands::sync::Mutex;

use super::token::Token;

/// No script, style, picture or request but the page's own; nobody puts it into a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";
/// What is done a second, and at once.
const RATE: f64 = 20.0;
const AT_ONCE: f64 = 60.0;

pub(super) struct PageGuard {
    address: SocketAddr,
    token: Token,
    cookie: String,
    /// How many may be done now, and when that was.
    left: Mutex<(f64, Instant)>,
}

impl PageGuard {
    pub(super) fn new(address: SocketAddr, token: Token) -> PageGuard {
        PageGuard {
            address,
            token,
            cookie: format!("hands_{}", address.port()),
            left: Mutex::new((AT_ONCE, Instant::now())),
        }
    }

    /// Whether a request names the page as it may be named: by an address, or as this machine.
    fn is_named(&self, host: &str) -> bool {
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !name.ends_with(':') && !port.ends_with(']') => (name, port),
            _ => (host, "80"),
        };
        let Ok(port) = port.parse::<u16>() else {
            return false;
        };
        let literal = name.trim_start_matches('[').trim_end_matches(']');
        let is_name = match literal.parse::<IpAddr>() {
            Ok(ip) => !self.address.ip().is_loopback() || ip.is_loopback(),
            Err(_) => name.eq_ignore_ascii_case("localhost"),
        };
        port == self.address.port() && is_name
    }

    /// Whether it comes from the page itself, or from no page.
    fn is_own(&self, headers: &HeaderMap, has_effects: bool) -> bool {
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let host = text(&HOST).unwrap_or_default();
        let origin = headers.get(ORIGIN).map(|origin| {
            let origin = origin.to_str().unwrap_or("null");
            origin
                .strip_prefix("http://")
                .is_some_and(|from| from == host)
        });
        let site = headers.get("sec-fetch-site").map(|site| {
            // Typed in or followed from elsewhere: good for looking.
            site == "same-origin" || !has_effects && site == "none"
        });
        match (origin, site) {
            (None, None) => !has_effects || headers.contains_key(AUTHORIZATION),
            (origin, site) => origin.unwrap_or(true) && site.unwrap_or(true),
        }
    }

    fn is_let_in(&self, headers: &HeaderMap) -> bool {
        let bearer = headers.get(AUTHORIZATION).and_then(|said| {
            let said = said.to_str().ok()?;
            said.strip_prefix("Bearer ")
        });
        if let Some(said) = bearer {
            return self.token.is(said.trim());
        }
        let cookies = headers.get_all(COOKIE).iter();
        let mut cookies = cookies
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|cookie| cookie.trim().split_once('='));
        cookies.any(|(name, value)| name == self.cookie && self.token.is(value))
    }

    /// Whether one more may be done now.
    fn has_left(&self) -> bool {
        let mut left = self.left.lock();
        let now = Instant::now();
        let more = now.duration_since(left.1).as_secs_f64() * RATE;
        *left = ((left.0 + more).min(AT_ONCE), now);
        let has_left = left.0 >= 1.0;
        if has_left {
            left.0 -= 1.0;
        }
        has_left
    }

    /// With the token in the link: the cookie, and the page without the token.
    fn entrance(&self, query: &str) -> Option<Response> {
        let said = query
            .split('&')
            .find_map(|part| part.strip_prefix("token="))?;
        if !self.token.is(said) {
            return None;
        }
        let cookie = format!(
            "{}={}; Path=/; HttpOnly; SameSite=Strict",
            self.cookie, self.token
        );
        let mut response = StatusCode::SEE_OTHER.into_response();
        let headers = response.headers_mut();
        headers.insert(LOCATION, HeaderValue::from_static("/"));
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            headers.insert(SET_COOKIE, cookie);
        }
        Some(response)
    }

    /// The answer, if the request is not let through.
    fn answer(&self, request: &Request) -> Option<Response> {
        let headers = request.headers();
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        if headers.get_all(HOST).iter().count() != 1
            || !host.is_some_and(|host| self.is_named(host))
        {
            return Some(refused(
                StatusCode::MISDIRECTED_REQUEST,
                "This page is not known under that name. Open the link that the program has printed.",
            ));
        }
        let has_effects = !matches!(*request.method(), Method::GET | Method::HEAD);
        let is_root = request.uri().path() == "/";
        if !is_root && !self.is_own(headers, has_effects) {
            return Some(refused(
                StatusCode::FORBIDDEN,
                "That comes from another page.",
            ));
        }
        if is_root
            && !has_effects
            && let Some(entrance) = request.uri().query().and_then(|query| self.entrance(query))
        {
            return Some(entrance);
        }
        if !self.is_let_in(headers) {
            return Some(refused(
                StatusCode::UNAUTHORIZED,
                "Open the link that the program has printed: it has the token that this page asks for.",
            ));
        }
        if has_effects && !self.has_left() {
            return Some(refused(
                StatusCode::TOO_MANY_REQUESTS,
                "That is too much at once; wait a moment.",
            ));
        }
        None
    }
}

fn refused(status: StatusCode, why: &'static str) -> Response {
    (status, why).into_response()
}

/// Lets a request through, or answers it; with the headers that belong to each answer.
pub(super) async fn check(
    State(guard): State<Arc<PageGuard>>,
    request: Request,
    next: Next,
) -> Response {
    let answer = guard.answer(&request);
    let mut response = match answer {
        None => next.run(request).await,
        Some(response) => response,
    };
    let headers = response.headers_mut();
    let fixed = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (HeaderName::from_static("x-frame-options"), "DENY"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(address: &str) -> PageGuard {
        let address = address.parse().expect("an address");
        PageGuard::new(address, Token::new().expect("random bits"))
    }

    #[test]
    fn only_names_that_nobody_else_can_have_are_known() {
        let own = guard("127.0.0.1:8000");
        for host in [
            "127.0.0.1:8000",
            "localhost:8000",
            "LOCALHOST:8000",
            "[::1]:8000",
        ] {
            assert!(own.is_named(host), "{host}");
        }
        for host in [
            "",
            "127.0.0.1",
            "127.0.0.1:8001",
            "evil.example:8000",
            "127.0.0.1.evil.example:8000",
            "localhost.evil.example:8000",
            "10.0.0.1:8000",
            "127.0.0.1:8000:8000",
            "[::1]",
            ":8000",
        ] {
            assert!(!own.is_named(host), "{host}");
        }
        let open = guard("10.0.0.1:8000");
        assert!(open.is_named("10.0.0.1:8000"));
        assert!(!open.is_named("evil.example:8000"));
    }

    #[test]
    fn what_has_effects_comes_from_the_page_itself() {
        let own = guard("127.0.0.1:8000");
        let headers = |all: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("127.0.0.1:8000"));
            for (name, value) in all {
                headers.insert(
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                );
            }
            headers
        };
        let itself = "http://127.0.0.1:8000";
        assert!(own.is_own(
            &headers(&[("origin", itself), ("sec-fetch-site", "same-origin")]),
            true
        ));
        assert!(own.is_own(&headers(&[("origin", itself)]), true));
        assert!(own.is_own(&headers(&[]), false));
        for from in [
            "null",
            "http://evil.example",
            "http://127.0.0.1:8001",
            "https://127.0.0.1:8000",
            "http://localhost:8000",
            "http://127.0.0.1:8000.evil.example",
        ] {
            assert!(!own.is_own(&headers(&[("origin", from)]), true), "{from}");
            assert!(!own.is_own(&headers(&[("origin", from)]), false), "{from}");
        }
        for site in ["same-site", "cross-site", "none"] {
            assert!(
                !own.is_own(&headers(&[("sec-fetch-site", site)]), true),
                "{site}"
            );
        }
        assert!(!own.is_own(&headers(&[]), true));
    }

    #[test]
    fn a_flood_of_actions_is_slowed_down() {
        let own = guard("127.0.0.1:8000");
        let done = (0..1000).filter(|_| own.has_left()).count();
        assert!((60..100).contains(&done), "{done}");
    }
}
