//! Bytes of tasks that run, notes of runs, files.

use std::sync::Arc;
use std::time::Duration;

use hands::pool::CoroutinePool;
use hands_cluster::{Cluster, current_task, worker};

use crate::server::Server;
use crate::support::{folder, in_time};

/// Writes so many pieces of 64 KiB to its feed, and is never more than a MiB and a piece ahead.
#[hands::task]
pub(crate) async fn writes((run, pieces): (String, u64)) -> u64 {
    let room = Arc::new(tokio::sync::Notify::new());
    let rings = Arc::clone(&room);
    let task = current_task().unwrap();
    assert!(task.begun_before().is_empty());
    let feed = task.feed(&format!("{run}.out"), move || rings.notify_one());
    let feed = feed.unwrap();
    for number in 0..pieces {
        while !feed.has_room() {
            room.notified().await;
        }
        feed.write(vec![u8::try_from(number % 251).unwrap(); 64 * 1024]);
    }
    let written = feed.written();
    feed.close().await;
    written
}

/// Reads what a task writes, all of it.
pub(crate) fn read_all(pool: &Cluster, pieces: u64) {
    let mut feeds = pool.feeds().unwrap();
    let handle = pool.submit_async(writes, (pool.run_id().to_owned(), pieces));
    let mut come = 0;
    while come < pieces {
        let Some(piece) = feeds.try_next() else {
            std::thread::yield_now();
            continue;
        };
        assert!(piece.feed.starts_with("out."), "{}", piece.feed);
        assert_eq!(
            piece.bytes,
            vec![u8::try_from(come % 251).unwrap(); 64 * 1024]
        );
        feeds.took(&piece);
        come += 1;
    }
    assert_eq!(handle.join(), Ok(pieces * 64 * 1024));
    feeds.done("out");
}

#[test]
fn a_feed_brings_all_that_a_task_writes_and_leaves_nothing() {
    in_time(|| {
        let server = Server::start();
        let _worker = worker(&server.url()).on_threads().slots(1).start().unwrap();
        let pool = Cluster::connect(&server.url()).unwrap();
        read_all(&pool, 80);
        server.await_kept("HANDS_default_FEEDS", 0);
    });
}

#[test]
fn a_task_whose_reader_does_not_read_waits_and_keeps_the_rest() {
    in_time(|| {
        let server = Server::start();
        let _worker = worker(&server.url()).on_threads().slots(1).start().unwrap();
        let pool = Cluster::connect(&server.url()).unwrap();
        let feeds = pool.feeds().unwrap();
        let handle = pool.submit_async(writes, (pool.run_id().to_owned(), 40));
        // 16 pieces are a MiB: it stops behind them, and nobody has taken one.
        server.await_kept("HANDS_default_FEEDS", 16);
        assert!(!handle.is_finished());
        drop(feeds);
        // Another program of the run reads from the beginning.
        let again = Cluster::builder(&server.url()).run_id(pool.run_id());
        let again = again.connect().unwrap();
        let mut feeds = again.feeds().unwrap();
        let mut come = 0;
        while come < 40 {
            match feeds.try_next() {
                Some(piece) => {
                    feeds.took(&piece);
                    come += 1;
                }
                None => std::thread::yield_now(),
            }
        }
        assert_eq!(handle.join(), Ok(40 * 64 * 1024));
    });
}

#[test]
fn notes_are_read_in_their_order_by_who_goes_on() {
    in_time(|| {
        let server = Server::start();
        let pool = Cluster::connect(&server.url()).unwrap();
        let notes = pool.notes().unwrap();
        for number in 0..2500_u32 {
            notes.add_soon("many", number.to_string().into_bytes());
        }
        notes.add("last", b"end".to_vec()).unwrap();
        let again = Cluster::builder(&server.url()).run_id(pool.run_id());
        let again = again.connect().unwrap();
        let read = again.notes().unwrap().read().unwrap();
        assert_eq!(read.len(), 2501);
        for (number, (kind, note)) in (0..).zip(&read[..2500]) {
            assert_eq!(
                (kind.as_str(), note),
                ("many", &number.to_string().into_bytes())
            );
        }
        assert_eq!(read[2500], ("last".to_owned(), b"end".to_vec()));
        // Another run's are its own.
        let other = Cluster::connect(&server.url()).unwrap();
        assert!(other.notes().unwrap().read().unwrap().is_empty());
        notes.remove();
        assert!(again.notes().unwrap().read().unwrap().is_empty());
        assert!(notes.add("a.b", Vec::new()).is_err());
        assert!(
            Cluster::builder(&server.url())
                .run_id("x")
                .connect()
                .is_err()
        );
    });
}

#[test]
fn a_file_that_was_stored_comes_back_as_it_was_and_over_no_other() {
    in_time(|| {
        let server = Server::start();
        let pool = Cluster::connect(&server.url()).unwrap();
        let (files, folder) = (pool.files(), folder());
        let path = folder.path().join("file");
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        std::fs::write(&path, &bytes).unwrap();
        let put = |path| futures_lite::future::block_on(files.put(pool.run_id(), path));
        let get = |name: &str, path| futures_lite::future::block_on(files.get(name, path));
        let stored = put(&path).unwrap();
        assert_eq!(put(&path), Ok(stored.clone()));
        let there = folder.path().join("there");
        get(&stored, &there).unwrap();
        assert!(std::fs::read(&there).unwrap() == bytes);
        assert!(get(&stored, &there).is_err(), "it is there");
        // What is not what its name says is refused, and leaves nothing.
        let none = folder.path().join("none");
        let wrong = format!("{}0", &stored[..stored.len() - 1]);
        assert!(get(&wrong, &none).is_err());
        assert!(!none.exists());
        files.remove(&stored);
        server.await_kept("OBJ_HANDS_default_LARGE", 0);
    });
}

#[test]
fn outside_of_tasks_there_is_no_current_one() {
    assert!(current_task().is_none());
}

#[test]
fn a_label_chooses_the_worker() {
    in_time(|| {
        let server = Server::start();
        let plain = worker(&server.url()).on_threads().slots(1).start().unwrap();
        let pool = Cluster::builder(&server.url())
            .label("gpu")
            .start_timeout(Duration::from_millis(200))
            .connect()
            .unwrap();
        let outcome = pool.submit_async(labelled, ()).join();
        assert!(outcome.is_err(), "{outcome:?}");
        let labelled_one = worker(&server.url()).on_threads().slots(1).label("gpu");
        let gpu = labelled_one.name("g").start().unwrap();
        assert_eq!(pool.submit_async(labelled, ()).join(), Ok(true));
        let statuses = pool.ask_statuses(Duration::from_millis(500));
        assert!(
            statuses
                .iter()
                .any(|status| status.name == "g" && status.labels == ["gpu"])
        );
        drop((plain, gpu));
    });
}

#[hands::task]
async fn labelled((): ()) -> bool {
    current_task().is_some()
}
