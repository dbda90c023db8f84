//! Commands that are spoken to while they run.

use std::io::{BufRead, Read, Write};
use std::time::Duration;

use hands::command::{Command, CommandError};

use crate::support::{TAG, Tag, in_time};

#[test]
fn a_line_is_answered_by_a_line() {
    in_time(|| {
        let mut child = Command::shell(r#"while read -r line; do echo "<$line>"; done; echo bye"#)
            .spawn()
            .unwrap();
        assert!(child.pid() > 0 && !child.is_finished());
        for n in 0..200 {
            child.write_line(n.to_string()).unwrap();
            assert_eq!(child.read_line().unwrap(), Some(format!("<{n}>")));
        }
        child.close_stdin();
        assert!(child.write_line("too late").is_err());
        assert_eq!(child.read_line().unwrap().as_deref(), Some("bye"));
        assert_eq!(child.read_line().unwrap(), None);
        let output = child.wait().unwrap();
        assert!(output.success() && output.stdout.is_empty());
    });
}

#[test]
fn what_nobody_has_read_is_in_the_output_whatever_it_is() {
    in_time(|| {
        let mut child =
            Command::shell("echo first; head -c 3000000 /dev/zero; echo to stderr >&2; exit 3")
                .spawn()
                .unwrap();
        assert_eq!(child.read_line().unwrap().as_deref(), Some("first"));
        let output = child.wait().unwrap();
        assert_eq!(
            (output.stdout.len(), output.status.code()),
            (3_000_000, Some(3))
        );
        assert_eq!(output.stderr_text(), "to stderr\n");
        // A stderr that nobody reads holds up nobody, and the last of it is kept.
        let loud =
            Command::shell("head -c 5000000 /dev/zero | tr '\\0' x >&2; printf end >&2; cat")
                .spawn()
                .unwrap();
        let output = loud.wait().unwrap();
        assert!(output.stderr.len() <= 64 * 1024 && output.stderr.ends_with(b"xxxend"));
    });
}

#[test]
fn both_ends_may_go_to_threads_of_their_own() {
    in_time(|| {
        let mut child = Command::new("cat").spawn().unwrap();
        let (mut stdin, mut stdout) = (child.take_stdin().unwrap(), child.take_stdout().unwrap());
        let writer = std::thread::spawn(move || {
            for n in 0..100_000_u32 {
                stdin.write_all(&n.to_le_bytes()).unwrap();
            }
        });
        let mut all = Vec::new();
        stdout.read_to_end(&mut all).unwrap();
        writer.join().unwrap();
        assert_eq!(all.len(), 400_000);
        assert!(stdout.fill_buf().unwrap().is_empty());
        assert!(child.wait().unwrap().success());
    });
}

#[test]
fn it_ends_when_it_is_told_to_or_nobody_has_it_any_more() {
    for how in 0..4 {
        let tag = Tag::new();
        let name = tag.value().to_owned();
        in_time(move || {
            let command =
                Command::shell("setsid -f sleep 1000; sleep 1000 & echo up; wait").env(TAG, name);
            let command = match how {
                0 => command
                    .timeout(Duration::from_millis(100))
                    .grace(Duration::ZERO),
                _ => command,
            };
            let mut child = command.spawn().unwrap();
            assert_eq!(child.read_line().unwrap().as_deref(), Some("up"));
            match how {
                0 => assert!(matches!(child.wait(), Err(CommandError::TimedOut { .. }))),
                1 => {
                    child.terminate();
                    assert!(!child.wait().unwrap().success());
                }
                2 => {
                    let child = child.wait_timeout(Duration::from_millis(10)).unwrap_err();
                    child.kill();
                    assert!(!child.wait().unwrap().success());
                }
                _ => drop(child),
            }
        });
        tag.assert_gone();
    }
}

#[test]
fn what_cannot_be_started_is_an_error_at_once() {
    let refused = Command::new("no-such-program").spawn().map(drop);
    let told = refused.unwrap_err().to_string();
    assert_eq!(
        told,
        "cannot run `no-such-program`: not found; check the spelling, or give its full path"
    );
    let much = Command::new("yes")
        .capture_limit(1000)
        .spawn()
        .unwrap()
        .wait();
    assert!(
        matches!(much, Err(CommandError::TooMuchOutput { limit: 1000, .. })),
        "{much:?}"
    );
}

#[test]
fn one_that_fails_is_an_error_where_that_is_asked_for() {
    assert_eq!(
        Command::new("echo").arg("a").check().unwrap().stdout,
        b"a\n"
    );
    let failed = Command::shell("seq 100 >&2; exit 3").check().unwrap_err();
    let told = "`/bin/sh` failed (exit status: 3): 96\n97\n98\n99\n100";
    assert_eq!(failed.to_string(), told);
    let killed = Command::shell("kill -9 $$").check().unwrap_err();
    assert_eq!(killed.to_string(), "`/bin/sh` failed (signal: 9 (SIGKILL))");
}

#[test]
fn coroutines_wait_for_commands_and_end_those_that_they_drop() {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    let tag = Tag::new();
    let name = tag.value().to_owned();
    in_time(move || {
        futures_lite::future::block_on(async {
            let all: Vec<_> = (0..10)
                .map(
                    |n| async move { Command::new("echo").arg(n.to_string()).output_async().await },
                )
                .collect();
            for (n, one) in all.into_iter().enumerate() {
                assert_eq!(one.await.unwrap().stdout_text(), format!("{n}\n"));
            }
            let mut child = Command::shell("read -r line; echo $line; head -c 300000 /dev/zero")
                .spawn()
                .unwrap();
            child.write_line("x").unwrap();
            assert_eq!(child.wait_async().await.unwrap().stdout.len(), 300_002);
            let failed = Command::new("false").check_async().await;
            assert!(matches!(failed, Err(CommandError::Failed { .. })));
        });
        let slow = Command::shell("setsid -f sleep 1000; sleep 1000").env(TAG, name);
        let mut slow = pin!(slow.output_async());
        assert!(
            slow.as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_pending()
        );
    });
    tag.assert_gone();
}
