//! What every [`CoroutinePool`] promises for coroutines, tested through the trait alone:
//! `coroutine_pool_conformance!(name, make)` makes the tests for a kind of pool, where `make` takes
//! how many may be in flight and returns a pool.
//!
//! Coroutines capture nothing, and share nothing with the test but what the file system offers:
//! they may run in another process.

use std::fs;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_lite::future::block_on;
use hands::context::Local;
use hands::pool::{CoroutinePool, Shutdown};
use hands::sync::CancelToken;
use hands::task::{Options, TaskError, as_completed};

use crate::support::folder;

const SHORT: Duration = Duration::from_millis(20);

macro_rules! coroutine_pool_conformance {
    ($name:ident, $make:expr) => {
        coroutine_pool_conformance!(@tests $name, $make,
            each_coroutine_has_its_outcome
            a_panic_costs_one_coroutine_and_says_what_and_where
            so_many_are_in_flight_and_no_more
            one_that_waits_for_its_turn_can_be_cancelled
            one_that_has_ended_cannot_be_cancelled
            one_that_awaits_is_dropped_when_it_is_cancelled
            a_time_out_drops_it_and_frees_its_place
            a_deadline_counts_the_time_in_the_queue
            its_handle_is_a_future
            a_dropped_handle_lets_it_run
            outcomes_are_a_stream
            join_waits_for_all_coroutines
            a_closed_pool_takes_none_and_finishes_what_it_has
            a_drained_pool_has_run_all
            shut_down_now_all_have_an_outcome
            a_dropped_pool_has_run_all
            it_has_a_token_and_the_values_around_it
            figures_add_up_when_all_are_done
        );
    };
    (@tests $name:ident, $make:expr, $($test:ident)*) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            $(#[test] fn $test() {
                $crate::support::in_time(|| $crate::conformance::coroutine_pool::$test($make));
            })*
        }
    };
}

async fn moment() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

async fn square(n: u64) -> u64 {
    moment().await;
    n * n
}

async fn odd_ones_panic(n: u64) -> u64 {
    moment().await;
    assert!(n.is_multiple_of(2), "{n} is odd");
    n
}

async fn leave_a_mark(mark: PathBuf) {
    moment().await;
    fs::write(mark, "").expect("a folder that is there");
}

/// Marks that it has begun, then waits for the other mark.
async fn wait_for((begun, wanted): (PathBuf, PathBuf)) {
    fs::write(begun, "").expect("a folder that is there");
    while !wanted.exists() {
        moment().await;
    }
}

/// Marks that it was dropped; before anybody knows of its end.
struct Note(PathBuf);

impl Drop for Note {
    fn drop(&mut self) {
        let _ = fs::write(&self.0, "");
    }
}

async fn wait_and_note((begun, dropped): (PathBuf, PathBuf)) {
    let _note = Note(dropped);
    fs::write(begun, "").expect("a folder that is there");
    std::future::pending::<()>().await;
}

fn await_mark(mark: &Path) {
    while !mark.exists() {
        std::thread::yield_now();
    }
}

pub(crate) fn each_coroutine_has_its_outcome<P: CoroutinePool>(make: impl Fn(usize) -> P) {
    let pool = make(3);
    let handles: Vec<_> = (0..100).map(|n| pool.submit_async(square, n)).collect();
    for (n, handle) in (0..).zip(handles) {
        assert_eq!(handle.join(), Ok(n * n));
    }
    let pair = pool.submit_async(
        async |(a, b): (u8, String)| format!("{a}{b}"),
        (1, "x".into()),
    );
    assert_eq!(pair.join().as_deref(), Ok("1x"));
}

pub(crate) fn a_panic_costs_one_coroutine_and_says_what_and_where<P: CoroutinePool>(
    make: impl Fn(usize) -> P,
) {
    let pool = make(2);
    let handles: Vec<_> = (0..10)
        .map(|n| pool.submit_async(odd_ones_panic, n))
        .collect();
    for (n, handle) in (0..).zip(handles) {
        match handle.join() {
            Ok(result) => assert_eq!((n % 2, result), (0, n)),
            Err(TaskError::Panicked(panicked)) => {
                assert_eq!(panicked.message, format!("{n} is odd"));
                let place = panicked.location.expect("the hook knows");
                assert!(place.file.ends_with("coroutine_pool.rs"), "{place}");
            }
            Err(other) => panic!("{other}"),
        }
    }
}

pub(crate) fn so_many_are_in_flight_and_no_more<P: CoroutinePool>(make: impl Fn(usize) -> P) {
    let pool = make(3);
    let folder = folder();
    let go = folder.path().join("go");
    let mark = |n: usize| folder.path().join(n.to_string());
    let handles: Vec<_> = (0..9)
        .map(|n| pool.submit_async(wait_for, (mark(n), go.clone())))
        .collect();
    (0..3).for_each(|n| await_mark(&mark(n)));
    // The others may not begin, whatever time passes; so this only shows that they have not at
    // once.
    assert!((3..9).all(|n| !mark(n).exists()));
    fs::write(&go, "").unwrap();
    handles
        .into_iter()
        .for_each(|handle| handle.join().unwrap());
    assert!((0..9).all(|n| mark(n).exists()));
}

pub(crate) fn one_that_waits_for_its_turn_can_be_cancelled<P: CoroutinePool>(
    make: impl Fn(usize) -> P,
) {
    let pool = make(1);
    let folder = folder();
    let [begun, go, mark] = ["begun", "go", "mark"].map(|name| folder.path().join(name));
    let running = pool.submit_async(wait_for, (begun.clone(), go.clone()));
    await_mark(&begun);
    let waiting = pool.submit_async(leave_a_mark, mark.clone());
    assert!(waiting.cancel());
    assert!(!waiting.cancel(), "it has an outcome");
    assert_eq!(waiting.join(), Err(TaskError::Cancelled));
    fs::write(&go, "").unwrap();
    assert_eq!(running.join(), Ok(()));
    pool.join();
    assert!(!mark.exists());
}

pub(crate) fn one_that_has_ended_cannot_be_cancelled<P: CoroutinePool>(make: impl Fn(usize) -> P) {
    let pool = make(1);
    let handle = pool.submit_async(square, 3);
    pool.join();
    assert!(!handle.cancel());
    assert_eq!(handle.join(), Ok(9));
}

pub(crate) fn one_that_awaits_is_dropped_when_it_is_cancelled<P: CoroutinePool>(
    make: impl Fn(usize) -> P,
) {
    let pool = make(1);
    let folder = folder();
    let [begun, dropped] = ["begun", "dropped"].map(|name| folder.path().join(name));
    let handle = pool.submit_async(wait_and_note, (begun.clone(), dropped.clone()));
    await_mark(&begun);
    assert!(!handle.cancel(), "it has begun");
    assert_eq!(handle.join(), Err(TaskError::Cancelled));
    assert!(dropped.exists(), "before anybody hears of its end");
    assert_eq!(
        pool.submit_async(square, 4).join(),
        Ok(16),
        "its place is free"
    );
}

pub(crate) fn a_time_out_drops_it_and_frees_its_place<P: CoroutinePool>(make: impl Fn(usize) -> P) {
    let pool = make(1);
    let folder = folder();
    let [begun, dropped] = ["begun", "dropped"].map(|name| folder.path().join(name));
    let options = Options::new().timeout(SHORT);
    let handle = pool.submit_async_with(options, wait_and_note, (begun, dropped.clone()));
    assert_eq!(handle.join(), Err(TaskError::TimedOut { after: SHORT }));
    assert_eq!(pool.submit_async(square, 4).join(), Ok(16));
    await_mark(&dropped);
}

pub(crate) fn a_deadline_counts_the_time_in_the_queue<P: CoroutinePool>(make: impl Fn(usize) -> P) {
    let pool = make(1);
    let folder = folder();
    let [begun, go, mark] = ["begun", "go", "mark"].map(|name| folder.path().join(name));
    let running = pool.submit_async(wait_for, (begun.clone(), go.clone()));
    await_mark(&begun);
    let options = Options::new().deadline(Instant::now() + SHORT);
    let waiting = pool.submit_async_with(options, leave_a_mark, mark.clone());
    assert!(matches!(waiting.join(), Err(TaskError::TimedOut { .. })));
    fs::write(&go, "").unwrap();
    assert_eq!(running.join(), Ok(()));
    pool.join();
    assert!(!mark.exists());
}

pub(crate) fn its_handle_is_a_future<P: CoroutinePool>(make: impl Fn(usize) -> P) {
    let pool = make(1);
    let folder = folder();
    let [begun, go] = ["begun", "go"].map(|name| folder.path().join(name));
    let mut handle = pool.submit_async(wait_for, (begun, go.clone()));
    let mut context = Context::from_waker(Waker::noop());
    assert_eq!(pin!(&mut handle).poll(&mut context), Poll::Pending);
    fs::write(&go, "").unwrap();
    assert_eq!(block_on(&mut handle), Ok(()));
}

pub(crate) fn a_dropped_handle_lets_it_run<P: CoroutinePool>(make: impl Fn(usize) -> P) {
    let pool = make(1);
    let folder = folder();
    let mark = folder.path().join("mark");
    drop(pool.submit_async(leave_a_mark, mark.clone()));
    pool.join();
    assert!(mark.exists());
}

pub(crate) fn outcomes_are_a_stream<P: CoroutinePool>(make: impl Fn(usize) -> P) {
    use futures_lite::StreamExt;
    let pool = make(4);
    let outcomes = as_completed((0..20).map(|n| pool.submit_async(square, n)));
    let mut outcomes: Vec<_> = block_on(StreamExt::collect(outcomes));
    outcomes.sort_by_key(|(number, _)| *number);
    let expected: Vec<_> = (0..20).map(|n| (n as usize, Ok(n * n))).collect();
    assert_eq!(outcomes, expected);
}

pub(crate) fn join_waits_for_all_coroutines<P: CoroutinePool>(make: impl Fn(usize) -> P) {
    let pool = make(2);
    let folder = folder();
    for n in 0..50 {
        drop(pool.submit_async(leave_a_mark, folder.path().join(n.to_string())));
    }
    pool.join();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 50);
    assert_eq!(pool.submit_async(square, 4).join(), Ok(16), "it goes on");
}

pub(crate) fn a_closed_pool_takes_none_and_finishes_what_it_has<P: CoroutinePool>(
    make: impl Fn(usize) -> P,
) {
    let pool = make(1);
    let handles: Vec<_> = (0..5).map(|n| pool.submit_async(square, n)).collect();
    pool.close();
    let late = pool.submit_async(square, 5);
    assert_eq!(late.join(), Err(TaskError::PoolClosed));
    for (n, handle) in (0..).zip(handles) {
        assert_eq!(handle.join(), Ok(n * n));
    }
}

pub(crate) fn a_drained_pool_has_run_all<P: CoroutinePool>(make: impl Fn(usize) -> P) {
    let pool = make(2);
    let handles: Vec<_> = (0..100).map(|n| pool.submit_async(square, n)).collect();
    pool.shutdown(Shutdown::Drain);
    assert!(handles.iter().all(|handle| handle.is_finished()));
    assert!(handles.into_iter().all(|handle| handle.join().is_ok()));
    let late = pool.submit_async(square, 5);
    assert_eq!(late.join(), Err(TaskError::PoolClosed));
}

pub(crate) fn shut_down_now_all_have_an_outcome<P: CoroutinePool>(make: impl Fn(usize) -> P) {
    let pool = make(2);
    let folder = folder();
    let place = |name: &str, n: usize| folder.path().join(format!("{name}{n}"));
    let submit = |n| pool.submit_async(wait_and_note, (place("begun", n), place("dropped", n)));
    let handles: Vec<_> = (0..10).map(submit).collect();
    (0..2).for_each(|n| await_mark(&place("begun", n)));
    pool.shutdown(Shutdown::Now);
    for handle in handles {
        assert_eq!(handle.join(), Err(TaskError::Cancelled));
    }
    assert!((2..10).all(|n| !place("begun", n).exists()));
    assert!((0..2).all(|n| place("dropped", n).exists()));
    pool.shutdown(Shutdown::Now);
}

pub(crate) fn a_dropped_pool_has_run_all<P: CoroutinePool>(make: impl Fn(usize) -> P) {
    let pool = make(2);
    let handles: Vec<_> = (0..100).map(|n| pool.submit_async(square, n)).collect();
    drop(pool);
    assert!(handles.into_iter().all(|handle| handle.join().is_ok()));
}

static USER: Local<String> = Local::portable();

pub(crate) fn it_has_a_token_and_the_values_around_it<P: CoroutinePool>(make: impl Fn(usize) -> P) {
    let pool = make(2);
    let look = async |()| {
        moment().await;
        let token = CancelToken::current().map(|token| token.is_cancelled());
        (token, USER.get().map(|user| String::clone(&user)))
    };
    let inside = USER.with("ada".to_owned(), || pool.submit_async(look, ()));
    assert_eq!(inside.join(), Ok((Some(false), Some("ada".to_owned()))));
    assert_eq!(pool.submit_async(look, ()).join(), Ok((Some(false), None)));
}

pub(crate) fn figures_add_up_when_all_are_done<P: CoroutinePool>(make: impl Fn(usize) -> P) {
    let pool = make(2);
    for n in 0..10 {
        drop(pool.submit_async(odd_ones_panic, n));
    }
    pool.join();
    let stats = pool.stats();
    assert_eq!((stats.finished, stats.panicked, stats.not_run), (10, 5, 0));
    assert_eq!((stats.queued, stats.busy), (0, 0));
}
