//! Work that is split.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use hands::pool::{ThreadPool, join};
use proptest::prelude::*;

fn fibonacci(n: u32) -> u64 {
    if n < 2 {
        return n.into();
    }
    let (a, b) = join(|| fibonacci(n - 1), || fibonacci(n - 2));
    a + b
}

#[test]
fn halves_of_halves_come_together() {
    for workers in [1, 2, 4] {
        let pool = ThreadPool::with_workers(workers).unwrap();
        assert_eq!(pool.install(|| fibonacci(20)), 6765);
        assert_eq!(pool.both(|| fibonacci(10), || fibonacci(11)), (55, 89));
    }
}

#[test]
fn outside_of_a_pool_one_comes_after_the_other() {
    assert_eq!(fibonacci(10), 55);
}

#[test]
fn a_panic_in_a_half_comes_out_when_both_have_ended() {
    let pool = ThreadPool::with_workers(2).unwrap();
    for _ in 0..100 {
        let ended = AtomicUsize::new(0);
        let end = || {
            ended.fetch_add(1, Ordering::Relaxed);
        };
        let result = catch_unwind(AssertUnwindSafe(|| {
            pool.both(
                || {
                    fibonacci(5);
                    panic!("a");
                },
                || {
                    fibonacci(8);
                    end();
                },
            )
        }));
        assert_eq!(*result.unwrap_err().downcast::<&str>().unwrap(), "a");
        assert_eq!(ended.load(Ordering::Relaxed), 1);
        let result = catch_unwind(AssertUnwindSafe(|| pool.both(end, || panic!("b"))));
        assert_eq!(*result.unwrap_err().downcast::<&str>().unwrap(), "b");
        assert_eq!(ended.load(Ordering::Relaxed), 2);
    }
}

#[test]
fn every_element_is_visited_once() {
    let pool = ThreadPool::with_workers(3).unwrap();
    let mut visits = vec![0_u8; 100_003];
    pool.for_each(&mut visits[..], |visits| *visits += 1);
    assert!(visits.iter().all(|visits| *visits == 1));
    let sum = AtomicUsize::new(0);
    pool.for_each(&visits[..], |visits| {
        sum.fetch_add(usize::from(*visits), Ordering::Relaxed);
    });
    assert_eq!(sum.into_inner(), 100_003);
}

#[test]
fn a_sum_within_a_task_of_the_same_pool() {
    let pool = ThreadPool::with_workers(1).unwrap();
    let sum = pool.install(|| pool.reduce(0..1001_u64, || 0, |sum, n| sum + n, |a, b| a + b));
    assert_eq!(sum, 500_500);
}

#[test]
fn nothing_to_reduce_is_the_identity() {
    let pool = ThreadPool::with_workers(2).unwrap();
    #[expect(clippy::reversed_empty_ranges, reason = "that is the point")]
    let backwards = 5..3_i64;
    assert_eq!(pool.reduce(backwards, || 7, |_, n| n, |a, _| a), 7);
}

#[test]
fn a_panic_in_a_loop_comes_out() {
    let pool = ThreadPool::with_workers(2).unwrap();
    let result = catch_unwind(AssertUnwindSafe(|| {
        pool.for_each(0..1000, |n| assert_ne!(n, 500));
    }));
    assert!(result.is_err());
    assert_eq!(pool.reduce(0..10_u8, || 0, |a, b| a + b, |a, b| a + b), 45);
}

proptest! {
    #[test]
    fn parts_are_the_whole(range: std::ops::Range<i8>, parts in 0..300_usize) {
        let cut = hands::split(range.clone(), parts);
        prop_assert!(cut.len() <= parts.max(1));
        prop_assert!(cut.iter().cloned().flatten().eq(range.clone()));
        let lengths = cut.iter().map(ExactSizeIterator::len);
        let (least, most) = (lengths.clone().min(), lengths.max());
        prop_assert!(most.unwrap_or(0) - least.unwrap_or(0) <= 1);
    }

    #[test]
    fn a_sum_does_not_depend_on_its_parts(numbers: Vec<u32>, workers in 1..5_usize) {
        let pool = ThreadPool::with_workers(workers).unwrap();
        let sum = pool.reduce(&numbers[..], || 0, |sum, n| sum + u64::from(*n), |a, b| a + b);
        prop_assert_eq!(sum, numbers.iter().copied().map(u64::from).sum());
    }
}
