//! A process is killed at each step of each operation, and the others go on.

#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the error in hand"
)]

use std::cell::RefCell;
use std::time::Duration;

use hands::fault;
use hands::process::{self, Process};
use hands::queue::Shutdown;
use hands::shared::{
    Barrier, Condvar, Event, LockError, Mutex, Queue, ReentrantMutex, Semaphore, Value,
};
use hands::task::TaskError;
use serde::{Deserialize, Serialize};

use crate::support::in_time;

/// Runs a process for each step, until one gets through; `check` is called behind each, and told
/// whether that one did. Returns how many steps there were.
fn at_each_step(spawn: impl Fn(u64) -> Process<()>, mut check: impl FnMut(bool)) -> u64 {
    for step in 1.. {
        let ended = spawn(step).join();
        let is_through = match ended {
            Ok(()) => true,
            Err(TaskError::Died(died)) => {
                assert_eq!(died.signal, Some(9));
                false
            }
            Err(error) => panic!("{error}"),
        };
        check(is_through);
        if is_through {
            return step - 1;
        }
    }
    unreachable!("steps end")
}

#[test]
fn killed_while_it_puts() {
    in_time(|| {
        let queue = Queue::<u64>::sized(4, 10).unwrap();
        // Somebody sleeps there, so that there is somebody to wake.
        let waiter = process::spawn(
            |queue: Queue<u64>| {
                let mut got = Vec::new();
                while let Ok(n) = queue.get() {
                    got.push(n);
                    queue.task_done().unwrap();
                }
                got
            },
            queue.clone(),
        )
        .unwrap();
        let put = |(queue, step): (Queue<u64>, u64)| {
            fault::kill_at(step);
            queue.put(step).unwrap();
        };
        let mut own = 1000;
        let steps = at_each_step(
            |step| process::spawn(put, (queue.clone(), step)).unwrap(),
            |_| {
                queue.put(own).unwrap();
                own += 1;
                queue.join();
            },
        );
        assert!(steps >= 7, "{steps}");
        queue.shutdown(Shutdown::Drain);
        let got = waiter.join().unwrap();
        assert!(got.iter().copied().filter(|n| *n >= 1000).eq(1000..own));
        let killed: Vec<u64> = got.into_iter().filter(|n| *n < 1000).collect();
        // At most once each; those that were killed behind the store are there.
        assert!(
            killed.is_sorted_by(|a, b| a < b) && killed.len() >= 2,
            "{killed:?}"
        );
    });
}

#[test]
fn killed_while_it_gets() {
    in_time(|| {
        let queue = Queue::<u64>::sized(4, 10).unwrap();
        let get = |(queue, step): (Queue<u64>, u64)| {
            fault::kill_at(step);
            queue.get().unwrap();
        };
        let steps = at_each_step(
            |step| {
                queue.put(step).unwrap();
                process::spawn(get, (queue.clone(), step)).unwrap()
            },
            |_| {
                // It is there still, or gone with the one that had it.
                queue.put(77).unwrap();
                let first = queue.get().unwrap();
                if first != 77 {
                    assert_eq!(queue.get(), Ok(77));
                }
                assert!(queue.is_empty());
            },
        );
        assert!(steps >= 6, "{steps}");
    });
}

#[test]
fn killed_while_it_waits_for_an_item() {
    in_time(|| {
        let queue = Queue::<u64>::sized(4, 10).unwrap();
        let get = |(queue, step): (Queue<u64>, u64)| {
            fault::kill_at(step);
            let _ = queue.get_timeout(Duration::from_millis(1));
        };
        let other =
            process::spawn(|queue: Queue<u64>| queue.get().unwrap(), queue.clone()).unwrap();
        at_each_step(
            |step| process::spawn(get, (queue.clone(), step)).unwrap(),
            |_| (),
        );
        // The one that lives is woken, a process that has slept there before.
        queue.put(5).unwrap();
        assert_eq!(other.join(), Ok(5));
    });
}

#[test]
fn killed_while_it_says_that_all_is_done_or_shuts_down() {
    in_time(|| {
        let done = |(queue, step): (Queue<u64>, u64)| {
            fault::kill_at(step);
            queue.task_done().unwrap();
        };
        let queue = Queue::<u64>::sized(4, 10).unwrap();
        at_each_step(
            |step| {
                queue.put(1).unwrap();
                queue.get().unwrap();
                process::spawn(done, (queue.clone(), step)).unwrap()
            },
            |_| {
                // Once or not at all.
                if queue.unfinished() > 0 {
                    assert_eq!(queue.unfinished(), 1);
                    queue.task_done().unwrap();
                }
                queue.join();
            },
        );
        let drain = |(queue, step): (Queue<u64>, u64)| {
            fault::kill_at(step);
            queue.shutdown(Shutdown::Drain);
        };
        let discard = |(queue, step): (Queue<u64>, u64)| {
            fault::kill_at(step);
            queue.shutdown(Shutdown::Now);
        };
        let fresh = || {
            let queue = Queue::<u64>::sized(4, 10).unwrap();
            queue.put(1).unwrap();
            queue
        };
        // A process that comes next finds it open or shut, and can shut it.
        let queue = RefCell::new(fresh());
        let again = |how| {
            queue.borrow().shutdown(how);
            assert!(queue.borrow().put(2).is_err());
            queue.replace(fresh());
        };
        at_each_step(
            |step| process::spawn(drain, (queue.borrow().clone(), step)).unwrap(),
            |_| again(Shutdown::Drain),
        );
        at_each_step(
            |step| process::spawn(discard, (queue.borrow().clone(), step)).unwrap(),
            |_| again(Shutdown::Now),
        );
    });
}

#[test]
fn killed_with_the_lock() {
    in_time(|| {
        let mutex = Mutex::new([0_u64; 2]).unwrap();
        let change = |(mutex, step): (Mutex<[u64; 2]>, u64)| {
            fault::kill_at(step);
            let mut guard = mutex.lock().unwrap();
            guard[0] += 1;
            guard[1] += 1;
        };
        let mut poisoned = 0;
        let steps = at_each_step(
            |step| process::spawn(change, (mutex.clone(), step)).unwrap(),
            |_| {
                let pair = match mutex.lock() {
                    Ok(pair) => pair,
                    Err(LockError::Poisoned { .. }) => {
                        poisoned += 1;
                        mutex.recover()
                    }
                    Err(error) => panic!("{error}"),
                };
                assert_eq!(pair[0], pair[1], "no step is in the middle of the value");
            },
        );
        assert!(poisoned >= 3 && poisoned < steps, "{poisoned} of {steps}");
    });
}

#[test]
fn killed_while_it_changes_a_value() {
    in_time(|| {
        let value = Value::new([0_u64; 3]).unwrap();
        let change = |(value, step): (Value<[u64; 3]>, u64)| {
            fault::kill_at(step);
            value.update(|all| *all = [step; 3]);
        };
        let (mut changed, mut before) = (0, 0);
        let steps = at_each_step(
            |step| process::spawn(change, (value.clone(), step)).unwrap(),
            |_| {
                let now = value.get();
                assert_eq!(now, [now[0]; 3], "all of it or nothing");
                changed += u32::from(now[0] != before);
                before = now[0];
            },
        );
        assert!(changed >= 2 && steps >= 5, "{changed} of {steps}");
    });
}

#[test]
fn killed_at_signals() {
    in_time(|| {
        let (event, permits) = (Event::new().unwrap(), Semaphore::new(0).unwrap());
        let signal = |(event, permits, step): (Event, Semaphore, u64)| {
            fault::kill_at(step);
            event.wait_timeout(Duration::from_millis(1));
            event.set();
            permits.release();
            permits.acquire();
        };
        at_each_step(
            |step| process::spawn(signal, (event.clone(), permits.clone(), step)).unwrap(),
            |_| event.clear(),
        );
        event.set();
        event.wait();
        permits.release();
        permits.acquire();

        let (turn, changed) = (Mutex::new(0_u32).unwrap(), Condvar::new().unwrap());
        let wait = |(turn, changed, step): (Mutex<u32>, Condvar, u64)| {
            fault::kill_at(step);
            let guard = turn.lock().unwrap();
            let waited = changed.wait_timeout(guard, Duration::from_millis(1));
            drop(waited.unwrap());
            changed.notify_one();
        };
        at_each_step(
            |step| process::spawn(wait, (turn.clone(), changed.clone(), step)).unwrap(),
            |_| drop(turn.recover()),
        );
        let waiter = process::spawn(
            |(turn, changed): (Mutex<u32>, Condvar)| {
                let guard = turn.lock().unwrap();
                *changed.wait_while(guard, |turn| *turn == 0).unwrap()
            },
            (turn.clone(), changed.clone()),
        );
        *turn.lock().unwrap() = 9;
        changed.notify_all();
        assert_eq!(waiter.unwrap().join(), Ok(9));
    });
}

#[test]
fn coroutines_get_what_was_put_by_one_that_was_killed() {
    in_time(|| {
        let queue = Queue::<u64>::sized(100, 10).unwrap();
        let got = std::thread::spawn({
            let queue = queue.clone();
            move || {
                futures_lite::future::block_on(async {
                    let mut got = Vec::new();
                    while let Ok(n) = queue.get_async().await {
                        got.push(n);
                    }
                    got
                })
            }
        });
        let put = |(queue, step): (Queue<u64>, u64)| {
            fault::kill_at(step);
            queue.put(step).unwrap();
        };
        at_each_step(
            |step| process::spawn(put, (queue.clone(), step)).unwrap(),
            |_| {
                // Nobody else says that there is something.
                while !queue.is_empty() {
                    std::thread::yield_now();
                }
            },
        );
        queue.shutdown(Shutdown::Drain);
        assert!(got.join().unwrap().len() >= 2);
    });
}

/// One of each, of which others do something.
#[derive(Clone, Serialize, Deserialize)]
struct All {
    full: Queue<u64>,
    empty: Queue<u64>,
    some: Queue<u64>,
    mutex: Mutex<u64>,
    reentrant: ReentrantMutex,
    semaphore: Semaphore,
    event: Event,
    condvar: Condvar,
    barrier: Barrier,
}

impl All {
    fn new() -> All {
        let all = All {
            full: Queue::sized(1, 10).unwrap(),
            empty: Queue::sized(1, 10).unwrap(),
            some: Queue::sized(8, 10).unwrap(),
            mutex: Mutex::new(0).unwrap(),
            reentrant: ReentrantMutex::new().unwrap(),
            semaphore: Semaphore::new(0).unwrap(),
            event: Event::new().unwrap(),
            condvar: Condvar::new().unwrap(),
            barrier: Barrier::new(3).unwrap(),
        };
        all.full.put(1).unwrap();
        (0..4).for_each(|n| all.some.put(n).unwrap());
        all
    }

    /// What somebody does when it is stopped.
    fn use_all(&self, which: u64) {
        let short = Duration::from_millis(1);
        match which {
            0 => _ = self.some.put(1),
            1 => _ = self.some.get(),
            2 => _ = self.full.put_timeout(1, short),
            3 => _ = self.empty.get_timeout(short),
            4 => *self.mutex.lock().unwrap() += 1,
            5 => _ = self.reentrant.lock(),
            6 => _ = self.semaphore.acquire_timeout(short),
            7 => _ = self.event.wait_timeout(short),
            8 => _ = self.condvar.wait_timeout(self.mutex.lock().unwrap(), short),
            9 => _ = self.barrier.wait_timeout(short),
            10 => self.condvar.notify_all(),
            11 => _ = self.some.task_done(),
            _ => self.some.shutdown(Shutdown::Drain),
        }
    }

    /// All that has a time limit comes back, with whatever there is to say.
    fn try_all(&self) {
        let limit = Duration::from_millis(3);
        let _ = self.some.put_timeout(1, limit);
        let _ = self.some.get_timeout(limit);
        let _ = self.full.put_timeout(1, limit);
        let _ = self.empty.get_timeout(limit);
        let _ = (self.some.try_put(1), self.some.try_get());
        self.some.join_timeout(limit);
        let _ = self.reentrant.lock_timeout(limit);
        self.semaphore.acquire_timeout(limit);
        self.event.wait_timeout(limit);
        if let Ok(guard) = self.mutex.lock_timeout(limit) {
            let _ = self.condvar.wait_timeout(guard, limit);
        }
        let _ = self.barrier.wait_timeout(limit);
    }
}

fn is_stopped(pid: u32) -> bool {
    let fields = crate::support::stat(pid.cast_signed());
    fields.is_some_and(|fields| fields[0] == "T")
}

#[test]
fn whoever_is_stopped_at_whatever_step_keeps_nobody_beyond_its_time() {
    in_time(|| {
        for which in 0..13 {
            for step in 1.. {
                let all = All::new();
                let stops = process::spawn(
                    |(all, which, step): (All, u64, u64)| {
                        fault::stop_at(step);
                        all.use_all(which);
                    },
                    (all.clone(), which, step),
                );
                let stops = stops.unwrap();
                while !is_stopped(stops.pid()) && !stops.is_finished() {
                    std::thread::yield_now();
                }
                all.try_all();
                if stops.is_finished() {
                    break;
                }
                stops.kill();
                stops.wait();
            }
        }
    });
}
