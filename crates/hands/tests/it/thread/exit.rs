//! The end of the program: non-daemon threads are joined, daemon ones abandoned.

use hands::sync::Event;
use hands::thread::Builder;

use crate::support::{Scene, Scenes, report};

pub(crate) const SCENES: Scenes = &[("exit", exit), ("exit_by_panic", exit_by_panic)];

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
