//! What a child gets from its host, what it does not, and what the host is left with.

use std::collections::BTreeSet;
use std::time::Duration;

use hands::command::{Command, CommandError, Stdin};

use crate::support::{
    Scene, Scenes, TAG, Tag, children, descriptors, in_time, is_zombie, report, var,
};

pub(crate) const SCENES: Scenes = &[
    ("many_commands", many_commands),
    ("ignored_sigchld", ignored_sigchld),
    ("signals", signals),
    ("signals_blocked", signals_blocked),
    ("stdio_closed", stdio_closed),
    ("inherit", inherit),
    ("sleep_for_ever", sleep_for_ever),
];

/// A mask from `/proc/self/status` of a child.
fn mask(status: &str, name: &str) -> u64 {
    let line = status
        .lines()
        .find(|line| line.starts_with(name))
        .expect(name);
    let digits = line.split_whitespace().nth(1).expect("a mask");
    u64::from_str_radix(digits, 16).expect("hexadecimal")
}

fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

fn signals() {
    let command = Command::new("cat").arg("/proc/self/status");
    report(command.output().expect("cat runs").stdout_text());
}

#[test]
fn a_child_starts_with_the_default_sigpipe_and_nothing_blocked() {
    // Rust ignores SIGPIPE for itself.
    let status = Scene::new("signals").succeed().report;
    assert_eq!(mask(&status, "SigIgn") & bit(libc::SIGPIPE), 0);
    assert_eq!(mask(&status, "SigBlk"), 0);
    assert_eq!(mask(&status, "SigCgt"), 0);
}

fn signals_blocked() {
    let mut all = std::mem::MaybeUninit::uninit();
    // SAFETY: fills the set that it is given.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // SAFETY: reads the set just filled, and changes this thread's mask only.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), std::ptr::null_mut()) };
    signals();
}

#[test]
fn a_child_hears_the_signals_that_the_calling_thread_blocks() {
    let status = Scene::new("signals_blocked").succeed().report;
    assert_eq!(mask(&status, "SigBlk"), 0);
}

fn stdio_closed() {
    // SAFETY: makes a descriptor of its own, above those that are closed below.
    let kept = unsafe { libc::fcntl(2, libc::F_DUPFD_CLOEXEC, 100) };
    for fd in 0..3 {
        // SAFETY: nothing in this program uses them until the last is back.
        unsafe { libc::close(fd) };
    }
    let talk = Command::shell("cat; echo said >&2").stdin("given");
    let output = talk.output();
    let file = std::fs::File::open("/proc/self/comm").expect("a file, as descriptor 0");
    let from_file = Command::new("cat").stdin(file).output();
    let piped = Command::shell("echo a").pipe(Command::new("cat")).output();
    let quiet = Command::new("cat").output();
    // SAFETY: puts stderr back where it was.
    unsafe { libc::dup2(kept, 2) };
    let output = output.expect("it runs");
    assert_eq!(output.stdout_text(), "given");
    assert_eq!(output.stderr_text(), "said\n");
    assert!(!from_file.expect("it runs").stdout.is_empty());
    assert_eq!(piped.expect("it runs").stdout(), b"a\n");
    assert!(quiet.expect("it runs").stdout.is_empty());
    report("done");
}

#[test]
fn a_host_that_has_closed_its_stdio_still_runs_commands() {
    assert_eq!(Scene::new("stdio_closed").succeed().report.trim(), "done");
}

#[test]
fn a_signal_that_the_host_was_told_to_ignore_stays_ignored() {
    let status = Scene::new("signals")
        .through(["env", "--ignore-signal=HUP"])
        .succeed()
        .report;
    assert_ne!(mask(&status, "SigIgn") & bit(libc::SIGHUP), 0);
}

#[test]
fn a_child_leads_its_own_process_group_in_the_hosts_session() {
    let command = Command::new("cat").arg("/proc/self/stat");
    let stat = in_time(move || command.output()).expect("cat runs");
    let stat = stat.stdout_text().into_owned();
    let fields: Vec<&str> = stat.split(' ').collect();
    let (pid, group, session) = (fields[0], fields[4], fields[5]);
    assert_eq!(pid, group);
    assert_ne!(pid, session);
}

#[test]
fn a_child_gets_no_descriptor_but_the_first_three() {
    // What the host itself was given without close-on-exec is the host's own affair.
    let inheritable: BTreeSet<String> = descriptors()
        .into_iter()
        .filter(|fd| {
            let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}"));
            info.is_ok_and(|info| {
                let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
                let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
                flags.is_some_and(|flags| flags & 0o2_000_000 == 0)
            })
        })
        .map(|fd| fd.to_string())
        .collect();
    let command = Command::shell("for fd in /proc/$$/fd/*; do echo ${fd##*/}; done").stdin("x");
    let output = in_time(move || command.output()).expect("sh runs");
    let text = output.stdout_text().into_owned();
    let got: BTreeSet<String> = text.lines().map(str::to_owned).collect();
    // The shell opens the folder it lists.
    let extra: Vec<_> = got
        .iter()
        .filter(|fd| !inheritable.contains(*fd) && !["0", "1", "2", "3"].contains(&fd.as_str()))
        .collect();
    assert!(extra.is_empty(), "{extra:?} beside {inheritable:?}");
}

fn many_commands() {
    let round = || {
        Command::new("cat").stdin("x").output().expect("cat runs");
        Command::new("true")
            .stdin(vec![0; 200_000])
            .output()
            .expect("true runs");
        Command::new("no-such-program")
            .output()
            .expect_err("not found");
        Command::new("/etc/passwd")
            .stdin("x")
            .output()
            .expect_err("no program");
        Command::new("true")
            .cwd("/no/such/folder")
            .output()
            .expect_err("no folder");
        Command::new("yes")
            .capture_limit(10)
            .output()
            .expect_err("too much");
        Command::new("yes")
            .pipe(Command::new("head").arg("-1"))
            .output()
            .expect("yes runs");
        Command::new("cat")
            .pipe(Command::new("no-such-program"))
            .output()
            .expect_err("not found");
        let late = Command::new("sleep")
            .arg("1000")
            .timeout(Duration::from_millis(5));
        assert!(matches!(late.output(), Err(CommandError::TimedOut { .. })));
    };
    round();
    let before = descriptors();
    for _ in 0..20 {
        round();
    }
    assert_eq!(descriptors(), before);
    assert_eq!(children(), [0; 0], "neither running nor zombies");
}

#[test]
fn many_commands_leave_no_descriptor_open_and_no_zombie() {
    Scene::new("many_commands").succeed();
}

fn ignored_sigchld() {
    let output = Command::shell("cat; echo out; echo err >&2; exit 3")
        .stdin("in ")
        .output();
    match output {
        Ok(output) => {
            assert_eq!(output.stdout, b"in out\n");
            assert_eq!(output.stderr, b"err\n");
            assert!(
                !output.success(),
                "it failed, and must not be said to have succeeded"
            );
        }
        Err(error) => report(error),
    }
    let sleeper = Command::new("sleep")
        .arg("1000")
        .timeout(Duration::from_millis(100));
    let error = sleeper.output().expect_err("its time is up");
    assert!(matches!(error, CommandError::TimedOut { .. }), "{error}");
}

#[test]
fn a_host_that_ignores_sigchld_is_not_told_that_a_failure_was_a_success() {
    Scene::new("ignored_sigchld")
        .through(["env", "--ignore-signal=CHLD"])
        .succeed();
}

#[test]
fn a_host_that_waits_for_its_own_children_is_not_robbed_of_them() {
    let mut own: Vec<_> = (0..10)
        .map(|code| {
            let line = format!("sleep 0.$(({code} % 3)); exit {code}");
            let child = std::process::Command::new("sh").args(["-c", &line]).spawn();
            child.expect("sh starts")
        })
        .collect();
    in_time(|| {
        for _ in 0..100 {
            let output = Command::shell("exit 77").output().expect("sh runs");
            assert_eq!(output.status.code(), Some(77));
        }
    });
    for (code, child) in (0..).zip(&mut own) {
        assert_eq!(child.wait().expect("still ours").code(), Some(code));
    }
}

#[test]
fn many_threads_may_run_commands_at_once() {
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            std::thread::spawn(move || {
                for round in 0..20 {
                    let text = format!("{thread} {round}");
                    let output = Command::new("cat").stdin(text.clone()).output();
                    assert_eq!(output.expect("cat runs").stdout_text(), text);
                }
            })
        })
        .collect();
    in_time(|| {
        threads
            .into_iter()
            .for_each(|thread| thread.join().expect("no panic"))
    });
}

fn inherit() {
    let output = Command::shell("cat; echo err >&2; exit 4")
        .stdin(Stdin::Inherit)
        .status();
    let output = output.expect("sh runs");
    assert_eq!(output.status.code(), Some(4));
    assert_eq!((output.stdout.len(), output.stderr.len()), (0, 0));
    let merged = Command::shell("echo 1; echo 2 >&2").merge_stderr().status();
    assert!(merged.expect("sh runs").success());
}

#[test]
fn a_command_may_use_the_hosts_own_streams() {
    let played = Scene::new("inherit").stdin(b"through\n").succeed();
    assert!(
        played.stdout.ends_with("through\n1\n2\n"),
        "{}",
        played.stdout
    );
    assert_eq!(played.report, "err\n");
}

fn sleep_for_ever() {
    let line = var("LINE");
    let _ = Command::shell(line).stream(|_, piece| {
        report(String::from_utf8_lossy(piece).trim());
        Ok(())
    });
}

#[test]
fn a_command_dies_with_a_host_that_is_killed() {
    use std::io::{BufRead, BufReader};
    let tag = Tag::new();
    let mut host = Scene::new("sleep_for_ever")
        .var("LINE", "echo $PPID; exec sleep 1000")
        .var(TAG, tag.value())
        .start();
    let mut lines = BufReader::new(host.stderr.take().expect("piped")).lines();
    let pid = lines.next().expect("the child runs").expect("text");
    let kill = std::process::Command::new("kill")
        .args(["-9", &pid])
        .status();
    assert!(kill.expect("kill").success());
    host.wait().expect("the host has ended");
    tag.assert_gone();
    assert!(is_zombie(pid.parse().expect("a pid")));
}
