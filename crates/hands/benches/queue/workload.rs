//! What is measured, with whom, and what it should come to.

use hands::queue::{Lifo, Priority};

use super::channel::{AsyncChannel, Crossbeam, Flume, Hands, Kanal, Std, Tokio};
use super::race::{Item, Race, coroutines, threads};
use super::shape::Shape;

/// One part of the benchmark.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// The words for a heading.
    pub(crate) title: String,
    pub(crate) shape: Shape,
    /// The first one is what the others are compared with.
    pub(crate) contestants: Vec<Contestant>,
}

/// One library in one workload.
pub(crate) struct Contestant {
    pub(crate) library: &'static str,
    pub(crate) race: Race,
    pub(crate) compared: Compared,
}

/// How a contestant is compared with the first of its workload.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Compared {
    /// Not at all.
    Not,
    /// How many times as fast the first is; and how many times at least it should be.
    Ratio(Option<f64>),
    /// How many nanoseconds an item it takes longer; and how many at most it should.
    Extra(f64),
}

impl Workload {
    /// All of them, large enough to tell something unless `quick`.
    pub(crate) fn all(quick: bool) -> Vec<Self> {
        let size = |full: u64| if quick { 20_000 } else { full };
        let (small, large) = (size(2_000_000), size(1_000_000));
        let mut all = Vec::new();
        for (names, each) in [
            (["1p1c-u64", "1p1c-256"], 1),
            (["2p2c-u64", "2p2c-256"], 2),
            (["4p4c-u64", "4p4c-256"], 4),
        ] {
            all.push(Self::new(
                names[0],
                "`u64`",
                each,
                small,
                peers::<u64>(each),
            ));
            let contestants = peers::<[u8; 256]>(each);
            all.push(Self::new(names[1], "256 bytes", each, large, contestants));
        }
        all.push(Self::new("async", "`u64`, coroutines", 1, small, futures()));
        for (name, each) in [("done-1p1c", 1), ("done-2p2c", 2)] {
            all.push(Self::new(name, "`u64`, `task_done`", each, small, done()));
        }
        for (name, each) in [("orders-1p1c", 1), ("orders-2p2c", 2)] {
            all.push(Self::new(
                name,
                "`u64`, other orders",
                each,
                small,
                orders(),
            ));
        }
        all
    }

    fn new(
        name: &'static str,
        item: &str,
        each: usize,
        items: u64,
        contestants: Vec<Contestant>,
    ) -> Self {
        Self {
            name,
            title: format!("{each} : {each}, {item}"),
            shape: Shape {
                producers: each,
                consumers: each,
                items,
            },
            contestants,
        }
    }
}

/// As good as the best of these: a target with each.
const AS_GOOD: Compared = Compared::Ratio(Some(1.0));
/// The one that is known to be faster.
const HALF_AS_GOOD: Compared = Compared::Ratio(Some(0.5));
/// Measured, and nothing promised.
const NO_TARGET: Compared = Compared::Ratio(None);
/// Nanoseconds that reporting an item as done may take.
const DONE_AT_MOST: Compared = Compared::Extra(15.0);

fn contestant(library: &'static str, race: Race, compared: Compared) -> Contestant {
    Contestant {
        library,
        race,
        compared,
    }
}

fn peers<T: Item>(consumers: usize) -> Vec<Contestant> {
    let mut peers = vec![
        contestant("hands", threads::<Hands, T>, Compared::Not),
        contestant("crossbeam-channel", threads::<Crossbeam, T>, AS_GOOD),
        contestant("flume", threads::<Flume, T>, AS_GOOD),
        contestant("async-channel", threads::<AsyncChannel, T>, AS_GOOD),
        contestant("kanal", threads::<Kanal, T>, HALF_AS_GOOD),
    ];
    // For a single consumer.
    if consumers == 1 {
        peers.push(contestant("std", threads::<Std, T>, AS_GOOD));
        peers.push(contestant("tokio", threads::<Tokio, T>, NO_TARGET));
    }
    peers
}

fn futures() -> Vec<Contestant> {
    vec![
        contestant("hands", coroutines::<Hands, u64>, Compared::Not),
        contestant("flume", coroutines::<Flume, u64>, AS_GOOD),
        contestant("async-channel", coroutines::<AsyncChannel, u64>, AS_GOOD),
        contestant("kanal", coroutines::<Kanal, u64>, HALF_AS_GOOD),
        contestant("tokio", coroutines::<Tokio, u64>, NO_TARGET),
    ]
}

fn done() -> Vec<Contestant> {
    use hands::queue::Fifo;
    vec![
        contestant("hands", threads::<Hands, u64>, Compared::Not),
        contestant(
            "hands, `task_done`",
            threads::<Hands<Fifo, true>, u64>,
            DONE_AT_MOST,
        ),
    ]
}

fn orders() -> Vec<Contestant> {
    vec![
        contestant("hands `Queue`", threads::<Hands, u64>, Compared::Not),
        contestant(
            "hands `LifoQueue`",
            threads::<Hands<Lifo>, u64>,
            Compared::Not,
        ),
        contestant(
            "hands `PriorityQueue`",
            threads::<Hands<Priority>, u64>,
            Compared::Not,
        ),
    ]
}
