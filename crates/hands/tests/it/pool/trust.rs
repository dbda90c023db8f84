//! What tasks may do to the process they run in, and who is hurt by it: nobody else.

use std::io::{Read, Write};
use std::time::Duration;

use hands::pool::{Pool, ProcessPool};
use hands::process;
use hands::shared::{Memory, Mutex, ReentrantMutex};
use hands::task::TaskError;

use crate::support::{HANGS, TAG, Tag, in_time};

/// Copies the process it runs in; both return.
fn copy(n: u64) -> u64 {
    // SAFETY: both go on and return, which is what is tried.
    let copied = unsafe { libc::fork() };
    assert!(copied >= 0);
    n + 1
}

async fn copy_in_a_coroutine(n: u64) -> u64 {
    copy(n)
}

/// All processes that were copied have ended once nobody holds the pipe any more.
fn copy_and_hold((n, held): (u64, Memory)) -> u64 {
    held.len() as u64 + copy(n)
}

#[test]
fn a_copy_that_a_task_makes_answers_nothing_and_ends() {
    in_time(|| {
        let pool = ProcessPool::with_workers(1).unwrap();
        let pid = pool.submit(|()| std::process::id(), ()).join();
        for n in 0..20 {
            assert_eq!(pool.submit(copy, n).join(), Ok(n + 1));
            let captured = pool.submit_captured(copy, n).join().expect("captured");
            assert_eq!(captured.into_outcome(), Ok(n + 1));
        }
        let held = (7, Memory::new(8).expect("memory"));
        assert_eq!(pool.submit(copy_and_hold, held).join(), Ok(16));
        let chunk: Vec<_> = pool.map(copy, 0..100).chunk(10).collect();
        assert!(chunk.into_iter().eq((1..=100).map(Ok)));
        let spawned = process::spawn(copy, 1).expect("a process");
        assert_eq!(spawned.join(), Ok(2));
        assert_eq!(
            pool.submit(|()| std::process::id(), ()).join(),
            pid,
            "it is the same"
        );
    });
}

#[cfg(feature = "async")]
#[test]
fn a_copy_that_a_coroutine_makes_answers_nothing_and_ends() {
    in_time(|| {
        let pool = ProcessPool::builder()
            .workers(1)
            .coroutines(4)
            .build()
            .unwrap();
        let handles: Vec<_> = (0..20)
            .map(|n| pool.submit_async(copy_in_a_coroutine, n))
            .collect();
        for (n, handle) in (0..).zip(handles) {
            assert_eq!(handle.join(), Ok(n + 1));
        }
        assert_eq!(pool.submit(copy, 1).join(), Ok(2));
    });
}

#[test]
fn the_guard_of_a_copy_leaves_no_lock() {
    in_time(|| {
        let locks = (Mutex::new(5_u64).unwrap(), ReentrantMutex::new().unwrap());
        let hold = |(value, again): (Mutex<u64>, ReentrantMutex)| {
            let mut value = value.lock().unwrap();
            let _again = again.lock().unwrap();
            // SAFETY: the copy drops its guards and ends.
            match unsafe { libc::fork() } {
                0 => *value = 77,
                copy => {
                    // SAFETY: the number is that of our child; nothing is written.
                    unsafe { libc::waitpid(copy, std::ptr::null_mut(), 0) };
                    *value += 1;
                    // Somebody else would have it by now, and what that adds would be lost.
                    std::thread::park_timeout(Duration::from_millis(50));
                }
            }
        };
        let value = locks.0.clone();
        let holder = process::spawn(hold, locks.clone()).expect("a process");
        let takers = [(); 2].map(|()| {
            process::spawn(
                |(value, again): (Mutex<u64>, ReentrantMutex)| {
                    // In the order of the holder: the other way each might have one and wait for
                    // the other.
                    let mut value = value.lock().unwrap();
                    let _again = again.lock().unwrap();
                    *value += 10;
                },
                locks.clone(),
            )
        });
        assert_eq!(holder.join(), Ok(()));
        for taker in takers {
            assert_eq!(taker.expect("a process").join(), Ok(()));
        }
        assert_eq!(*value.lock().unwrap(), 5 + 1 + 2 * 10);
    });
}

/// Starts one that leaves its group, its session and its parent.
fn leave_behind(tag: String) {
    let status = std::process::Command::new("sh")
        .args([
            "-c",
            "setsid -f sleep 1000 & sleep 1000 & setsid sh -c 'sleep 1000 & wait' & wait $!",
        ])
        .env(TAG, tag)
        .stdin(std::process::Stdio::null())
        .spawn();
    // What becomes of it is what is tried.
    drop(status.expect("a shell"));
}

#[test]
fn what_a_worker_or_a_process_has_started_ends_with_it_also_in_a_session_of_its_own() {
    for how in 0..4 {
        let tag = Tag::new();
        let name = tag.value().to_owned();
        in_time(move || match how {
            // It crashes,
            0 => {
                let pool = ProcessPool::with_workers(1).unwrap();
                let crashed = pool.submit(
                    |tag| {
                        leave_behind(tag);
                        while started() < 4 {
                            std::thread::yield_now();
                        }
                        std::process::abort()
                    },
                    name,
                );
                let crashed: Result<(), _> = crashed.join();
                assert!(matches!(crashed, Err(TaskError::Died(_))));
            }
            // ends well,
            1 => {
                let pool = ProcessPool::with_workers(1).unwrap();
                pool.submit(leave_behind, name).join().unwrap();
            }
            // returns,
            2 => process::spawn(leave_behind, name).unwrap().join().unwrap(),
            // or is killed.
            _ => {
                let (mut begun, begins) = std::io::pipe().unwrap();
                let process = process::ProcessBuilder::new().stdout(begins).spawn(
                    |tag| {
                        leave_behind(tag);
                        std::io::stdout().write_all(b"!\n").unwrap();
                        std::thread::park_timeout(HANGS);
                    },
                    name,
                );
                begun.read_exact(&mut [0]).unwrap();
                let process = process.unwrap();
                process.kill();
                process.wait();
            }
        });
        tag.assert_gone();
    }
}

/// How many processes called `sleep` or `sh` are below this one.
fn started() -> usize {
    let mut family = vec![std::process::id().to_string()];
    let all = crate::support::processes();
    for _ in 0..4 {
        for &pid in &all {
            let Some(fields) = crate::support::stat(pid) else {
                continue;
            };
            if family.contains(&fields[1]) && !family.contains(&pid.to_string()) {
                family.push(pid.to_string());
            }
        }
    }
    family.len() - 1
}

#[test]
fn what_is_kept_of_a_task_s_stderr_is_bounded() {
    const MUCH: usize = 30 << 20;
    in_time(|| {
        let pool = ProcessPool::builder().workers(1).build().unwrap();
        let much = |bytes: usize| {
            let mut stderr = std::io::stderr().lock();
            stderr.write_all(b"first").unwrap();
            let line = [b'x'; 4096];
            for _ in 0..bytes / line.len() {
                stderr.write_all(&line).unwrap();
            }
            stderr.write_all(b"last").unwrap();
        };
        let captured = pool.submit_captured(much, MUCH).join().unwrap();
        let text = captured.stderr();
        assert!(text.starts_with("firstxxx") && text.ends_with("xxxlast"));
        assert!(text.len() < 2 << 20, "{}", text.len());
        let kept = text.bytes().filter(|byte| *byte == b'x').count();
        assert_eq!(captured.left_out(), (MUCH - kept) as u64);
        assert!(text.contains(&format!("{} bytes are left out", captured.left_out())));
        // Little is kept whole.
        let few = pool
            .submit_captured(much, 700_000 / 4096 * 4096)
            .join()
            .unwrap();
        assert_eq!(
            (few.stderr().len(), few.left_out()),
            (700_000 / 4096 * 4096 + 9, 0)
        );
        // The last of it is in the error of one that dies.
        let shout = |()| -> () {
            eprint!("{}the end", "y".repeat(3 << 20));
            std::process::abort()
        };
        let died = pool.submit_captured(shout, ()).join();
        let died = died.map(|captured| captured.into_outcome());
        match died {
            Err(TaskError::Died(died)) => assert!(died.stderr_tail.ends_with("yyythe end")),
            other => panic!("{other:?}"),
        }
    });
}

/// Until there are no more descriptors.
fn take_all_descriptors(least: usize) -> usize {
    let taken: Vec<_> = std::iter::from_fn(|| std::fs::File::open("/dev/null").ok())
        .take(100_000)
        .collect();
    let count = taken.len();
    taken.into_iter().skip(least).for_each(std::mem::forget);
    count
}

#[test]
fn a_worker_without_descriptors_says_so_and_goes_on_with_what_needs_none() {
    in_time(|| {
        let pool = ProcessPool::with_workers(1).unwrap();
        let pid = pool.submit(|()| std::process::id(), ()).join();
        assert!(pool.submit(take_all_descriptors, 0).join().unwrap() > 100);
        let memory = Memory::new(8).unwrap();
        match pool
            .submit(|memory: Memory| memory.len(), memory.clone())
            .join()
        {
            Err(TaskError::Decode { what }) => {
                assert!(
                    what.starts_with("the argument: ") && what.contains("ulimit -n"),
                    "{what}"
                );
            }
            other => panic!("{other:?}"),
        }
        // A result that takes a file is refused by its worker, by name.
        match pool.submit(|n: usize| vec![7_u8; n], 20 << 20).join() {
            Err(TaskError::Encode { what }) => assert!(what.contains("open files"), "{what}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(pool.submit(|()| std::process::id(), ()).join(), pid);
    });
}

#[test]
fn an_initialiser_that_does_not_end_is_an_error_by_its_name() {
    in_time(|| {
        let pool = ProcessPool::builder()
            .workers(1)
            .start_timeout(Duration::from_millis(300))
            .initializer(|_| std::thread::park_timeout(HANGS))
            .build()
            .unwrap();
        match pool.submit(|n: u64| n, 1).join() {
            Err(TaskError::Init { message }) => assert!(
                message.contains("worker 0")
                    && message.contains("300ms")
                    && message.contains("start_timeout"),
                "{message}"
            ),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn one_that_is_ready_cannot_say_that_it_could_not_be_made_so() {
    in_time(|| {
        let pool = ProcessPool::with_workers(1).unwrap();
        for _ in 0..8 {
            // Five in a row that end before they were ready make a pool that is of no use; these
            // were.
            let died: Result<(), _> = pool.submit(|()| std::process::exit(3), ()).join();
            assert!(matches!(died, Err(TaskError::Died(_))));
        }
        assert_eq!(pool.submit(|n: u64| n, 1).join(), Ok(1));
    });
}
