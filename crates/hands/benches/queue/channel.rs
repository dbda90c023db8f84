//! Who takes part, and by which calls: each by its own blocking put and get, or its own futures.
//!
//! All end the same way. The last producer to go closes the channel; consumers take what is left,
//! and are then told.

use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use hands::queue::{Fifo, Order, OrderedQueue, Shutdown};

use super::shape::Shape;

/// Room in each of them.
pub(crate) const CAPACITY: usize = 1024;

/// What is said should a channel turn out closed while producers are there.
const OPEN: &str = "a channel with producers takes items";

/// A channel of threads.
pub(crate) trait Channel<T> {
    /// What a producer owns. The channel is closed when the last one is dropped.
    type Sender: Send;
    /// What a consumer owns.
    type Receiver: Send;

    /// An empty channel, with an end for each who takes part.
    fn open(shape: Shape) -> (Vec<Self::Sender>, Vec<Self::Receiver>);
    /// Puts an item; waits for room.
    fn put(sender: &mut Self::Sender, item: T);
    /// Gets an item; waits for one. `None` once the channel is closed and empty.
    fn get(receiver: &mut Self::Receiver) -> Option<T>;
    /// Says that the item got last has been worked on.
    fn done(_: &mut Self::Receiver) {}
}

/// A channel of coroutines.
pub(crate) trait Coroutines<T>: Channel<T> {
    fn put_async(sender: &mut Self::Sender, item: T) -> impl Future<Output = ()>;
    fn get_async(receiver: &mut Self::Receiver) -> impl Future<Output = Option<T>>;
}

/// One end for each, and none left over: the last to go must be a producer.
fn shared<S: Clone, R: Clone>((sender, receiver): (S, R), shape: Shape) -> (Vec<S>, Vec<R>) {
    (
        vec![sender; shape.producers],
        vec![receiver; shape.consumers],
    )
}

/// As [`shared`], where there can be one consumer only.
fn sole<S: Clone, R>((sender, receiver): (S, R), shape: Shape) -> (Vec<S>, Vec<R>) {
    assert_eq!(shape.consumers, 1, "no channel for several consumers");
    (vec![sender; shape.producers], vec![receiver])
}

macro_rules! channel {
    ($name:ident: $open:path, $sender:ty, $receiver:ty, $ends:ident, [$($put:tt)+], [$($get:tt)+]) => {
        pub(crate) enum $name {}

        impl<T: Send> Channel<T> for $name {
            type Sender = $sender;
            type Receiver = $receiver;

            fn open(shape: Shape) -> (Vec<Self::Sender>, Vec<Self::Receiver>) {
                $ends($open(CAPACITY), shape)
            }

            fn put(sender: &mut Self::Sender, item: T) {
                assert!(sender.$($put)+(item).is_ok(), "{OPEN}");
            }

            fn get(receiver: &mut Self::Receiver) -> Option<T> {
                receiver.$($get)+
            }
        }
    };
}

macro_rules! coroutines {
    ($name:ident: [$($put:tt)+], [$($get:tt)+]) => {
        impl<T: Send> Coroutines<T> for $name {
            async fn put_async(sender: &mut Self::Sender, item: T) {
                assert!(sender.$($put)+(item).await.is_ok(), "{OPEN}");
            }

            async fn get_async(receiver: &mut Self::Receiver) -> Option<T> {
                receiver.$($get)+
            }
        }
    };
}

#[rustfmt::skip]
mod peers {
    use std::sync::mpsc as std_mpsc;

    use tokio::sync::mpsc as tokio_mpsc;

    use super::{CAPACITY, Channel, Coroutines, OPEN, Shape, shared, sole};

    channel!(Crossbeam: crossbeam_channel::bounded, crossbeam_channel::Sender<T>, crossbeam_channel::Receiver<T>,
        shared, [send], [recv().ok()]);
    channel!(Flume: flume::bounded, flume::Sender<T>, flume::Receiver<T>,
        shared, [send], [recv().ok()]);
    channel!(Kanal: kanal::bounded, kanal::Sender<T>, kanal::Receiver<T>,
        shared, [send], [recv().ok()]);
    channel!(AsyncChannel: async_channel::bounded, async_channel::Sender<T>, async_channel::Receiver<T>,
        shared, [send_blocking], [recv_blocking().ok()]);
    channel!(Std: std_mpsc::sync_channel, std_mpsc::SyncSender<T>, std_mpsc::Receiver<T>,
        sole, [send], [recv().ok()]);
    channel!(Tokio: tokio_mpsc::channel, tokio_mpsc::Sender<T>, tokio_mpsc::Receiver<T>,
        sole, [blocking_send], [blocking_recv()]);

    coroutines!(Flume: [send_async], [recv_async().await.ok()]);
    coroutines!(Kanal: [as_async().send], [as_async().recv().await.ok()]);
    coroutines!(AsyncChannel: [send], [recv().await.ok()]);
    coroutines!(Tokio: [send], [recv().await]);
}
pub(crate) use peers::*;

/// A queue of this library. With `DONE`, each item is reported as done, and the last producer waits
/// until all are.
pub(crate) struct Hands<O = Fifo, const DONE: bool = false>(PhantomData<O>);

/// What a producer owns of it.
pub(crate) struct Producing<T, O: Order<T>, const DONE: bool> {
    queue: Arc<OrderedQueue<T, O>>,
    _closing: Arc<Closing<T, O, DONE>>,
}

/// Closes the queue when no producer has it any more: what the peers' senders do by themselves.
struct Closing<T, O: Order<T>, const DONE: bool>(Arc<OrderedQueue<T, O>>);

impl<T, O: Order<T>, const DONE: bool> Drop for Closing<T, O, DONE> {
    fn drop(&mut self) {
        if DONE {
            self.0.join();
        }
        self.0.shutdown(Shutdown::Drain);
    }
}

impl<T: Send, O: Order<T>, const DONE: bool> Channel<T> for Hands<O, DONE>
where
    OrderedQueue<T, O>: Send + Sync,
{
    type Sender = Producing<T, O, DONE>;
    type Receiver = Arc<OrderedQueue<T, O>>;

    fn open(shape: Shape) -> (Vec<Self::Sender>, Vec<Self::Receiver>) {
        let queue = Arc::new(OrderedQueue::bounded(CAPACITY));
        let closing = Arc::new(Closing(queue.clone()));
        let producing = || Producing {
            queue: queue.clone(),
            _closing: closing.clone(),
        };
        let producers = (0..shape.producers).map(|_| producing()).collect();
        (producers, vec![queue.clone(); shape.consumers])
    }

    fn put(sender: &mut Self::Sender, item: T) {
        assert!(sender.queue.put(item).is_ok(), "{OPEN}");
    }

    fn get(receiver: &mut Self::Receiver) -> Option<T> {
        receiver.get().ok()
    }

    fn done(receiver: &mut Self::Receiver) {
        if DONE {
            assert!(receiver.task_done().is_ok(), "each item was put");
        }
    }
}

impl<T: Send, O: Order<T>, const DONE: bool> Coroutines<T> for Hands<O, DONE>
where
    OrderedQueue<T, O>: Send + Sync,
{
    async fn put_async(sender: &mut Self::Sender, item: T) {
        assert!(sender.queue.put_async(item).await.is_ok(), "{OPEN}");
    }

    async fn get_async(receiver: &mut Self::Receiver) -> Option<T> {
        receiver.get_async().await.ok()
    }
}
