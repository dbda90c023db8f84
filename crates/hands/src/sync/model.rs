//! Every interleaving of a few threads at a semaphore, as in [`queue`](crate::queue)'s models.

use std::pin::pin;
use std::task::{Context, Waker};

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::{Event, Semaphore};

fn explore(body: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(if cfg!(debug_assertions) { 2 } else { 4 });
    model.check(body);
}

#[test]
fn no_more_than_the_permits_are_inside() {
    explore(|| {
        let semaphore = Arc::new(Semaphore::bounded(1));
        let inside = Arc::new(AtomicUsize::new(0));
        let visit = |semaphore: &Semaphore, inside: &AtomicUsize| {
            let _permit = semaphore.acquire();
            assert_eq!(inside.fetch_add(1, Ordering::AcqRel), 0);
            inside.fetch_sub(1, Ordering::AcqRel);
        };
        let others = [(); 2].map(|()| {
            let (semaphore, inside) = (Arc::clone(&semaphore), Arc::clone(&inside));
            thread::spawn(move || visit(&semaphore, &inside))
        });
        visit(&semaphore, &inside);
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(semaphore.available(), 1);
    });
}

#[test]
fn who_asks_for_many_and_who_asks_for_one_are_both_served() {
    explore(|| {
        let semaphore = Arc::new(Semaphore::bounded(2));
        let other = {
            let semaphore = Arc::clone(&semaphore);
            thread::spawn(move || drop(semaphore.acquire_many(2).unwrap()))
        };
        drop(semaphore.acquire());
        other.join().unwrap();
        assert_eq!(semaphore.available(), 2);
    });
}

#[test]
fn a_dropped_acquire_gives_back_what_it_was_handed() {
    explore(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let other = {
            let semaphore = Arc::clone(&semaphore);
            thread::spawn(move || semaphore.acquire().forget())
        };
        let maker = {
            let semaphore = Arc::clone(&semaphore);
            thread::spawn(move || semaphore.release(1).unwrap())
        };
        {
            let mut acquire = pin!(semaphore.acquire_async());
            let mut context = Context::from_waker(Waker::noop());
            let _ = acquire.as_mut().poll(&mut context);
        }
        other.join().unwrap();
        maker.join().unwrap();
        assert_eq!(semaphore.available(), 0);
    });
}

#[test]
fn a_set_wakes_whoever_waits_even_if_it_is_cleared_at_once() {
    explore(|| {
        let event = Arc::new(Event::new());
        let waiter = {
            let event = Arc::clone(&event);
            thread::spawn(move || event.wait())
        };
        event.set();
        event.clear();
        event.set();
        waiter.join().unwrap();
    });
}

#[test]
fn a_child_is_seen_by_the_cancelling_or_born_cancelled() {
    explore(|| {
        let parent = super::CancelToken::new();
        let other = parent.clone();
        let child = thread::spawn(move || other.child());
        parent.cancel();
        assert!(child.join().unwrap().is_cancelled());
    });
}

#[test]
fn who_waits_for_a_token_is_told() {
    explore(|| {
        let token = super::CancelToken::new();
        let child = token.child();
        let waits = thread::spawn(move || child.wait());
        token.cancel();
        assert_eq!(waits.join().unwrap(), super::Cancelled::Asked);
    });
}

#[test]
fn a_barrier_lets_all_go_or_none() {
    explore(|| {
        let barrier = Arc::new(super::Barrier::new(2));
        let meets = {
            let barrier = Arc::clone(&barrier);
            thread::spawn(move || barrier.wait().is_ok())
        };
        let aborts = {
            let barrier = Arc::clone(&barrier);
            thread::spawn(move || barrier.abort())
        };
        let met = barrier.wait().is_ok();
        assert_eq!(meets.join().unwrap(), met);
        aborts.join().unwrap();
    });
}

#[test]
fn who_meets_at_a_barrier_has_a_place_of_its_own() {
    explore(|| {
        let barrier = Arc::new(super::Barrier::new(2));
        let other = {
            let barrier = Arc::clone(&barrier);
            thread::spawn(move || barrier.wait().unwrap())
        };
        let own = barrier.wait().unwrap();
        assert_eq!(own + other.join().unwrap(), 1);
    });
}
