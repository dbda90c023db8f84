//! What is measured, with whom, and what it should come to.

use super::contest::{Contestant, Workload, contestant};
use super::peers::Peers;
use super::{floor, ours};

pub(crate) const NAMES: [&str; 13] = [
    "ping",
    "parked",
    "parked-both",
    "map",
    "one-by-one",
    "large",
    "handle",
    "killed",
    "replaced",
    "shutdown",
    "shutdown-deaf",
    "start",
    "memory",
];

/// All of them, large enough to tell something unless `quick`.
pub(crate) fn all(quick: bool, peers: &Peers, has_loky: bool) -> Vec<Workload> {
    let size = |full: u64| if quick { (full / 1000).max(10) } else { full };
    let make = |name, title, full, (scale, unit), contestants: Vec<Option<Contestant>>| Workload {
        name,
        title,
        size: size(full),
        scale,
        unit,
        contestants: contestants.into_iter().flatten().collect(),
    };
    let (ns, us, ms) = ((1.0, "ns a task"), (1e-3, "µs"), (1e-6, "ms"));
    let own = |name, race: fn(u64) -> Result<f64, String>| contestant(name, race);
    let python = |name, what, part: u64| peers.python(name, what, part);
    vec![
        make(
            NAMES[0],
            "a task to a worker and back, again and again: median",
            50_000,
            us,
            vec![
                Some(own("hands", ours::ping).at_most(2.0)),
                Some(own("hands, each on a core of its own", ours::ping_apart).at_most(2.0)),
                Some(own("hands, two workers", ours::ping_of_two)),
                Some(own("a word and back, looking", floor::looking)),
                Some(own("a word and back, by futex", floor::asleep)),
                peers.rust("ipc-channel, no pool", "ipc-pipe", 10),
                peers.rust("procspawn, `Pool`", "pool-ping", 10),
                python("Python, `Pool.apply`", "pool-apply", 20),
                python("Python, `ProcessPoolExecutor`", "executor", 20),
                has_loky.then(|| python("loky", "loky", 20)).flatten(),
            ],
        ),
        make(
            NAMES[1],
            "the same, 2 ms of nothing in between: median",
            300,
            us,
            vec![
                Some(own("hands", ours::ping_parked)),
                Some(own("a word and back, by futex", floor::parked)),
                Some(
                    own("the same, each on a core of its own", floor::parked_apart)
                        .at_least(1.0 / 1.2),
                ),
            ],
        ),
        make(
            NAMES[2],
            "the same, with a task of 300 µs, without its own time: median",
            300,
            us,
            vec![
                Some(own("hands", ours::ping_parked_both)),
                Some(own("a word and back, by futex", floor::parked_both)),
                Some(
                    own(
                        "the same, each on a core of its own",
                        floor::parked_both_apart,
                    )
                    .at_least(1.0 / 1.2),
                ),
            ],
        ),
        make(
            NAMES[3],
            "numbers through two workers, all together",
            500_000,
            ns,
            vec![
                Some(own("hands, `map`", ours::map)),
                Some(own(
                    "hands, `map` in as many chunks as Python",
                    ours::map_in_chunks,
                )),
                Some(own("hands, `submit_many`", ours::submit_many)),
                python("Python, `Pool.map`", "pool-map", 2).map(|peer| peer.at_least(4.0)),
                python("Python, `Pool.imap`, in chunks of one", "pool-imap", 25),
            ],
        ),
        make(
            NAMES[4],
            "numbers through two workers, each submitted and joined",
            200_000,
            ns,
            vec![
                Some(own("hands, `submit`", ours::one_by_one).at_most(2000.0)),
                python("Python, `Pool.apply_async`", "pool-async", 20)
                    .map(|peer| peer.at_least(15.0)),
                peers
                    .rust("procspawn, `Pool`", "pool-queued", 20)
                    .map(|peer| peer.at_least(40.0)),
            ],
        ),
        make(
            NAMES[5],
            "1 MiB of text to a worker and back, copied: median",
            200,
            us,
            vec![
                Some(own("hands", ours::copied)),
                Some(own("memcpy of 1 MiB, twice", floor::copy).at_least(0.6)),
                python("Python, `Pool.apply`", "pool-apply-1m", 2),
            ],
        ),
        make(
            NAMES[6],
            "a handle of shared bytes to a worker, read there, and back: median",
            2_000,
            us,
            vec![
                Some(own("hands, `Bytes` of 100 MiB", ours::handle_100m)),
                Some(own("hands, `Bytes` of 1 MiB", ours::handle_1m).at_least(0.8)),
                Some(own("hands, `Bytes` of 1 KiB", ours::handle_1k).at_least(0.8)),
            ],
        ),
        make(
            NAMES[7],
            "a worker is killed, to the error of its task: median",
            200,
            ms,
            vec![Some(own("hands", ours::told_of_death).at_most(50.0))],
        ),
        make(
            NAMES[8],
            "from there to the result of the next task, by its replacement: median",
            200,
            ms,
            vec![Some(own("hands", ours::served_after_death).at_most(20.0))],
        ),
        make(
            NAMES[9],
            "100,000 tasks given up by `shutdown(Now)`, behind two that listen",
            100_000,
            ms,
            vec![Some(own("hands", ours::shutdown).at_most(1000.0))],
        ),
        make(
            NAMES[10],
            "the same behind two that do not listen, with 500 ms of grace",
            100_000,
            ms,
            vec![Some(own("hands", ours::shutdown_deaf).at_most(1000.0))],
        ),
        make(
            NAMES[11],
            "a pool with one worker, to the result of its first task: median",
            100,
            us,
            vec![
                Some(own("hands, 1 GiB", ours::start_large)),
                Some(own("hands, small", ours::start).at_least(1.0 / 1.1)),
            ],
        ),
        make(
            NAMES[12],
            "memory of the program in an endless `map`",
            10_000_000,
            (1.0 / 1024.0, "MiB"),
            vec![
                Some(own("hands, after 10,000,000 items", ours::endless_late)),
                Some(own("hands, after 1,000,000 items", ours::endless_early).at_least(0.9)),
            ],
        ),
    ]
}
