//! Locks and signals between processes, and what becomes of them when a process is killed.

use std::time::Duration;

use hands::process;
use hands::shared::{
    Barrier, Condvar, Event, LockError, Mutex, ReentrantMutex, Semaphore, Slice, Value,
};

use crate::support::{in_time, rounds};

#[test]
fn no_increment_is_lost() {
    in_time(|| {
        let count = Mutex::new(0_u64).unwrap();
        let add = |count: Mutex<u64>| {
            for _ in 0..1_000_000 {
                *count.lock().unwrap() += 1;
            }
        };
        let processes = [(); 2].map(|()| process::spawn(add, count.clone()).unwrap());
        for process in processes {
            process.join().unwrap();
        }
        assert_eq!(*count.lock().unwrap(), 2_000_000);
    });
}

#[test]
fn a_value_loses_no_change_and_is_always_whole() {
    in_time(|| {
        let value = Value::new([0_u64; 20]).unwrap();
        let count = |value: Value<[u64; 20]>| {
            for _ in 0..10_000 {
                value.update(|all| all.iter_mut().for_each(|one| *one += 1));
            }
        };
        let look = |value: Value<[u64; 20]>| {
            loop {
                let seen = value.get();
                assert_eq!(seen, [seen[0]; 20]);
                if seen[0] == 20_000 {
                    return;
                }
            }
        };
        let looker = process::spawn(look, value.clone()).unwrap();
        let counters = [(); 2].map(|()| process::spawn(count, value.clone()).unwrap());
        for process in counters.into_iter().chain([looker]) {
            process.join().unwrap();
        }
        assert_eq!(value.replace([7; 20]), [20_000; 20]);
        let panicked = std::panic::catch_unwind(|| {
            value.update(|all| {
                all[0] = 8;
                std::panic::resume_unwind(Box::new(()));
            });
        });
        assert!(panicked.is_err());
        assert_eq!(value.get(), [7; 20]);
        value.set([9; 20]);
        assert!(format!("{value:?}").starts_with("Value([9, 9"));
    });
}

#[test]
fn a_held_lock_is_waited_for_as_long_as_one_likes() {
    let mutex = Mutex::new([1_u8, 2]).unwrap();
    let guard = mutex.lock().unwrap();
    assert_eq!(mutex.try_lock().err(), Some(LockError::TimedOut));
    let timed = mutex.lock_timeout(Duration::from_millis(5));
    assert_eq!(timed.err(), Some(LockError::TimedOut));
    let elsewhere = |mutex: Mutex<[u8; 2]>| mutex.try_lock().is_err();
    let refused = process::spawn(elsewhere, mutex.clone()).unwrap().join();
    assert_eq!(refused, Ok(true));
    drop(guard);
    assert_eq!(*mutex.try_lock().unwrap(), [1, 2]);
}

#[test]
fn a_process_that_is_killed_leaves_its_lock_and_the_next_is_told() {
    in_time(|| {
        let mutex = Mutex::new(1_u32).unwrap();
        let held = Event::new().unwrap();
        let hold = |(mutex, held): (Mutex<u32>, Event)| {
            let mut guard = mutex.lock().unwrap();
            *guard = 2;
            held.set();
            std::thread::park();
        };
        let process = process::spawn(hold, (mutex.clone(), held.clone())).unwrap();
        held.wait();
        let pid = process.pid();
        // One waits already when it is killed.
        let waiter = std::thread::spawn({
            let mutex = mutex.clone();
            move || mutex.lock().map(|guard| *guard)
        });
        process.kill();
        assert_eq!(waiter.join().unwrap(), Err(LockError::Poisoned { pid }));
        assert!(process.join().is_err());
        // And until somebody has looked, everybody is told.
        assert_eq!(mutex.try_lock().err(), Some(LockError::Poisoned { pid }));
        let told = mutex.lock().err().map(|error| error.to_string()).unwrap();
        assert!(told.contains(&format!("process {pid} died")), "{told}");
        {
            let mut guard = mutex.recover();
            assert_eq!(
                *guard, 1,
                "what it had changed is not there: it had not left the lock"
            );
            *guard = 3;
        }
        assert_eq!(*mutex.lock().unwrap(), 3);
    });
}

#[test]
fn killed_again_and_again_no_lock_is_lost() {
    in_time(|| {
        // Both numbers are changed under the lock, so they are the same, or somebody is told.
        let pair = Mutex::new([0_u64; 2]).unwrap();
        let mut recovered = 0;
        for round in rounds(30) {
            let change = |pair: Mutex<[u64; 2]>| {
                loop {
                    let mut pair = pair.lock().unwrap();
                    pair[0] += 1;
                    pair[1] += 1;
                }
            };
            let busy: Vec<process::Process<()>> = (0..2)
                .map(|_| process::spawn(change, pair.clone()).unwrap())
                .collect();
            let goal = round * 50;
            loop {
                let seen = match pair.lock() {
                    Ok(pair) => *pair,
                    Err(LockError::Poisoned { .. }) => {
                        recovered += 1;
                        *pair.recover()
                    }
                    Err(error) => panic!("{error}"),
                };
                if seen[0] > goal || busy.iter().all(|process| process.is_finished()) {
                    break;
                }
            }
            for process in &busy {
                process.kill();
            }
            for process in busy {
                assert!(process.join().is_err());
            }
            let seen = match pair.lock() {
                Ok(pair) => *pair,
                Err(_) => {
                    recovered += 1;
                    *pair.recover()
                }
            };
            assert!(seen[0].abs_diff(seen[1]) <= recovered, "{seen:?}");
        }
    });
}

#[test]
fn permits_go_round() {
    in_time(|| {
        let permits = Semaphore::new(2).unwrap();
        assert!(permits.try_acquire() && permits.try_acquire() && !permits.try_acquire());
        assert!(!permits.acquire_timeout(Duration::from_millis(5)));
        let process = process::spawn(
            |permits: Semaphore| {
                permits.acquire();
                permits.permits()
            },
            permits.clone(),
        );
        permits.release();
        assert_eq!(process.unwrap().join(), Ok(0));
        permits.release();
        permits.release();
        assert_eq!(permits.permits(), 2);
    });
}

#[test]
fn an_event_is_seen_by_all() {
    in_time(|| {
        let event = Event::new().unwrap();
        assert!(!event.is_set() && !event.wait_timeout(Duration::from_millis(5)));
        let processes =
            [(); 3].map(|()| process::spawn(|event: Event| event.wait(), event.clone()).unwrap());
        event.set();
        for process in processes {
            process.join().unwrap();
        }
        assert!(event.wait_timeout(Duration::ZERO));
        event.clear();
        assert!(!event.is_set());
    });
}

#[test]
fn ping_and_pong_say_ten_words_in_turn() {
    in_time(|| {
        let turn = Mutex::new(0_u32).unwrap();
        let changed = Condvar::new().unwrap();
        let player = |(turn, changed, own): (Mutex<u32>, Condvar, u32)| {
            let mut said = Vec::new();
            loop {
                let guard = turn.lock().unwrap();
                let mut guard = changed
                    .wait_while(guard, |turn| *turn < 10 && *turn % 2 != own)
                    .unwrap();
                if *guard >= 10 {
                    return said;
                }
                said.push(*guard);
                *guard += 1;
                drop(guard);
                changed.notify_all();
            }
        };
        let [ping, pong] =
            [0, 1].map(|own| process::spawn(player, (turn.clone(), changed.clone(), own)).unwrap());
        assert_eq!(ping.join(), Ok(vec![0, 2, 4, 6, 8]));
        assert_eq!(pong.join(), Ok(vec![1, 3, 5, 7, 9]));
    });
}

#[test]
fn a_wait_for_a_notice_ends_in_time() {
    let mutex = Mutex::new(0_u8).unwrap();
    let condvar = Condvar::new().unwrap();
    let guard = mutex.lock().unwrap();
    let (guard, is_noticed) = condvar
        .wait_timeout(guard, Duration::from_millis(5))
        .unwrap();
    assert!(!is_noticed);
    drop(guard);
    let noticed = std::thread::scope(|scope| {
        let guard = mutex.lock().unwrap();
        scope.spawn(|| {
            let _held = mutex.lock().unwrap();
            condvar.notify_one();
        });
        condvar
            .wait_timeout(guard, Duration::from_secs(60))
            .unwrap()
            .1
    });
    assert!(noticed);
}

#[test]
fn a_reentrant_lock_is_left_with_its_last_hold() {
    in_time(|| {
        let lock = ReentrantMutex::new().unwrap();
        let elsewhere = |lock: ReentrantMutex| lock.try_lock().is_ok();
        let is_free = || {
            process::spawn(elsewhere, lock.clone())
                .unwrap()
                .join()
                .unwrap()
        };
        let holds = [
            lock.lock().unwrap(),
            lock.try_lock().unwrap(),
            lock.recover(),
        ];
        for hold in holds {
            assert!(!is_free());
            let timed = std::thread::scope(|scope| {
                let other = scope.spawn(|| lock.lock_timeout(Duration::from_millis(5)).err());
                other.join().unwrap()
            });
            assert_eq!(timed, Some(LockError::TimedOut));
            drop(hold);
        }
        assert!(is_free());
    });
}

#[test]
fn a_reentrant_lock_survives_its_owner_too() {
    in_time(|| {
        let lock = ReentrantMutex::new().unwrap();
        let held = Event::new().unwrap();
        let hold = |(lock, held): (ReentrantMutex, Event)| {
            let _holds = [lock.lock().unwrap(), lock.lock().unwrap()];
            held.set();
            std::thread::park();
        };
        let process = process::spawn(hold, (lock.clone(), held.clone())).unwrap();
        held.wait();
        let pid = process.pid();
        process.kill();
        assert!(process.join().is_err());
        assert_eq!(lock.lock().err(), Some(LockError::Poisoned { pid }));
        assert_eq!(lock.try_lock().err(), Some(LockError::Poisoned { pid }));
        drop([lock.recover(), lock.lock().unwrap()]);
        drop(lock.lock().unwrap());
    });
}

#[test]
fn a_barrier_lets_all_pass_together_again_and_again() {
    in_time(|| {
        let barrier = Barrier::new(3).unwrap();
        let rounds = Slice::<u32>::zeroed(3).unwrap();
        let walk = |(barrier, rounds, own): (Barrier, Slice<u32>, usize)| {
            for round in 1..=50 {
                rounds.set(own, round);
                barrier.wait().unwrap();
                // Nobody is a round behind, and nobody has gone on before all have looked.
                assert_eq!(rounds.to_vec(), [round; 3]);
                barrier.wait().unwrap();
            }
        };
        let walkers: Vec<_> = (0..3)
            .map(|own| process::spawn(walk, (barrier.clone(), rounds.clone(), own)).unwrap())
            .collect();
        for walker in walkers {
            walker.join().unwrap();
        }
        assert_eq!((barrier.parties(), barrier.waiting()), (3, 0));
    });
}

#[test]
fn a_barrier_that_somebody_gives_up_is_broken_until_it_is_reset() {
    in_time(|| {
        let barrier = Barrier::new(2).unwrap();
        assert!(barrier.wait_timeout(Duration::from_millis(5)).is_err());
        assert!(barrier.is_broken() && barrier.wait().is_err());
        barrier.reset();
        assert!(!barrier.is_broken());
        let waits = || {
            let other = process::spawn(|barrier: Barrier| barrier.wait().is_ok(), barrier.clone());
            while barrier.waiting() == 0 {
                std::thread::yield_now();
            }
            other.unwrap()
        };
        let other = waits();
        barrier.reset();
        assert_eq!(other.join(), Ok(false));
        let other = waits();
        barrier.abort();
        assert_eq!(other.join(), Ok(false));
        barrier.reset();
        let other = waits();
        assert_eq!(barrier.wait().map(|left| left == 0).ok(), Some(true));
        assert_eq!(other.join(), Ok(true));
    });
}

/// The kernel cuts a name at 15 bytes, which may be in the middle of a character.
#[test]
fn an_owner_with_an_odd_name_is_waited_for() {
    in_time(|| {
        let (lock, held, go) = (
            Mutex::new(0_u32).unwrap(),
            Event::new().unwrap(),
            Event::new().unwrap(),
        );
        let owner = process::ProcessBuilder::new()
            .name("aaaaaaaaaaaaaa\u{e9}")
            .spawn(
                |(lock, held, go): (Mutex<u32>, Event, Event)| {
                    let mut guard = lock.lock().unwrap();
                    held.set();
                    go.wait();
                    *guard = 1;
                },
                (lock.clone(), held.clone(), go.clone()),
            )
            .unwrap();
        held.wait();
        assert!(matches!(lock.try_lock(), Err(LockError::TimedOut)));
        let waited = lock.lock_timeout(std::time::Duration::from_millis(300));
        assert!(matches!(waited, Err(LockError::TimedOut)), "{waited:?}");
        drop(waited);
        go.set();
        owner.join().unwrap();
        assert_eq!(*lock.lock().unwrap(), 1);
    });
}
