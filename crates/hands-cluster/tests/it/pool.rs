//! A pool whose workers are elsewhere.

use std::time::{Duration, Instant};

use hands::event::Events;
use hands::pool::{CoroutinePool, Pool, Shutdown, Stats, StatsReader};
use hands::task::{Data, Handle, Options, Outcome, Task, TaskError};
use hands_cluster::{Cluster, ClusterError, Worker, worker};

use crate::conformance::pool::{
    Gate, await_cancel, leave_a_mark, nothing, odd_ones_panic, pass_and_square, repeat, square,
    the_same, wait_at_zero,
};
use crate::server::Server;
use crate::support::in_time;

hands::register_task!(fn await_cancel);
hands::register_task!(fn leave_a_mark);
hands::register_task!(fn nothing);
hands::register_task!(fn odd_ones_panic);
hands::register_task!(fn pass_and_square);
hands::register_task!(fn repeat);
hands::register_task!(fn square);
hands::register_task!(fn the_same);
hands::register_task!(fn wait_at_zero);

/// A pool of a test's own, and what it needs as long as it lives.
pub(crate) struct Own {
    pub(crate) pool: Cluster,
    pub(crate) _worker: Worker,
    pub(crate) server: Server,
}

impl Own {
    pub(crate) fn new(workers: usize) -> Own {
        let server = Server::start();
        let worker = worker(&server.url()).on_threads().slots(workers).start();
        let pool = Cluster::connect(&server.url()).unwrap();
        let own = Own {
            pool,
            _worker: worker.unwrap(),
            server,
        };
        own.await_slots(workers);
        own
    }

    /// Waits until this number of slots is known.
    pub(crate) fn await_slots(&self, slots: usize) {
        let since = Instant::now();
        while self.pool.workers() != slots {
            assert!(
                since.elapsed() < Duration::from_secs(30),
                "no worker is heard of"
            );
            std::thread::yield_now();
        }
    }
}

/// The suite's calls, passed on.
impl Pool for Own {
    fn workers(&self) -> usize {
        self.pool.workers()
    }

    fn submit_with<F, A, R>(&self, options: Options, task: F, argument: A) -> Handle<R>
    where
        F: Task<A, R>,
        A: Data,
        R: Data,
    {
        self.pool.submit_with(options, task, argument)
    }

    fn submit_chunk<F, A, R>(&self, task: F, arguments: Vec<A>) -> Handle<Vec<Outcome<R>>>
    where
        F: Task<A, R>,
        A: Data,
        R: Data,
    {
        self.pool.submit_chunk(task, arguments)
    }

    fn events(&self) -> Events {
        self.pool.events()
    }

    fn stats(&self) -> Stats {
        self.pool.stats()
    }

    fn stats_reader(&self) -> StatsReader {
        self.pool.stats_reader()
    }

    fn close(&self) {
        self.pool.close();
    }

    fn join(&self) {
        self.pool.join();
    }

    fn shutdown(&self, how: Shutdown) {
        self.pool.shutdown(how);
    }
}

pool_conformance!(machines, Own::new);

fn unregistered(n: u64) -> u64 {
    n
}

#[hands::task]
async fn twice(n: u64) -> u64 {
    tokio::task::yield_now().await;
    2 * n
}

#[test]
fn a_function_that_is_not_on_the_list_is_refused_by_name() {
    in_time(|| {
        let own = Own::new(1);
        let outcome = own.pool.submit(unregistered, 1).join();
        let Err(TaskError::Unregistered { name }) = outcome else {
            panic!("{outcome:?}");
        };
        assert!(name.ends_with("pool::unregistered"), "{name}");
    });
}

#[test]
fn a_coroutine_runs_elsewhere_too() {
    in_time(|| {
        let own = Own::new(2);
        let handles: Vec<_> = (0..10).map(|n| own.pool.submit_async(twice, n)).collect();
        for (n, handle) in (0..).zip(handles) {
            assert_eq!(handle.join(), Ok(2 * n));
        }
    });
}

#[test]
fn another_program_takes_up_a_handle() {
    in_time(|| {
        let own = Own::new(1);
        let gate = Gate::new();
        let running = own.pool.submit(pass_and_square, (gate.path(), 3));
        gate.await_one();
        // It waits behind another.
        let (id, handle) = own.pool.submit_named(square, 12);
        let other = Cluster::connect(&own.server.url()).unwrap();
        let again = own.pool.handle::<u64>(&id);
        let waits = other.handle::<u64>(&id);
        let waits = waits.join_timeout(Duration::from_secs(4)).unwrap_err();
        gate.open();
        assert_eq!(running.join(), Ok(9));
        assert_eq!(waits.join(), Ok(144));
        assert_eq!(handle.join(), Ok(144));
        assert_eq!(again.join(), Ok(144));
        // Also after it was told, as long as it is kept.
        assert_eq!(other.handle::<u64>(&id).join(), Ok(144));
        for nobody in ["", "x", "a.b.c", "*.1.0", &id.replace('.', ">")] {
            assert_eq!(
                other.handle::<u64>(nobody).join(),
                Err(TaskError::Lost),
                "{nobody}"
            );
        }
    });
}

#[test]
fn without_a_worker_that_has_the_function_there_is_an_error_that_names_it() {
    in_time(|| {
        let server = Server::start();
        let builder = Cluster::builder(&server.url()).start_timeout(Duration::from_millis(1));
        let pool = builder.connect().unwrap();
        let outcome = pool.submit(square, 1).join();
        assert!(
            matches!(&outcome, Err(TaskError::NoWorker { name }) if name.ends_with("square")),
            "{outcome:?}"
        );
    });
}

#[test]
fn fifty_mebibytes_go_there_and_back_and_leave_nothing() {
    in_time(|| {
        let own = Own::new(1);
        let long = "x".repeat(50 << 20);
        let back = own.pool.submit(the_same, long.clone()).join().unwrap();
        assert!(back == long, "{} bytes came back", back.len());
        own.pool.join();
        own.server.await_kept("OBJ_HANDS_default_LARGE", 0);
    });
}

#[test]
fn ten_thousand_tasks_without_a_worker_are_cancelled_by_a_shutdown_and_leave_nothing_queued() {
    in_time(|| {
        let server = Server::start();
        let pool = Cluster::connect(&server.url()).unwrap();
        let handles: Vec<_> = (0..10_000).map(|n| pool.submit(square, n)).collect();
        server.await_kept("HANDS_default_TASKS", 10_000);
        pool.shutdown(Shutdown::Now);
        assert!(
            handles
                .into_iter()
                .all(|handle| handle.join() == Err(TaskError::Cancelled))
        );
        server.await_kept("HANDS_default_TASKS", 0);
    });
}

#[hands::task]
fn never_ends((): ()) {
    loop {
        std::thread::park();
    }
}

#[test]
fn a_worker_whose_task_never_ends_stops_all_the_same_and_gives_it_back() {
    in_time(|| {
        let server = Server::start();
        let worker = worker(&server.url())
            .on_threads()
            .slots(1)
            .grace(Duration::ZERO);
        let worker = worker.start().unwrap();
        let pool = Cluster::builder(&server.url())
            .hold(Duration::from_secs(1))
            .connect()
            .unwrap();
        let handle = pool.submit(never_ends, ());
        server.await_kept("HANDS_default_RESULTS", 1);
        worker.stop();
        drop(worker);
        assert!(!handle.is_finished());
        handle.cancel();
        pool.shutdown(Shutdown::Now);
    });
}

#[test]
fn what_is_weaker_than_asked_for_is_said() {
    in_time(|| {
        let server = Server::start();
        let first = Cluster::connect(&server.url()).unwrap();
        assert!(
            first.warnings()[0].contains("is kept by one server"),
            "{:?}",
            first.warnings()
        );
        let builder = Cluster::builder(&server.url())
            .replicas(3)
            .hold(Duration::from_secs(5));
        let told = builder.connect().unwrap().warnings().join("\n");
        assert!(
            told.contains("not by 3") && told.contains("not for 5s"),
            "{told}"
        );
    });
}

#[test]
fn an_address_or_a_name_that_is_none_is_said() {
    let wrong = |url: &str| Cluster::connect(url).unwrap_err().to_string();
    assert!(wrong("nats://127.0.0.1:1").contains("start a server there"));
    assert!(
        wrong("http://127.0.0.1:1").contains("nats://host:4222"),
        "{}",
        wrong("http://127.0.0.1:1")
    );
    let named = Cluster::builder("nats://127.0.0.1:1").pool("a.b").connect();
    assert!(matches!(named, Err(ClusterError::Name { name }) if name == "a.b"));
}

#[test]
fn who_does_not_prove_who_it_is_is_refused_and_no_secret_is_shown() {
    in_time(|| {
        let server = Server::with("authorization { token: \"secret-word\" }");
        let refused = Cluster::connect(&server.url()).unwrap_err();
        assert!(matches!(refused, ClusterError::Refused { .. }), "{refused}");
        let url = server.url().replace("nats://", "nats://wrong-word@");
        let refused = Cluster::connect(&url).unwrap_err().to_string();
        assert!(!refused.contains("wrong-word"), "{refused}");
        let url = server.url().replace("nats://", "nats://secret-word@");
        drop(Cluster::connect(&url).unwrap());
        let builder = Cluster::builder(&server.url()).token("secret-word");
        assert!(!format!("{builder:?}").contains("secret-word"));
        drop(builder.connect().unwrap());

        let server = Server::with("authorization { user: me, password: pass-word }");
        drop(
            Cluster::builder(&server.url())
                .user("me", "pass-word")
                .connect()
                .unwrap(),
        );
        let url = server.url().replace("nats://", "nats://me:pass-word@");
        drop(Cluster::connect(&url).unwrap());
    });
}

#[test]
fn a_server_that_keeps_nothing_is_refused() {
    in_time(|| {
        let server = Server::without_jetstream();
        let refused = Cluster::connect(&server.url()).unwrap_err();
        assert!(
            matches!(refused, ClusterError::NoJetStream { .. }),
            "{refused}"
        );
    });
}
