//! What starts processes may itself be stopped, held or busy: nobody waits for it for ever.

use std::io::{Read, Write};
use std::time::Duration;

use hands::process::{self, ProcessBuilder, SpawnError};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{self, HANGS, Scene, TAG, Tag, children, command_line, in_time, report, stat};

/// The process that all others of this program are forked from, the last to have been started.
fn zygote() -> Pid {
    let is_zygote = |pid: &i32| command_line(*pid).contains("--hands-worker zygote");
    let newest = children().into_iter().filter(is_zygote).max();
    Pid::from_raw(newest.expect("a zygote")).expect("a number")
}

fn is_stopped(pid: Pid) -> bool {
    let state = stat(pid.as_raw_nonzero().get()).map(|fields| fields[0].clone());
    matches!(state.as_deref(), Some("T" | "t"))
}

pub(super) fn stopped_zygote() {
    let _hands = hands::init();
    let sleeper = process::spawn(|()| std::thread::park_timeout(HANGS), ()).expect("a process");
    let zygote = zygote();
    let stop = || {
        kill_process(zygote, Signal::STOP).expect("it is there");
        while !is_stopped(zygote) {
            std::thread::yield_now();
        }
    };
    stop();
    sleeper.kill();
    assert!(sleeper.join().is_err());
    stop();
    let started = process::spawn(|n: u64| n + 1, 1).expect("a process");
    assert_eq!(started.join(), Ok(2));
}

#[test]
fn who_stops_what_starts_processes_holds_up_neither_a_kill_nor_a_start() {
    Scene::new("process_stopped_zygote").succeed();
}

pub(super) fn held_zygote() {
    let _hands = hands::init();
    let before = process::spawn(|n: u64| n + 1, 0).expect("a process");
    assert_eq!(before.join(), Ok(1));
    let zygote = zygote();
    let pid = zygote.as_raw_nonzero().get();
    // As a debugger does: it does not go on before we say so.
    let trace = |request| {
        let none = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: it takes no pointers but null.
        unsafe { libc::ptrace(request, pid, none, none) == 0 }
    };
    let held = trace(libc::PTRACE_SEIZE) && trace(libc::PTRACE_INTERRUPT);
    assert!(held, "{}", std::io::Error::last_os_error());
    while !is_stopped(zygote) {
        std::thread::yield_now();
    }
    let (mut told, marks) = std::io::pipe().expect("a pipe");
    let late = ProcessBuilder::new()
        .start_timeout(Duration::from_millis(300))
        .stdout(marks)
        .spawn(
            |()| drop(std::io::stdout().write_all(b"it was called\n")),
            (),
        );
    let told_late = late.map(drop).expect_err("too late").to_string();
    assert!(told_late.contains("within 300ms") && told_late.contains("start_timeout"));
    // Another takes its place.
    let after = process::spawn(|n: u64| n + 1, 1).expect("a process");
    assert_eq!(after.join(), Ok(2));
    // What it was asked for when nobody waited any more is not done when it goes on.
    assert!(trace(libc::PTRACE_DETACH));
    let mut said = String::new();
    told.read_to_string(&mut said).expect("all ends are closed");
    assert_eq!(said, "");
}

#[test]
fn what_holds_the_one_that_starts_processes_is_named_and_another_takes_its_place() {
    Scene::new("process_held_zygote").succeed();
}

/// Longer than anybody waits.
fn load_for_ever() {
    report(std::process::id());
    std::thread::park_timeout(HANGS);
}

pub(super) fn slow_preload() {
    let _hands = hands::init();
    process::preload(load_for_ever).expect("nothing was started");
    let slow = ProcessBuilder::new().start_timeout(Duration::from_millis(300));
    match slow.spawn(|()| (), ()) {
        Err(SpawnError::Preload { what }) => {
            assert!(what.contains("within 300ms") && what.contains("start_timeout"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(children(), [], "it is not left to itself");
}

#[test]
fn what_is_loaded_before_has_a_time_limit() {
    Scene::new("process_slow_preload").succeed();
}

pub(super) fn preload_for_ever() {
    let _hands = hands::init();
    process::preload(load_for_ever).expect("nothing was started");
    let started = process::spawn(|()| (), ());
    unreachable!("{started:?}");
}

#[test]
fn what_loads_ends_with_the_program_that_was_killed() {
    let tag = Tag::new();
    let scene = Scene::new("process_preload_for_ever").var(TAG, tag.value());
    let mut program = scene.start();
    let mut reports = std::io::BufReader::new(program.stderr.take().expect("piped"));
    in_time(move || {
        let loads = loop {
            let mut line = String::new();
            let got = std::io::BufRead::read_line(&mut reports, &mut line).expect("stderr");
            assert_ne!(got, 0, "it has said nothing");
            if let Ok(pid) = line.trim().parse::<i32>() {
                break pid;
            }
        };
        let zygote = support::open(loads).expect("it loads");
        let fields = stat(loads).expect("it loads");
        let parent = fields[1].parse().ok().and_then(Pid::from_raw);
        kill_process(parent.expect("the program"), Signal::KILL).expect("it is there");
        assert!(support::ends(&zygote));
        program.wait().expect("it has ended");
    });
    drop(tag);
}
