//! Queues in one process.

#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the error in hand"
)]

mod order;
mod stress;

use hands::queue::{LifoQueue, PriorityQueue, Queue};

queue_conformance!(fifo, |capacity: Option<usize>| capacity
    .map_or_else(Queue::unbounded, Queue::bounded));
queue_conformance!(lifo, |capacity: Option<usize>| capacity
    .map_or_else(LifoQueue::unbounded, LifoQueue::bounded));
queue_conformance!(priority, |capacity: Option<usize>| capacity
    .map_or_else(PriorityQueue::unbounded, PriorityQueue::bounded));
