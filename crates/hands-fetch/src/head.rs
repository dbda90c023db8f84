//! Status line and headers of a URL: for `--head`.

use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode, Version};

use super::client::{chain, refused_literal};
use super::fetcher::Fetcher;
use super::state::FetchJob;
use super::text::clean;
use super::transfer::host_of;

/// Asks for them, as HTTP/1.1 writes them. Redirects are not followed: they are what one wants to
/// see.
pub(super) async fn of(fetcher: &Fetcher, job: &FetchJob) -> Result<Vec<u8>, String> {
    let source = &job.wanted.sources[0];
    if fetcher.flags.request.no_private
        && let Some(why) = refused_literal(source)
    {
        return Err(why);
    }
    let _permit = fetcher.connections.permit(&host_of(source)).await;
    let ask = |method| {
        let request = fetcher.client.request(method, source.clone());
        let request = request.headers(job.wanted.headers.clone());
        let limit = fetcher.flags.transfer.idle_timeout;
        let limit = limit.unwrap_or(std::time::Duration::from_secs(30));
        fetcher.authorized(request, source).timeout(limit).send()
    };
    let mut response = ask(Method::HEAD).await;
    if response.as_ref().is_ok_and(|response| {
        matches!(
            response.status(),
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED
        )
    }) {
        response = ask(Method::GET).await;
    }
    let response = response.map_err(|error| chain(&error.without_url()))?;
    Ok(written(
        response.version(),
        response.status(),
        response.headers(),
    ))
}

fn written(version: Version, status: StatusCode, headers: &HeaderMap) -> Vec<u8> {
    let mut text = format!("{version:?} {status}\n").into_bytes();
    for (name, value) in headers {
        text.extend(name.as_str().as_bytes());
        text.extend(b": ");
        let value = String::from_utf8_lossy(value.as_bytes());
        text.extend(clean(&value).into_bytes());
        text.push(b'\n');
    }
    text
}
