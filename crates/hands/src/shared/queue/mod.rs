//! [`Queue`]: items that go from process to process.

mod ring;
mod watch;

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use self::ring::{Got, Ring, RingPut, Side};
use self::watch::{Watch, WatchedHandle};
use super::memory::Memory;
use super::wait::deadline;
use crate::queue::{GetError, PutError, Shutdown, TaskDoneError, WorkQueue};
use crate::task::Data;
use crate::wire::codec;

/// A queue between threads of several processes, with the methods of the [queues of
/// one](crate::queue). A clone is the same queue, and so is one that was sent to a process.
///
/// Its memory is there from the beginning: so many places, each for an item that takes no more than
/// so many bytes when it is written down. An item is written down when it is put and read when it
/// is got; one that has something shared in it cannot be (send that through a
/// [pipe](crate::process::pipe)). What a process that has gone wrong may have scribbled there is
/// read as an item or is an error.
///
/// ```
/// # hands::entry!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use hands::queue::Shutdown;
/// use hands::shared::Queue;
///
/// fn consume(queue: Queue<String>) -> usize {
///     let mut letters = 0;
///     while let Ok(word) = queue.get() {
///         letters += word.len();
///         queue.task_done().expect("one for each item");
///     }
///     letters
/// }
///
/// # let _hands = hands::init();
/// let queue = Queue::bounded(100)?;
/// let consumers = [(); 2].map(|()| hands::process::spawn(consume, queue.clone()));
/// for word in ["many", "hands", "make", "light", "work"] {
///     queue.put(word.to_owned())?;
/// }
/// queue.join();
/// queue.shutdown(Shutdown::Drain);
/// let letters: usize = consumers.into_iter().map(|c| c.unwrap().join().unwrap()).sum();
/// assert_eq!(letters, 22);
/// # Ok(())
/// # }
/// ```
///
/// # When a process is killed
///
/// At whatever instruction that happens, the queue goes on. The item that it was putting is there
/// in full or not at all; one that it was getting is there still, or gone with it. What it had got
/// and not [said to be done](Self::task_done) stays unfinished.
pub struct Queue<T> {
    inner: Arc<QueueInner>,
    items: PhantomData<fn(T) -> T>,
}

/// An item as it is written down, in a buffer that the thread's next one uses again.
struct Written(Vec<u8>);

/// A buffer that has grown larger than this is not kept.
const KEPT: usize = 4 << 20;

thread_local! {
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl Written {
    fn empty() -> Written {
        Written(BUFFER.try_with(Cell::take).unwrap_or_default())
    }

    /// `None`: it cannot be written down.
    fn new<T: Data>(item: &T) -> Option<Written> {
        let mut buffer = Written::empty();
        buffer.0.clear();
        codec::write(item, &mut buffer.0).ok().map(|()| buffer)
    }
}

impl Deref for Written {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.0);
        if buffer.capacity() <= KEPT {
            let _ = BUFFER.try_with(|kept| kept.set(buffer));
        }
    }
}

/// Who does not wait for items or room waits no longer than this for one who is in the middle of a
/// put or get, and may have been stopped there.
fn soon() -> Option<Instant> {
    deadline(Duration::from_millis(20))
}

struct QueueInner {
    ring: Ring,
    watch: Watch,
}

impl<T: Data> Queue<T> {
    /// A queue for `capacity` items, each of at most [1024](Self::ITEM_BYTES) bytes when written
    /// down. 0 is taken for 1.
    ///
    /// # Errors
    ///
    /// When that is more memory than there is.
    pub fn bounded(capacity: usize) -> io::Result<Queue<T>> {
        Queue::sized(capacity, Self::ITEM_BYTES)
    }

    /// What items of a [`bounded`](Self::bounded) queue may take.
    pub const ITEM_BYTES: usize = 1024;

    /// A queue for `capacity` items, each of at most `item_bytes` bytes when written down: a `u64`
    /// takes up to 10, text a few more than it is long; a type that leaves out fields, or is read
    /// by their names (`untagged`, `flatten`, `skip_serializing_if`), those, too. 0 of either is
    /// taken for 1.
    ///
    /// # Errors
    ///
    /// When that is more memory than there is.
    pub fn sized(capacity: usize, item_bytes: usize) -> io::Result<Queue<T>> {
        // Beside the frame that each is in.
        let bytes = item_bytes.max(1).saturating_add(codec::HEAD);
        Ring::new(capacity.max(1), bytes).map(Queue::of)
    }
}

impl<T> Queue<T> {
    fn of(ring: Ring) -> Queue<T> {
        Queue {
            inner: Arc::new(QueueInner {
                ring,
                watch: Watch::default(),
            }),
            items: PhantomData,
        }
    }

    /// Something is different: a waiter on that side looks again.
    fn changed(&self, side: Side, all: bool) {
        self.inner.ring.notify(side, all);
        self.inner.watch.wake_all();
    }
}

impl<T: Data> Queue<T> {
    /// Puts an item; waits while the queue is full.
    ///
    /// # Errors
    ///
    /// [`PutError::ShutDown`], and [`PutError::Refused`] for an item that cannot be written down or
    /// takes too many bytes; with the item.
    pub fn put(&self, item: T) -> Result<(), PutError<T>> {
        self.put_until(item, None, PutError::Full)
    }

    /// Puts an item; waits for room no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put), and [`PutError::TimedOut`].
    pub fn put_timeout(&self, item: T, timeout: Duration) -> Result<(), PutError<T>> {
        self.put_until(item, deadline(timeout), PutError::TimedOut)
    }

    fn put_until(
        &self,
        item: T,
        deadline: Option<Instant>,
        late: fn(T) -> PutError<T>,
    ) -> Result<(), PutError<T>> {
        let Some(bytes) = Written::new(&item) else {
            return Err(PutError::Refused(item));
        };
        loop {
            match self.put_bytes(&bytes, deadline) {
                RingPut::Done => return Ok(()),
                RingPut::ShutDown => return Err(PutError::ShutDown(item)),
                RingPut::TooLarge => return Err(PutError::Refused(item)),
                RingPut::Full => {}
            }
            let ring = &self.inner.ring;
            if !ring.sleep(Side::Room, deadline, || ring.is_full()) {
                return match self.put_bytes(&bytes, soon()) {
                    RingPut::Done => Ok(()),
                    RingPut::ShutDown => Err(PutError::ShutDown(item)),
                    RingPut::TooLarge | RingPut::Full => Err(late(item)),
                };
            }
        }
    }

    fn try_put_bytes(&self, bytes: &[u8]) -> RingPut {
        self.put_bytes(bytes, soon())
    }

    /// Waits for nothing but another put that is under way, no longer than `deadline`.
    fn put_bytes(&self, bytes: &[u8], deadline: Option<Instant>) -> RingPut {
        let put = self.inner.ring.try_put(bytes, deadline);
        if matches!(put, RingPut::Done) {
            self.changed(Side::Items, false);
        }
        put
    }

    /// Puts an item if there is room. While another process is stopped in the middle of a put there
    /// is none.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put), and [`PutError::Full`].
    pub fn try_put(&self, item: T) -> Result<(), PutError<T>> {
        let Some(bytes) = Written::new(&item) else {
            return Err(PutError::Refused(item));
        };
        match self.try_put_bytes(&bytes) {
            RingPut::Done => Ok(()),
            RingPut::Full => Err(PutError::Full(item)),
            RingPut::ShutDown => Err(PutError::ShutDown(item)),
            RingPut::TooLarge => Err(PutError::Refused(item)),
        }
    }

    /// Puts an item; the coroutine waits while the queue is full.
    ///
    /// # Cancel safety
    ///
    /// Dropped half-way, it has put nothing.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put).
    pub async fn put_async(&self, item: T) -> Result<(), PutError<T>> {
        let Some(bytes) = Written::new(&item) else {
            return Err(PutError::Refused(item));
        };
        let put = self
            .poll_until(|queue| match queue.try_put_bytes(&bytes) {
                RingPut::Full => None,
                put => Some(put),
            })
            .await;
        match put {
            RingPut::Done => Ok(()),
            RingPut::ShutDown => Err(PutError::ShutDown(item)),
            RingPut::TooLarge | RingPut::Full => Err(PutError::Refused(item)),
        }
    }

    /// Gets an item; waits while the queue is empty.
    ///
    /// # Errors
    ///
    /// [`GetError::ShutDown`], once the queue has been shut down and is empty;
    /// [`GetError::Unreadable`] for an item that is no `T`, which somebody who has the memory must
    /// have written past the queue.
    pub fn get(&self) -> Result<T, GetError> {
        self.get_until(None)
    }

    /// Gets an item; waits for one no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and [`GetError::TimedOut`].
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, GetError> {
        self.get_until(deadline(timeout))
    }

    fn get_until(&self, deadline: Option<Instant>) -> Result<T, GetError> {
        loop {
            match self.get_by(deadline) {
                Err(GetError::Empty) => {}
                got => return got,
            }
            let ring = &self.inner.ring;
            if !ring.sleep(Side::Items, deadline, || ring.is_empty()) {
                return match self.try_get() {
                    Err(GetError::Empty) => Err(GetError::TimedOut),
                    got => got,
                };
            }
        }
    }

    /// Gets an item if there is one. While another process is stopped in the middle of a get there
    /// is none.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and [`GetError::Empty`].
    pub fn try_get(&self) -> Result<T, GetError> {
        self.get_by(soon())
    }

    /// Waits for nothing but another get that is under way, no longer than `deadline`.
    fn get_by(&self, deadline: Option<Instant>) -> Result<T, GetError> {
        let mut bytes = Written::empty();
        match self.inner.ring.try_get(&mut bytes.0, deadline) {
            Got::Item => {}
            Got::Empty => return Err(GetError::Empty),
            Got::ShutDown => return Err(GetError::ShutDown),
            Got::Damaged => return Err(GetError::Unreadable),
        }
        self.changed(Side::Room, false);
        codec::decode_value(&bytes).map_err(|_| GetError::Unreadable)
    }

    /// Gets an item; the coroutine waits while the queue is empty.
    ///
    /// # Cancel safety
    ///
    /// Dropped half-way, it has taken nothing.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub async fn get_async(&self) -> Result<T, GetError> {
        self.poll_until(|queue| match queue.try_get() {
            Err(GetError::Empty) => None,
            got => Some(got),
        })
        .await
    }

    /// How many items are in the queue just now.
    pub fn len(&self) -> usize {
        self.inner.ring.len()
    }

    /// Whether nothing is in the queue just now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a put would wait just now.
    pub fn is_full(&self) -> bool {
        self.inner.ring.is_full()
    }

    /// How many items have room.
    pub fn capacity(&self) -> usize {
        self.inner.ring.capacity()
    }

    /// Says that an item that was got has been worked on.
    ///
    /// # Errors
    ///
    /// [`TaskDoneError`] if there were more calls than items put.
    pub fn task_done(&self) -> Result<(), TaskDoneError> {
        if !self.inner.ring.task_done() {
            return Err(TaskDoneError);
        }
        if self.unfinished() == 0 {
            self.changed(Side::Idle, true);
        }
        Ok(())
    }

    /// How many items have been put and not been done.
    pub fn unfinished(&self) -> u64 {
        self.inner.ring.unfinished()
    }

    /// Waits until each item that was put has been done.
    pub fn join(&self) {
        self.join_until(None);
    }

    /// [`join`](Self::join) for no longer than `timeout`; says whether all was done.
    pub fn join_timeout(&self, timeout: Duration) -> bool {
        self.join_until(deadline(timeout))
    }

    fn join_until(&self, deadline: Option<Instant>) -> bool {
        let ring = &self.inner.ring;
        while ring.unfinished() > 0 {
            if !ring.sleep(Side::Idle, deadline, || ring.unfinished() > 0) {
                return ring.unfinished() == 0;
            }
        }
        true
    }

    /// [`join`](Self::join) for a coroutine.
    pub async fn join_async(&self) {
        self.poll_until(|queue| (queue.unfinished() == 0).then_some(()))
            .await;
    }

    /// Takes nothing in any more, and wakes everybody who waits to put or to get. What is in the
    /// queue can still be got, or is [discarded](Shutdown::Now).
    pub fn shutdown(&self, how: Shutdown) {
        self.inner.ring.shutdown(matches!(how, Shutdown::Now));
        for side in [Side::Items, Side::Room, Side::Idle] {
            self.changed(side, true);
        }
    }

    /// Whether the queue has been shut down.
    pub fn is_shut_down(&self) -> bool {
        self.inner.ring.is_shut_down()
    }

    /// Tries until something comes of it, whenever something has changed.
    fn poll_until<R>(
        &self,
        mut attempt: impl FnMut(&Queue<T>) -> Option<R> + Send,
    ) -> impl Future<Output = R> + Send {
        let mut registered: Option<WatchedHandle> = None;
        std::future::poll_fn(move |context| {
            drop(registered.take());
            if let Some(done) = attempt(self) {
                return Poll::Ready(done);
            }
            let place = registered.insert(WatchedHandle::new(&self.inner, context.waker()));
            debug_assert!(Arc::ptr_eq(&place.inner, &self.inner));
            // It may have changed before that.
            match attempt(self) {
                Some(done) => Poll::Ready(done),
                None => Poll::Pending,
            }
        })
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Queue<T> {
        Queue {
            inner: Arc::clone(&self.inner),
            items: PhantomData,
        }
    }
}

impl<T> Serialize for Queue<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.inner.ring.parts().serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for Queue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Queue<T>, D::Error> {
        let (memory, capacity, place) = <(Memory, usize, usize)>::deserialize(deserializer)?;
        Ring::of(memory, capacity, place)
            .map(Queue::of)
            .ok_or_else(|| serde::de::Error::custom("a shared queue is larger than its memory"))
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("len", &self.inner.ring.len())
            .field("capacity", &self.inner.ring.capacity())
            .finish()
    }
}

impl<T: Data> WorkQueue<T> for Queue<T> {
    fn put(&self, item: T) -> Result<(), PutError<T>> {
        self.put(item)
    }

    fn try_put(&self, item: T) -> Result<(), PutError<T>> {
        self.try_put(item)
    }

    fn put_timeout(&self, item: T, timeout: Duration) -> Result<(), PutError<T>> {
        self.put_timeout(item, timeout)
    }

    fn put_async(&self, item: T) -> impl Future<Output = Result<(), PutError<T>>> + Send {
        self.put_async(item)
    }

    fn get(&self) -> Result<T, GetError> {
        self.get()
    }

    fn try_get(&self) -> Result<T, GetError> {
        self.try_get()
    }

    fn get_timeout(&self, timeout: Duration) -> Result<T, GetError> {
        self.get_timeout(timeout)
    }

    fn get_async(&self) -> impl Future<Output = Result<T, GetError>> + Send {
        self.get_async()
    }

    fn len(&self) -> usize {
        self.len()
    }

    fn capacity(&self) -> Option<usize> {
        Some(self.capacity())
    }

    fn task_done(&self) -> Result<(), TaskDoneError> {
        self.task_done()
    }

    fn unfinished(&self) -> u64 {
        self.unfinished()
    }

    fn join(&self) {
        self.join();
    }

    fn join_timeout(&self, timeout: Duration) -> bool {
        self.join_timeout(timeout)
    }

    fn join_async(&self) -> impl Future<Output = ()> + Send {
        self.join_async()
    }

    fn shutdown(&self, how: Shutdown) {
        self.shutdown(how);
    }

    fn is_shut_down(&self) -> bool {
        self.is_shut_down()
    }
}
