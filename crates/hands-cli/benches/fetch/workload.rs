//! What is fetched, and by whom.

use std::path::PathBuf;

use super::contest::{Contestant, Workload, contestant};
use super::nginx::Nginx;
use super::program::{Batch, Took, is_installed};
use super::sizes::Sizes;

pub(crate) const NAMES: [&str; 5] = ["small", "small-disk", "middle", "big", "memory"];

fn batch(server: &Nginx, out: PathBuf, (name, count, length): (&str, u64, u64)) -> Batch {
    let names: Vec<String> = (0..count).map(|number| format!("{name}{number}")).collect();
    Batch {
        urls: names.iter().map(|name| server.url(name)).collect(),
        names,
        out,
        lists: server.lists().to_owned(),
        bytes: count * length,
    }
}

type Run = fn(&Batch) -> Result<Took, String>;

/// Ours, at its best number of connections, as the peers are; and as it comes.
const SMALL: [(&str, Run); 2] = [
    ("hands, 16 at once", |batch| batch.hands(&["-j", "16"])),
    ("hands, as it comes", |batch| batch.hands(&[])),
];
const MIDDLE: [(&str, Run); 2] = [
    ("hands, 4 at once", |batch| batch.hands(&["-j", "4"])),
    ("hands, as it comes", |batch| batch.hands(&[])),
];
const BIG: [(&str, Run); 2] = [
    ("hands, 4 segments", |batch| {
        batch.hands(&["--segments", "4"])
    }),
    ("hands, as it comes", |batch| batch.hands(&[])),
];
const PEERS: [(&str, &str, Run); 7] = [
    ("curl", "curl, 8 at once", |batch| batch.curl(8)),
    ("curl", "curl, 16 at once", |batch| batch.curl(16)),
    ("curl", "curl, 50 at once", |batch| batch.curl(50)),
    ("wget2", "wget2, 4 at once", |batch| batch.wget2(4)),
    ("wget2", "wget2, 8 at once", |batch| batch.wget2(8)),
    ("wget2", "wget2, 32 at once", |batch| batch.wget2(32)),
    ("aria2c", "aria2, 16 at once", |batch| batch.aria2(16)),
];
/// For one file.
const SINGLE: [(&str, &str, Run); 3] = [
    ("curl", "curl", |batch| batch.curl(1)),
    ("wget2", "wget2", |batch| batch.wget2(1)),
    ("aria2c", "aria2, up to 16 connections", |batch| {
        batch.aria2(1)
    }),
];

fn time(library: &'static str, batch: &Batch, run: Run) -> Contestant {
    let batch = batch.clone();
    contestant(library, move |_| {
        let took = run(&batch)?;
        Ok(took.nanoseconds / batch.names.len() as f64)
    })
}

fn all_of(
    batch: &Batch,
    ours: [(&'static str, Run); 2],
    peers: &[(&str, &'static str, Run)],
    least: f64,
) -> Vec<Contestant> {
    let ours = ours.map(|(library, run)| time(library, batch, run));
    let mut contestants = Vec::from(ours);
    for &(program, library, run) in peers {
        if is_installed(program) {
            contestants.push(time(library, batch, run).at_least(least));
        } else {
            eprintln!("not measured: {program} is not installed");
        }
    }
    contestants
}

pub(crate) fn all(sizes: &Sizes, server: &Nginx) -> [Workload; 5] {
    let [small, middle, big] = sizes.files();
    let memory = server.memory();
    // Beside the programs that are built, which is no file system in memory as a rule.
    let disk = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("fetch");
    let in_memory = batch(server, memory.clone(), small);
    let on_disk = batch(server, disk, small);
    let middle = batch(server, memory.clone(), middle);
    let big = batch(server, memory, big);
    let mut small_in_memory = all_of(&in_memory, SMALL, &PEERS, 1.5);
    if is_installed("wrk") {
        let batch = in_memory.clone();
        small_in_memory.push(contestant("wrk, thrown away", move |_| batch.wrk()));
    }
    let peak = |library: &'static str, batch: &Batch| {
        let batch = batch.clone();
        let measured = contestant(library, move |_| Ok(batch.hands(&[])?.bytes));
        measured.at_most(40.0)
    };
    let of = |name, title, contestants| Workload {
        name,
        title,
        // Each goes through all that there is, also to warm up.
        size: 1,
        scale: 1e-3,
        unit: "µs a file",
        contestants,
    };
    [
        of(
            "small",
            "5,000 files of 4 KiB, into memory",
            small_in_memory,
        ),
        of(
            "small-disk",
            "5,000 files of 4 KiB, onto the disk",
            all_of(&on_disk, SMALL, &PEERS, 1.0),
        ),
        of(
            "middle",
            "200 files of 1 MiB, into memory",
            all_of(&middle, MIDDLE, &PEERS, 1.3),
        ),
        of(
            "big",
            "one file of 2 GiB, into memory",
            all_of(&big, BIG, &SINGLE, 1.0),
        ),
        Workload {
            name: "memory",
            title: "the most memory that `hands fetch` has",
            size: 1,
            scale: 1.0 / f64::from(1 << 20),
            unit: "MiB",
            contestants: vec![
                peak("5,000 small files", &in_memory),
                peak("200 of 1 MiB", &middle),
                peak("one of 2 GiB", &big),
            ],
        },
    ]
}
