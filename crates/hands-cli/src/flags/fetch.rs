//! `hands fetch`: its flags.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use hands::command::batch::policy::{parse_duration, parse_size};

use super::{Progress, When};

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
    /// Further sources of the same file stand behind tabs. Lines that begin with a space or a tab are options of the URL above:
    /// `out=NAME`, `checksum=sha256:…`, `header=Name: value`, `mirror=URL`. Lines that begin with `#` are comments.
    #[arg(short = 'i', long, value_name = "FILE")]
    pub(crate) input_file: Vec<PathBuf>,

    /// Fetch the files of this Metalink (version 4)
    #[arg(long, value_name = "FILE")]
    pub(crate) metalink: Vec<PathBuf>,

    /// Print status and headers of each URL as they arrive; fetch no file
    #[arg(long, conflicts_with_all = ["output", "json"])]
    pub(crate) head: bool,
}

/// Where it goes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Files")]
pub(crate) struct FileFlags {
    /// Put files into this folder; it is made if need be [default: .]
    #[arg(short = 'd', long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,

    /// Call the one file this; `-` is stdout
    #[arg(short = 'o', short_alias = 'O', long, value_name = "NAME")]
    pub(crate) output: Option<PathBuf>,

    /// Leave alone what is there already: skip its URL
    #[arg(long, alias = "nc")]
    pub(crate) no_clobber: bool,

    /// Fetch only what is newer than the file that is there
    ///
    /// Asks the server by the file's time and, where the file system keeps it, by its ETag; gives files the time that the server says.
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
    #[arg(long, value_name = "FILE")]
    pub(crate) checksums: Vec<PathBuf>,
}

/// How it gets here.
#[derive(Debug, Args)]
#[command(next_help_heading = "Transfers")]
pub(crate) struct TransferFlags {
    /// Fetch N files at once; `auto` finds out how many are worth it [default: auto]
    #[arg(short = 'j', long, value_name = "N")]
    pub(crate) jobs: Option<Jobs>,

    /// No more connections than this in all [default: 64]
    #[arg(long, value_name = "N")]
    pub(crate) max_connections: Option<NonZeroUsize>,

    /// No more connections than this to one host [default: 16]
    #[arg(long, value_name = "N")]
    pub(crate) per_host: Option<NonZeroUsize>,

    /// Fetch a large file over N connections, where the server allows it
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) segments: NonZeroUsize,

    /// Receive no more bytes a second than this, in all: `500k`, `2M`
    #[arg(long, value_name = "SIZE", value_parser = rate)]
    pub(crate) limit_rate: Option<u64>,

    /// Receive no more bytes a second than this for each file
    #[arg(long, value_name = "SIZE", value_parser = rate)]
    pub(crate) limit_rate_each: Option<u64>,

    /// Try each URL up to N times in all; 0 is for ever
    #[arg(long, value_name = "N", default_value = "5")]
    pub(crate) retries: u32,

    /// Wait about this long before the second try [default: 0.5]
    ///
    /// Before each further try the wait is twice as long, up to a minute, and a little more or less by chance. A server that says
    /// how long is obeyed.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
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
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) max_time: Option<Duration>,

    /// Give up a try that is slower than so many bytes a second, over 10 seconds
    #[arg(long, value_name = "SIZE", value_parser = rate)]
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

    /// Send the cookies in this file, as browsers export it; implies --cookies
    #[arg(long, value_name = "FILE")]
    pub(crate) cookie_jar: Option<PathBuf>,

    /// Call ourselves this
    #[arg(short = 'A', long, value_name = "NAME")]
    pub(crate) user_agent: Option<String>,

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

    /// Follow so many redirects
    #[arg(long, value_name = "N", default_value = "10")]
    pub(crate) max_redirects: usize,

    /// Refuse addresses of this machine and its networks, also behind redirects
    ///
    /// For servers that fetch what their users name. No proxy is used then.
    #[arg(long, conflicts_with = "proxy")]
    pub(crate) no_private: bool,

    /// Use this proxy: `http://host:3128`, `socks5h://host:1080`
    ///
    /// Otherwise what http_proxy, https_proxy, all_proxy and no_proxy say.
    #[arg(long, value_name = "URL")]
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

    /// Trust any certificate: whoever is in between reads and changes what comes
    #[arg(short = 'k', long)]
    pub(crate) insecure: bool,

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
    /// Events are `start`, `retry`, `end` with the state (`ok`, `unchanged`, `skipped`, `failed`), and, last, `summary`.
    #[arg(long)]
    pub(crate) json: bool,

    /// Say only what failed
    #[arg(short = 'q', long)]
    pub(crate) quiet: bool,

    /// Show progress on stderr: on a terminal a bar, elsewhere now and then a line
    #[arg(long, value_name = "WHAT")]
    pub(crate) progress: Option<Progress>,

    /// Use colours: `auto` does on a terminal, unless NO_COLOR is set
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = When::Auto)]
    pub(crate) color: When,
}

/// `-j`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Jobs {
    Auto,
    Count(NonZeroUsize),
}

impl FromStr for Jobs {
    type Err = String;

    fn from_str(text: &str) -> Result<Jobs, String> {
        if text == "auto" {
            return Ok(Jobs::Auto);
        }
        let number = text.parse().map(Jobs::Count);
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

const USAGE: &str = "\
hands fetch [OPTIONS] URL...
       hands fetch [OPTIONS] -i FILE...
       hands fetch [OPTIONS] --metalink FILE...";

const AFTER: &str = "\
A file that is not whole is called NAME.part, and taken up again by the next run if the server says that it is
still the same. What is there under its final name is replaced when the new one is whole; --no-clobber and
--timestamping keep it.

Examples:
  hands fetch https://example.org/a.iso https://example.org/b.iso
  hands fetch -i urls.txt --dir out --no-clobber      take up a batch where it was interrupted
  hands fetch --segments 8 --checksum sha256:… https://example.org/big.iso
  hands fetch -o - https://example.org/data.csv | head
  hands fetch --head example.org example.com

Exit codes: 0 all fine, 1-100 so many URLs failed, 101 more, 130 interrupted, 141 nobody reads stdout,
255 usage.";
