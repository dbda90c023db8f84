//! A function's result, or why there is none.

use std::future::Future;
use std::process::abort;
use std::time::Duration;

use hands::process::{self, Process, ProcessBuilder, StartMethod};
use hands::task::TaskError;

use crate::support::{fifo, folder, in_time};

/// Waits until somebody opens `path` to read, which is for ever.
fn hang(path: std::path::PathBuf) {
    let _ = std::fs::File::options().write(true).open(path);
    std::thread::park();
}

#[test]
fn a_function_runs_in_another_process_and_its_result_comes_back() {
    let own = std::process::id();
    let process = process::spawn(|()| std::process::id(), ()).unwrap();
    let pid = process.pid();
    assert_ne!(pid, own);
    assert_eq!(process.join(), Ok(pid));
}

#[test]
fn arguments_and_results_of_all_sizes_arrive() {
    for size in [0, 1, 50_000, 3_000_000] {
        let bytes: Vec<u8> = (0..size).map(|n| n as u8).collect();
        let back = process::spawn(
            |mut bytes: Vec<u8>| {
                bytes.reverse();
                bytes
            },
            bytes.clone(),
        );
        let mut back = back.unwrap().join().unwrap();
        back.reverse();
        assert!(back == bytes, "{size}");
    }
}

#[test]
fn a_result_that_nobody_waits_for_holds_nobody_up() {
    let process = process::spawn(|()| vec![1_u8; 5_000_000], ()).unwrap();
    process.wait();
    assert!(process.exit_status().unwrap().success());
    assert_eq!(process.join().unwrap().len(), 5_000_000);
}

#[test]
fn a_panic_is_an_outcome_with_message_and_place() {
    let process: Process<()> = process::spawn(|n: u8| panic!("no {n}"), 7).unwrap();
    process.wait();
    assert_eq!(process.exit_status().unwrap().code(), Some(101));
    let Err(TaskError::Panicked(panicked)) = process.join() else {
        panic!("it panicked");
    };
    assert_eq!(panicked.message, "no 7");
    let place = panicked.location.unwrap();
    assert!(place.file.ends_with("life.rs") && place.line > 1, "{place}");
}

#[test]
fn who_exits_or_is_killed_says_how() {
    let ends = [(Some(7), None), (None, Some(6)), (None, Some(9))];
    let told = [
        process::spawn(|()| std::process::exit(7), ()),
        process::spawn(|()| abort(), ()),
        process::spawn(
            |()| {
                let own = rustix::process::getpid();
                let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
            },
            (),
        ),
    ];
    for (process, (code, signal)) in told.into_iter().zip(ends) {
        let process: Process<()> = process.unwrap();
        let pid = process.pid();
        let Err(TaskError::Died(died)) = process.join() else {
            panic!("it died");
        };
        assert_eq!((died.pid, died.code, died.signal), (pid, code, signal));
    }
}

#[test]
fn a_value_that_cannot_be_read_or_written_is_an_error_not_a_hang() {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    struct Shy;
    impl Serialize for Shy {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("not for others"))
        }
    }
    impl<'de> Deserialize<'de> for Shy {
        fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Shy, D::Error> {
            Err(serde::de::Error::custom("not for others"))
        }
    }
    let told = process::spawn(|_: Shy| (), Shy).err().unwrap().to_string();
    assert!(told.starts_with("the argument cannot be sent"), "{told}");
    let result = process::spawn(|()| Shy, ()).unwrap().join();
    assert!(matches!(result, Err(TaskError::Encode { .. })));

    #[derive(Serialize)]
    struct Odd;
    impl<'de> Deserialize<'de> for Odd {
        fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Odd, D::Error> {
            Err(serde::de::Error::custom("unreadable"))
        }
    }
    let argument = process::spawn(|_: Odd| (), Odd).unwrap().join();
    let Err(TaskError::Decode { what }) = argument else {
        panic!("{argument:?}");
    };
    assert!(what.starts_with("the argument: "), "{what}");
    let result = process::spawn(|()| Odd, ()).unwrap().join();
    let Err(TaskError::Decode { what }) = result else {
        panic!("it cannot be read");
    };
    assert!(what.starts_with("the result: "), "{what}");
}

#[test]
fn a_result_that_cannot_be_sent_is_an_error() {
    let many = |()| {
        let one = hands::shared::Event::new().unwrap();
        vec![one; 300]
    };
    let Err(TaskError::Encode { what }) = process::spawn(many, ()).unwrap().join() else {
        panic!("more than one message carries");
    };
    assert!(what.contains("300 shared things"), "{what}");
}

#[test]
fn a_thing_that_is_shared_is_refused_in_a_worker_where_it_is_elsewhere() {
    use hands::shared::{Memory, Queue};
    let put = |(queue, memory): (Queue<Memory>, Memory)| queue.put(memory).is_err();
    let queue = Queue::sized(2, 100).unwrap();
    let memory = Memory::new(8).unwrap();
    assert!(put((queue.clone(), memory.clone())));
    assert_eq!(
        process::spawn(put, (queue, memory)).unwrap().join(),
        Ok(true)
    );
}

#[test]
fn a_handle_may_be_dropped_with_its_thread() {
    thread_local! {
        static KEPT: std::cell::RefCell<Option<process::Process<()>>> = const { std::cell::RefCell::new(None) };
    }
    let ended = std::thread::spawn(|| {
        // Received once before it is kept, so that what receiving needs is the first to go.
        process::spawn(|()| (), ()).unwrap().join().unwrap();
        KEPT.set(Some(process::spawn(|()| (), ()).unwrap()));
    });
    ended.join().unwrap();
}

#[test]
fn one_that_hangs_is_given_back_and_can_be_ended() {
    in_time(|| {
        let folder = folder();
        for is_gentle in [true, false] {
            let fifo = fifo(folder.path(), if is_gentle { "term" } else { "kill" });
            let process = process::spawn(hang, fifo.clone()).unwrap();
            let process = process.join_timeout(Duration::from_millis(10)).unwrap_err();
            // It runs.
            drop(std::fs::File::open(&fifo).unwrap());
            assert!(!process.is_finished());
            assert_eq!(process.exit_status(), None);
            let signal = if is_gentle {
                process.terminate();
                15
            } else {
                process.kill();
                9
            };
            let Err(TaskError::Died(died)) = process.join() else {
                panic!("it was ended");
            };
            assert_eq!(died.signal, Some(signal));
        }
    });
}

#[test]
fn what_a_process_has_started_is_ended_with_it() {
    in_time(|| {
        let folder = folder();
        let fifo = fifo(folder.path(), "held");
        let process = process::spawn(
            |path: std::path::PathBuf| {
                // It holds the FIFO open for as long as it lives.
                let command = format!("exec 3>'{}'; echo ready >&3; sleep 600", path.display());
                let child = std::process::Command::new("sh")
                    .args(["-c", &command])
                    .spawn();
                child.unwrap().wait().unwrap();
            },
            fifo.clone(),
        );
        let process = process.unwrap();
        let mut held = std::fs::File::open(&fifo).unwrap();
        let mut ready = [0; 6];
        std::io::Read::read_exact(&mut held, &mut ready).unwrap();
        process.kill();
        // The end of the file comes when nobody holds it any more.
        assert_eq!(std::io::Read::read(&mut held, &mut ready).unwrap(), 0);
        assert!(process.join().is_err());
    });
}

#[test]
fn a_process_may_have_processes() {
    fn factorial(n: u64) -> u64 {
        match n {
            0 => 1,
            n => n * process::spawn(factorial, n - 1).unwrap().join().unwrap(),
        }
    }
    assert_eq!(process::spawn(factorial, 4).unwrap().join(), Ok(24));
}

#[test]
fn a_process_started_afresh_does_the_same() {
    let afresh = || ProcessBuilder::new().start_method(StartMethod::Exec);
    let process = afresh().name("fresh").spawn(
        |(a, b): (u64, Vec<u8>)| {
            (
                a + b.len() as u64,
                process::current_name().map(str::to_owned),
            )
        },
        (2, vec![0; 200_000]),
    );
    let result = process.unwrap().join();
    assert_eq!(result, Ok((200_002, Some("fresh".to_owned()))));
    let panicked: Process<()> = afresh().spawn(|()| panic!("here too"), ()).unwrap();
    assert!(matches!(panicked.join(), Err(TaskError::Panicked(_))));
}

#[test]
fn what_it_used_is_told() {
    let process = process::spawn(
        |()| {
            let touched = vec![1_u8; 64 << 20];
            touched.iter().map(|&byte| u64::from(byte)).sum::<u64>()
        },
        (),
    );
    let process = process.unwrap();
    process.wait();
    let used = process.resources().unwrap();
    assert!(used.max_rss > 64 << 20, "{used:?}");
    assert!(used.cpu_user + used.cpu_system > Duration::ZERO, "{used:?}");
    assert_eq!(process.join(), Ok(64 << 20));
}

#[test]
fn many_at_once_answer_each_for_itself() {
    let processes: Vec<_> = (0..200_u64)
        .map(|n| process::spawn(|n: u64| n * n, n).unwrap())
        .collect();
    for (n, process) in (0..).zip(processes) {
        assert_eq!(process.join(), Ok(n * n));
    }
}

#[test]
fn threads_may_start_them_at_the_same_time() {
    std::thread::scope(|scope| {
        for from in 0..4_u64 {
            scope.spawn(move || {
                for n in from * 100..from * 100 + 20 {
                    assert_eq!(process::spawn(|n: u64| n + 1, n).unwrap().join(), Ok(n + 1));
                }
            });
        }
    });
}

#[test]
fn handles_may_move() {
    fn moves<T: Send + Sync>() {}
    moves::<Process<std::cell::Cell<u8>>>();
    moves::<ProcessBuilder>();
    moves::<process::SpawnError>();
}

#[test]
fn a_coroutine_waits_for_its_end() {
    in_time(|| {
        let (end, its) = process::pipe::<u8, ()>().unwrap();
        let last = |end: process::Pipe<(), u8>| end.recv().unwrap() + 1;
        let process = process::spawn(last, its).unwrap();
        let mut ended = Box::pin(process.join_async());
        let waker = std::task::Waker::noop();
        let polled = ended
            .as_mut()
            .poll(&mut std::task::Context::from_waker(waker));
        assert!(polled.is_pending());
        end.send(6).unwrap();
        assert_eq!(futures_lite::future::block_on(ended), Ok(7));
    });
}
