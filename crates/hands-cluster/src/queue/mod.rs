//! [`ClusterQueue`]: a queue whose items a server keeps, for any number of programs on any number
//! of machines.
//!
//! # How it works
//!
//! The items are the messages of a stream, which a message leaves when it is acknowledged. Who gets
//! an item *holds* it: as long as its program lives and is connected, nobody else gets it (each
//! third of the [time it may hold it](QueueBuilder::hold) the server is told so). One that is not
//! done when its holder ends comes again.
//!
//! A bound counts the items that wait, and is kept without a lock: who puts looks how many wait and
//! which message was the last, and asks the server to take the item only as the next one. If
//! somebody was faster, it looks again. So two that put at once never overfill it. (An item that is
//! given back may: it has been taken in already.)
//!
//! Who waits is told that something has changed by the stream itself, which repeats the headers of
//! each new message, or by the program that has changed it; and looks every half second in any
//! case. It is looked for an item only when somebody wants one, so a future that is dropped has
//! taken none; what comes at that very moment is kept for the next who asks here.

mod core;
mod item;
mod settings;

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hands::queue::{GetError, PutError, Shutdown, TaskDoneError, WorkQueue};
use hands::task::Data;

use self::core::{Found, PutEnd, QueueCore, Until};
use self::settings::QueueSettings;
use crate::link::{ServerLink, wait_for};
use crate::names::PoolNames;
use crate::{ClusterError, remote};

pub use self::item::HeldItem;

/// How a queue is to be, if it is not there yet.
#[derive(Debug)]
#[must_use = "a queue is there once it is opened"]
pub struct QueueBuilder<T> {
    pub(crate) settings: QueueSettings,
    link: ServerLink,
    names: PoolNames,
    types: PhantomData<fn(T) -> T>,
}

impl<T: Data> QueueBuilder<T> {
    pub(crate) fn new(
        link: ServerLink,
        names: PoolNames,
        name: &str,
        replicas: usize,
    ) -> QueueBuilder<T> {
        QueueBuilder {
            settings: QueueSettings {
                name: name.to_owned(),
                capacity: None,
                lanes: 1,
                hold: Duration::from_secs(30),
                replicas,
            },
            link,
            names,
            types: PhantomData,
        }
    }

    /// At most this number of items wait; at least 1. Unless set there is no bound. All programs
    /// that share the queue must say the same.
    pub fn capacity(mut self, items: usize) -> QueueBuilder<T> {
        self.settings.capacity = Some(items.max(1));
        self
    }

    /// With this number of lanes, 1 to 64: items of lane 0 are got before those of lane 1, and so
    /// on. See [`ClusterQueue::put_in_lane`].
    pub fn lanes(mut self, lanes: u32) -> QueueBuilder<T> {
        self.settings.lanes = lanes.clamp(1, 64);
        self
    }

    /// An item whose holder is gone comes again after this time; half a minute unless set, and a
    /// second at least. A holder that lives and is connected may hold it for as long as it likes.
    pub fn hold(mut self, time: Duration) -> QueueBuilder<T> {
        self.settings.hold = time.max(Duration::from_secs(1));
        self
    }

    /// Opens the queue; makes it, if it is not there.
    ///
    /// # Errors
    ///
    /// When the name is none, or the server does not do it.
    pub fn open(self) -> Result<ClusterQueue<T>, ClusterError> {
        crate::names::checked(&self.settings.name)?;
        let lost = || ClusterError::server("open the queue", "the connection has ended");
        let opens = QueueCore::open(self.link.clone(), self.names, self.settings);
        let core = self.link.wait(opens).ok_or_else(lost)??;
        Ok(ClusterQueue {
            core: Arc::new(core),
            types: PhantomData,
        })
    }
}

/// A queue whose items a server keeps. A clone is the same.
///
/// It implements [`WorkQueue`], which says what each method does. What is special here: an item
/// that was got comes again, to anybody, if this program ends without [`task_done`] for it, or the
/// last clone of this queue is dropped: at least once each item is got, and usually no more often.
/// [`task_done`] is for the item that was got first of those that are not done.
/// [`take`](ClusterQueue::take) gives a guard instead, for one item.
///
/// A put whose time is up while the server does not answer gives the item back, and may have put it
/// all the same: the server says neither.
///
/// The limit of a message, one MiB unless the server says otherwise, is that of an item.
///
/// # Panics
///
/// Never. While the server is away, methods that may wait do; the others say that the queue is
/// empty, or full.
///
/// [`task_done`]: WorkQueue::task_done
pub struct ClusterQueue<T> {
    core: Arc<QueueCore>,
    types: PhantomData<fn(T) -> T>,
}

impl<T> Clone for ClusterQueue<T> {
    fn clone(&self) -> ClusterQueue<T> {
        ClusterQueue {
            core: Arc::clone(&self.core),
            types: PhantomData,
        }
    }
}

impl<T: Data> ClusterQueue<T> {
    fn put_until(
        &self,
        lane: u32,
        item: T,
        until: Until,
    ) -> impl Future<Output = Result<(), PutError<T>>> + Send + use<T> {
        let bytes = remote::write_value(&item);
        let put = bytes.map(|bytes| self.core.put(lane, bytes, until));
        async move {
            let Ok(put) = put else {
                return Err(PutError::Refused(item));
            };
            match put.await {
                PutEnd::Done => Ok(()),
                PutEnd::Full => Err(PutError::Full(item)),
                PutEnd::TimedOut => Err(PutError::TimedOut(item)),
                PutEnd::ShutDown => Err(PutError::ShutDown(item)),
                PutEnd::Refused => Err(PutError::Refused(item)),
            }
        }
    }

    fn get_until(
        &self,
        until: Until,
    ) -> impl Future<Output = Result<HeldItem<T>, GetError>> + Send + use<T> {
        let got = self.core.get(until);
        let core = Arc::clone(&self.core);
        async move {
            match got.await {
                Found::Item(message) => HeldItem::read(core, *message),
                Found::Empty => Err(GetError::Empty),
                Found::TimedOut => Err(GetError::TimedOut),
                Found::ShutDown => Err(GetError::ShutDown),
            }
        }
    }

    /// Keeps the item for [`task_done`](WorkQueue::task_done).
    fn kept(&self, held: Result<HeldItem<T>, GetError>) -> Result<T, GetError> {
        held.map(|held| {
            let (item, message) = held.into_parts();
            self.core.keep(message);
            item
        })
    }

    /// [`put`](WorkQueue::put) into a lane; one that there is not is the last.
    ///
    /// # Errors
    ///
    /// As [`put`](WorkQueue::put).
    pub fn put_in_lane(&self, lane: u32, item: T) -> Result<(), PutError<T>> {
        wait_for(self.put_until(lane, item, Until::Done))
    }

    /// [`get`](WorkQueue::get), as a guard: [`HeldItem::done`] says that the item was worked on.
    /// One that is dropped without that gives the item back.
    ///
    /// ```no_run
    /// # fn main() -> hands::Result<()> {
    /// use hands_cluster::Cluster;
    ///
    /// let cluster = Cluster::connect("nats://127.0.0.1:4222")?;
    /// let queue = cluster.queue::<String>("pages").open()?;
    /// let page = queue.take()?;
    /// println!("{}", *page);
    /// page.done();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`get`](WorkQueue::get).
    pub fn take(&self) -> Result<HeldItem<T>, GetError> {
        wait_for(self.get_until(Until::Done))
    }

    /// [`take`](Self::take), as a future: dropped half-way, it has taken nothing.
    pub fn take_async(
        &self,
    ) -> impl Future<Output = Result<HeldItem<T>, GetError>> + Send + use<T> {
        self.get_until(Until::Done)
    }

    /// Removes the queue from the server, with all that is in it.
    ///
    /// # Errors
    ///
    /// When the server does not do it.
    pub fn remove(self) -> Result<(), ClusterError> {
        self.core.remove()
    }
}

impl<T: Data> WorkQueue<T> for ClusterQueue<T> {
    fn put(&self, item: T) -> Result<(), PutError<T>> {
        self.put_in_lane(u32::MAX, item)
    }

    fn try_put(&self, item: T) -> Result<(), PutError<T>> {
        wait_for(self.put_until(u32::MAX, item, Until::Once))
    }

    fn put_timeout(&self, item: T, timeout: Duration) -> Result<(), PutError<T>> {
        wait_for(self.put_until(u32::MAX, item, until(timeout)))
    }

    fn put_async(&self, item: T) -> impl Future<Output = Result<(), PutError<T>>> + Send {
        self.put_until(u32::MAX, item, Until::Done)
    }

    fn get(&self) -> Result<T, GetError> {
        self.kept(self.take())
    }

    fn try_get(&self) -> Result<T, GetError> {
        self.kept(wait_for(self.get_until(Until::Once)))
    }

    fn get_timeout(&self, timeout: Duration) -> Result<T, GetError> {
        self.kept(wait_for(self.get_until(until(timeout))))
    }

    fn get_async(&self) -> impl Future<Output = Result<T, GetError>> + Send {
        let got = self.get_until(Until::Done);
        let own = self.clone();
        async move { own.kept(got.await) }
    }

    fn len(&self) -> usize {
        self.core.waiting()
    }

    fn capacity(&self) -> Option<usize> {
        self.core.settings.capacity
    }

    fn task_done(&self) -> Result<(), TaskDoneError> {
        self.core.task_done().then_some(()).ok_or(TaskDoneError)
    }

    fn unfinished(&self) -> u64 {
        self.core.unfinished()
    }

    fn join(&self) {
        wait_for(self.core.join(None));
    }

    fn join_timeout(&self, timeout: Duration) -> bool {
        wait_for(self.core.join(Instant::now().checked_add(timeout)))
    }

    fn join_async(&self) -> impl Future<Output = ()> + Send {
        let joined = self.core.join(None);
        async move {
            joined.await;
        }
    }

    fn shutdown(&self, how: Shutdown) {
        self.core.shutdown(how);
    }

    fn is_shut_down(&self) -> bool {
        self.core.is_shut_down()
    }
}

/// The longest time there is stands for ever.
fn until(timeout: Duration) -> Until {
    Instant::now()
        .checked_add(timeout)
        .map_or(Until::Done, Until::Moment)
}

impl<T> fmt::Debug for ClusterQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterQueue")
            .field("settings", &self.core.settings)
            .finish_non_exhaustive()
    }
}
