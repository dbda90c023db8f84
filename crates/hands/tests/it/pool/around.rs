//! What surrounds a task in a pool of processes: its context, its log, Ctrl-C.

use std::time::{Duration, Instant};

use hands::context::Local;
use hands::pool::{Pool, ProcessPool};
use hands::shared::{Event, Memory};
use hands::sync::CancelToken;
use hands::task::{ErrorChain, Handle, TaskError};

use crate::support::{Scene, Scenes, fifo, folder, in_time};

pub(crate) const SCENES: Scenes = &[
    ("pool_interrupted", interrupted),
    ("pool_killed", killed),
    ("pool_preloaded", preloaded),
];

static USER: Local<String> = Local::portable();
static MARK: Local<Memory> = Local::portable();
static OWN: Local<u32> = Local::new();

type Seen = (Option<String>, Option<u32>);

fn look(_: u64) -> Seen {
    let user = USER.get().map(|user| user.to_string());
    (user, OWN.get().map(|own| *own))
}

#[test]
fn values_that_are_portable_go_along() {
    in_time(|| {
        let pool = ProcessPool::with_workers(2).unwrap();
        let ada = Some("ada".to_owned());
        let (one, many) = USER.with("ada".to_owned(), || {
            OWN.with(7, || (pool.submit(look, 0), pool.submit_many(look, 0..100)))
        });
        assert_eq!(one.join(), Ok((ada.clone(), None)));
        for seen in many {
            assert_eq!(seen, Ok((ada.clone(), None)));
        }
        assert_eq!(pool.submit(look, 0).join(), Ok((None, None)));
        // In a task of a task, too, and something shared, beside an argument with something shared.
        let (mark, other) = (Memory::new(8).unwrap(), Memory::new(8).unwrap());
        let note = |(other, n): (Memory, u8)| {
            MARK.get().unwrap().write(0, &[n]);
            other.write(0, &[n + 1]);
        };
        let noted = MARK.with(mark.clone(), || pool.submit(note, (other.clone(), 5)));
        noted.join().unwrap();
        let mut read = [[0; 1]; 2];
        mark.read(0, &mut read[0]);
        other.read(0, &mut read[1]);
        assert_eq!(read, [[5], [6]]);
    });
}

#[cfg(feature = "async")]
#[test]
fn values_go_along_with_coroutines() {
    in_time(|| {
        let pool = ProcessPool::builder().workers(1).coroutines(8).build();
        let pool = pool.unwrap();
        let look = async |name: String| {
            tokio::time::sleep(Duration::from_millis(2)).await;
            USER.get().is_some_and(|user| *user == name)
        };
        let each: Vec<_> = (0..8)
            .map(|n| {
                let name = format!("user {n}");
                USER.with(name.clone(), || pool.submit_async(look, name))
            })
            .collect();
        assert!(each.into_iter().all(|seen| seen.join() == Ok(true)));
    });
}

#[test]
fn the_deadline_and_the_cancelling_of_what_a_task_is_part_of_reach_it() {
    in_time(|| {
        let pool = ProcessPool::builder()
            .workers(2)
            .grace(Duration::from_secs(30))
            .build()
            .unwrap();
        let left = |()| {
            let deadline = CancelToken::current().unwrap().deadline();
            deadline.map(|at| at.saturating_duration_since(Instant::now()).as_secs())
        };
        let token = CancelToken::with_timeout(Duration::from_secs(1000));
        let within = token.enter(|| pool.submit(left, ())).join().unwrap();
        assert!(within.is_some_and(|seconds| (900..=1000).contains(&seconds)));
        assert_eq!(pool.submit(left, ()).join(), Ok(None));

        let begun = Event::new().unwrap();
        let listen = |begun: Event| {
            begun.set();
            CancelToken::current().unwrap().wait();
            5
        };
        let running = token.enter(|| pool.submit(listen, begun.clone()));
        begun.wait();
        token.cancel();
        assert_eq!(
            running.join(),
            Ok(5),
            "it was told, and had an end of its own"
        );
        let late = token.enter(|| pool.submit(|n: u64| n, 1));
        assert!(matches!(late.join(), Err(TaskError::Cancelled) | Ok(1)));

        let past = CancelToken::with_deadline(Instant::now());
        let late = past.enter(|| pool.submit(listen, begun));
        assert!(matches!(late.join(), Err(TaskError::TimedOut { .. })));
    });
}

#[cfg(feature = "tracing")]
#[test]
fn the_span_in_which_it_was_submitted_is_named() {
    in_time(|| {
        // Nobody subscribes here, so there is no span to be seen; and nothing breaks.
        let pool = ProcessPool::with_workers(1).unwrap();
        let span = tracing::info_span!("request");
        let handle = span.in_scope(|| pool.submit(|n: u64| n, 1));
        assert_eq!(handle.join(), Ok(1));
    });
}

#[test]
fn what_a_task_writes_is_kept_for_it() {
    in_time(|| {
        let pool = ProcessPool::with_workers(1).unwrap();
        let write = |n: u64| {
            eprintln!("this is {n}");
            if n == 1 {
                panic!("a mistake");
            }
            n
        };
        for n in [0, 1, 2] {
            let captured = pool.submit_captured(write, n).join().unwrap();
            let text = captured.stderr();
            assert!(text.starts_with(&format!("this is {n}\n")), "{text}");
            assert_eq!(text.contains("a mistake"), n == 1, "{text}");
            match captured.into_outcome() {
                Err(TaskError::Panicked(panicked)) => {
                    assert_eq!((n, panicked.message.as_str()), (1, "a mistake"));
                }
                outcome => assert_eq!(outcome, Ok(n)),
            }
        }
        let fatal = |()| -> u8 {
            eprintln!("the very last");
            std::process::abort()
        };
        let Err(TaskError::Died(died)) = pool.submit_captured(fatal, ()).join() else {
            panic!("it died");
        };
        assert_eq!(died.stderr_tail, "the very last\n");
        let quiet = pool.submit_captured(|()| (), ()).join().unwrap();
        assert_eq!(quiet.stderr(), "");
    });
}

#[test]
fn errors_of_any_kind_come_back() {
    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    enum Own {
        TooLarge(u64),
    }
    in_time(|| {
        let pool = ProcessPool::with_workers(1).unwrap();
        let own = |n: u64| if n > 3 { Err(Own::TooLarge(n)) } else { Ok(n) };
        assert_eq!(pool.submit(own, 4).join(), Ok(Err(Own::TooLarge(4))));
        let read =
            |path: String| -> Result<String, ErrorChain> { Ok(std::fs::read_to_string(path)?) };
        let error = pool.submit(read, "/nowhere".to_owned()).join().unwrap();
        let error = error.unwrap_err();
        assert!(error.to_string().contains("No such file"), "{error}");
        assert_eq!(error.type_name(), "std::io::error::Error");
    });
}

fn press_ctrl_c() {
    let own = rustix::process::getpid();
    rustix::process::kill_process(own, rustix::process::Signal::INT).expect("no error");
}

fn interrupted() {
    let pool = ProcessPool::builder()
        .workers(1)
        .grace(Duration::from_secs(60))
        .drain_on_interrupt()
        .build()
        .expect("no error");
    let wait = |(begun, go): (Event, Event)| {
        begun.set();
        go.wait();
        1
    };
    let [begun, go, never] = [(); 3].map(|()| Event::new().expect("no error"));
    let running = pool.submit(wait, (begun.clone(), go.clone()));
    begun.wait();
    let waiting = pool.submit(|n: u64| n, 2);
    press_ctrl_c();
    assert_eq!(waiting.join(), Err(TaskError::Cancelled));
    assert_eq!(
        pool.submit(|n: u64| n, 3).join(),
        Err(TaskError::PoolClosed)
    );
    go.set();
    assert_eq!(running.join(), Ok(1), "what has begun comes to its end");
    drop(pool);

    let pool = ProcessPool::builder().workers(1).drain_on_interrupt();
    let pool = pool
        .grace(Duration::from_secs(60))
        .build()
        .expect("no error");
    let begun = Event::new().expect("no error");
    let running: Handle<i32> = pool.submit(wait, (begun.clone(), never));
    begun.wait();
    press_ctrl_c();
    // Pressed again before it was heard, it would be heard once.
    while pool.submit(|n: u64| n, 3).join() != Err(TaskError::PoolClosed) {}
    press_ctrl_c();
    assert!(matches!(
        running.join(),
        Err(TaskError::Died(_) | TaskError::Cancelled)
    ));
    drop(pool);
    // Now it is the program's again, and ends it.
    press_ctrl_c();
    std::thread::park();
}

#[test]
fn ctrl_c_drains_and_then_kills() {
    use std::os::unix::process::ExitStatusExt;
    let played = Scene::new("pool_interrupted").play();
    // The tool that watches the time ends as what it watches.
    assert_eq!(played.status.signal(), Some(2), "{}", played.report);
}

static TABLE: std::sync::OnceLock<Vec<u64>> = std::sync::OnceLock::new();

fn preloaded() {
    let load = || TABLE.set((0..1000).collect()).expect("no error");
    let pool = ProcessPool::builder().workers(2).preload(load);
    let pool = pool.build().expect("no error");
    let sum = |_: u64| TABLE.get().map(|table| table.iter().sum::<u64>());
    assert!(pool.map(sum, 0..10).all(|sum| sum == Ok(Some(499_500))));
    assert!(TABLE.get().is_none(), "not here");
    let late = ProcessPool::builder().preload(load).build();
    let told = late.expect_err("too late").to_string();
    assert!(told.contains("say it before the first"), "{told}");
}

#[test]
fn what_was_loaded_before_is_there_in_all_workers() {
    Scene::new("pool_preloaded").succeed();
}

/// Has workers hold FIFOs open, and waits to be killed.
fn killed() {
    let folder = std::path::PathBuf::from(std::env::var_os("HANDS_TEST_PATH").expect("no error"));
    std::fs::write(folder.join("pid"), std::process::id().to_string()).expect("no error");
    let hold = |path: std::path::PathBuf| {
        let file = std::fs::File::options()
            .write(true)
            .open(path)
            .expect("no error");
        std::thread::park();
        drop(file);
    };
    let pool = ProcessPool::with_workers(2).expect("no error");
    let held = ["one", "two"].map(|name| pool.submit(hold, folder.join(name)));
    for held in held {
        held.join().expect("no error");
    }
}

#[test]
fn no_worker_outlives_a_program_that_is_killed() {
    use std::io::Read;
    in_time(|| {
        let folder = folder();
        let fifos = ["one", "two"].map(|name| fifo(folder.path(), name));
        let scene = Scene::new("pool_killed").var("HANDS_TEST_PATH", folder.path());
        let mut program = scene.start();
        // Opening waits for the other end.
        let held = fifos.map(|path| std::fs::File::open(path).unwrap());
        let pid = std::fs::read_to_string(folder.path().join("pid")).unwrap();
        let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        for mut end in held {
            assert_eq!(end.read(&mut [0]).unwrap(), 0, "nobody has it any more");
        }
        program.wait().unwrap();
    });
}
