//! What becomes of processes when the program ends, and what they leave.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use hands::process::{self, ProcessBuilder};

use crate::support::{HANGS, Scene, Scenes, fifo, folder, in_time};

pub(crate) const SCENES: Scenes = &[
    ("drop_rights", super::start::drop_rights),
    ("drop_a_capability", super::start::drop_a_capability),
    (
        "change_what_workers_have",
        super::start::change_what_workers_have,
    ),
    ("process_stopped_zygote", super::patience::stopped_zygote),
    ("process_held_zygote", super::patience::held_zygote),
    ("process_slow_preload", super::patience::slow_preload),
    (
        "process_preload_for_ever",
        super::patience::preload_for_ever,
    ),
    ("process_waited_for", waited_for),
    ("process_daemon", daemon),
    ("process_orphans", orphans),
    ("process_deaf", deaf),
    ("process_many", many),
    ("process_zygote_killed", zygote_killed),
    ("process_preloaded", preloaded),
    ("process_badly_preloaded", badly_preloaded),
];

fn path() -> std::path::PathBuf {
    std::env::var_os("HANDS_TEST_PATH").expect("a path").into()
}

/// Opens a FIFO, and holds it until this process ends.
fn hold(path: std::path::PathBuf) {
    let mut held = fs::File::options().write(true).open(path).unwrap();
    held.write_all(b"!").unwrap();
    std::thread::park();
}

/// Waits until somebody holds it.
fn await_holder(path: &Path) -> fs::File {
    let mut held = fs::File::open(path).unwrap();
    held.read_exact(&mut [0]).unwrap();
    held
}

/// Waits until nobody holds it any more.
fn await_end_of(mut held: fs::File) {
    assert_eq!(held.read(&mut [0]).unwrap(), 0);
}

fn waited_for() {
    let guard = hands::init();
    for name in ["one", "two"] {
        let write = |path: std::path::PathBuf| {
            // One that starts another, which is waited for as well.
            let more = process::spawn(
                |path: std::path::PathBuf| fs::write(path, "!").unwrap(),
                path,
            );
            drop(more.unwrap());
        };
        drop(process::spawn(write, path().join(name)).unwrap());
    }
    drop(guard);
    let there = ["one", "two"].map(|name| path().join(name).exists());
    assert_eq!(there, [true, true]);
}

#[test]
fn the_guard_waits_for_processes_and_theirs() {
    let folder = folder();
    Scene::new("process_waited_for")
        .var("HANDS_TEST_PATH", folder.path())
        .succeed();
}

fn daemon() {
    let guard = hands::init();
    let daemon = ProcessBuilder::new()
        .daemon(true)
        .spawn(hold, path())
        .unwrap();
    assert!(daemon.is_daemon());
    let held = await_holder(&path());
    drop(guard);
    await_end_of(held);
}

#[test]
fn the_guard_ends_daemons() {
    in_time(|| {
        let folder = folder();
        let fifo = fifo(folder.path(), "held");
        Scene::new("process_daemon")
            .var("HANDS_TEST_PATH", fifo)
            .succeed();
    });
}

/// Starts one from a thread that ends, and a process of a process; then waits to be killed.
fn orphans() {
    fs::write(path().join("pid"), std::process::id().to_string()).unwrap();
    let (one, two) = (path().join("one"), path().join("two"));
    std::thread::spawn(move || drop(process::spawn(hold, one).unwrap()))
        .join()
        .unwrap();
    let nested = |path: std::path::PathBuf| process::spawn(hold, path).unwrap().wait();
    process::spawn(nested, two).unwrap().wait();
}

#[test]
fn no_process_outlives_a_program_that_is_killed() {
    in_time(|| {
        let folder = folder();
        let held = ["one", "two"].map(|name| fifo(folder.path(), name));
        let scene = Scene::new("process_orphans").var("HANDS_TEST_PATH", folder.path());
        let mut program = scene.start();
        let held = held.map(|path| await_holder(&path));
        let pid = fs::read_to_string(folder.path().join("pid")).unwrap();
        let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
        // The thread that started the first one has ended, and it runs on.
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        held.into_iter().for_each(await_end_of);
        program.wait().unwrap();
    });
}

/// A host that throws its children's statuses away, and one that waits for any child.
fn deaf() {
    // SAFETY: no handler is called; the signal is ignored.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    let died: process::Process<()> = process::spawn(|()| std::process::exit(3), ()).unwrap();
    died.wait();
    assert_eq!(died.exit_status().unwrap().code(), Some(3));
    assert_eq!(process::spawn(|n: u8| n + 1, 1).unwrap().join(), Ok(2));
}

#[test]
fn it_does_not_matter_what_the_program_does_with_its_children() {
    Scene::new("process_deaf").succeed();
}

fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

fn children() -> Vec<i32> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let of =
        |task: fs::DirEntry| fs::read_to_string(task.path().join("children")).unwrap_or_default();
    let all: String = tasks.map(|task| of(task.unwrap())).collect();
    all.split_whitespace()
        .map(|pid| pid.parse().unwrap())
        .collect()
}

/// Pages of the process that are in memory. KiB of memory that belong to no file. The program's own
/// code is read in when it is first run, and that is no leak.
fn resident(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let words = line.unwrap().trim().split(' ').next();
    words.unwrap().parse().unwrap()
}

/// Of ours, for there may be others' just now.
fn named_memory() -> usize {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.ok()?.file_name().into_string().ok();
    let named = fs::read_dir("/dev/shm").map(|all| all.filter_map(name));
    named.map_or(0, |names| {
        names.filter(|name| name.contains("hands")).count()
    })
}

fn many() {
    let round = || {
        let batch: Vec<_> = (0..95_u32)
            .map(|n| process::spawn(|n: u32| n, n).unwrap())
            .collect();
        for (n, process) in (0..).zip(batch) {
            assert_eq!(process.join(), Ok(n));
        }
        // Nobody joins these.
        for _ in 0..5 {
            drop(process::spawn(|()| (), ()).unwrap());
        }
    };
    // The first ones make the heap as large as a round wants it.
    (0..5).for_each(|_| round());
    // What waits for those that nobody joins is there from the first one on that runs when its
    // handle is dropped.
    drop(
        process::spawn(
            |()| std::thread::park_timeout(Duration::from_millis(20)),
            (),
        )
        .unwrap(),
    );
    drop(hands::init());
    let (descriptors, kin, named) = (open_descriptors(), children(), named_memory());
    let [zygote] = kin[..] else {
        panic!("{kin:?}");
    };
    let own = std::process::id().cast_signed();
    let memory = [own, zygote].map(resident);
    // 10,000 of them.
    for _ in 0..100 {
        round();
    }
    let after = [own, zygote].map(resident);
    drop(hands::init());
    // What is kept for those that nobody joined is given back by a thread, a moment after they have
    // ended.
    let until = std::time::Instant::now() + HANGS;
    while open_descriptors() > descriptors && std::time::Instant::now() < until {
        std::thread::yield_now();
    }
    assert!(open_descriptors() <= descriptors);
    assert_eq!(children(), kin);
    let its = fs::read_to_string(format!("/proc/{zygote}/task/{zygote}/children"));
    assert_eq!(its.unwrap(), "");
    assert_eq!(named_memory(), named);
    for (before, now) in memory.into_iter().zip(after) {
        // Less than 20 bytes for each process.
        assert!(now <= before + 200, "{before} KiB became {now}");
    }
}

#[test]
fn many_processes_leave_nothing() {
    Scene::new("process_many").succeed();
}

fn zygote_killed() {
    let hung = process::spawn(|()| std::thread::park(), ()).unwrap();
    let zygote = rustix::process::Pid::from_raw(children()[0]).unwrap();
    rustix::process::kill_process(zygote, rustix::process::Signal::KILL).unwrap();
    // Its processes die with it, which is told; and there is another for the next.
    assert!(hung.join().is_err());
    assert_eq!(process::spawn(|n: u8| n + 1, 1).unwrap().join(), Ok(2));
}

#[test]
fn a_killed_zygote_is_replaced() {
    Scene::new("process_zygote_killed").succeed();
}

static LOADED: OnceLock<(u32, Vec<u8>)> = OnceLock::new();

fn load() {
    let _ = LOADED.set((std::process::id(), vec![7; 1 << 20]));
}

fn preloaded() {
    process::preload(load).unwrap();
    assert!(LOADED.get().is_none(), "not here");
    let look = |()| {
        let (pid, bytes) = LOADED.get().unwrap();
        (*pid, bytes.len(), std::process::id())
    };
    let [one, two] = [(); 2].map(|()| process::spawn(look, ()).unwrap().join().unwrap());
    assert_eq!((one.0, one.1), (two.0, two.1));
    assert_eq!(one.1, 1 << 20);
    assert!(one.0 != one.2 && one.2 != two.2);
    let late = process::preload(load).err().map(|error| error.to_string());
    assert!(late.is_some_and(|late| late.contains("say it before the first")));
}

#[test]
fn what_was_loaded_before_is_there() {
    Scene::new("process_preloaded").succeed();
}

fn badly_preloaded() {
    let told = || process::spawn(|()| (), ()).err().unwrap().to_string();
    process::preload(|| panic!("no model")).unwrap();
    assert!(told().contains("no model"), "{}", told());
    process::preload(|| {
        std::thread::spawn(std::thread::park);
    })
    .unwrap();
    assert!(told().contains("a thread is running"), "{}", told());
    process::preload(|| ()).unwrap();
    process::spawn(|()| (), ()).unwrap().join().unwrap();
}

#[test]
fn what_cannot_be_loaded_before_is_told() {
    Scene::new("process_badly_preloaded").succeed();
}

#[test]
fn a_process_with_threads_is_not_copied() {
    let other = std::thread::spawn(std::thread::park);
    // SAFETY: refused; a copy would end at once.
    let refused = match unsafe { process::fork() } {
        Ok(process::Fork::Child) => std::process::exit(0),
        refused => refused.err().map(|error| error.to_string()),
    };
    assert!(refused.is_some_and(|told| told.contains("locks would stay locked")));
    other.thread().unpark();
    other.join().unwrap();
}

#[test]
fn a_process_without_threads_may_be_copied() {
    let code = process::spawn(
        // SAFETY: the copy ends at once.
        |()| match unsafe { process::fork() } {
            Ok(process::Fork::Child) => std::process::exit(5),
            Ok(process::Fork::Parent(copy)) => copy.wait().unwrap().code(),
            Err(error) => panic!("{error}"),
        },
        (),
    );
    assert_eq!(code.unwrap().join(), Ok(Some(5)));
}
