//! `hands fetch`: its flags.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use hands_batch::policy::{parse_duration, parse_size};

use super::{ColourWhen, ProgressStyle, WatchFlags};

/// Everything that can follow `hands fetch`.
#[derive(Debug, Args)]
#[command(override_usage = USAGE, after_help = AFTER, args_override_self = true)]
pub(crate) struct FetchFlags {
    #[command(flatten)]
    pub(crate) what: WhatFlags,
    #[command(flatten)]
    pub(crate) files: FileFlags,
    #[command(flatten)]
    pub(crate) transfer: TransferFlags,
    #[command(flatten)]
    pub(crate) request: RequestFlags,
    #[command(flatten)]
    pub(crate) shown: ShownFlags,
    #[command(flatten)]
    pub(crate) machines: FetchMachineFlags,
    #[command(flatten)]
    pub(crate) watch: WatchFlags,
}

/// Which machines fetch.
#[derive(Debug, Args)]
#[command(next_help_heading = "Other machines")]
pub(crate) struct FetchMachineFlags {
    /// Spread the list over the workers of this cluster: `nats://HOST:4222`
    ///
    /// Workers that were started with `--allow hands` take part. Files go into a folder of the same
    /// name as here, which the machines share, unless --return is given. `--jobs`, `--per-host` and
    /// rates count for each worker's share.
    #[arg(long, value_name = "URL")]
    pub(crate) cluster: Option<String>,

    /// Only workers with this label fetch
    #[arg(long, value_name = "NAME")]
    pub(crate) label: Option<String>,

    /// Bring the files here by way of the cluster, where the machines share no folder
    #[arg(long = "return")]
    pub(crate) fetch: bool,

    /// The pool of this name [default: jobs]
    #[arg(long, value_name = "NAME")]
    pub(crate) pool: Option<String>,

    /// Read the cluster's token from FILE [default: $HANDS_TOKEN]
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

/// What is to be fetched.
#[derive(Debug, Args)]
#[command(next_help_heading = "What")]
pub(crate) struct WhatFlags {
    /// What to fetch; `https://` is added where no scheme is given
    #[arg(value_name = "URL", help_heading = None)]
    pub(crate) urls: Vec<String>,

    /// Fetch the URLs in this file, one a line; `-` is stdin
    ///
    /// Further sources of the same file stand behind tabs. Lines that begin with a space or a tab
    /// are options of the URL above: `out=NAME`, `checksum=sha256:…`, `header=Name: value`,
    /// `mirror=URL`. Lines that begin with `#` are comments.
    #[arg(short = 'i', long, value_name = "FILE")]
    pub(crate) input_file: Vec<PathBuf>,

    /// Fetch the files of this Metalink (version 4)
    #[arg(long, value_name = "FILE")]
    pub(crate) metalink: Vec<PathBuf>,

    /// Take `[` and `{` in URLs as they are
    ///
    /// Otherwise `[1-9]`, `[01-20:2]`, `[a-f]` and `{one,two}` in a URL on the command line stand
    /// for several URLs.
    #[arg(short = 'g', long)]
    pub(crate) globoff: bool,

    /// Print status and headers of each URL as they arrive; fetch no file
    #[arg(short = 'I', long, conflicts_with_all = ["output", "json"])]
    pub(crate) head: bool,
}

/// Where it goes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Files")]
pub(crate) struct FileFlags {
    /// Put files into this folder; it is made if need be [default: .]
    #[arg(
        short = 'd',
        short_alias = 'P',
        long,
        alias = "directory-prefix",
        alias = "output-dir",
        value_name = "DIR"
    )]
    pub(crate) dir: Option<PathBuf>,

    /// Call the one file this; `-` is stdout, where several come in their order
    ///
    /// A device or a pipe is written to, and stays what it is.
    #[arg(
        short = 'o',
        short_alias = 'O',
        long,
        alias = "output-document",
        alias = "out",
        value_name = "NAME"
    )]
    pub(crate) output: Option<PathBuf>,

    /// Leave alone what is there already: skip its URL
    ///
    /// Where a checksum is known, what is there is checked: `unchanged` if it is right, and else
    /// `failed`.
    #[arg(long)]
    pub(crate) no_clobber: bool,

    /// Fetch only what is newer than the file that is there
    ///
    /// Asks the server by the file's time and, where the file system keeps it, by its ETag; gives
    /// files the time that the server says.
    #[arg(short = 'N', long, conflicts_with = "no_clobber")]
    pub(crate) timestamping: bool,

    /// Use the name that the server suggests
    ///
    /// It is used anyway where the URL ends in `/`.
    #[arg(long)]
    pub(crate) content_disposition: bool,

    /// What the one file must be: `sha256:…`; also sha512, sha1, md5
    #[arg(long, value_name = "SUM")]
    pub(crate) checksum: Option<String>,

    /// Check files by this list, as `sha256sum` writes it
    ///
    /// A file that is not in it fails.
    #[arg(long, value_name = "FILE")]
    pub(crate) checksums: Vec<PathBuf>,

    /// Fetch nothing: check what is there by the checksums
    #[arg(long)]
    pub(crate) check_integrity: bool,

    /// Write the URLs that failed into this file, as --input-file reads it
    #[arg(long, value_name = "FILE")]
    pub(crate) failed: Option<PathBuf>,
}

/// How it gets here.
#[derive(Debug, Args)]
#[command(next_help_heading = "Transfers")]
pub(crate) struct TransferFlags {
    /// Fetch N files at once; `auto` finds out how many are worth it [default: auto]
    #[arg(short = 'j', long, value_name = "N")]
    pub(crate) jobs: Option<FetchJobs>,

    /// No more connections than this in all [default: 64]
    #[arg(long, value_name = "N", alias = "max-concurrent-downloads")]
    pub(crate) max_connections: Option<NonZeroUsize>,

    /// No more connections than this to one host [default: 16]
    #[arg(long, value_name = "N")]
    pub(crate) per_host: Option<NonZeroUsize>,

    /// Fetch a large file over N connections, where the server allows it
    #[arg(
        long,
        short_alias = 'x',
        short_aliases = ['s'],
        alias = "split",
        alias = "max-connection-per-server",
        value_name = "N",
        default_value = "1"
    )]
    pub(crate) segments: NonZeroUsize,

    /// Wait this long between two requests to the same host
    #[arg(short = 'w', long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) wait: Option<Duration>,

    /// Send no more requests than this: `10` a second, `30/m`
    #[arg(long, value_name = "N", value_parser = requests)]
    pub(crate) rate: Option<Duration>,

    /// Receive no more bytes a second than this, in all: `500k`, `2M`
    #[arg(long, alias = "max-overall-download-limit", value_name = "SIZE", value_parser = rate)]
    pub(crate) limit_rate: Option<u64>,

    /// Receive no more bytes a second than this for each file
    #[arg(long, alias = "max-download-limit", value_name = "SIZE", value_parser = rate)]
    pub(crate) limit_rate_each: Option<u64>,

    /// Try each URL up to N times in all; 0 is for ever
    #[arg(
        short_alias = 't',
        long,
        alias = "tries",
        alias = "retry",
        alias = "max-tries",
        value_name = "N",
        default_value = "5"
    )]
    pub(crate) retries: u32,

    /// Try again, too, when the server says one of these: `404,416`
    ///
    /// 408, 425, 429, 500, 502 to 504 and 520 to 524 are tried again anyway.
    #[arg(long, value_name = "CODES", value_delimiter = ',')]
    pub(crate) retry_on_http_error: Vec<u16>,

    /// Wait about this long before the second try [default: 0.5]
    ///
    /// Before each further try the wait is twice as long, up to a minute, and a little more or less
    /// by chance. A server that says how long is obeyed.
    #[arg(long, alias = "retry-wait", alias = "waitretry", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) retry_delay: Option<Duration>,

    /// Give up on a server that asks to wait longer than this [default: 5m]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) retry_after_max: Option<Duration>,

    /// Give up a connection that is not made in this time [default: 10]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) connect_timeout: Option<Duration>,

    /// Give up a try when nothing has come for this long [default: 30]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) idle_timeout: Option<Duration>,

    /// Give up a try after this long
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) timeout: Option<Duration>,

    /// Give up a URL after this long, all its tries together
    #[arg(short = 'm', long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) max_time: Option<Duration>,

    /// Give up a try that is slower than this many bytes a second, over 10 seconds
    #[arg(long, alias = "lowest-speed-limit", value_name = "SIZE", value_parser = rate)]
    pub(crate) min_speed: Option<u64>,

    /// Stop at the first failure; what has come stays for the next time
    #[arg(long)]
    pub(crate) fail_fast: bool,
}

/// What is asked, and of whom.
#[derive(Debug, Args)]
#[command(next_help_heading = "Requests")]
pub(crate) struct RequestFlags {
    /// Send this header: `Name: value`
    #[arg(short = 'H', long, value_name = "HEADER")]
    pub(crate) header: Vec<String>,

    /// Name and password for all hosts: `name:password`
    #[arg(short = 'u', long, value_name = "USER")]
    pub(crate) user: Option<String>,

    /// Take names and passwords from ~/.netrc, or from this file
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    pub(crate) netrc: Option<Option<PathBuf>>,

    /// Keep the cookies that servers set, for this run
    #[arg(long)]
    pub(crate) cookies: bool,

    /// Send these cookies to the hosts of the list: `a=1; b=2`
    #[arg(short = 'b', long, value_name = "COOKIES")]
    pub(crate) cookie: Vec<String>,

    /// Send the cookies in this file, as browsers and curl write it; implies --cookies
    #[arg(long, alias = "load-cookies", value_name = "FILE")]
    pub(crate) cookie_jar: Option<PathBuf>,

    /// Call ourselves this
    #[arg(short = 'A', short_alias = 'U', long, value_name = "NAME")]
    pub(crate) user_agent: Option<String>,

    /// Say that we come from this page
    #[arg(short = 'e', long, value_name = "URL")]
    pub(crate) referer: Option<String>,

    /// Send this text, or what is in `@FILE`, as POST
    ///
    /// As a form (application/x-www-form-urlencoded), if no --header says otherwise. A try that may
    /// have reached the server is not repeated.
    #[arg(long, alias = "post-data", value_name = "TEXT")]
    pub(crate) data: Option<String>,

    /// Fetch only these bytes: `0-499`, `500-`, `-500`
    #[arg(short = 'r', long, value_name = "RANGE", value_parser = byte_range)]
    pub(crate) range: Option<String>,

    /// Let servers compress (gzip, brotli, zstd); files are stored as they were before
    ///
    /// What was compressed can neither be resumed nor fetched in segments.
    #[arg(long)]
    pub(crate) compressed: bool,

    /// Refuse files larger than this; with --compressed 4G unless set
    ///
    /// Compressed files count by what they come to.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) max_size: Option<u64>,

    /// Follow at most this many redirects
    #[arg(
        long,
        alias = "max-redirs",
        alias = "max-redirect",
        value_name = "N",
        default_value = "10"
    )]
    pub(crate) max_redirects: usize,

    /// Refuse addresses of this machine and its networks, also behind redirects
    ///
    /// For servers that fetch what their users name. No proxy is used then.
    #[arg(long, conflicts_with = "proxy")]
    pub(crate) no_private: bool,

    /// Use this proxy: `http://host:3128`, `socks5h://host:1080`
    ///
    /// Otherwise what http_proxy, https_proxy, all_proxy and no_proxy say.
    #[arg(long, alias = "all-proxy", value_name = "URL")]
    pub(crate) proxy: Option<String>,

    /// Use no proxy
    #[arg(long, conflicts_with = "proxy")]
    pub(crate) no_proxy: bool,

    /// Trust the certificates in this file, too (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) cacert: Option<PathBuf>,

    /// Show servers this certificate (PEM), with its key, unless --key has that
    #[arg(long, value_name = "FILE")]
    pub(crate) cert: Option<PathBuf>,

    /// The key of --cert (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,

    /// Trust any certificate: anyone who is in between reads and changes what comes
    #[arg(short = 'k', long, alias = "no-check-certificate")]
    pub(crate) insecure: bool,

    /// Use IPv4 only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    pub(crate) ipv4: bool,

    /// Use IPv6 only
    #[arg(short = '6', long)]
    pub(crate) ipv6: bool,

    /// Connect from this interface or address
    #[arg(long, alias = "bind-address", value_name = "NAME", conflicts_with_all = ["ipv4", "ipv6"])]
    pub(crate) interface: Option<String>,

    /// Ask this address for a host: `HOST:PORT:ADDRESS`, as curl writes it
    ///
    /// It holds for all ports of the host.
    #[arg(long, value_name = "WHERE")]
    pub(crate) resolve: Vec<String>,

    /// Speak HTTP/1.1 only
    #[arg(long = "http1.1")]
    pub(crate) http1: bool,
}

/// What is shown.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct ShownFlags {
    /// Print events on stdout, one JSON object a line
    ///
    /// Events are `start`, `retry`, `end` with the state (`ok`, `unchanged`, `skipped`, `failed`),
    /// and, last, `summary`.
    #[arg(long)]
    pub(crate) json: bool,

    /// Say only what failed
    #[arg(short = 'q', long)]
    pub(crate) quiet: bool,

    /// Write which file came when to FILE.json, for ui.perfetto.dev
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,

    /// Show progress on stderr: on a terminal a bar, elsewhere now and then a line
    #[arg(long, value_name = "WHAT")]
    pub(crate) progress: Option<ProgressStyle>,

    /// Use colours: `auto` does on a terminal, unless NO_COLOR is set
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = ColourWhen::Auto)]
    pub(crate) color: ColourWhen,

    /// Do not read the configuration file
    ///
    /// It is `$XDG_CONFIG_HOME/hands/fetch.conf` (`~/.config/hands/fetch.conf`): an option a line,
    /// as on the command line; `#` begins a comment.
    #[arg(long)]
    pub(crate) no_config: bool,

    /// What curl and wget need to be told, and happens anyway
    #[arg(short = 'L', short_alias = 'c', short_aliases = ['S', 'f'], long, alias = "continue", alias = "fail", alias = "show-error", hide = true, action = clap::ArgAction::Count)]
    pub(crate) location: u8,
}

/// `-j`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FetchJobs {
    Auto,
    Count(NonZeroUsize),
}

impl FromStr for FetchJobs {
    type Err = String;

    fn from_str(text: &str) -> Result<FetchJobs, String> {
        if text == "auto" {
            return Ok(FetchJobs::Auto);
        }
        let number = text.parse().map(FetchJobs::Count);
        number.map_err(|_| "write a number from 1 up, or `auto`".to_owned())
    }
}

/// A size, and not 0: nothing would ever come.
fn rate(text: &str) -> Result<u64, String> {
    match parse_size(text) {
        Ok(0) => Err("at 0 bytes a second nothing would ever come".to_owned()),
        Ok(rate) => Ok(rate),
        Err(error) => Err(error.to_string()),
    }
}

/// A number of requests a second, minute or hour, as the time between two.
fn requests(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_once('/').unwrap_or((text, "s"));
    let unit = match unit {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        _ => return Err("write it as `10` a second, `30/m` or `100/h`".to_owned()),
    };
    let number: f64 = number
        .parse()
        .map_err(|_| "write it as `10` a second, `30/m` or `100/h`".to_owned())?;
    if !(number.is_finite() && number > 0.0) {
        return Err("with no requests nothing would ever come".to_owned());
    }
    Duration::try_from_secs_f64(unit / number)
        .map_err(|_| "that is too few to be kept to".to_owned())
}

/// `0-499`, `500-`, `-500`.
fn byte_range(text: &str) -> Result<String, String> {
    let wrong = || "write one range of bytes: `0-499`, `500-`, `-500`".to_owned();
    let (first, last) = text.split_once('-').ok_or_else(wrong)?;
    let number = |text: &str| match text {
        "" => Ok(None),
        text => text.parse::<u64>().map(Some).map_err(|_| wrong()),
    };
    match (number(first)?, number(last)?) {
        (Some(first), Some(last)) if first > last => Err("it ends before it begins".to_owned()),
        (None, None) => Err(wrong()),
        _ => Ok(text.to_owned()),
    }
}

const USAGE: &str = "\
hands fetch [OPTIONS] URL...
       hands fetch [OPTIONS] -i FILE...
       hands fetch [OPTIONS] --metalink FILE...";

const AFTER: &str = "\
A file that is not whole is called NAME.part, and taken up again by the next run if the server says that it is
still the same. What is there under its final name is replaced when the new one is whole; --no-clobber and
--timestamping keep it.

Options of curl, wget and aria2 that mean the same are taken (`-O`, `-L`, `-fsSL`, `-c`, `-nc`, `-x 8`); the man page has a table.

Examples:
  hands fetch https://example.org/a.iso https://example.org/b.iso
  hands fetch -i urls.txt --dir out --no-clobber      take up a batch where it was interrupted
  hands fetch --segments 8 --checksum sha256:… https://example.org/big.iso
  hands fetch -o - https://example.org/data.csv | head
  hands fetch --head example.org example.com

Exit codes: 0 all fine, 1-100 so many URLs failed, 101 more, 130 interrupted, 141 nobody reads stdout,
255 usage.";
