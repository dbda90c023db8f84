//! What a process finds when it begins.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::time::Duration;

use hands::process::{self, Process, ProcessBuilder};
use hands::task::TaskError;

use crate::support::{Scene, folder};

#[test]
fn it_has_its_name_directory_and_environment() {
    let folder = folder();
    let place = folder.path().canonicalize().unwrap();
    let process = ProcessBuilder::new()
        .name("a long enough name")
        .cwd(&place)
        .env("HANDS_TEST_ONE", "1")
        .env("HANDS_TEST_TWO", "2")
        .env_remove("HANDS_TEST_TWO")
        .spawn(
            |()| {
                let comm = std::fs::read_to_string("/proc/self/comm").unwrap();
                let vars =
                    ["HANDS_TEST_ONE", "HANDS_TEST_TWO"].map(|name| std::env::var(name).ok());
                let name = process::current_name().map(str::to_owned);
                (name, comm, std::env::current_dir().unwrap(), vars)
            },
            (),
        )
        .unwrap();
    assert_eq!(process.name(), Some("a long enough name"));
    let (name, comm, directory, vars) = process.join().unwrap();
    assert_eq!(name.as_deref(), Some("a long enough name"));
    assert_eq!(comm, "a long enough n\n");
    assert_eq!(directory, place);
    assert_eq!(vars, [Some("1".to_owned()), None]);
}

#[test]
fn a_directory_that_is_not_there_is_an_error() {
    let refused = ProcessBuilder::new()
        .cwd("/no/such/place")
        .spawn(|()| (), ());
    let told = refused.err().unwrap().to_string();
    assert!(
        told.starts_with("cannot enter the process's directory: No such file"),
        "{told}"
    );
}

#[test]
fn what_cannot_be_a_variable_is_an_error() {
    for (name, value) in [("", "x"), ("A=B", "x"), ("A\0", "x"), ("A", "\0")] {
        let refused = ProcessBuilder::new().env(name, value).spawn(|()| (), ());
        let told = refused.err().unwrap().to_string();
        assert!(told.contains("cannot be a variable"), "{told}");
    }
}

#[test]
fn the_longest_time_is_a_limit_too() {
    let limited = ProcessBuilder::new().cpu_limit(std::time::Duration::MAX);
    assert_eq!(limited.spawn(|()| 1, ()).unwrap().join(), Ok(1));
}

#[test]
fn it_reads_nothing_unless_it_is_given_something() {
    let read = |()| {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).unwrap();
        text
    };
    assert_eq!(process::spawn(read, ()).unwrap().join().as_deref(), Ok(""));
    let (reader, mut writer) = std::io::pipe().unwrap();
    let process = ProcessBuilder::new().stdin(reader).spawn(read, ()).unwrap();
    writer.write_all(b"for it").unwrap();
    drop(writer);
    assert_eq!(process.join().as_deref(), Ok("for it"));
}

#[test]
fn it_writes_where_it_is_told() {
    let (mut out_reader, out) = std::io::pipe().unwrap();
    let (mut err_reader, err) = std::io::pipe().unwrap();
    let process = ProcessBuilder::new().stdout(out).stderr(err).spawn(
        |()| {
            // Past what the test harness catches.
            std::io::stdout().write_all(b"result").unwrap();
            std::io::stderr().write_all(b"talk").unwrap();
        },
        (),
    );
    process.unwrap().join().unwrap();
    let (mut out, mut err) = (String::new(), String::new());
    out_reader.read_to_string(&mut out).unwrap();
    err_reader.read_to_string(&mut err).unwrap();
    assert_eq!((out.as_str(), err.as_str()), ("result", "talk"));
}

#[test]
fn limits_hold() {
    let process: Process<usize> = ProcessBuilder::new()
        .memory_limit(1 << 30)
        .spawn(
            |()| {
                let mut bytes: Vec<u8> = Vec::new();
                usize::from(bytes.try_reserve_exact(2 << 30).is_err())
            },
            (),
        )
        .unwrap();
    assert_eq!(process.join(), Ok(1));
    let busy: Process<()> = ProcessBuilder::new()
        .cpu_limit(Duration::from_millis(10))
        .spawn(|()| while std::hint::black_box(true) {}, ())
        .unwrap();
    let Err(TaskError::Died(died)) = busy.join() else {
        panic!("it was killed");
    };
    assert_eq!(died.signal, Some(9));
}

fn group(_: ()) -> (i32, i32) {
    let number = |pid: rustix::process::Pid| pid.as_raw_nonzero().get();
    (
        number(rustix::process::getpid()),
        number(rustix::process::getpgrp()),
    )
}

#[test]
fn it_leads_a_group_of_its_own_unless_told_otherwise() {
    let (pid, pgid) = process::spawn(group, ()).unwrap().join().unwrap();
    assert_eq!(pid, pgid);
    let ours = ProcessBuilder::new().process_group(false).spawn(group, ());
    let (_, pgid) = ours.unwrap().join().unwrap();
    assert_eq!(pgid, group(()).1);
}

#[test]
fn no_signal_is_blocked_or_handled() {
    let masks = process::spawn(
        |()| {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let field = |name: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(name));
                u64::from_str_radix(line.unwrap().trim(), 16).unwrap()
            };
            (field("SigBlk:"), field("SigCgt:"))
        },
        (),
    );
    let (blocked, caught) = masks.unwrap().join().unwrap();
    // Rust's own start catches SEGV and BUS, to tell of stack overflows; the C library has two of
    // its own.
    let rusts = 1 << 10 | 1 << 6 | 1 << 31 | 1 << 32;
    assert_eq!((blocked, caught & !rusts), (0, 0), "{caught:x}");
}

#[test]
fn no_descriptor_of_the_program_reaches_it() {
    // Files that do not close themselves, as C libraries leave them.
    let open = std::fs::File::open("/dev/zero").unwrap();
    let kept: Vec<OwnedFd> = (0..20).map(|_| rustix::io::dup(&open).unwrap()).collect();
    let names = process::spawn(
        |()| {
            let all = std::fs::read_dir("/proc/self/fd").unwrap();
            let names = all.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
            names
                .map(|name| name.to_string_lossy().into_owned())
                .collect::<Vec<_>>()
        },
        (),
    );
    let names = names.unwrap().join().unwrap();
    assert!(!names.iter().any(|name| name == "/dev/zero"), "{names:?}");
    drop(kept);
}

pub(super) fn drop_rights() {
    use hands::pool::{Pool, ProcessPool};

    let _hands = hands::init();
    let pool = ProcessPool::with_workers(1).expect("a worker");
    let who = |_: u64| rustix::process::getuid().as_raw();
    assert_eq!(pool.submit(who, 0).join(), Ok(0));
    let before = process::spawn(
        |()| {
            std::thread::park();
        },
        (),
    )
    .expect("a process");
    // SAFETY: it takes no pointers; this process has no other thread that relies on its rights.
    let given_up = unsafe { libc::setresgid(65534, 65534, 65534) == 0 }
        // SAFETY: as above.
        && unsafe { libc::setresuid(65534, 65534, 65534) == 0 };
    assert!(given_up);
    assert_eq!(pool.submit(who, 0).join(), Ok(65534));
    assert_eq!(process::spawn(who, 0).expect("a process").join(), Ok(65534));
    let another = ProcessPool::with_workers(1).expect("a worker");
    assert_eq!(another.submit(who, 0).join(), Ok(65534));
    // What was started before can still be ended, by what has made it.
    before.kill();
    assert!(before.join().is_err());
}

/// The status of a user in thousands of groups is long, and the capabilities stand at its end.
pub(super) fn drop_a_capability() {
    const CAP_SYS_NICE: libc::c_ulong = 23;

    let _hands = hands::init();
    let groups: Vec<libc::gid_t> = (0..5000).map(|group| 100_000 + group).collect();
    // SAFETY: the pointer and the number are those of the list, which lives.
    assert_eq!(unsafe { libc::setgroups(groups.len(), groups.as_ptr()) }, 0);
    // SAFETY: it takes no pointers.
    let bounded = || unsafe { libc::prctl(libc::PR_CAPBSET_READ, CAP_SYS_NICE) };
    let ask = |()| {
        // SAFETY: it takes no pointers.
        unsafe { libc::prctl(libc::PR_CAPBSET_READ, CAP_SYS_NICE) }
    };
    let asked = process::spawn(ask, ()).expect("a process").join();
    assert_eq!(asked, Ok(bounded()));
    // SAFETY: it takes no pointers.
    let dropped = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, CAP_SYS_NICE) };
    assert_eq!(dropped, 0);
    assert_eq!(bounded(), 0);
    assert_eq!(process::spawn(ask, ()).expect("a process").join(), Ok(0));
}

#[test]
fn a_capability_that_was_given_up_is_given_up_however_many_groups_there_are() {
    if !rustix::process::getuid().is_root() {
        println!("not tested: only root has rights to give up");
        return;
    }
    Scene::new("drop_a_capability").succeed();
}

#[test]
fn rights_that_were_given_up_are_given_up_for_workers_and_processes() {
    if !rustix::process::getuid().is_root() {
        println!("not tested: only root has rights to give up");
        return;
    }
    Scene::new("drop_rights").succeed();
}

pub(super) fn change_what_workers_have() {
    use hands::pool::{Pool, ProcessPool};

    let _hands = hands::init();
    let pool = ProcessPool::with_workers(2).expect("workers");
    let limit = |()| {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Core);
        (limit.current, limit.maximum)
    };
    let groups = |()| rustix::process::getgroups().map_or(0, |groups| groups.len());
    let bounded = |()| {
        // SAFETY: it takes no pointers.
        unsafe { libc::prctl(libc::PR_CAPBSET_READ, 23 as libc::c_ulong) }
    };
    // Each is seen by the pool's workers some tasks later at most.
    let comes = |is_so: &dyn Fn() -> bool| while !is_so() {};
    let lower = rustix::process::Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    rustix::process::setrlimit(rustix::process::Resource::Core, lower).expect("lower is allowed");
    comes(&|| pool.submit(limit, ()).join() == Ok((Some(0), Some(0))));
    // SAFETY: the pointer and the number are those of the list, which lives.
    assert_eq!(unsafe { libc::setgroups(3, [7, 8, 9].as_ptr()) }, 0);
    comes(&|| pool.submit(groups, ()).join() == Ok(3));
    // SAFETY: it takes no pointers.
    let dropped = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, 23 as libc::c_ulong) };
    assert_eq!(dropped, 0);
    comes(&|| pool.submit(bounded, ()).join() == Ok(0));
}

#[test]
fn workers_of_a_pool_have_the_limits_groups_and_capabilities_that_the_program_has_by_then() {
    if !rustix::process::getuid().is_root() {
        println!("not tested: only root has rights to give up");
        return;
    }
    Scene::new("change_what_workers_have").succeed();
}
