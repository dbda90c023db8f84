//! What every [`Pool`] promises, tested through the trait alone: `pool_conformance!(name, make)`
//! makes the tests for a kind of worker, where `make` takes the number of workers and returns a
//! pool.
//!
//! Tasks capture nothing and share nothing with the test but what the file system offers: they may
//! run in another process. One that is to be running while something happens waits at a [`Gate`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use hands::event::{EventKind, Listener, TaskEnd, WorkEvent};
use hands::pool::{Pool, Shutdown};
use hands::sync::CancelToken;
use hands::task::{self, Options, TaskError, When, as_completed};

use crate::support::{fifo, folder};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(20);

macro_rules! pool_conformance {
    ($name:ident, $make:expr) => {
        pool_conformance!(@tests $name, $make,
            each_task_has_its_outcome
            several_arguments_are_a_tuple
            a_panic_costs_one_task_and_says_what_and_where
            a_map_keeps_the_order_of_its_inputs
            a_map_takes_no_more_inputs_than_it_may
            a_map_of_an_endless_input_ends_with_its_reader
            an_unordered_map_gives_each_outcome_once
            an_unordered_map_is_not_held_up_by_one_task
            a_panic_in_a_chunk_costs_one_outcome
            a_map_tells_how_far_it_is
            many_small_tasks_keep_their_order
            nothing_to_do_is_done_at_once
            a_task_that_is_queued_can_be_cancelled
            a_task_that_has_ended_cannot_be_cancelled
            a_task_that_runs_is_told_that_it_is_cancelled
            a_time_out_frees_whoever_joins
            a_deadline_counts_the_time_in_the_queue
            a_join_that_times_out_gives_the_handle_back
            a_deadline_that_has_passed_prevents_the_start
            several_threads_shut_a_pool_down_at_once
            tasks_and_results_of_no_size_and_of_a_million_bytes
            a_pool_may_be_shut_down_twice_and_asked_after_that
            a_callback_is_called_once_before_or_after
            a_callback_that_panics_hurts_nobody
            a_handle_is_a_future
            a_dropped_handle_lets_the_task_run
            wait_for_the_first
            wait_for_the_first_error
            wait_for_all
            wait_no_longer_than_so_long
            outcomes_as_they_come
            join_waits_for_all_tasks
            a_closed_pool_takes_no_more_and_finishes_what_it_has
            a_drained_pool_has_run_everything
            a_pool_that_is_shut_down_now_runs_no_more
            a_dropped_pool_has_run_everything
            many_threads_submit_at_once
            figures_add_up_when_all_is_done
            each_task_is_told_once_and_no_worker_has_two_at_a_time
            what_is_not_run_is_told
            each_panic_in_a_chunk_is_counted_and_told
        );
    };
    (@tests $name:ident, $make:expr, $($test:ident)*) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            $(#[test] fn $test() {
                $crate::support::in_time(|| $crate::conformance::pool::$test($make));
            })*
        }
    };
}

/// Tasks that have come to it wait until it is opened.
pub(crate) struct Gate {
    folder: tempfile::TempDir,
}

impl Gate {
    pub(crate) fn new() -> Gate {
        let folder = folder();
        fifo(folder.path(), "came");
        fifo(folder.path(), "open");
        Gate { folder }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Waits until one task has come.
    pub(crate) fn await_one(&self) {
        fs::read(self.path().join("came")).unwrap();
    }

    /// Lets one task go on that has come, or will.
    pub(crate) fn open(&self) {
        fs::write(self.path().join("open"), "").unwrap();
    }
}

/// What tasks do at a gate.
fn pass(gate: &Path) {
    fs::write(gate.join("came"), "").unwrap();
    fs::read(gate.join("open")).unwrap();
}

pub(crate) fn pass_and_square((gate, n): (PathBuf, u64)) -> u64 {
    pass(&gate);
    n * n
}

/// Says that it has come, and waits until it is cancelled.
pub(crate) fn await_cancel(gate: PathBuf) -> bool {
    let token = CancelToken::current().expect("a task has one");
    fs::write(gate.join("came"), "").unwrap();
    token.wait();
    true
}

pub(crate) fn square(n: u64) -> u64 {
    n * n
}

pub(crate) fn odd_ones_panic(n: u64) -> u64 {
    assert!(n.is_multiple_of(2), "{n} is odd");
    n
}

pub(crate) fn repeat((text, times): (String, usize)) -> String {
    text.repeat(times)
}

pub(crate) fn wait_at_zero((gate, n): (PathBuf, u64)) -> u64 {
    match n {
        0 => pass_and_square((gate, n)),
        n => n,
    }
}

pub(crate) fn nothing((): ()) {}

pub(crate) fn the_same(text: String) -> String {
    text
}

pub(crate) fn leave_a_mark(path: PathBuf) {
    fs::write(path, "").unwrap();
}

fn polled<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn is_panic<R>(outcome: &Result<R, TaskError>) -> bool {
    matches!(outcome, Err(TaskError::Panicked(_)))
}

pub(crate) fn each_task_has_its_outcome<P: Pool>(make: impl Fn(usize) -> P) {
    let pool = make(2);
    let handles: Vec<_> = (0..100).map(|n| pool.submit(square, n)).collect();
    for (n, handle) in (0..100).zip(handles) {
        assert_eq!(handle.join(), Ok(n * n));
    }
}

pub(crate) fn several_arguments_are_a_tuple<P: Pool>(make: impl Fn(usize) -> P) {
    let pool = make(1);
    assert_eq!(
        pool.submit(repeat, ("ab".to_owned(), 3)).join(),
        Ok("ababab".to_owned())
    );
}

pub(crate) fn a_panic_costs_one_task_and_says_what_and_where<P: Pool>(make: impl Fn(usize) -> P) {
    let pool = make(1);
    let bad = pool.submit(odd_ones_panic, 7);
    let good = pool.submit(odd_ones_panic, 8);
    let Err(TaskError::Panicked(panicked)) = bad.join() else {
        panic!("it panicked");
    };
    assert_eq!(panicked.message, "7 is odd");
    let place = panicked.location.unwrap();
    assert!(place.file.ends_with("conformance/pool.rs"), "{place}");
    assert_eq!(good.join(), Ok(8));
}

pub(crate) fn a_map_keeps_the_order_of_its_inputs<P: Pool>(make: impl Fn(usize) -> P) {
    let pool = make(3);
    for chunk in [1, 7, 1000] {
        let outcomes = pool.map(square, 0..500).chunk(chunk);
        let expected: Vec<_> = (0..500).map(|n| Ok(n * n)).collect();
        assert_eq!(outcomes.collect::<Vec<_>>(), expected);
    }
}

pub(crate) fn a_map_takes_no_more_inputs_than_it_may<P: Pool>(make: impl Fn(usize) -> P) {
    let pool = make(2);
    let taken = AtomicUsize::new(0);
    let inputs = || {
        (0..1000).inspect(|_| {
            taken.fetch_add(1, Ordering::Relaxed);
        })
    };
    for (map, most) in [
        (pool.map(square, inputs()).chunk(1), 4),
        (pool.map(square, inputs()).chunk(10), 40),
        (pool.map(square, inputs()).ahead(3), 3),
        (pool.map(square, inputs()).ahead(16).unordered(), 16),
        (pool.map(square, inputs()).unordered().chunk(1), 4),
        (pool.map(square, inputs()).chunk(8).ahead(1), 8),
    ] {
        assert_eq!(
            taken.swap(0, Ordering::Relaxed),
            0,
            "taken before anybody asked"
        );
        for (given, _) in map.enumerate() {
            let ahead = taken.load(Ordering::Relaxed) - given;
            assert!(ahead <= most, "{ahead} inputs are ahead, not {most}");
        }
        assert_eq!(taken.swap(0, Ordering::Relaxed), 1000);
    }
}

pub(crate) fn a_map_of_an_endless_input_ends_with_its_reader<P: Pool>(make: impl Fn(usize) -> P) {
    let pool = make(2);
    let first: Vec<_> = pool.map(square, 0..).take(10).collect();
    assert_eq!(first.last(), Some(&Ok(81)));
    pool.join();
}

pub(crate) fn an_unordered_map_gives_each_outcome_once<P: Pool>(make: impl Fn(usize) -> P) {
    let pool = make(3);
    for chunk in [1, 7] {
        let outcomes = pool.map(square, 0..500).unordered().chunk(chunk);
        let outcomes: Vec<u64> = outcomes.map(Result::unwrap).collect();
        assert_eq!(outcomes.len(), 500);
        let expected = (0..500).map(square).collect::<BTreeSet<_>>();
        assert_eq!(outcomes.into_iter().collect::<BTreeSet<_>>(), expected);
    }
}

pub(crate) fn an_unordered_map_is_not_held_up_by_one_task<P: Pool>(make: impl Fn(usize) -> P) {
    let pool = make(2);
    let gate = Gate::new();
    let inputs = (0..20).map(|n| (gate.path(), n));
    let mut outcomes = pool.map(wait_at_zero, inputs).unordered();
    let first = outcomes.next();
    gate.await_one();
    let others: Vec<_> = outcomes.by_ref().take(18).collect();
    gate.open();
    assert!(!others.contains(&Ok(0)) && first != Some(Ok(0)));
    assert_eq!(outcomes.collect::<Vec<_>>(), [Ok(0)]);
}

pub(crate) fn a_panic_in_a_chunk_costs_one_outcome<P: Pool>(make: impl Fn(usize) -> P) {
    let pool = make(2);
    let outcomes: Vec<_> = pool.map(odd_ones_panic, 0..20).chunk(20).collect();
    assert_eq!(
        outcomes.iter().filter(|outcome| is_panic(outcome)).count(),
        10
    );
    assert_eq!(outcomes[18], Ok(18));
}

pub(crate) fn a_map_tells_how_far_it_is<P: Pool>(make: impl Fn(usize) -> P) {
    let pool = make(2);
    let mut seen = Vec::new();
    let map = pool.map(odd_ones_panic, 0..10);
    map.progress(|progress| seen.push((progress.given, progress.failed)))
        .for_each(drop);
    assert_eq!(seen.len(), 10);
    assert_eq!(seen.last(), Some(&(10, 5)));
}

pub(crate) fn many_small_tasks_keep_their_order<P: Pool>(make: impl Fn(usize) -> P) {
    let pool = make(2);
    let many = pool.submit_many(odd_ones_panic, 0..10_000);
    assert_eq!(many.len(), 10_000);
    for (n, outcome) in (0..).zip(many) {
        match n % 2 {
            0 => assert_eq!(outcome, Ok(n)),
            _ => assert!(is_panic(&outcome)),
        }
    }
}

pub(crate) fn nothing_to_do_is_done_at_once<P: Pool>(make: impl Fn(usize) -> P) {
    let pool = make(1);
    assert_eq!(pool.map(square, []).next(), None);
    assert_eq!(pool.map(square, []).unordered().next(), None);
    assert!(pool.submit_many(square, []).join().is_empty());
    assert!(as_completed::<u64>([]).next().is_none());
    for when in [When::First, When::FirstError, When::All] {
        assert!(task::wait::<u64>([], when).done.is_empty());
    }
    pool.join();
}

pub(crate) fn a_task_that_is_queued_can_be_cancelled<P: Pool>(make: impl Fn(usize) -> P) {
    let pool = make(1);
    let gate = Gate::new();
    let running = pool.submit(pass_and_square, (gate.path(), 3));
    gate.await_one();
    let mark = gate.path().join("mark");
    let queued = pool.submit(leave_a_mark, mark.clone());
    assert!(queued.cancel());
    assert!(queued.is_finished());
    assert!(!queued.cancel(), "it has an outcome");
    assert_eq!(queued.join(), Err(TaskError::Cancelled));
    gate.open();
    assert_eq!(running.join(), Ok(9));
    pool.join();
    assert!(!mark.exists());
}

pub(crate) fn a_task_that_has_ended_cannot_be_cancelled<P: Pool>(make: impl Fn(usize) -> P) {
    let pool = make(1);
    let handle = pool.submit(square, 3);
    pool.join();
    assert!(!handle.cancel());
    assert_eq!(handle.join(), Ok(9));
}

pub(crate) fn a_task_that_runs_is_told_that_it_is_cancelled<P: Pool>(make: impl Fn(usize) -> P) {
    let pool = make(1);
    let gate = Gate::new();
    let handle = pool.submit(await_cancel, gate.path());
    gate.await_one();
    assert!(!handle.cancel(), "it runs");
    assert_eq!(handle.join(), Ok(true));
}

pub(crate) fn a_time_out_frees_whoever_joins<P: Pool>(make: impl Fn(usize) -> P) {
    let pool = make(1);
    let gate = Gate::new();
    let options = Options::new().timeout(SHORT);
    let handle = pool.submit_with(options, await_cancel, gate.path());
    gate.await_one();
    assert_eq!(handle.join(), Err(TaskError::TimedOut { after: SHORT }));
    // Its worker is of use again.
    assert_eq!(pool.submit(square, 4).join(), Ok(16));
}

pub(crate) fn a_deadline_that_has_passed_prevents_the_start<P: Pool>(make: impl Fn(usize) -> P) {
    let pool = make(2);
    let folder = folder();
    let mark = folder.path().join("mark");
    for _ in 0..20 {
        let options = Options::new().deadline(Instant::now());
        let handle = pool.submit_with(options, leave_a_mark, mark.clone());
        assert!(matches!(handle.join(), Err(TaskError::TimedOut { .. })));
    }
    pool.join();
    assert!(!mark.exists());
}

pub(crate) fn several_threads_shut_a_pool_down_at_once<P: Pool + Sync>(make: impl Fn(usize) -> P) {
    for how in [Shutdown::Drain, Shutdown::Now] {
        let pool = make(2);
        let handles: Vec<_> = (0..20).map(|n| pool.submit(square, n)).collect();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| pool.shutdown(how));
            }
        });
        for (n, handle) in (0..).zip(handles) {
            // Each has its outcome by now.
            assert!(handle.is_finished());
            match (how, handle.join()) {
                (_, Ok(square)) => assert_eq!(square, n * n),
                (Shutdown::Now, Err(TaskError::Cancelled)) => {}
                (_, other) => panic!("{other:?}"),
            }
        }
    }
}

pub(crate) fn tasks_and_results_of_no_size_and_of_a_million_bytes<P: Pool>(
    make: impl Fn(usize) -> P,
) {
    let pool = make(1);
    assert_eq!(pool.submit(nothing, ()).join(), Ok(()));
    assert_eq!(
        pool.submit(the_same, String::new()).join(),
        Ok(String::new())
    );
    let long = "x".repeat(1_000_000);
    assert_eq!(pool.submit(the_same, long.clone()).join(), Ok(long));
    let none: Vec<Result<u64, TaskError>> = pool.map(square, []).collect();
    assert!(none.is_empty());
}

pub(crate) fn a_pool_may_be_shut_down_twice_and_asked_after_that<P: Pool>(
    make: impl Fn(usize) -> P,
) {
    let pool = make(1);
    assert_eq!(pool.submit(square, 2).join(), Ok(4));
    pool.shutdown(Shutdown::Drain);
    pool.shutdown(Shutdown::Now);
    pool.join();
    assert_eq!(pool.submit(square, 2).join(), Err(TaskError::PoolClosed));
    assert_eq!(pool.stats().finished, 1);
}

pub(crate) fn a_deadline_counts_the_time_in_the_queue<P: Pool>(make: impl Fn(usize) -> P) {
    let pool = make(1);
    let gate = Gate::new();
    let running = pool.submit(pass_and_square, (gate.path(), 3));
    gate.await_one();
    let mark = gate.path().join("mark");
    let options = Options::new().deadline(Instant::now() + SHORT);
    let queued = pool.submit_with(options, leave_a_mark, mark.clone());
    assert!(matches!(queued.join(), Err(TaskError::TimedOut { .. })));
    gate.open();
    assert_eq!(running.join(), Ok(9));
    pool.join();
    assert!(!mark.exists());
}

pub(crate) fn a_join_that_times_out_gives_the_handle_back<P: Pool>(make: impl Fn(usize) -> P) {
    let pool = make(1);
    let gate = Gate::new();
    let handle = pool.submit(pass_and_square, (gate.path(), 3));
    let handle = handle.join_timeout(SHORT).unwrap_err();
    let handle = handle.join_timeout(Duration::ZERO).unwrap_err();
    gate.await_one();
    gate.open();
    assert_eq!(handle.join_timeout(LONG).unwrap(), Ok(9));
}

pub(crate) fn a_callback_is_called_once_before_or_after<P: Pool>(make: impl Fn(usize) -> P) {
    let pool = make(1);
    let gate = Gate::new();
    let calls = Arc::new(Mutex::new(Vec::new()));
    let note = |name| {
        let calls = Arc::clone(&calls);
        move |outcome: &Result<u64, TaskError>| calls.lock().unwrap().push((name, outcome.clone()))
    };
    let handle = pool.submit(pass_and_square, (gate.path(), 3));
    handle.on_done(note("before"));
    handle.on_done(note("before, too"));
    gate.await_one();
    gate.open();
    pool.join();
    handle.on_done(note("after"));
    assert_eq!(handle.join(), Ok(9));
    let expected = ["before", "before, too", "after"].map(|name| (name, Ok(9)));
    assert_eq!(*calls.lock().unwrap(), expected);
}

pub(crate) fn a_callback_that_panics_hurts_nobody<P: Pool>(make: impl Fn(usize) -> P) {
    let pool = make(1);
    let gate = Gate::new();
    let handle = pool.submit(pass_and_square, (gate.path(), 3));
    handle.on_done(|_| panic!("not the task's fault"));
    gate.await_one();
    gate.open();
    assert_eq!(handle.join(), Ok(9));
    assert_eq!(pool.submit(square, 4).join(), Ok(16));
}

pub(crate) fn a_handle_is_a_future<P: Pool>(make: impl Fn(usize) -> P) {
    let pool = make(1);
    let gate = Gate::new();
    let mut handle = pool.submit(pass_and_square, (gate.path(), 3));
    assert!(polled(&mut handle).is_pending());
    gate.await_one();
    gate.open();
    assert_eq!(futures_lite::future::block_on(&mut handle), Ok(9));
}

pub(crate) fn a_dropped_handle_lets_the_task_run<P: Pool>(make: impl Fn(usize) -> P) {
    let pool = make(1);
    let folder = folder();
    let mark = folder.path().join("mark");
    drop(pool.submit(leave_a_mark, mark.clone()));
    pool.join();
    assert!(mark.exists());
}

pub(crate) fn wait_for_the_first<P: Pool>(make: impl Fn(usize) -> P) {
    let pool = make(2);
    let gate = Gate::new();
    let slow = pool.submit(pass_and_square, (gate.path(), 3));
    gate.await_one();
    let waited = task::wait([slow, pool.submit(square, 4)], When::First);
    assert_eq!((waited.done.len(), waited.pending.len()), (1, 1));
    gate.open();
    let waited = task::wait(waited.done.into_iter().chain(waited.pending), When::All);
    let outcomes: Vec<_> = waited
        .done
        .into_iter()
        .map(|handle| handle.join())
        .collect();
    assert_eq!(outcomes, [Ok(16), Ok(9)]);
}

pub(crate) fn wait_for_the_first_error<P: Pool>(make: impl Fn(usize) -> P) {
    let pool = make(2);
    let gate = Gate::new();
    let slow = pool.submit(pass_and_square, (gate.path(), 3));
    gate.await_one();
    let well = pool.submit(odd_ones_panic, 2);
    let badly = pool.submit(odd_ones_panic, 1);
    let waited = task::wait([slow, well, badly], When::FirstError);
    assert_eq!((waited.done.len(), waited.pending.len()), (2, 1));
    gate.open();
    let all_well = [pool.submit(square, 1), pool.submit(square, 2)];
    assert_eq!(task::wait(all_well, When::FirstError).done.len(), 2);
}

pub(crate) fn wait_for_all<P: Pool>(make: impl Fn(usize) -> P) {
    let pool = make(2);
    let handles = (0..100).map(|n| pool.submit(odd_ones_panic, n));
    let waited = task::wait(handles, When::All);
    assert!(waited.pending.is_empty());
    let outcomes = waited.done.into_iter().map(|handle| handle.join());
    assert_eq!(outcomes.filter(is_panic).count(), 50);
}

pub(crate) fn wait_no_longer_than_so_long<P: Pool>(make: impl Fn(usize) -> P) {
    let pool = make(1);
    let gate = Gate::new();
    let handle = pool.submit(pass_and_square, (gate.path(), 3));
    let waited = task::wait_timeout([handle], When::All, SHORT);
    assert_eq!((waited.done.len(), waited.pending.len()), (0, 1));
    gate.await_one();
    gate.open();
    let waited = task::wait_timeout(waited.pending, When::All, LONG);
    assert_eq!(waited.done.len(), 1);
}

pub(crate) fn outcomes_as_they_come<P: Pool>(make: impl Fn(usize) -> P) {
    let pool = make(2);
    let gate = Gate::new();
    let slow = pool.submit(pass_and_square, (gate.path(), 3));
    gate.await_one();
    let mut outcomes = as_completed([slow, pool.submit(square, 4), pool.submit(square, 5)]);
    let first: BTreeSet<_> = outcomes
        .by_ref()
        .take(2)
        .map(|(number, _)| number)
        .collect();
    assert_eq!(first, [1, 2].into());
    assert_eq!(outcomes.next_timeout(SHORT), None);
    assert_eq!(outcomes.len(), 1);
    gate.open();
    assert_eq!(outcomes.next(), Some((0, Ok(9))));
    assert_eq!(outcomes.next(), None);
}

pub(crate) fn join_waits_for_all_tasks<P: Pool>(make: impl Fn(usize) -> P) {
    let pool = make(2);
    let folder = folder();
    for n in 0..50 {
        drop(pool.submit(leave_a_mark, folder.path().join(n.to_string())));
    }
    pool.join();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 50);
    assert_eq!(pool.submit(square, 4).join(), Ok(16), "it goes on");
}

pub(crate) fn a_closed_pool_takes_no_more_and_finishes_what_it_has<P: Pool>(
    make: impl Fn(usize) -> P,
) {
    let pool = make(1);
    let gate = Gate::new();
    let running = pool.submit(pass_and_square, (gate.path(), 3));
    let queued = pool.submit(square, 4);
    pool.close();
    pool.close();
    assert_eq!(pool.submit(square, 5).join(), Err(TaskError::PoolClosed));
    let outcomes: Vec<_> = pool.map(square, [1, 2]).collect();
    assert_eq!(
        outcomes,
        [Err(TaskError::PoolClosed), Err(TaskError::PoolClosed)]
    );
    gate.await_one();
    gate.open();
    assert_eq!((running.join(), queued.join()), (Ok(9), Ok(16)));
}

pub(crate) fn a_drained_pool_has_run_everything<P: Pool>(make: impl Fn(usize) -> P) {
    let pool = make(2);
    let handles: Vec<_> = (0..100).map(|n| pool.submit(square, n)).collect();
    pool.shutdown(Shutdown::Drain);
    assert!(handles.iter().all(|handle| handle.is_finished()));
    assert!(handles.into_iter().all(|handle| handle.join().is_ok()));
    assert_eq!(pool.submit(square, 5).join(), Err(TaskError::PoolClosed));
}

pub(crate) fn a_pool_that_is_shut_down_now_runs_no_more<P: Pool>(make: impl Fn(usize) -> P) {
    let pool = make(1);
    let gate = Gate::new();
    let running = pool.submit(await_cancel, gate.path());
    gate.await_one();
    let mark = gate.path().join("mark");
    let queued = pool.submit(leave_a_mark, mark.clone());
    pool.shutdown(Shutdown::Now);
    assert_eq!(queued.join(), Err(TaskError::Cancelled));
    assert_eq!(running.join(), Ok(true), "it was told");
    assert!(!mark.exists());
    pool.shutdown(Shutdown::Now);
}

pub(crate) fn a_dropped_pool_has_run_everything<P: Pool>(make: impl Fn(usize) -> P) {
    let pool = make(2);
    let handles: Vec<_> = (0..100).map(|n| pool.submit(square, n)).collect();
    drop(pool);
    assert!(handles.into_iter().all(|handle| handle.join().is_ok()));
}

pub(crate) fn many_threads_submit_at_once<P: Pool + Sync>(make: impl Fn(usize) -> P) {
    let pool = make(2);
    std::thread::scope(|scope| {
        for from in 0..4 {
            let pool = &pool;
            scope.spawn(move || {
                let inputs = from * 1000..(from + 1) * 1000;
                let outcomes = pool.map(square, inputs.clone()).map(Result::unwrap);
                assert!(outcomes.eq(inputs.map(square)));
            });
        }
    });
}

pub(crate) fn figures_add_up_when_all_is_done<P: Pool>(make: impl Fn(usize) -> P) {
    let pool = make(2);
    for n in 0..10 {
        drop(pool.submit(odd_ones_panic, n));
    }
    pool.join();
    let stats = pool.stats();
    assert_eq!(stats.workers, 2);
    assert_eq!((stats.finished, stats.panicked, stats.not_run), (10, 5, 0));
    assert_eq!((stats.queued, stats.busy), (0, 0));
}

/// By tasks: how often each was queued, started and ended, and how it ended last.
type Told = BTreeMap<u64, ([u32; 3], Option<TaskEnd>)>;

fn told(listener: &mut Listener) -> Told {
    assert_eq!(listener.lost(), 0);
    let mut tasks = Told::new();
    let mut at_work = BTreeSet::new();
    let mut events: Vec<_> = listener.collect();
    let begins = |event: &WorkEvent| matches!(event.kind, EventKind::Started { .. });
    events.sort_by_key(|event| (event.at, begins(event)));
    for event in events {
        match event.kind {
            EventKind::Queued { task, .. } => tasks.entry(task).or_default().0[0] += 1,
            EventKind::Started { task, worker, .. } => {
                tasks.entry(task).or_default().0[1] += 1;
                assert!(at_work.insert(worker), "{worker} has two tasks");
            }
            EventKind::Finished {
                task, worker, how, ..
            } => {
                let told = tasks.entry(task).or_default();
                told.0[2] += 1;
                told.1 = Some(how);
                if let Some(worker) = worker {
                    assert!(at_work.remove(&worker), "{worker} has none");
                }
            }
            _ => {}
        }
    }
    assert!(at_work.is_empty(), "{at_work:?} have not ended");
    tasks
}

pub(crate) fn each_task_is_told_once_and_no_worker_has_two_at_a_time<P: Pool>(
    make: impl Fn(usize) -> P,
) {
    let pool = make(2);
    let mut listener = pool.events().listen().unwrap();
    let handles: Vec<_> = (0..200).map(|n| pool.submit(odd_ones_panic, n)).collect();
    drop(handles);
    pool.join();
    let tasks = told(&mut listener);
    assert_eq!(tasks.len(), 200);
    assert!(
        tasks.values().all(|(times, _)| *times == [1; 3]),
        "{tasks:?}"
    );
    let panicked = |told: &&([u32; 3], Option<TaskEnd>)| told.1 == Some(TaskEnd::Panicked);
    assert_eq!(tasks.values().filter(panicked).count(), 100);
}

pub(crate) fn each_panic_in_a_chunk_is_counted_and_told<P: Pool>(make: impl Fn(usize) -> P) {
    let pool = make(2);
    let mut listener = pool.events().listen().unwrap();
    let outcomes = pool.map(odd_ones_panic, 0..40).chunk(10);
    assert_eq!(outcomes.filter(Result::is_err).count(), 20);
    pool.join();
    assert_eq!(pool.stats().panicked, 20);
    let tasks = told(&mut listener);
    let panicked = |told: &&([u32; 3], Option<TaskEnd>)| told.1 == Some(TaskEnd::Panicked);
    assert_eq!(tasks.values().filter(panicked).count(), 4);
}

pub(crate) fn what_is_not_run_is_told<P: Pool>(make: impl Fn(usize) -> P) {
    let pool = make(1);
    let mut listener = pool.events().listen().unwrap();
    let gate = Gate::new();
    let running = pool.submit(pass_and_square, (gate.path(), 3));
    gate.await_one();
    let queued: Vec<_> = (0..3).map(|n| pool.submit(square, n)).collect();
    assert!(queued[0].cancel());
    gate.open();
    assert_eq!(running.join().unwrap(), 9);
    pool.join();
    let tasks = told(&mut listener);
    let not_run =
        |told: &&([u32; 3], Option<TaskEnd>)| **told == ([1, 0, 1], Some(TaskEnd::NotRun));
    assert_eq!(tasks.values().filter(not_run).count(), 1, "{tasks:?}");
    assert_eq!(tasks.len(), 4);
}
