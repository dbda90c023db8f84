//! Wakers and items are foreign: cloned, woken and dropped where they can hurt nobody, and under no
//! lock.
#![allow(clippy::unwrap_used, reason = "it fails the test")]

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use hands::command::Command;
use hands::process::{Pipe, pipe};
use hands::queue::{LifoQueue, PriorityQueue, Queue, Shutdown};
use hands::shared::Queue as SharedQueue;
use hands::sync::{CancelToken, Event, Semaphore};

use crate::support::in_time;

/// Called whenever a waker is cloned, woken or dropped; told which.
type Body = dyn Fn(&str) + Send + Sync;

/// A waker that calls back.
fn waker(body: impl Fn(&str) + Send + Sync + 'static) -> Waker {
    let body: Arc<Box<Body>> = Arc::new(Box::new(body));
    raw(body)
}

fn raw(body: Arc<Box<Body>>) -> Waker {
    // SAFETY: each function of the table gets the pointer of one `Arc`, of this type, which it owns
    // or borrows as `RawWakerVTable` asks.
    unsafe { Waker::from_raw(RawWaker::new(Arc::into_raw(body).cast(), &TABLE)) }
}

static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

/// # Safety
///
/// `data` is that of a waker made by [`raw`], which lives on.
unsafe fn borrowed(data: *const ()) -> Arc<Box<Body>> {
    let data = data.cast::<Box<Body>>();
    // SAFETY: it came from `Arc::into_raw`, and the waker's own count is not touched: this is one
    // more.
    unsafe { Arc::increment_strong_count(data) };
    // SAFETY: as above; the count that was just added is this one's.
    unsafe { Arc::from_raw(data) }
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: the waker that is cloned lives.
    let body = unsafe { borrowed(data) };
    body("clone");
    RawWaker::new(Arc::into_raw(body).cast(), &TABLE)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: the waker is used up, and its count with it.
    let body = unsafe { Arc::from_raw(data.cast::<Box<Body>>()) };
    body("wake");
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: the waker lives.
    let body = unsafe { borrowed(data) };
    body("wake");
}

unsafe fn drop_waker(data: *const ()) {
    // SAFETY: the waker is used up, and its count with it.
    let body = unsafe { Arc::from_raw(data.cast::<Box<Body>>()) };
    body("drop");
}

fn poll<F: Future>(future: std::pin::Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

/// What `use_it` does must be possible whenever a waker of the same object is cloned, woken or
/// dropped: no lock is held then.
macro_rules! may_call_back {
    ($($name:ident: $make:expr, $wait:ident => $wait_for:expr, $use_it:expr, $happen:expr;)*) => { $(
        #[test]
        fn $name() {
            in_time(|| {
                let object = Arc::new($make);
                let used = Arc::clone(&object);
                let calls_back = waker(move |_| {
                    let _ = $use_it(&used);
                });
                let other = Arc::clone(&object);
                let calls_back_too = waker(move |_| {
                    let _ = $use_it(&other);
                });
                {
                    let $wait = &*object;
                    let mut waits = pin!($wait_for);
                    assert!(poll(waits.as_mut(), &calls_back).is_pending());
                    // Another waker takes the place of the first.
                    assert!(poll(waits.as_mut(), &calls_back_too).is_pending());
                }
                // That one was dropped half-way; this one is woken.
                let $wait = &*object;
                let mut waits = pin!($wait_for);
                assert!(poll(waits.as_mut(), &calls_back).is_pending());
                $happen(&object);
            });
        }
    )* };
}

may_call_back! {
    a_waker_may_use_the_event_it_waits_for:
        Event::new(), event => event.wait_async(), |event: &Event| event.clear(), |event: &Event| event.set();
    a_waker_may_use_the_semaphore_it_waits_for:
        Semaphore::new(0), semaphore => semaphore.acquire_async(), |semaphore: &Semaphore| drop(semaphore.try_acquire()),
        |semaphore: &Semaphore| semaphore.release(1).unwrap();
    a_waker_may_use_the_token_it_waits_for:
        CancelToken::new(), token => token.cancelled(), |token: &CancelToken| drop(token.child()), |token: &CancelToken| token.cancel();
    a_waker_may_use_the_queue_it_gets_from:
        Queue::<u32>::bounded(2), queue => queue.get_async(), |queue: &Queue<u32>| queue.len(), |queue: &Queue<u32>| queue.put(1).unwrap();
    a_waker_may_use_the_queue_it_puts_into:
        { let queue = Queue::bounded(1); queue.put(1_u32).unwrap(); queue },
        queue => queue.put_async(2), |queue: &Queue<u32>| queue.len(), |queue: &Queue<u32>| queue.get().unwrap();
    a_waker_may_use_the_pile_it_gets_from:
        LifoQueue::<u32>::bounded(2), queue => queue.get_async(), |queue: &LifoQueue<u32>| queue.len(), |queue: &LifoQueue<u32>| queue.put(1).unwrap();
    a_waker_may_use_the_queue_it_joins:
        { let queue = Queue::bounded(1); queue.put(1_u32).unwrap(); queue.get().unwrap(); queue },
        queue => queue.join_async(), |queue: &Queue<u32>| queue.unfinished(), |queue: &Queue<u32>| queue.task_done().unwrap();
    a_waker_may_use_the_shared_queue_it_gets_from:
        SharedQueue::<u32>::bounded(2).unwrap(), queue => queue.get_async(),
        |queue: &SharedQueue<u32>| poll(pin!(queue.get_async()).as_mut(), Waker::noop()),
        |queue: &SharedQueue<u32>| queue.put(1).unwrap();
    a_waker_may_use_the_shared_queue_it_puts_into:
        { let queue = SharedQueue::bounded(1).unwrap(); queue.put(1_u32).unwrap(); queue },
        queue => queue.put_async(2), |queue: &SharedQueue<u32>| poll(pin!(queue.put_async(3)).as_mut(), Waker::noop()),
        |queue: &SharedQueue<u32>| queue.get().unwrap();
    a_waker_may_use_the_pipe_it_receives_from:
        pipe::<u32, u32>().unwrap(), pipe => pipe.0.recv_async(),
        |pipe: &Ends| poll(pin!(pipe.0.recv_async()).as_mut(), Waker::noop()),
        |pipe: &Ends| pipe.1.send(1).unwrap();
}

type Ends = (Pipe<u32, u32>, Pipe<u32, u32>);

#[test]
fn a_waker_that_panics_ends_no_thread_that_others_need() {
    in_time(|| {
        let panics = waker(|what| {
            if what == "wake" {
                panic!("a waker panics");
            }
        });
        let (first, second) = (pipe::<u32, u32>().unwrap(), pipe::<u32, u32>().unwrap());
        let mut receives = pin!(first.0.recv_async());
        assert!(poll(receives.as_mut(), &panics).is_pending());
        first.1.send(1).unwrap();
        let waits =
            std::thread::spawn(move || futures_lite::future::block_on(second.0.recv_async()));
        second.1.send(2).unwrap();
        assert_eq!(waits.join().unwrap().unwrap(), 2);
        assert_eq!(futures_lite::future::block_on(receives).unwrap(), 1);

        let queue = SharedQueue::<u32>::bounded(1).unwrap();
        let mut get = pin!(queue.get_async());
        assert!(poll(get.as_mut(), &panics).is_pending());
        let mut other = pin!(queue.get_async());
        assert!(poll(other.as_mut(), &panics).is_pending());
        queue.put(3).unwrap();
        assert_eq!(poll(other.as_mut(), &panics), Poll::Ready(Ok(3)));

        let command = Command::new("true");
        let mut output = pin!(command.output_async());
        // Each poll with another waker, of which the last alone is woken.
        for _ in 0..3 {
            if let Poll::Ready(ended) = poll(output.as_mut(), &panics.clone()) {
                assert!(ended.unwrap().success());
                return;
            }
        }
        assert!(futures_lite::future::block_on(output).unwrap().success());
    });
}

#[test]
fn a_waker_that_panics_keeps_no_other_from_being_woken() {
    in_time(|| {
        let event = Event::new();
        let panics = waker(|what| {
            if what == "wake" {
                panic!("a waker panics");
            }
        });
        let mut first = pin!(event.wait_async());
        assert!(poll(first.as_mut(), &panics).is_pending());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| event.wait());
            event.set();
            waiting.join().unwrap();
        });
        let queue = Queue::unbounded();
        let mut get = pin!(queue.get_async());
        assert!(poll(get.as_mut(), &panics).is_pending());
        // The put is done, whatever the waker says.
        queue.put(7).unwrap();
        assert_eq!(poll(get.as_mut(), &panics), Poll::Ready(Ok(7)));
    });
}

/// Uses so many KiB of the stack.
#[inline(never)]
fn use_stack(kib: usize) -> u8 {
    let frame = std::hint::black_box([1_u8; 1024]);
    match kib {
        0 => frame[0],
        _ => use_stack(kib - 1).wrapping_add(frame[1023]),
    }
}

#[test]
fn a_waker_has_as_much_stack_as_on_any_thread() {
    in_time(|| {
        let deep = waker(|what| {
            if what == "wake" {
                std::hint::black_box(use_stack(400));
            }
        });
        let ends = pipe::<u32, u32>().unwrap();
        let mut receives = pin!(ends.0.recv_async());
        assert!(poll(receives.as_mut(), &deep).is_pending());
        ends.1.send(1).unwrap();
        assert_eq!(futures_lite::future::block_on(receives).unwrap(), 1);

        let queue = SharedQueue::<u32>::bounded(1).unwrap();
        let mut get = pin!(queue.get_async());
        assert!(poll(get.as_mut(), &deep).is_pending());
        let others = hands::process::spawn(
            |queue: SharedQueue<u32>| queue.put(2).is_ok(),
            queue.clone(),
        );
        assert_eq!(others.unwrap().join(), Ok(true));
        assert_eq!(futures_lite::future::block_on(get), Ok(2));

        let command = Command::new("true");
        let mut output = pin!(command.output_async());
        if let Poll::Ready(ended) = poll(output.as_mut(), &deep) {
            assert!(ended.unwrap().success());
            return;
        }
        assert!(futures_lite::future::block_on(output).unwrap().success());
    });
}

/// Panics when it is dropped.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Item(u32);

impl Drop for Item {
    fn drop(&mut self) {
        panic!("item {} was not got", self.0);
    }
}

#[test]
fn discarded_items_that_panic_when_dropped_count_as_done() {
    in_time(|| {
        macro_rules! check {
            ($queue:ty) => {
                let queue = <$queue>::unbounded();
                (0..5).for_each(|n| queue.put(Item(n)).ok().unwrap());
                let shut_down = catch_unwind(AssertUnwindSafe(|| queue.shutdown(Shutdown::Now)));
                assert!(shut_down.is_ok());
                assert_eq!(queue.unfinished(), 0);
                queue.join();
            };
        }
        check!(Queue<Item>);
        check!(LifoQueue<Item>);
        check!(PriorityQueue<Item>);
    });
}

#[test]
fn a_bounded_semaphore_never_exceeds_its_bound() {
    let semaphore = Semaphore::bounded(2);
    let permits = semaphore.acquire_many(2).unwrap();
    let mut waits = Box::pin(semaphore.acquire_async());
    assert!(poll(waits.as_mut(), Waker::noop()).is_pending());
    // It is handed a permit, and others are released that nobody had acquired.
    drop(permits);
    semaphore.release(1).unwrap();
    drop(waits);
    assert_eq!(semaphore.available(), 2);
    assert!(semaphore.release(1).is_err());
}
