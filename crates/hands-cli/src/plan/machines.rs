//! What the flags about other machines mean.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use hands::sizing::Limits;
use hands_batch::policy::{Room, Slots};

use super::conflicts::{GivenFlags, clash, needs};
use super::{MOST_FOR_A_CORE, PlanError};
use crate::flags::{AccessFlags, MachineFlags, RunFlags, WorkerFlags};
use crate::machines::AccessPlan;
use crate::machines::allow::Allowed;
use crate::machines::runner::OwnersRules;
use crate::machines::worker::WorkerPlan;

/// A worker of which nothing is heard for so long is gone.
const HOLD: Duration = Duration::from_secs(10);
/// A worker that is told to end lets jobs run for so long.
const GRACE: Duration = Duration::from_secs(30);

/// `--cluster` and what goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MachinesPlan {
    pub(crate) access: AccessPlan,
    /// `--attach`.
    pub(crate) attach: Option<String>,
    pub(crate) label: Option<String>,
    /// `--send` and `--return`, as templates.
    pub(crate) send: Vec<Vec<u8>>,
    pub(crate) fetch: Vec<Vec<u8>>,
    pub(crate) hold: Duration,
    /// `-j`: no more at once than this.
    pub(crate) most: Option<usize>,
}

impl MachinesPlan {
    /// `None`: the jobs run here.
    pub(super) fn new(flags: MachineFlags, jobs: Option<Slots>) -> Option<MachinesPlan> {
        let url = flags.cluster?;
        let bytes = |texts: Vec<OsString>| -> Vec<Vec<u8>> {
            texts.iter().map(|text| text.as_bytes().to_vec()).collect()
        };
        Some(MachinesPlan {
            access: access(url, flags.access),
            attach: flags.attach,
            label: flags.label,
            send: bytes(flags.send),
            fetch: bytes(flags.fetch),
            hold: flags.hold.unwrap_or(HOLD),
            most: match jobs {
                Some(Slots::Count(count)) => Some(count.get()),
                _ => None,
            },
        })
    }
}

/// How the cluster is reached.
pub(crate) fn access(url: String, flags: AccessFlags) -> AccessPlan {
    AccessPlan {
        url,
        pool: flags.pool,
        token_file: flags.token_file,
        credentials: flags.credentials,
        root_certificates: flags.ca,
        insecure: flags.insecure,
    }
}

/// What `hands worker` is to do.
pub(crate) fn worker_plan(flags: WorkerFlags) -> WorkerPlan {
    let cores = hands::cores();
    let is_auto = matches!(flags.jobs, Some(Slots::Auto));
    let slots = flags.jobs.map_or(cores, |jobs| match jobs {
        Slots::Count(slots) => slots,
        jobs => jobs.resolve(cores),
    });
    WorkerPlan {
        access: access(flags.url, flags.access),
        slots: NonZeroUsize::get(slots),
        name: flags.name,
        labels: flags.label,
        grace: flags.grace.unwrap_or(GRACE),
        hold: flags.hold.unwrap_or(HOLD),
        joblog: flags.joblog,
        rules: OwnersRules {
            name: String::new(),
            allowed: Allowed {
                all: flags.allow_all,
                programs: flags
                    .allow
                    .iter()
                    .map(|name| name.as_bytes().to_vec())
                    .collect(),
            },
            memory_limit: flags.memory_limit,
            timeout: flags.timeout,
            nice: flags.nice.unwrap_or(0),
            folders: flags.folder,
            auto: is_auto.then(|| {
                let most = Room::now().jobs().get().min(MOST_FOR_A_CORE * cores.get());
                Limits::new(cores.get() as f64, most)
            }),
        },
    }
}

/// What cannot be honoured on other machines, or only there.
pub(super) fn check(flags: &RunFlags) -> Result<(), PlanError> {
    let machines = &flags.machines;
    let cluster = || GivenFlags(machines.cluster.is_some(), "--cluster");
    let access = &machines.access;
    for given in [
        GivenFlags(machines.attach.is_some(), "--attach"),
        GivenFlags(machines.label.is_some(), "--label"),
        GivenFlags(!machines.send.is_empty(), "--send"),
        GivenFlags(!machines.fetch.is_empty(), "--return"),
        GivenFlags(machines.hold.is_some(), "--hold"),
        GivenFlags(access.pool.is_some(), "--pool"),
        GivenFlags(access.token_file.is_some(), "--token-file"),
        GivenFlags(access.credentials.is_some(), "--credentials"),
        GivenFlags(access.ca.is_some(), "--ca"),
        GivenFlags(access.insecure, "--insecure"),
    ] {
        needs(
            &given,
            &cluster(),
            "it is about other machines: `--cluster URL` says where they are",
        )?;
    }
    clash(
        &cluster(),
        &[
            GivenFlags(flags.jobs.load.is_some(), "--load"),
            GivenFlags(flags.jobs.memfree.is_some(), "--memfree"),
        ],
        "it looks at this machine, and jobs run on others; `hands worker` has `--jobs`, `--memory-limit` and `--nice` of its own",
    )?;
    clash(
        &cluster(),
        &[
            GivenFlags(flags.output.tty, "--tty"),
            GivenFlags(flags.pipe.tee, "--tee"),
            GivenFlags(flags.pipe.round_robin, "--round-robin"),
            GivenFlags(flags.pipe.cat, "--cat"),
        ],
        "it hands a job something of this machine: a terminal, a pipe or a file; `--pipe` sends blocks",
    )
}
