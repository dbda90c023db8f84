//! Deadlocks and orders of locks. Each in a process of its own: the graph is one for the program.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hands::sync::diagnose::{self, LockMode, ReportKind};
use hands::sync::{Barrier, Mutex, ReentrantMutex, RwLock};

use crate::support::{Scene, Scenes, report};

pub(crate) const SCENES: Scenes = &[
    ("deadlock", deadlock),
    ("deadlock_with_itself", deadlock_with_itself),
    ("deadlock_of_readers", deadlock_of_readers),
    ("inversion", inversion),
    ("inversion_of_three", inversion_of_three),
    ("harmless", harmless),
];

/// Plays a scene that ends in a deadlock.
#[track_caller]
fn deadlocks(name: &'static str) -> String {
    use std::os::unix::process::ExitStatusExt;
    let played = Scene::new(name).var("RUST_BACKTRACE", "0").play();
    let aborted = played.status.signal() == Some(6) || played.status.code() == Some(128 + 6);
    assert!(aborted, "{}\n{}", played.status, played.report);
    played.report
}

fn deadlock() {
    diagnose::on_report(|found| {
        report(format_args!(
            "{:?} of {}",
            found.kind(),
            found.sides().len()
        ));
        // A handler may use locks itself.
        drop(Mutex::new(()).lock());
    });
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    let both = Barrier::new(2);
    let lock_two = |first: &Mutex<()>, second: &Mutex<()>| {
        let _first = first.lock();
        both.wait().expect("both come");
        let _second = second.lock();
    };
    hands::thread::scope(|scope| {
        let ping = hands::thread::Builder::new().name("ping");
        ping.spawn_scoped(scope, || lock_two(&a, &b))
            .expect("a thread");
        let pong = hands::thread::Builder::new().name("pong");
        pong.spawn_scoped(scope, || lock_two(&b, &a))
            .expect("a thread");
    });
}

#[test]
fn a_deadlock_of_two_threads_is_reported_with_both_stacks_and_ends_the_program() {
    let report = deadlocks("deadlock");
    // By its order alone it is warned of first.
    assert!(
        report.contains("Inversion of 2\nDeadlock of 2\n"),
        "{report}"
    );
    assert!(report.contains("deadlock: `p"), "{report}");
    for thread in ["ping", "pong"] {
        assert!(
            report.contains(&format!("`{thread}` holds lock ")),
            "{report}"
        );
        assert!(
            report.contains(&format!("`{thread}` waits for lock ")),
            "{report}"
        );
    }
    let stacks = report.split("deadlock: ").nth(1).expect("checked above");
    let here = "tests/it/sync/diagnose.rs:";
    assert!(stacks.matches(here).count() >= 4, "{report}");
    assert!(report.contains("lock them in one order everywhere"));
}

fn deadlock_with_itself() {
    let mutex = Mutex::new(());
    let _first = mutex.lock();
    let _second = mutex.lock();
}

#[test]
fn a_thread_that_locks_twice_is_told() {
    let report = deadlocks("deadlock_with_itself");
    assert!(
        report.contains("holds lock 1 and waits for lock 1"),
        "{report}"
    );
}

fn deadlock_of_readers() {
    let (lock, mutex) = (RwLock::new(()), Mutex::new(()));
    let both = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            let _reader = lock.read();
            both.wait().expect("both come");
            let _mutex = mutex.lock();
        });
        scope.spawn(|| {
            let _mutex = mutex.lock();
            both.wait().expect("both come");
            let _writer = lock.write();
        });
    });
}

#[test]
fn readers_count_as_holders() {
    assert!(deadlocks("deadlock_of_readers").contains("deadlock: "));
}

fn inversion() {
    let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
    let keep = Arc::clone(&heard);
    diagnose::on_report(move |found| keep.lock().expect("no panic").push(found.to_string()));
    let (a, b) = (Mutex::new(()), RwLock::new(()));
    for _ in 0..3 {
        let _a = a.lock();
        let _b = b.read();
    }
    assert!(diagnose::reports().is_empty());
    for _ in 0..3 {
        let _b = b.write();
        let _a = a.lock();
    }
    let reports = diagnose::reports();
    assert_eq!(reports.len(), 1, "told once");
    assert_eq!(reports[0].kind(), ReportKind::Inversion);
    let sides = reports[0].sides();
    assert_eq!(sides.len(), 2);
    assert_eq!(sides[0].held(), sides[1].wanted());
    assert_eq!(sides[1].held(), sides[0].wanted());
    assert!(sides.iter().any(|side| side.mode() == LockMode::Shared));
    for side in sides {
        assert!(side.held_at().to_string().contains("inversion"));
        assert!(side.wanted_at().to_string().contains("inversion"));
    }
    let heard = heard.lock().expect("no panic");
    assert_eq!(heard.len(), 1);
    assert!(
        heard[0].starts_with("lock-order inversion: "),
        "{}",
        heard[0]
    );
    assert!(heard[0].contains(" for reading"), "{}", heard[0]);
}

#[test]
fn an_inversion_is_warned_of_once_with_both_pairs_of_stacks() {
    Scene::new("inversion").succeed();
}

fn inversion_of_three() {
    let locks = [Mutex::new(()), Mutex::new(()), Mutex::new(())];
    for (first, then) in [(0, 1), (1, 2), (2, 0)] {
        assert!(diagnose::reports().is_empty());
        thread::scope(|scope| {
            scope.spawn(|| {
                let _first = locks[first].lock();
                let _then = locks[then].lock();
            });
        });
    }
    let reports = diagnose::reports();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].sides().len(), 3);
}

#[test]
fn a_ring_of_three_orders_is_an_inversion_too() {
    Scene::new("inversion_of_three").succeed();
}

/// What must not be told of.
fn harmless() {
    // The same order again and again, and the other way round only by trying.
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    for _ in 0..2 {
        let _a = a.lock();
        let _b = b.lock();
    }
    {
        let _b = b.lock();
        assert!(a.try_lock().is_some());
    }
    // A wait that ends by itself.
    {
        let _a = a.lock();
        assert!(a.try_lock_for(Duration::from_millis(1)).is_none());
    }
    // A holder that comes again, and readers beside each other.
    let reentrant = ReentrantMutex::new(());
    let lock = RwLock::new(());
    {
        let _one = (reentrant.lock(), reentrant.lock());
        let _two = (lock.read(), lock.read_recursive());
        assert_eq!(diagnose::holders().len(), 3);
    }
    // Many threads at one lock, by way of waiting.
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    drop((a.lock(), lock.read(), lock.try_write()));
                }
            });
        }
    });
    assert!(diagnose::holders().is_empty());
    assert!(diagnose::reports().is_empty());
}

#[test]
fn what_is_harmless_is_not_told_of() {
    Scene::new("harmless").succeed();
}
