//! Tokens: down the tree, by the clock, and without a leak.

use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use hands::sync::{CancelToken, Cancelled};

use super::{Woken, poll};

#[test]
fn cancelling_reaches_all_descendants_and_no_ancestor() {
    let root = CancelToken::new();
    let child = root.child();
    let grandchild = child.child();
    let sibling = root.child();
    child.cancel();
    assert!(child.is_cancelled() && grandchild.is_cancelled());
    assert!(!root.is_cancelled() && !sibling.is_cancelled());
    root.cancel();
    root.cancel();
    assert!(sibling.is_cancelled());
    assert_eq!(sibling.check(), Err(Cancelled::Asked));
    assert!(root.child().is_cancelled(), "born cancelled");
}

#[test]
fn a_descendant_is_reached_though_nobody_holds_what_is_between() {
    let root = CancelToken::new();
    let grandchild = root.child().child();
    root.cancel();
    assert!(grandchild.is_cancelled());
}

#[test]
fn a_deep_tree_is_cancelled_and_dropped_without_recursion() {
    let root = CancelToken::new();
    let mut leaf = root.child();
    for _ in 0..200_000 {
        leaf = leaf.child();
    }
    root.cancel();
    assert!(leaf.is_cancelled());
    drop(root);
    drop(leaf);

    // And from below, while it still stands.
    let root = CancelToken::new();
    let mut leaf = root.child();
    for _ in 0..200_000 {
        leaf = leaf.child();
    }
    drop(leaf);
    root.cancel();
}

#[test]
fn the_soonest_deadline_of_all_ancestors_counts() {
    let now = Instant::now();
    let [soon, late] = [600, 6000].map(|seconds| now + Duration::from_secs(seconds));
    let root = CancelToken::with_deadline(soon);
    assert_eq!(root.child().deadline(), Some(soon));
    assert_eq!(
        root.child_with_timeout(Duration::MAX).deadline(),
        Some(soon)
    );
    let root = CancelToken::with_deadline(late);
    let child = root.child_with_timeout(Duration::ZERO);
    assert!(child.deadline() < Some(late));
    assert_eq!(child.check(), Err(Cancelled::DeadlinePassed));
    assert_eq!(root.check(), Ok(()));
    assert_eq!(CancelToken::with_timeout(Duration::MAX).deadline(), None);
}

#[test]
fn who_sleeps_with_a_token_is_woken_by_its_end() {
    let token = CancelToken::new();
    assert!(!token.wait_timeout(Duration::from_millis(1)));
    thread::scope(|scope| {
        let sleeper = scope.spawn(|| token.wait_timeout(Duration::MAX));
        let child = token.child();
        let other = scope.spawn(move || child.wait());
        token.cancel();
        assert!(sleeper.join().unwrap());
        assert_eq!(other.join().unwrap(), Cancelled::Asked);
    });
    assert!(token.wait_timeout(Duration::ZERO));
    let token = CancelToken::with_timeout(Duration::from_millis(1));
    assert_eq!(token.wait(), Cancelled::DeadlinePassed);
    assert!(token.wait_timeout(Duration::MAX));
}

#[test]
fn a_coroutine_is_woken_by_a_cancel() {
    let token = CancelToken::new();
    let child = token.child();
    let (woken, waker) = Woken::waker();
    let mut wait = child.cancelled();
    let mut dropped = child.cancelled();
    let (silent, other) = Woken::waker();
    assert!(poll(&mut wait, &waker).is_pending());
    assert!(poll(&mut dropped, &other).is_pending());
    drop(dropped);
    token.cancel();
    assert_eq!((woken.times(), silent.times()), (1, 0));
    assert_eq!(poll(&mut wait, &waker), Poll::Ready(Cancelled::Asked));
}

#[test]
fn a_coroutine_is_woken_by_the_deadline() {
    struct Unpark(thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(std::sync::Arc::new(Unpark(thread::current())));
    let far = CancelToken::with_timeout(Duration::from_secs(3600));
    let mut never = far.cancelled();
    assert!(poll(&mut never, &waker).is_pending());
    for millis in [20, 1, 0] {
        let token = CancelToken::with_timeout(Duration::from_millis(millis));
        let mut wait = token.cancelled();
        // First with another waker: the last one counts.
        let _ = poll(&mut wait, Waker::noop());
        loop {
            match poll(&mut wait, &waker) {
                Poll::Ready(why) => break assert_eq!(why, Cancelled::DeadlinePassed),
                Poll::Pending => thread::park(),
            }
        }
    }
    assert!(poll(&mut never, &waker).is_pending());
}

#[test]
fn children_and_cancels_at_once_leave_nobody_behind() {
    for _ in 0..200 {
        let root = CancelToken::new();
        thread::scope(|scope| {
            let waiters = [(); 3].map(|()| {
                scope.spawn(|| {
                    let child = root.child();
                    let grandchild = child.child();
                    grandchild.wait()
                })
            });
            root.cancel();
            for waiter in waiters {
                assert_eq!(waiter.join().unwrap(), Cancelled::Asked);
            }
        });
    }
}

#[test]
fn tokens_read_well() {
    assert_eq!(Cancelled::Asked.to_string(), "cancelled");
    assert_eq!(
        Cancelled::DeadlinePassed.to_string(),
        "the deadline has passed"
    );
    let shown = format!("{:?}", CancelToken::new());
    assert!(
        shown.starts_with("CancelToken { cancelled: None"),
        "{shown}"
    );
}
