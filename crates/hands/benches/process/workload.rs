//! What is measured, with whom, and what it should come to.

use super::contest::{Contestant, Workload, contestant};
use super::peers::Peers;
use super::{floor, ours};

pub(crate) const NAMES: [&str; 8] = [
    "spawn", "spawn-1g", "lock", "lock-2", "queue", "queue-1m", "pipe", "bytes",
];

/// All of them, large enough to tell something unless `quick`.
pub(crate) fn all(quick: bool, peers: &Peers) -> Vec<Workload> {
    let size = |full: u64| if quick { (full / 1000).max(10) } else { full };
    let make = |name, title, full, (scale, unit), contestants: Vec<Option<Contestant>>| Workload {
        name,
        title,
        size: size(full),
        scale,
        unit,
        contestants: contestants.into_iter().flatten().collect(),
    };
    let (ns, us) = ((1.0, "ns"), (1e-3, "µs"));
    let own = |name, race: fn(u64) -> Result<f64, String>| Some(contestant(name, race));
    let at_least = |name, race: fn(u64) -> Result<f64, String>, times| {
        Some(contestant(name, race).at_least(times))
    };
    let python =
        |what: &'static str, part: u64| peers.python("Python, `multiprocessing`", what, part);
    let ipc = |what: &'static str, part: u64| peers.rust("ipc-channel", what, part);
    vec![
        make(
            NAMES[0],
            "start a process, to the first byte that it sends: median",
            1_000,
            us,
            vec![
                own("hands", ours::spawn),
                at_least(
                    "a bare server that forks on request",
                    floor::spawn,
                    1.0 / 1.6,
                ),
                peers.rust("procspawn", "procspawn-spawn", 10),
            ],
        ),
        make(
            NAMES[1],
            "the same from a program with 1 GiB of memory: median",
            1_000,
            us,
            vec![
                own("hands, 1 GiB", ours::spawn_large),
                at_least("hands, small", ours::spawn, 1.0 / 1.1),
            ],
        ),
        make(
            NAMES[2],
            "lock and unlock, nobody else wants it",
            5_000_000,
            ns,
            vec![
                own("hands, `shared::Mutex`", ours::lock),
                at_least("pthread mutex, shared and robust", floor::lock, 1.0 / 1.5),
                python("lock", 20),
            ],
        ),
        make(
            NAMES[3],
            "an increment under the lock by two processes at the same time",
            2_000_000,
            ns,
            vec![
                own("hands, `shared::Mutex`", ours::lock_contended),
                at_least(
                    "pthread mutex, shared and robust",
                    floor::lock_contended,
                    1.0,
                ),
                python("lock-2", 10),
            ],
        ),
        make(
            NAMES[4],
            "64 bytes through a queue between two processes",
            1_000_000,
            ns,
            vec![
                own("hands, `shared::Queue`", ours::queue),
                ipc("ipc-queue", 10).map(|peer| peer.at_least(5.0)),
                python("queue", 20).map(|peer| peer.at_least(20.0)),
            ],
        ),
        make(
            NAMES[5],
            "1 MiB through a queue between two processes",
            2_000,
            us,
            vec![
                own("hands, `shared::Queue`", ours::queue_large),
                at_least("memcpy of 1 MiB", floor::copy, 0.5),
            ],
        ),
        make(
            NAMES[6],
            "a number to another process and back: median",
            20_000,
            us,
            vec![
                own("hands, `Pipe`", ours::round_trip),
                at_least("socketpair", floor::pipe, 1.0 / 1.3),
                ipc("ipc-pipe", 1),
                python("pipe", 2),
            ],
        ),
        make(
            NAMES[7],
            "100 MiB handed to another process, until it has read from it: median",
            1_000,
            us,
            vec![Some(
                contestant("hands, `Bytes`", ours::bytes).at_most(20.0),
            )],
        ),
    ]
}
