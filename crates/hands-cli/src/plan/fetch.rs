//! From the flags of `hands fetch` to its plan, and which of them cannot stand together.

use hands_fetch::{FetchPlan, FilePlan, RequestPlan, TransferPlan, WhatToFetch};

use super::PlanError;
use crate::flags::{FetchFlags, FetchJobs, ProgressStyle};

/// Checks the flags against each other, and makes the plan of them.
pub(crate) fn fetch_plan(flags: &mut FetchFlags) -> Result<FetchPlan, PlanError> {
    check(flags)?;
    let (is_watched, is_page) = (flags.watch.web.is_some(), is_page(flags));
    let FetchFlags {
        what,
        files,
        transfer,
        request,
        ..
    } = flags;
    Ok(FetchPlan {
        steered: is_watched,
        open: is_page,
        what: WhatToFetch {
            urls: std::mem::take(&mut what.urls),
            input_file: std::mem::take(&mut what.input_file),
            metalink: std::mem::take(&mut what.metalink),
            globoff: what.globoff,
            head: what.head,
        },
        files: FilePlan {
            dir: std::mem::take(&mut files.dir),
            output: std::mem::take(&mut files.output),
            no_clobber: files.no_clobber,
            timestamping: files.timestamping,
            content_disposition: files.content_disposition,
            checksum: std::mem::take(&mut files.checksum),
            checksums: std::mem::take(&mut files.checksums),
            check_integrity: files.check_integrity,
            failed: std::mem::take(&mut files.failed),
        },
        transfer: TransferPlan {
            jobs: match transfer.jobs {
                Some(FetchJobs::Count(jobs)) => Some(jobs),
                _ => None,
            },
            max_connections: transfer.max_connections,
            per_host: transfer.per_host,
            segments: transfer.segments,
            wait: transfer.wait,
            rate: transfer.rate,
            limit_rate: transfer.limit_rate,
            limit_rate_each: transfer.limit_rate_each,
            retries: transfer.retries,
            retry_on_http_error: std::mem::take(&mut transfer.retry_on_http_error),
            retry_delay: transfer.retry_delay,
            retry_after_max: transfer.retry_after_max,
            connect_timeout: transfer.connect_timeout,
            idle_timeout: transfer.idle_timeout,
            timeout: transfer.timeout,
            max_time: transfer.max_time,
            min_speed: transfer.min_speed,
            fail_fast: transfer.fail_fast,
        },
        request: RequestPlan {
            header: std::mem::take(&mut request.header),
            user: std::mem::take(&mut request.user),
            netrc: std::mem::take(&mut request.netrc),
            cookies: request.cookies,
            cookie: std::mem::take(&mut request.cookie),
            cookie_jar: std::mem::take(&mut request.cookie_jar),
            user_agent: std::mem::take(&mut request.user_agent),
            referer: std::mem::take(&mut request.referer),
            data: std::mem::take(&mut request.data),
            range: std::mem::take(&mut request.range),
            compressed: request.compressed,
            max_size: request.max_size,
            max_redirects: request.max_redirects,
            no_private: request.no_private,
            proxy: std::mem::take(&mut request.proxy),
            no_proxy: request.no_proxy,
            cacert: std::mem::take(&mut request.cacert),
            cert: std::mem::take(&mut request.cert),
            key: std::mem::take(&mut request.key),
            insecure: request.insecure,
            ipv4: request.ipv4,
            ipv6: request.ipv6,
            interface: std::mem::take(&mut request.interface),
            resolve: std::mem::take(&mut request.resolve),
            http1: request.http1,
        },
    })
}

/// Whether links are pasted into a page.
fn is_page(flags: &FetchFlags) -> bool {
    let what = &flags.what;
    let has_none = what.urls.is_empty() && what.input_file.is_empty() && what.metalink.is_empty();
    flags.watch.web.is_some() && has_none
}

/// The first contradiction, if there is one.
fn check(flags: &FetchFlags) -> Result<(), PlanError> {
    let shown = &flags.shown;
    let to_stdout = flags
        .files
        .output
        .as_deref()
        .is_some_and(hands_fetch::is_stdout);
    let is_shown = matches!(
        shown.progress,
        Some(ProgressStyle::Bar | ProgressStyle::Plain)
    );
    let machines = &flags.machines;
    let contradictions = [
        (
            machines.cluster.is_none()
                && (machines.label.is_some()
                    || machines.fetch
                    || machines.pool.is_some()
                    || machines.token_file.is_some()),
            "`--label`, `--return`, `--pool` and `--token-file` are about other machines",
            "`--cluster URL` says where they are",
        ),
        (
            machines.cluster.is_some() && (flags.files.output.is_some() || flags.what.head),
            "`--cluster` cannot be used with `--output` or `--head`",
            "workers fetch files into a folder; in a list, `out=` below each URL names its file",
        ),
        (
            flags.watch.web.is_some() && machines.cluster.is_some(),
            "`--web` shows the downloads of this machine, and `--cluster` has none here",
            "leave one of them out",
        ),
        (
            flags.watch.web.is_some() && (flags.what.head || to_stdout),
            "`--web` cannot be used with `--head` or `-o -`",
            "leave one of them out",
        ),
        (
            is_page(flags) && (flags.files.output.is_some() || flags.files.checksum.is_some()),
            "`--output` and `--checksum` are about one file, and the page of `--web` takes many",
            "name the folder, with --dir; or a URL",
        ),
        (
            shown.quiet && is_shown,
            "`--quiet` and `--progress` cannot be used together",
            "leave one of them out",
        ),
        (
            shown.json && to_stdout,
            "`--json` and `-o -` would both write on stdout",
            "leave one of them out",
        ),
        (
            flags.files.timestamping && to_stdout,
            "`--timestamping` and `-o -` cannot be used together",
            "what goes to stdout has no time that could be compared",
        ),
        (
            flags.files.no_clobber && to_stdout,
            "`--no-clobber` and `-o -` cannot be used together",
            "nothing is replaced on stdout",
        ),
        (
            flags.files.check_integrity && to_stdout,
            "`--check-integrity` and `-o -` cannot be used together",
            "it checks files that are there",
        ),
    ];
    match contradictions.into_iter().find(|(is_so, ..)| *is_so) {
        Some((_, message, hint)) => Err(PlanError::new(message).hint(hint)),
        None => Ok(()),
    }
}
