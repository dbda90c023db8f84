//! Flags about other machines: of `hands run --cluster`, `hands worker` and `hands cluster`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use hands_batch::policy::{Slots, parse_duration, parse_size};

/// How a cluster is reached.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Access to the cluster")]
pub(crate) struct AccessFlags {
    /// The pool of this name: its workers and runs belong together [default: jobs]
    #[arg(long, value_name = "NAME")]
    pub(crate) pool: Option<String>,

    /// Read the token from FILE, which nobody else can read [default: $HANDS_TOKEN]
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,

    /// Show the server these credentials, a file as `nsc` writes it
    #[arg(long, value_name = "FILE")]
    pub(crate) credentials: Option<PathBuf>,

    /// Trust the certificates in FILE, and go on only if the way is encrypted
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,

    /// Reach another machine without encryption, where the network is trusted
    #[arg(long)]
    pub(crate) insecure: bool,
}

/// Those of `hands run`.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Other machines")]
pub(crate) struct MachineFlags {
    /// Run the jobs on the workers of this cluster: `nats://HOST:4222`
    ///
    /// `hands worker` lends it a machine. Jobs start in a folder of the same name as here, which
    /// the machines have to share, unless --send or --return is given.
    #[arg(long, value_name = "URL")]
    pub(crate) cluster: Option<String>,

    /// Go on with a run whose program has ended; its first line says its ID
    ///
    /// The command and the inputs are those it was begun with, so nothing else is given but how to
    /// reach the cluster.
    #[arg(long, value_name = "ID")]
    pub(crate) attach: Option<String>,

    /// Only workers with this label get the jobs: `gpu`
    #[arg(long, value_name = "NAME")]
    pub(crate) label: Option<String>,

    /// Send this file with each job: `{}`; may be repeated
    ///
    /// Each job then has a folder of its own, with what was sent and nothing else.
    #[arg(long, value_name = "FILE")]
    pub(crate) send: Vec<OsString>,

    /// Bring this file back from each job: `{.}.out`; may be repeated
    #[arg(long = "return", value_name = "FILE")]
    pub(crate) fetch: Vec<OsString>,

    /// Give a job to another worker after so long without news of its own [default: 10]
    ///
    /// It counts for who uses the pool first.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) hold: Option<Duration>,

    #[command(flatten)]
    pub(crate) access: AccessFlags,
}

/// Everything that can follow `hands worker`.
#[derive(Debug, Args)]
#[command(after_help = WORKER_AFTER)]
pub(crate) struct WorkerFlags {
    /// The cluster: `nats://HOST:4222`, `tls://HOST:4222`
    #[arg(value_name = "URL")]
    pub(crate) url: String,

    /// Run N jobs at once: `8`, `50%` of the cores, `auto` [default: one for each core]
    ///
    /// `auto` finds out how many keep the cores busy, as `hands run -j auto` does.
    #[arg(
        short = 'j',
        long,
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "This machine"
    )]
    pub(crate) jobs: Option<Slots>,

    /// Let others run this program here, a name or a path; may be repeated
    ///
    /// Nothing else is run. A shell runs whatever it is told to.
    #[arg(
        long,
        value_name = "PROGRAM",
        value_delimiter = ',',
        help_heading = "This machine"
    )]
    pub(crate) allow: Vec<OsString>,

    /// Let others run any program here
    #[arg(long, conflicts_with = "allow", help_heading = "This machine")]
    pub(crate) allow_all: bool,

    /// Let jobs start in DIR and below, and nowhere else; may be repeated
    #[arg(long, value_name = "DIR", help_heading = "This machine")]
    pub(crate) folder: Vec<PathBuf>,

    /// What the worker is called in lists and logs [default: the machine's name]
    #[arg(long, value_name = "NAME", help_heading = "This machine")]
    pub(crate) name: Option<String>,

    /// Take jobs that are for this label, too; may be repeated
    #[arg(long, value_name = "NAME", help_heading = "This machine")]
    pub(crate) label: Vec<String>,

    /// Kill a job that runs longer, whatever its run says
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "This machine")]
    pub(crate) timeout: Option<Duration>,

    /// Let no process of a job have more address space than this: `500M`, `2G`
    #[arg(long, value_name = "SIZE", value_parser = parse_size, help_heading = "This machine")]
    pub(crate) memory_limit: Option<u64>,

    /// Run jobs at this niceness, 19 the most modest
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..=19), help_heading = "This machine")]
    pub(crate) nice: Option<i32>,

    /// When told to end, let jobs run so long before they are given back [default: 30]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "This machine")]
    pub(crate) grace: Option<Duration>,

    /// Take a worker for gone after so long without news of it [default: 10]
    ///
    /// It counts for who uses the pool first.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "This machine")]
    pub(crate) hold: Option<Duration>,

    /// Write a line for each job that ended here to FILE
    #[arg(long, value_name = "FILE", help_heading = "This machine")]
    pub(crate) joblog: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) access: AccessFlags,
}

const WORKER_AFTER: &str = "\
Takes jobs of `hands run --cluster` until SIGTERM or Ctrl-C, or `hands cluster drain`; then takes no more,
lets what runs end within --grace, and gives back the rest, which others then run.

Examples:
  hands worker nats://127.0.0.1:4222 --allow convert,gzip
  HANDS_TOKEN=… hands worker tls://queue.example:4222 -j 50% --label gpu --allow /opt/blast/bin/blastp

Exit codes: 0 when it was told to end, 255 for usage, or a cluster that cannot be had.";

/// Everything that can follow `hands cluster`.
#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Start a server on this machine to try things with
    ///
    /// It listens on the loopback address alone, wants a token that nobody else knows, and ends
    /// with this program. Prints two commands to try next.
    Dev {
        /// Listen on this port [default: a free one]
        #[arg(
            long,
            value_name = "PORT",
            default_value_t = 0,
            hide_default_value = true
        )]
        port: u16,
        /// Keep what it holds in DIR [default: a folder that is removed at the end]
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// List the workers, and how much there is to do
    Status {
        /// The cluster: `nats://HOST:4222`
        #[arg(value_name = "URL")]
        url: String,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        access: AccessFlags,
    },
    /// Let a worker finish what it runs, and then end
    Drain {
        /// The cluster: `nats://HOST:4222`
        #[arg(value_name = "URL")]
        url: String,
        /// Its name, or the ID that `status` shows
        #[arg(value_name = "WORKER")]
        worker: String,
        #[command(flatten)]
        access: AccessFlags,
    },
    /// End a worker: what it does not finish within its grace, others run
    Remove {
        /// The cluster: `nats://HOST:4222`
        #[arg(value_name = "URL")]
        url: String,
        /// Its name, or the ID that `status` shows
        #[arg(value_name = "WORKER")]
        worker: String,
        #[command(flatten)]
        access: AccessFlags,
    },
}
