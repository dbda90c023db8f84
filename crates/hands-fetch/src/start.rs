//! How a run of downloads begins: what the plan names is opened and understood, before anything is
//! asked for.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use hands::pool::AsyncPool;
use hands::sync::{CancelToken, Mutex};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, REFERER, USER_AGENT};

use super::board::Board;
use super::checksum::ChecksumList;
use super::client::Netrc;
use super::disk::Disk;
use super::fetcher::Fetcher;
use super::items::Items;
use super::mailbox::EventBox;
use super::pace::{Connections, Pauses, Rate};
use super::plan::FetchPlan;
use super::source::UrlSource;
use super::steer::Steering;
use super::turns::FetchTurns;
use super::work::take_and_fetch;
use super::{client, cookies, list, source};

/// Connections in all, and to one host, unless told otherwise.
const CONNECTIONS: usize = 64;
const PER_HOST: usize = 16;
/// Connections that `-j auto` begins with.
const AT_FIRST: usize = 8;
/// For each connection this number of coroutines take from the list, so that those that wait for a
/// busy host keep nobody from another.
const FETCHERS: usize = 4;

/// What runs, and what was odd about the plan.
pub(crate) fn started(flags: FetchPlan) -> Result<(Arc<Fetcher>, Vec<String>), String> {
    let source = UrlSource::new(&flags)?;
    let headers = headers(&flags)?;
    let (size, most) = match flags.transfer.jobs {
        Some(jobs) => (jobs.get(), jobs.get()),
        None => (AT_FIRST, CONNECTIONS),
    };
    let most = flags
        .transfer
        .max_connections
        .map_or(most, |limit| most.min(limit.get()));
    let size = size.min(most);
    let per_host = match (flags.transfer.per_host, flags.transfer.jobs) {
        (Some(limit), _) => limit.get(),
        (None, Some(jobs)) => jobs.get(),
        (None, None) => PER_HOST,
    };
    hands::command::raise_descriptor_limit();
    let (size, most) = (size.min(affordable()), most.min(affordable()));
    let cookies = cookies::of_flags(&flags)?;
    let client = client::new(&flags, headers, per_host, cookies.clone())?;
    let data = data_of(&flags)?;
    let (sums, warnings) = checksums_of(&flags)?;
    let netrc = netrc(&flags)?;
    let user = flags.request.user.as_ref().map(|user| {
        let (name, password) = user.split_once(':').unwrap_or((user, ""));
        (name.to_owned(), password.to_owned())
    });
    if let Some(dir) = &flags.files.dir {
        std::fs::create_dir_all(dir)
            .map_err(|error| format!("`--dir {}` cannot be made: {error}", dir.display()))?;
    }
    let mut builder = AsyncPool::builder()
        .name("fetch")
        .in_flight(FETCHERS * most + 1);
    if flags.what.head {
        builder = builder.threads(1);
    }
    let pool = builder
        .build()
        .map_err(|error| format!("cannot start threads: {error}"))?;
    let pauses = Pauses {
        host: flags.transfer.wait.unwrap_or_default(),
        all: flags.transfer.rate.unwrap_or_default(),
    };
    let disk = Disk::new().map_err(|error| format!("cannot start a thread: {error}"))?;
    let fetchers = FETCHERS * most;
    let fetcher = Arc::new(Fetcher {
        connections: Connections::new(size, most, per_host, pauses),
        rate: flags.transfer.limit_rate.map(Rate::new),
        board: Board::new(flags.transfer.limit_rate_each),
        client,
        pool,
        names: Mutex::default(),
        sums,
        netrc,
        user,
        cookies,
        data,
        disk,
        naming: FetchTurns::default(),
        going_out: FetchTurns::default(),
        being_named: AtomicUsize::new(0),
        stop: CancelToken::new(),
        steering: Steering::new(flags.steered || flags.open),
        told: EventBox::new(fetchers),
        flags,
    });
    if most > size {
        let sized = Arc::clone(&fetcher);
        let is_over = fetcher.stop.clone();
        drop(fetcher.pool.spawn(async move {
            tokio::select! {
                () = sized.connections.size_by_throughput() => {}
                _ = is_over.cancelled() => {}
            }
        }));
    }
    let items = Arc::new(Items::new(source, &fetcher)?);
    for worker in 0..fetchers {
        let worker = u32::try_from(worker).unwrap_or(u32::MAX);
        let fetches = take_and_fetch(Arc::clone(&fetcher), Arc::clone(&items), worker);
        drop(fetcher.pool.spawn(fetches));
    }
    Ok((fetcher, warnings))
}

/// What is sent with each request.
fn data_of(flags: &FetchPlan) -> Result<Option<Vec<u8>>, String> {
    let Some(text) = flags.request.data.as_deref() else {
        return Ok(None);
    };
    match text.strip_prefix('@') {
        None => Ok(Some(text.as_bytes().to_vec())),
        Some("-") => Err("`--data @-`: name a file; stdin may be the list".to_owned()),
        Some(path) => {
            let data = std::fs::read(path);
            Ok(Some(
                data.map_err(|error| format!("`--data @{path}`: {error}"))?,
            ))
        }
    }
}

/// The lists of checksums, and what in them was passed over.
fn checksums_of(flags: &FetchPlan) -> Result<(ChecksumList, Vec<String>), String> {
    let mut warnings = Vec::new();
    let mut sums = ChecksumList::default();
    for path in &flags.files.checksums {
        let text = source::text(path, "--checksums")?;
        let wrong = |line| {
            format!(
                "`--checksums {}`: line {line} is no checksum and name, as `sha256sum` writes them",
                path.display()
            )
        };
        let odd = sums.add(&text).map_err(wrong)?;
        let odd = odd.into_iter().map(wrong);
        warnings.extend(odd.map(|line| format!("{line}; it is passed over")));
    }
    Ok((sums, warnings))
}

/// How many connections the limit on descriptors allows: each has a socket, a file and its state,
/// and one more for a moment.
fn affordable() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let limit = limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    });
    (limit.saturating_sub(OTHERS) / 4).max(1)
}

/// Descriptors that are not a connection's.
const OTHERS: usize = 24;

fn headers(flags: &FetchPlan) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    if let Some(name) = &flags.request.user_agent {
        let name = HeaderValue::from_str(name);
        headers.insert(
            USER_AGENT,
            name.map_err(|_| "`--user-agent` has a character that no header may have".to_owned())?,
        );
    }
    if let Some(page) = &flags.request.referer {
        let page = HeaderValue::from_str(page);
        headers.insert(
            REFERER,
            page.map_err(|_| "`--referer` has a character that no header may have".to_owned())?,
        );
    }
    if flags.request.compressed {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, br, zstd"));
    }
    if flags.request.data.is_some() {
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, form);
    }
    for header in &flags.request.header {
        let (name, value) = list::header(header)?;
        match name == CONTENT_TYPE || name == USER_AGENT || name == REFERER {
            true => drop(headers.insert(name, value)),
            false => drop(headers.append(name, value)),
        }
    }
    Ok(headers)
}

fn netrc(flags: &FetchPlan) -> Result<Netrc, String> {
    match &flags.request.netrc {
        None => Ok(Netrc::default()),
        Some(Some(path)) => Netrc::read(path),
        Some(None) => {
            let home = std::env::var_os("HOME").unwrap_or_default();
            Netrc::read(&Path::new(&home).join(".netrc"))
        }
    }
}
