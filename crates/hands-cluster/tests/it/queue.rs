//! A queue that a server keeps.

use std::sync::atomic::{AtomicU64, Ordering};

use hands::queue::{GetError, PutError, Shutdown, WorkQueue};
use hands_cluster::{Cluster, ClusterQueue};

use crate::server::Server;
use crate::support::in_time;

/// A queue of a test's own, and what it needs as long as it lives.
struct Own {
    queue: ClusterQueue<u64>,
    _cluster: Cluster,
    _server: Server,
}

fn own(capacity: Option<usize>) -> Own {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let server = Server::start();
    let cluster = Cluster::connect(&server.url()).unwrap();
    let name = format!("q{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let queue = cluster.queue(&name);
    let queue = match capacity {
        Some(items) => queue.capacity(items),
        None => queue,
    };
    Own {
        queue: queue.open().unwrap(),
        _cluster: cluster,
        _server: server,
    }
}

/// The suite's calls, passed on.
impl WorkQueue<u64> for Own {
    fn put(&self, item: u64) -> Result<(), PutError<u64>> {
        self.queue.put(item)
    }

    fn try_put(&self, item: u64) -> Result<(), PutError<u64>> {
        self.queue.try_put(item)
    }

    fn put_timeout(&self, item: u64, timeout: std::time::Duration) -> Result<(), PutError<u64>> {
        self.queue.put_timeout(item, timeout)
    }

    fn put_async(&self, item: u64) -> impl Future<Output = Result<(), PutError<u64>>> + Send {
        self.queue.put_async(item)
    }

    fn get(&self) -> Result<u64, GetError> {
        self.queue.get()
    }

    fn try_get(&self) -> Result<u64, GetError> {
        self.queue.try_get()
    }

    fn get_timeout(&self, timeout: std::time::Duration) -> Result<u64, GetError> {
        self.queue.get_timeout(timeout)
    }

    fn get_async(&self) -> impl Future<Output = Result<u64, GetError>> + Send {
        self.queue.get_async()
    }

    fn len(&self) -> usize {
        WorkQueue::len(&self.queue)
    }

    fn capacity(&self) -> Option<usize> {
        self.queue.capacity()
    }

    fn task_done(&self) -> Result<(), hands::queue::TaskDoneError> {
        self.queue.task_done()
    }

    fn unfinished(&self) -> u64 {
        self.queue.unfinished()
    }

    fn join(&self) {
        self.queue.join();
    }

    fn join_timeout(&self, timeout: std::time::Duration) -> bool {
        self.queue.join_timeout(timeout)
    }

    fn join_async(&self) -> impl Future<Output = ()> + Send {
        self.queue.join_async()
    }

    fn shutdown(&self, how: Shutdown) {
        self.queue.shutdown(how);
    }

    fn is_shut_down(&self) -> bool {
        self.queue.is_shut_down()
    }
}

queue_conformance!(cluster, |capacity: Option<usize>| own(capacity));

#[test]
fn an_item_whose_guard_is_dropped_comes_again_and_one_that_is_done_does_not() {
    in_time(|| {
        let own = own(None);
        own.queue.put(1).unwrap();
        drop(own.queue.take().unwrap());
        let again = own.queue.take().unwrap();
        assert_eq!(*again, 1);
        again.done();
        own.queue.join();
        assert_eq!(own.queue.try_get(), Err(GetError::Empty));
    });
}

#[test]
fn what_another_handle_holds_comes_to_this_one_when_that_is_dropped() {
    in_time(|| {
        let server = Server::start();
        let [here, there] = [(); 2].map(|()| Cluster::connect(&server.url()).unwrap());
        let [here, there] = [&here, &there].map(|cluster| cluster.queue("shared").open().unwrap());
        here.put("item".to_owned()).unwrap();
        assert_eq!(there.get().unwrap(), "item");
        assert_eq!(here.try_get(), Err(GetError::Empty));
        drop(there);
        assert_eq!(here.get().unwrap(), "item");
        here.task_done().unwrap();
        here.join();
    });
}

#[test]
fn lanes_are_got_from_in_their_order() {
    in_time(|| {
        let server = Server::start();
        let cluster = Cluster::connect(&server.url()).unwrap();
        let queue = cluster.queue::<u64>("lanes").lanes(3).open().unwrap();
        for (lane, item) in [(2, 20), (0, 1), (1, 10), (0, 2), (9, 21)] {
            queue.put_in_lane(lane, item).unwrap();
        }
        let got: Vec<u64> = std::iter::from_fn(|| queue.try_get().ok()).collect();
        assert_eq!(got, [1, 2, 10, 20, 21]);
    });
}

#[test]
fn a_bound_of_a_hundred_holds_for_all_programs_together() {
    in_time(|| {
        let server = Server::start();
        let clusters = [(); 3].map(|()| Cluster::connect(&server.url()).unwrap());
        let queues = clusters.each_ref().map(|cluster| {
            cluster
                .queue::<u64>("bounded")
                .capacity(100)
                .open()
                .unwrap()
        });
        let put: usize = std::thread::scope(|scope| {
            let threads = queues
                .each_ref()
                .map(|queue| scope.spawn(|| (0..60).filter(|n| queue.try_put(*n).is_ok()).count()));
            threads.map(|thread| thread.join().unwrap()).iter().sum()
        });
        assert_eq!((put, WorkQueue::len(&queues[0])), (100, 100));
        assert!(matches!(queues[1].try_put(0), Err(PutError::Full(0))));
        assert!(queues[2].get().is_ok());
        queues[1].put(0).unwrap();
    });
}

#[test]
fn what_is_no_item_is_said_and_removed() {
    in_time(|| {
        let server = Server::start();
        let cluster = Cluster::connect(&server.url()).unwrap();
        let texts = cluster.queue::<String>("mixed").open().unwrap();
        let numbers = cluster.queue::<u64>("mixed").open().unwrap();
        texts.put("text".to_owned()).unwrap();
        numbers.put(7).unwrap();
        assert_eq!(numbers.get(), Err(GetError::Unreadable));
        assert_eq!(numbers.get(), Ok(7));
        numbers.task_done().unwrap();
        numbers.join();
    });
}
