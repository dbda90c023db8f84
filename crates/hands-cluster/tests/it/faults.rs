//! What is killed, stopped and cut off: workers in processes of their own, and a real server.
//!
//! Each task leaves a file for each time that it was begun, which is what the tests count.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hands::pool::Pool;
use hands::queue::{PutError, WorkQueue};
use hands::task::TaskError;
use hands_cluster::{Cluster, worker};
use rustix::process::{Pid, Signal, kill_process};

use crate::server::Server;
use crate::support::{SCENE, Scenes, fifo, folder, in_time, var};

pub(crate) const SCENES: Scenes = &[
    ("a_worker", a_worker),
    ("a_worker_on_threads", a_worker_on_threads),
    ("a_holder", a_holder),
];

/// The tests' pool: a task of a worker that is gone comes to another after a second.
pub(crate) const HOLD: Duration = Duration::from_secs(1);

fn a_worker() {
    let worker = worker(&var("SERVER"))
        .slots(1)
        .grace(Duration::from_millis(200));
    worker.run().unwrap();
}

fn a_worker_on_threads() {
    worker(&var("SERVER")).slots(2).on_threads().run().unwrap();
}

/// Gets an item and holds it.
fn a_holder() {
    let cluster = Cluster::connect(&var("SERVER")).unwrap();
    let queue = cluster.queue::<u64>("held").hold(HOLD).open().unwrap();
    let item = queue.get().unwrap();
    fs::write(var("GATE"), item.to_string()).unwrap();
    std::thread::park();
}

/// A worker in a process of its own, which is killed with this.
pub(crate) struct Killed(Child);

impl Killed {
    pub(crate) fn new(scene: &str, server: &Server) -> Killed {
        Killed::with(scene, &[("SERVER", server.url())])
    }

    /// The process itself, and none around it: it is what is killed.
    pub(crate) fn with(scene: &str, vars: &[(&str, String)]) -> Killed {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        command.arg(std::env::current_exe().unwrap());
        command.args(["--exact", "scene", "--nocapture", "--test-threads=1"]);
        command.env(SCENE, scene).envs(vars.iter().cloned());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit());
        Killed(command.spawn().unwrap())
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn pool(server: &Server) -> Cluster {
    Cluster::builder(&server.url())
        .hold(HOLD)
        .connect()
        .unwrap()
}

/// Leaves a file that says that it was begun.
pub(crate) fn mark(folder: &Path, n: u64) {
    let time = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let name = format!("{n}-{}-{}", std::process::id(), time.as_nanos());
    fs::write(folder.join(name), "").unwrap();
}

/// How often each was begun.
pub(crate) fn begun(folder: &Path, n: u64) -> usize {
    let starts = format!("{n}-");
    let names = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    names
        .filter(|name| name.to_string_lossy().starts_with(&starts))
        .count()
}

#[hands::task]
fn squared((folder, n): (PathBuf, u64)) -> u64 {
    mark(&folder, n);
    n * n
}

#[hands::task]
fn aborts_at_seven((folder, n): (PathBuf, u64)) -> u64 {
    mark(&folder, n);
    if n == 7 {
        std::process::abort();
    }
    n
}

#[hands::task]
fn computes((folder, seconds): (PathBuf, u64)) -> u64 {
    mark(&folder, seconds);
    let since = Instant::now();
    let mut sum = 0_u64;
    while since.elapsed() < Duration::from_secs(seconds) {
        sum = std::hint::black_box(sum.wrapping_add(1));
    }
    seconds
}

/// Says that it has come, and waits until it may go on.
#[hands::task]
fn waits_at((folder, gate): (PathBuf, PathBuf)) -> u64 {
    mark(&folder, 1);
    if !gate.join("passed").exists() {
        fs::write(gate.join("came"), "").unwrap();
        fs::read(gate.join("open")).unwrap();
    }
    1
}

#[test]
fn killed_workers_cost_only_what_they_were_at() {
    const TASKS: u64 = 2000;
    in_time(|| {
        let server = Server::start();
        let pool = pool(&server);
        let folder = folder();
        let mut workers: Vec<_> = (0..4).map(|_| Killed::new("a_worker", &server)).collect();
        let inputs = (0..TASKS).map(|n| (folder.path().to_owned(), n));
        let handles: Vec<_> = inputs.map(|input| pool.submit(squared, input)).collect();
        let mut kills = 0;
        for (n, handle) in (0..TASKS).zip(handles) {
            // One of them each time that so many are done.
            if n % 250 == 200 {
                workers[kills % 4] = Killed::new("a_worker", &server);
                kills += 1;
            }
            assert_eq!(handle.join(), Ok(n * n));
        }
        let begun = fs::read_dir(folder.path()).unwrap().count();
        // Each kill costs at most the one that its worker ran.
        let most = usize::try_from(TASKS).unwrap() + kills;
        assert!(
            (2000..=most).contains(&begun),
            "{begun} were begun, {kills} workers killed"
        );
    });
}

#[test]
fn a_task_that_brings_down_its_process_is_begun_three_times_and_the_others_go_on() {
    in_time(|| {
        let server = Server::start();
        let pool = pool(&server);
        let folder = folder();
        let _worker = Killed::new("a_worker", &server);
        let inputs = (0..20).map(|n| (folder.path().to_owned(), n));
        let handles: Vec<_> = inputs
            .map(|input| pool.submit(aborts_at_seven, input))
            .collect();
        for (n, handle) in (0..).zip(handles) {
            match n {
                7 => assert_eq!(handle.join(), Err(TaskError::Poisoned { starts: 3 })),
                n => assert_eq!(handle.join(), Ok(n)),
            }
        }
        pool.join();
        assert_eq!(begun(folder.path(), 7), 3);
        // It is acknowledged a moment after its outcome was told.
        server.await_kept("HANDS_default_TASKS", 0);
    });
}

#[test]
fn one_that_brings_down_the_worker_itself_is_begun_three_times_too() {
    in_time(|| {
        let server = Server::start();
        let pool = pool(&server);
        let folder = folder();
        let handle = pool.submit(aborts_at_seven, (folder.path().to_owned(), 7));
        let mut workers = Vec::new();
        // Whoever runs it goes down with it; the fourth moves it aside.
        for _ in 0..4 {
            workers.push(Killed::new("a_worker_on_threads", &server));
        }
        assert_eq!(handle.join(), Err(TaskError::Poisoned { starts: 3 }));
        assert_eq!(begun(folder.path(), 7), 3);
        let has_ended = |worker: &mut Killed| worker.0.try_wait().unwrap().is_some();
        let ended = workers.iter_mut().map(has_ended).filter(|ended| *ended);
        assert_eq!(ended.count(), 3);
    });
}

#[test]
fn a_server_that_is_killed_and_comes_back_costs_no_outcome() {
    in_time(|| {
        let mut server = Server::start();
        let pool = pool(&server);
        let folder = folder();
        let _workers = [(); 2].map(|()| Killed::new("a_worker", &server));
        let inputs = (0..300).map(|n| (folder.path().to_owned(), n));
        let mut outcomes = 0;
        for (n, outcome) in (0..).zip(pool.map(squared, inputs).chunk(1)) {
            assert_eq!(outcome, Ok(n * n));
            outcomes += 1;
            if n == 100 {
                server.kill();
                server.run();
            }
        }
        assert_eq!(outcomes, 300);
    });
}

#[test]
fn a_server_that_is_stopped_for_a_while_costs_no_outcome() {
    in_time(|| {
        let server = Server::start();
        let pool = pool(&server);
        let folder = folder();
        let _workers = [(); 2].map(|()| Killed::new("a_worker", &server));
        let queue = pool.queue::<u64>("full").capacity(1).open().unwrap();
        let inputs = (0..200).map(|n| (folder.path().to_owned(), n));
        for (n, outcome) in (0..).zip(pool.map(squared, inputs).chunk(1)) {
            assert_eq!(outcome, Ok(n * n));
            if n == 50 {
                server.signal(Signal::STOP);
                // Until somebody has waited for an answer in vain.
                let put = queue.put_timeout(1, Duration::from_secs(4));
                assert!(matches!(put, Err(PutError::TimedOut(1))), "{put:?}");
                server.signal(Signal::CONT);
            }
        }
        assert!(fs::read_dir(folder.path()).unwrap().count() >= 200);
    });
}

#[test]
fn of_three_servers_one_may_be_killed() {
    in_time(|| {
        let ports: Vec<u16> = (0..3)
            .map(|_| {
                std::net::TcpListener::bind("127.0.0.1:0")
                    .unwrap()
                    .local_addr()
                    .unwrap()
                    .port()
            })
            .collect();
        let routes: Vec<String> = ports
            .iter()
            .map(|port| format!("nats-route://127.0.0.1:{port}"))
            .collect();
        let routes = routes.join(", ");
        let mut servers: Vec<Server> = ports
            .iter()
            .map(|port| {
                Server::with(&format!(
                    "server_name: s{port}\ncluster {{ name: c, listen: \"127.0.0.1:{port}\", routes: [{routes}] }}"
                ))
            })
            .collect();
        let builder = Cluster::builder(&servers[0].url()).replicas(3).hold(HOLD);
        let pool = builder.connect().unwrap();
        let folder = folder();
        let _worker = Killed::new("a_worker", &servers[1]);
        let inputs = (0..100).map(|n| (folder.path().to_owned(), n));
        for (n, outcome) in (0..).zip(pool.map(squared, inputs).chunk(1)) {
            assert_eq!(outcome, Ok(n * n));
            if n == 30 {
                servers[2].kill();
            }
        }
    });
}

/// Puts a second copy of the only task among the messages, under another name.
fn publish_again(server: &Server) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let client = async_nats::connect(server.url()).await.unwrap();
        let context = async_nats::jetstream::new(client);
        let stream = context.get_stream("HANDS_default_TASKS").await.unwrap();
        let message = loop {
            match stream.direct_get(1).await {
                Ok(message) => break message,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        let mut headers = message.headers.clone();
        headers.insert("Nats-Msg-Id", "another");
        let (subject, payload) = (message.subject.clone(), message.payload.clone());
        let sent = context
            .publish_with_headers(subject, headers, payload)
            .await;
        sent.unwrap().await.unwrap();
    });
    server.await_kept("HANDS_default_TASKS", 2);
}

#[test]
fn a_task_that_was_published_twice_has_one_outcome() {
    in_time(|| {
        let server = Server::start();
        let pool = pool(&server);
        let folder = folder();
        let (id, handle) = pool.submit_named(squared, (folder.path().to_owned(), 9));
        publish_again(&server);
        let _worker = Killed::new("a_worker", &server);
        assert_eq!(handle.join(), Ok(81));
        server.await_kept("HANDS_default_TASKS", 0);
        assert_eq!(pool.handle::<u64>(&id).join(), Ok(81));
        assert!((1..=2).contains(&begun(folder.path(), 9)));
    });
}

/// A mebibyte that is different each time.
#[hands::task]
fn a_mebibyte(folder: PathBuf) -> Vec<u8> {
    mark(&folder, 1);
    vec![u8::try_from(begun(&folder, 1)).unwrap(); 1 << 20]
}

#[test]
fn a_large_outcome_of_a_second_run_takes_no_place_and_leaves_nothing() {
    in_time(|| {
        let server = Server::start();
        let pool = pool(&server);
        let folder = folder();
        let handle = pool.submit(a_mebibyte, folder.path().to_owned());
        publish_again(&server);
        let _worker = Killed::new("a_worker", &server);
        let outcome = handle.join().unwrap();
        assert_eq!(outcome, vec![1; 1 << 20]);
        server.await_kept("HANDS_default_TASKS", 0);
        assert_eq!(begun(folder.path(), 1), 2);
        server.await_kept("OBJ_HANDS_default_LARGE", 0);
    });
}

/// Panics when it is dropped, where that was asked for.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Bomb;

static IS_ARMED: AtomicBool = AtomicBool::new(false);

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(!IS_ARMED.load(Ordering::SeqCst), "dropped");
    }
}

#[hands::task]
fn a_bomb((): ()) -> Bomb {
    Bomb
}

#[test]
fn a_result_that_panics_when_it_is_dropped_holds_up_no_other() {
    in_time(|| {
        let server = Server::start();
        let pool = pool(&server);
        let folder = folder();
        IS_ARMED.store(true, Ordering::SeqCst);
        for _ in 0..3 {
            drop(pool.submit(a_bomb, ()));
        }
        let handle = pool.submit(squared, (folder.path().to_owned(), 4));
        let _worker = Killed::new("a_worker", &server);
        assert_eq!(handle.join(), Ok(16));
        pool.join();
    });
}

#[hands::task]
fn panics_twice((folder, n): (PathBuf, u64)) -> u64 {
    mark(&folder, n);
    assert!(begun(&folder, n) > 2, "not yet");
    n
}

#[test]
fn a_task_that_panics_is_begun_again_as_often_as_it_may_be() {
    in_time(|| {
        let server = Server::start();
        let folder = folder();
        let _worker = Killed::new("a_worker", &server);
        for (retries, is_ok) in [(1, false), (2, true)] {
            let pool = Cluster::builder(&server.url())
                .retries(retries)
                .connect()
                .unwrap();
            let n = u64::from(retries);
            let outcome = pool
                .submit(panics_twice, (folder.path().to_owned(), n))
                .join();
            match is_ok {
                true => assert_eq!(outcome, Ok(n)),
                false => assert!(
                    matches!(outcome, Err(TaskError::Panicked(_))),
                    "{outcome:?}"
                ),
            }
            assert_eq!(begun(folder.path(), n), usize::try_from(n).unwrap() + 1);
        }
    });
}

#[test]
fn what_computes_for_longer_than_it_may_be_held_is_begun_once() {
    in_time(|| {
        let server = Server::start();
        let pool = pool(&server);
        let folder = folder();
        let _workers = [(); 2].map(|()| Killed::new("a_worker_on_threads", &server));
        let handle = pool.submit(computes, (folder.path().to_owned(), 5));
        assert_eq!(handle.join(), Ok(5));
        assert_eq!(begun(folder.path(), 5), 1);
    });
}

#[test]
fn a_worker_that_is_stopped_loses_its_task_and_its_late_outcome_changes_nothing() {
    in_time(|| {
        let server = Server::start();
        let pool = pool(&server);
        let (folder, gate) = (folder(), folder());
        fifo(gate.path(), "came");
        fifo(gate.path(), "open");
        let stopped = Killed::new("a_worker", &server);
        let input = (folder.path().to_owned(), gate.path().to_owned());
        let (id, handle) = pool.submit_named(waits_at, input);
        fs::read(gate.path().join("came")).unwrap();
        stopped.signal(Signal::STOP);
        // Others do not wait.
        fs::write(gate.path().join("passed"), "").unwrap();
        let _other = Killed::new("a_worker", &server);
        assert_eq!(handle.join(), Ok(1));
        stopped.signal(Signal::CONT);
        fs::write(gate.path().join("open"), "").unwrap();
        assert_eq!(pool.handle::<u64>(&id).join(), Ok(1));
        assert_eq!(begun(folder.path(), 1), 2);
    });
}

#[test]
fn a_worker_that_is_told_to_end_gives_back_what_it_does_not_finish() {
    in_time(|| {
        let server = Server::start();
        // Nothing comes again by itself.
        let builder = Cluster::builder(&server.url()).hold(Duration::from_secs(600));
        let pool = builder.connect().unwrap();
        let (folder, gate) = (folder(), folder());
        fifo(gate.path(), "came");
        fifo(gate.path(), "open");
        let ends = Killed::new("a_worker", &server);
        let input = (folder.path().to_owned(), gate.path().to_owned());
        let handle = pool.submit(waits_at, input);
        fs::read(gate.path().join("came")).unwrap();
        fs::write(gate.path().join("passed"), "").unwrap();
        ends.signal(Signal::TERM);
        let _other = Killed::new("a_worker", &server);
        assert_eq!(handle.join(), Ok(1));
        assert_eq!(begun(folder.path(), 1), 2);
    });
}

#[test]
fn an_item_whose_holder_is_killed_comes_again() {
    in_time(|| {
        let server = Server::start();
        let cluster = Cluster::connect(&server.url()).unwrap();
        let queue = cluster.queue::<u64>("held").hold(HOLD).open().unwrap();
        queue.put(5).unwrap();
        let folder = folder();
        let gate = fifo(folder.path(), "gate");
        let vars = [
            ("SERVER", server.url()),
            ("GATE", gate.display().to_string()),
        ];
        let holder = Killed::with("a_holder", &vars);
        assert_eq!(fs::read_to_string(&gate).unwrap(), "5");
        drop(holder);
        assert_eq!(queue.get(), Ok(5));
        queue.task_done().unwrap();
        queue.join();
    });
}
