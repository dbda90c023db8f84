//! In which order items come, and what becomes of those that are not got.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::thread;

use hands::queue::{
    Fifo, GetError, LifoQueue, Order, OrderedQueue, Prioritized, PriorityQueue, PutError, Queue,
    Shutdown,
};
use proptest::prelude::*;

fn drained<T, O: Order<T>>(queue: &OrderedQueue<T, O>) -> Vec<T> {
    std::iter::from_fn(|| queue.try_get().ok()).collect()
}

#[test]
fn first_in_first_out() {
    let queue = Queue::unbounded();
    for item in 0..100 {
        queue.put(item).unwrap();
    }
    assert_eq!(drained(&queue), (0..100).collect::<Vec<_>>());
}

#[test]
fn last_in_first_out() {
    let queue = LifoQueue::unbounded();
    for item in 0..100 {
        queue.put(item).unwrap();
    }
    assert_eq!(drained(&queue), (0..100).rev().collect::<Vec<_>>());
}

#[test]
fn lowest_first() {
    let queue = PriorityQueue::unbounded();
    for item in [3, 1, 2, 0] {
        queue.put(item).unwrap();
    }
    assert_eq!(drained(&queue), [0, 1, 2, 3]);
}

#[test]
fn equal_priorities_come_in_the_order_in_which_they_were_put() {
    let queue = PriorityQueue::unbounded();
    for number in 0..300 {
        queue.put(Prioritized::new(number % 3, number)).unwrap();
    }
    let got: Vec<_> = drained(&queue).into_iter().map(|got| got.item).collect();
    let mut expected: Vec<_> = (0..300).collect();
    expected.sort_by_key(|number| number % 3);
    assert_eq!(got, expected);
}

#[test]
fn highest_first_with_reverse() {
    let queue = PriorityQueue::bounded(4);
    for item in [1, 3, 2] {
        queue.put(Reverse(item)).unwrap();
    }
    assert_eq!(queue.get(), Ok(Reverse(3)));
}

#[test]
fn what_each_producer_puts_comes_in_its_order() {
    let queue = Queue::bounded(8);
    thread::scope(|scope| {
        for producer in 0..4 {
            let queue = &queue;
            scope.spawn(move || {
                for number in 0..1_000 {
                    queue.put((producer, number)).unwrap();
                }
            });
        }
        let mut next = [0; 4];
        for _ in 0..4_000 {
            let (producer, number) = queue.get().unwrap();
            assert_eq!(number, next[producer]);
            next[producer] += 1;
        }
    });
}

#[test]
fn iterating_ends_with_the_shutdown() {
    let queue = Queue::bounded(2);
    thread::scope(|scope| {
        let got = scope.spawn(|| queue.iter().collect::<Vec<_>>());
        for item in 0..10 {
            queue.put(item).unwrap();
        }
        queue.shutdown(Shutdown::Drain);
        assert_eq!(got.join().unwrap(), (0..10).collect::<Vec<_>>());
    });
    assert_eq!((&queue).into_iter().next(), None);
}

#[test]
fn items_are_dropped_with_their_queue_or_when_it_is_shut_down_now() {
    let item = Arc::new(());
    let queue = Queue::unbounded();
    let lifo = LifoQueue::unbounded();
    for _ in 0..10 {
        queue.put(Arc::clone(&item)).unwrap();
        lifo.put(Arc::clone(&item)).unwrap();
    }
    queue.get().unwrap();
    assert_eq!(Arc::strong_count(&item), 20);
    drop(queue);
    assert_eq!(Arc::strong_count(&item), 11);
    lifo.shutdown(Shutdown::Now);
    assert_eq!(Arc::strong_count(&item), 1);
}

/// Dropping an item may run anything, such as a look at the queue.
#[test]
fn an_item_may_use_its_queue_when_it_is_dropped() {
    struct Curious(Arc<Queue<Curious>>);
    impl Drop for Curious {
        fn drop(&mut self) {
            assert!(self.0.is_shut_down());
            assert_eq!(self.0.len(), 0);
        }
    }
    let queue = Arc::new(Queue::unbounded());
    for _ in 0..3 {
        queue.put(Curious(Arc::clone(&queue))).unwrap();
    }
    queue.shutdown(Shutdown::Now);
}

#[test]
fn a_put_that_is_given_up_gives_the_item_back() {
    let queue = Queue::bounded(1);
    queue.put("first".to_owned()).unwrap();
    let put = queue.put_async("second".to_owned());
    assert_eq!(put.into_item().as_deref(), Some("second"));
    let error = queue.put_timeout("third".to_owned(), std::time::Duration::ZERO);
    assert_eq!(error.unwrap_err().into_item(), "third");
}

#[test]
#[should_panic(expected = "a queue with room for 0 items could hold none")]
fn a_capacity_of_0_is_refused() {
    Queue::<u8>::bounded(0);
}

#[test]
fn errors_read_as_sentences_and_need_no_printable_item() {
    struct Mute;
    let queue = Queue::bounded(1);
    queue.put(Mute).unwrap();
    let error = queue.try_put(Mute).unwrap_err();
    assert_eq!(format!("{error} {error:?}"), "the queue is full Full(..)");
    queue.shutdown(Shutdown::Drain);
    let error = queue.try_put(Mute).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the queue has been shut down and takes no more items"
    );
    assert_eq!(
        GetError::ShutDown.to_string(),
        "the queue has been shut down and holds no more items"
    );
    let shown = format!("{queue:?}");
    assert!(shown.contains("len: 1, capacity: Some(1)"), "{shown}");
}

/// Send and Sync, as they must be and as they must not.
#[test]
fn queues_are_shared_between_threads_when_their_items_may_move() {
    fn shared<T: Send + Sync>(_: &T) {}
    fn sent<T: Send>(_: T) {}
    // Not Sync: a queue makes no use of an item by reference.
    let queue = Queue::<std::cell::Cell<u8>>::bounded(1);
    shared(&queue);
    sent(queue.get_async());
    sent(queue.put_async(std::cell::Cell::new(1)));
    sent(queue.join_async());
    shared(&LifoQueue::<std::cell::Cell<u8>>::unbounded());
    shared(&PriorityQueue::<u8>::unbounded());
    shared(&PutError::Full(1));
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Put(u8),
    Get,
    Done,
    ShutDown(Shutdown),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => any::<u8>().prop_map(Step::Put),
        12 => Just(Step::Get),
        6 => Just(Step::Done),
        1 => Just(Step::ShutDown(Shutdown::Drain)),
        1 => Just(Step::ShutDown(Shutdown::Now)),
    ];
    proptest::collection::vec(step, 0..80)
}

/// Compares with a plain collection, step by step.
fn follows<O: Order<u8>>(
    capacity: Option<usize>,
    steps: &[Step],
    mut take: impl FnMut(&mut Vec<u8>) -> Option<u8>,
) {
    let queue: OrderedQueue<u8, O> = match capacity {
        Some(capacity) => OrderedQueue::bounded(capacity),
        None => OrderedQueue::default(),
    };
    let (mut items, mut unfinished, mut down) = (Vec::new(), 0, false);
    for &step in steps {
        match step {
            Step::Put(item) => {
                let expected = if down {
                    Err(PutError::ShutDown(item))
                } else if capacity.is_some_and(|capacity| items.len() >= capacity) {
                    Err(PutError::Full(item))
                } else {
                    items.push(item);
                    unfinished += 1;
                    Ok(())
                };
                assert_eq!(queue.try_put(item), expected);
            }
            Step::Get => {
                let nothing = if down {
                    GetError::ShutDown
                } else {
                    GetError::Empty
                };
                assert_eq!(queue.try_get(), take(&mut items).ok_or(nothing));
            }
            Step::Done => {
                assert_eq!(queue.task_done().is_ok(), unfinished > 0);
                unfinished = u64::saturating_sub(unfinished, 1);
            }
            Step::ShutDown(how) => {
                down = true;
                if how == Shutdown::Now {
                    // More may have been called done than was got.
                    if unfinished < items.len() as u64 {
                        return;
                    }
                    unfinished -= items.len() as u64;
                    items.clear();
                }
                queue.shutdown(how);
            }
        }
        assert_eq!(queue.len(), items.len());
        assert_eq!(queue.unfinished(), unfinished);
        assert_eq!(queue.is_shut_down(), down);
    }
}

proptest! {
    #[test]
    fn any_steps_leave_it_as_a_plain_collection_would_be(
        capacity in proptest::option::of(1..5_usize),
        steps in steps(),
    ) {
        follows::<Fifo>(capacity, &steps, |items| {
            (!items.is_empty()).then(|| items.remove(0))
        });
        follows::<hands::queue::Lifo>(capacity, &steps, Vec::pop);
        follows::<hands::queue::Priority>(capacity, &steps, |items| {
            let lowest = items.iter().copied().map(Reverse).collect::<BinaryHeap<_>>().pop()?.0;
            let place = items.iter().position(|&item| item == lowest)?;
            Some(items.remove(place))
        });
    }
}

/// A burst leaves the order as it was, though the memory it took is given back bit by bit.
#[test]
fn a_burst_and_what_follows_keep_their_order() {
    let queue = Queue::unbounded();
    let mut expected = VecDeque::new();
    let mut next = 0;
    for size in [100_000, 1, 10, 1, 5_000, 1, 1, 1, 1, 20_000] {
        for _ in 0..size {
            queue.put(next).unwrap();
            expected.push_back(next);
            next += 1;
        }
        while let Ok(item) = queue.try_get() {
            assert_eq!(Some(item), expected.pop_front());
        }
    }
    assert!(expected.is_empty());
}
