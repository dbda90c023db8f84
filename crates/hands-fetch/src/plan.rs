//! What is to be fetched, and how: everything that a run is told before it begins.
//!
//! The fields are those of `hands fetch --help`, without their defaults filled in: `None` leaves a
//! choice to the engine.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A run of downloads.
///
/// ```
/// use hands_fetch::FetchPlan;
///
/// let plan = FetchPlan::of(["https://example.org/a.tar.gz"]);
/// assert_eq!(plan.transfer.retries, 5);
/// ```
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct FetchPlan {
    /// What is to be fetched.
    pub what: WhatToFetch,
    /// Where it goes.
    pub files: FilePlan,
    /// How it gets here.
    pub transfer: TransferPlan,
    /// What is asked, and of whom.
    pub request: RequestPlan,
    /// Single files can be given up and tried again while it runs; what fails is kept for that, the
    /// last 10,000 of it.
    pub steered: bool,
    /// It begins with no URL and goes on until it is [closed](super::Fetch::close) or stopped: they
    /// are [added](super::Fetch::add). Such a run is steered.
    pub open: bool,
}

impl FetchPlan {
    /// These URLs, with everything else as it is unless told otherwise.
    pub fn of<U: Into<String>>(urls: impl IntoIterator<Item = U>) -> FetchPlan {
        let mut plan = FetchPlan::default();
        plan.what.urls = urls.into_iter().map(Into::into).collect();
        plan
    }
}

/// What is to be fetched.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct WhatToFetch {
    /// What to fetch; `https://` is added where no scheme is given
    pub urls: Vec<String>,

    /// Fetch the URLs in this file, one a line; `-` is stdin
    ///
    /// Further sources of the same file stand behind tabs. Lines that begin with a space or a tab
    /// are options of the URL above: `out=NAME`, `checksum=sha256:…`, `header=Name: value`,
    /// `mirror=URL`. Lines that begin with `#` are comments.
    pub input_file: Vec<PathBuf>,

    /// Fetch the files of this Metalink (version 4)
    pub metalink: Vec<PathBuf>,

    /// Take `[` and `{` in URLs as they are
    ///
    /// Otherwise `[1-9]`, `[01-20:2]`, `[a-f]` and `{one,two}` in a URL on the command line stand
    /// for several URLs.
    pub globoff: bool,

    /// Print status and headers of each URL as they arrive; fetch no file
    pub head: bool,
}

/// Where it goes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct FilePlan {
    /// Put files into this folder; it is made if need be [default: .]
    pub dir: Option<PathBuf>,

    /// Call the one file this; `-` is stdout, where several come in their order
    ///
    /// A device or a pipe is written to, and stays what it is.
    pub output: Option<PathBuf>,

    /// Leave alone what is there already: skip its URL
    ///
    /// Where a checksum is known, what is there is checked: `unchanged` if it is right, and else
    /// `failed`.
    pub no_clobber: bool,

    /// Fetch only what is newer than the file that is there
    ///
    /// Asks the server by the file's time and, where the file system keeps it, by its ETag; gives
    /// files the time that the server says.
    pub timestamping: bool,

    /// Use the name that the server suggests
    ///
    /// It is used anyway where the URL ends in `/`.
    pub content_disposition: bool,

    /// What the one file must be: `sha256:…`; also sha512, sha1, md5
    pub checksum: Option<String>,

    /// Check files by this list, as `sha256sum` writes it
    ///
    /// A file that is not in it fails.
    pub checksums: Vec<PathBuf>,

    /// Fetch nothing: check what is there by the checksums
    pub check_integrity: bool,

    /// Write the URLs that failed into this file, as --input-file reads it
    pub failed: Option<PathBuf>,
}

/// How it gets here.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TransferPlan {
    /// Fetch N files at once; `None` finds out how many are worth it
    pub jobs: Option<NonZeroUsize>,

    /// No more connections than this in all [default: 64]
    pub max_connections: Option<NonZeroUsize>,

    /// No more connections than this to one host [default: 16]
    pub per_host: Option<NonZeroUsize>,

    /// Fetch a large file over N connections, where the server allows it
    pub segments: NonZeroUsize,

    /// Wait this long between two requests to the same host
    pub wait: Option<Duration>,

    /// Send no more requests than this: `10` a second, `30/m`
    pub rate: Option<Duration>,

    /// Receive no more bytes a second than this, in all: `500k`, `2M`
    pub limit_rate: Option<u64>,

    /// Receive no more bytes a second than this for each file
    pub limit_rate_each: Option<u64>,

    /// Try each URL up to N times in all; 0 is for ever
    pub retries: u32,

    /// Try again, too, when the server says one of these: `404,416`
    ///
    /// 408, 425, 429, 500, 502 to 504 and 520 to 524 are tried again anyway.
    pub retry_on_http_error: Vec<u16>,

    /// Wait about this long before the second try [default: 0.5]
    ///
    /// Before each further try the wait is twice as long, up to a minute, and a little more or less
    /// by chance. A server that says how long is obeyed.
    pub retry_delay: Option<Duration>,

    /// Give up on a server that asks to wait longer than this [default: 5m]
    pub retry_after_max: Option<Duration>,

    /// Give up a connection that is not made in this time [default: 10]
    pub connect_timeout: Option<Duration>,

    /// Give up a try when nothing has come for this long [default: 30]
    pub idle_timeout: Option<Duration>,

    /// Give up a try after this long
    pub timeout: Option<Duration>,

    /// Give up a URL after this long, all its tries together
    pub max_time: Option<Duration>,

    /// Give up a try that is slower than this many bytes a second, over 10 seconds
    pub min_speed: Option<u64>,

    /// Stop at the first failure; what has come stays for the next time
    pub fail_fast: bool,
}

impl Default for TransferPlan {
    fn default() -> TransferPlan {
        TransferPlan {
            segments: NonZeroUsize::MIN,
            retries: 5,
            jobs: Default::default(),
            max_connections: Default::default(),
            per_host: Default::default(),
            wait: Default::default(),
            rate: Default::default(),
            limit_rate: Default::default(),
            limit_rate_each: Default::default(),
            retry_on_http_error: Default::default(),
            retry_delay: Default::default(),
            retry_after_max: Default::default(),
            connect_timeout: Default::default(),
            idle_timeout: Default::default(),
            timeout: Default::default(),
            max_time: Default::default(),
            min_speed: Default::default(),
            fail_fast: Default::default(),
        }
    }
}

/// What is asked, and of whom.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RequestPlan {
    /// Send this header: `Name: value`
    pub header: Vec<String>,

    /// Name and password for all hosts: `name:password`
    pub user: Option<String>,

    /// Take names and passwords from ~/.netrc, or from this file
    pub netrc: Option<Option<PathBuf>>,

    /// Keep the cookies that servers set, for this run
    pub cookies: bool,

    /// Send these cookies to the hosts of the list: `a=1; b=2`
    pub cookie: Vec<String>,

    /// Send the cookies in this file, as browsers and curl write it; implies --cookies
    pub cookie_jar: Option<PathBuf>,

    /// Call ourselves this
    pub user_agent: Option<String>,

    /// Say that we come from this page
    pub referer: Option<String>,

    /// Send this text, or what is in `@FILE`, as POST
    ///
    /// As a form (application/x-www-form-urlencoded), if no --header says otherwise. A try that may
    /// have reached the server is not repeated.
    pub data: Option<String>,

    /// Fetch only these bytes: `0-499`, `500-`, `-500`
    pub range: Option<String>,

    /// Let servers compress (gzip, brotli, zstd); files are stored as they were before
    ///
    /// What was compressed can neither be resumed nor fetched in segments.
    pub compressed: bool,

    /// Refuse files larger than this; with --compressed 4G unless set
    ///
    /// Compressed files count by what they come to.
    pub max_size: Option<u64>,

    /// Follow at most this many redirects
    pub max_redirects: usize,

    /// Refuse addresses of this machine and its networks, also behind redirects
    ///
    /// For servers that fetch what their users name. No proxy is used then.
    pub no_private: bool,

    /// Use this proxy: `http://host:3128`, `socks5h://host:1080`
    ///
    /// Otherwise what http_proxy, https_proxy, all_proxy and no_proxy say.
    pub proxy: Option<String>,

    /// Use no proxy
    pub no_proxy: bool,

    /// Trust the certificates in this file, too (PEM)
    pub cacert: Option<PathBuf>,

    /// Show servers this certificate (PEM), with its key, unless --key has that
    pub cert: Option<PathBuf>,

    /// The key of --cert (PEM)
    pub key: Option<PathBuf>,

    /// Trust any certificate: anyone who is in between reads and changes what comes
    pub insecure: bool,

    /// Use IPv4 only
    pub ipv4: bool,

    /// Use IPv6 only
    pub ipv6: bool,

    /// Connect from this interface or address
    pub interface: Option<String>,

    /// Ask this address for a host: `HOST:PORT:ADDRESS`, as curl writes it
    ///
    /// It holds for all ports of the host.
    pub resolve: Vec<String>,

    /// Speak HTTP/1.1 only
    pub http1: bool,
}

impl Default for RequestPlan {
    fn default() -> RequestPlan {
        RequestPlan {
            max_redirects: 10,
            header: Default::default(),
            user: Default::default(),
            netrc: Default::default(),
            cookies: Default::default(),
            cookie: Default::default(),
            cookie_jar: Default::default(),
            user_agent: Default::default(),
            referer: Default::default(),
            data: Default::default(),
            range: Default::default(),
            compressed: Default::default(),
            max_size: Default::default(),
            no_private: Default::default(),
            proxy: Default::default(),
            no_proxy: Default::default(),
            cacert: Default::default(),
            cert: Default::default(),
            key: Default::default(),
            insecure: Default::default(),
            ipv4: Default::default(),
            ipv6: Default::default(),
            interface: Default::default(),
            resolve: Default::default(),
            http1: Default::default(),
        }
    }
}
