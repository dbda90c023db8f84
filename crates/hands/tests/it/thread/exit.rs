//! The end of the program: non-daemon threads are joined, daemon ones abandoned.

use hands::sync::Event;
use hands::thread::Builder;

use crate::support::{Scene, Scenes, report};

pub(crate) const SCENES: Scenes = &[
    ("exit", exit),
    ("exit_by_panic", exit_by_panic),
    ("exit_locals", exit_locals),
    ("exit_pools", exit_pools),
];

fn exit() {
    let _hands = hands::init();
    let daemon = Builder::new().daemon(true);
    daemon
        .spawn(|| {
            // Nobody ever sets it: a program that waited for this thread would never end.
            Event::new().wait();
        })
        .expect("a thread");
    hands::thread::spawn(|| {
        // Started while the guard may be waiting already.
        hands::thread::spawn(|| {
            std::thread::yield_now();
            report("the grandchild has ended");
        });
        report("the child has ended");
    });
    report("main has ended");
}

#[test]
fn the_program_ends_when_all_but_daemons_have() {
    let played = Scene::new("exit").succeed();
    for who in ["main", "the child", "the grandchild"] {
        assert!(
            played.report.contains(&format!("{who} has ended")),
            "{}",
            played.report
        );
    }
}

fn exit_by_panic() {
    let _hands = hands::init();
    let go = std::sync::Arc::new(Event::new());
    let gone = std::sync::Arc::clone(&go);
    hands::thread::spawn(move || {
        gone.wait();
        report("the child has ended");
    });
    /// Lets the child go when main is unwinding, before the guard waits.
    struct Set(std::sync::Arc<Event>);
    impl Drop for Set {
        fn drop(&mut self) {
            self.0.set();
        }
    }
    let _set = Set(go);
    panic!("main gives up");
}

#[test]
fn a_panicking_main_waits_too() {
    let played = Scene::new("exit_by_panic").play();
    assert!(!played.status.success());
    assert!(
        played.report.contains("the child has ended"),
        "{}",
        played.report
    );
}

fn exit_locals() {
    /// Says when it is dropped, with all other values of its thread.
    struct Last;
    impl Drop for Last {
        fn drop(&mut self) {
            (0..100).for_each(|_| std::thread::yield_now());
            report("the thread's last value is gone");
        }
    }
    thread_local! {
        static LAST: std::cell::RefCell<Option<Last>> = const { std::cell::RefCell::new(None) };
    }
    let _hands = hands::init();
    hands::thread::spawn(|| LAST.set(Some(Last)));
}

#[test]
fn a_thread_has_ended_when_its_thread_local_values_are_gone() {
    let played = Scene::new("exit_locals").succeed();
    assert!(played.report.contains("the thread's last value is gone"));
}

fn exit_pools() {
    use std::sync::LazyLock;

    use hands::pool::{Pool, ProcessPool, ThreadPool};

    static THREADS: LazyLock<ThreadPool> = LazyLock::new(|| ThreadPool::new().expect("threads"));
    static PROCESSES: LazyLock<ProcessPool> =
        LazyLock::new(|| ProcessPool::with_workers(1).expect("a process"));
    let _hands = hands::init();
    for n in 0..20 {
        THREADS.execute(move || {
            std::thread::yield_now();
            if n == 19 {
                // Submitted while the guard waits.
                THREADS.execute(|| report("the last task of the threads has ended"));
            }
        });
    }
    PROCESSES
        .submit(|n: u64| n, 7)
        .on_done(|outcome| report(format!("the process said {outcome:?}")));
    #[cfg(feature = "async")]
    {
        use hands::pool::AsyncPool;
        static COROUTINES: LazyLock<AsyncPool> =
            LazyLock::new(|| AsyncPool::new().expect("threads"));
        drop(COROUTINES.spawn(async {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            report("the coroutine has ended");
        }));
    }
}

#[test]
fn the_program_ends_when_the_tasks_of_pools_in_statics_have() {
    let played = Scene::new("exit_pools").succeed();
    let said = &played.report;
    assert!(
        said.contains("the last task of the threads has ended"),
        "{said}"
    );
    assert!(said.contains("the process said Ok(7)"), "{said}");
    #[cfg(feature = "async")]
    assert!(said.contains("the coroutine has ended"), "{said}");
}
