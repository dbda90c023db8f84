//! What is measured, with whom, and what it should come to.

use super::contest::{Contestant, Workload, contestant};
use super::contestants as by;

/// All of them, large enough to tell something unless `quick`.
pub(crate) fn all(quick: bool) -> Vec<Workload> {
    let size = |full: u64| if quick { full / 1000 } else { full };
    let million = size(1_000_000);
    let ns = (1.0, "ns a task");
    let peers = |times: f64| {
        vec![
            contestant("rayon, `scope`", by::rayon_scope).at_least(times),
            contestant("threadpool", by::threadpool).at_least(times),
            contestant("tokio", by::tokio).at_least(times),
            contestant("async-executor", by::async_executor),
        ]
    };
    let first = |own: Vec<Contestant>, times: f64| own.into_iter().chain(peers(times)).collect();
    let make = |name, title, size, (scale, unit), contestants| Workload {
        name,
        title,
        size,
        scale,
        unit,
        contestants,
    };
    vec![
        make(
            "one-by-one",
            "1,000,000 empty tasks, one by one from outside, all waited for",
            million,
            ns,
            first(
                vec![
                    contestant("hands, `execute`", by::hands_execute),
                    contestant("hands, `scope`", by::hands_scope),
                    contestant("hands, `submit`", by::hands_submit),
                ],
                1.2,
            ),
        ),
        make(
            "together",
            "the same, together",
            million,
            ns,
            first(
                vec![
                    contestant("hands, `submit_many`", by::hands_many),
                    contestant("hands, `map` in chunks", by::hands_map),
                ],
                5.0,
            ),
        ),
        make(
            "back-to-back",
            "submit, wait for the result, again: median",
            size(50_000),
            (1e-3, "µs"),
            vec![
                contestant("hands", by::hands_ping),
                contestant("rayon", by::rayon_ping).at_least(1.0),
                contestant("threadpool", by::threadpool_ping).at_least(1.0),
                contestant("tokio", by::tokio_ping).at_least(1.0),
            ],
        ),
        make(
            "idle",
            "the same, all asleep in between: median",
            size(1_000).max(10),
            (1e-3, "µs"),
            vec![
                contestant("hands", by::hands_idle),
                contestant("rayon", by::rayon_idle).at_least(1.0),
                contestant("threadpool", by::threadpool_idle).at_least(1.0),
                contestant("tokio", by::tokio_idle).at_least(1.0),
            ],
        ),
        make(
            "rest",
            "CPU time of a pool that has nothing to do for 5 s",
            size(5_000),
            (size(5_000) as f64 * 1e-6, "ms"),
            vec![
                contestant("hands", by::hands_rest).at_most(5.0),
                contestant("hands, `auto`", by::hands_auto_rest).at_most(5.0),
            ],
        ),
        make(
            "sum",
            "sum of 1 to 100,000,000",
            size(100_000_000),
            (size(100_000_000) as f64 * 1e-6, "ms"),
            vec![
                contestant("hands, `reduce`", by::hands_sum),
                contestant("rayon, `par_iter`", by::rayon_sum).at_least(0.95),
            ],
        ),
        make(
            "fork",
            "fork and join: Fibonacci",
            size(1_000_000),
            (1.0, "ns a fork"),
            vec![
                contestant("hands, `join`", by::hands_fork),
                contestant("rayon, `join`", by::rayon_fork),
            ],
        ),
    ]
}
