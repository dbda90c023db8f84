//! Every interleaving of workers that sleep and of who wakes them. See
//! [`queue::model`](crate::queue) for the bounds.
//!
//! A wake-up that is lost leaves a thread that sleeps for ever, which the model checker reports as
//! a deadlock.

use loom::sync::Arc;
use loom::thread;

use super::calls::Calls;
use super::claims::Claims;
use crate::primitive::Mutex;
use crate::queue::Queue;

fn explore(body: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(if cfg!(debug_assertions) { 2 } else { 4 });
    model.check(body);
}

/// What workers share, with numbers for halves; a unit in the queue is a look.
struct Shared {
    calls: Calls,
    halves: Mutex<Vec<u32>>,
    looks: Queue<()>,
}

impl Shared {
    fn new() -> Arc<Shared> {
        Arc::new(Shared {
            calls: Calls::default(),
            halves: Mutex::new(Vec::new()),
            looks: Queue::unbounded(),
        })
    }

    /// As in `Crew::call_thief`.
    fn call(&self) {
        if self.calls.calls() {
            self.looks.put(()).expect("open");
        }
    }

    /// As in `fork`.
    fn split(&self, half: u32) {
        {
            let mut halves = self.halves.lock();
            if halves.is_empty() {
                self.calls.offer();
            }
            halves.push(half);
        }
        self.call();
    }

    /// As in `Worker::steal`.
    fn steal(&self) -> Option<u32> {
        if self.calls.seem_empty() {
            return None;
        }
        let half = {
            let mut halves = self.halves.lock();
            let half = halves.pop()?;
            if halves.is_empty() {
                self.calls.withdraw();
            }
            half
        };
        if !self.calls.seem_empty() {
            self.call();
        }
        Some(half)
    }

    /// As in `Worker::work`, until it has stolen once.
    fn thief(&self) -> u32 {
        loop {
            if let Some(half) = self.steal() {
                return half;
            }
            let woken = {
                let _doze = self.calls.doze();
                self.calls.seem_empty() && self.looks.get().is_ok()
            };
            if woken {
                self.calls.answer();
            }
        }
    }
}

#[test]
fn a_worker_that_sleeps_is_woken_for_a_half() {
    explore(|| {
        let shared = Shared::new();
        let of_thief = Arc::clone(&shared);
        let thief = thread::spawn(move || of_thief.thief());
        shared.split(7);
        assert_eq!(thief.join().ok(), Some(7));
    });
}

#[test]
fn one_call_wakes_as_many_as_there_are_halves() {
    explore(|| {
        let shared = Shared::new();
        let thieves = [0, 1].map(|_| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.thief())
        });
        shared.split(1);
        shared.split(2);
        let stolen: u32 = thieves.map(|thief| thief.join().unwrap_or(0)).iter().sum();
        assert_eq!(stolen, 3);
    });
}

/// A scope's list, and the claims on it that are in the pool's queue.
struct Listed {
    claims: Claims,
    tasks: Mutex<Vec<u32>>,
    put: Mutex<usize>,
    ran: Mutex<usize>,
}

impl Listed {
    /// As `Scope::put` does.
    fn spawn(&self) {
        self.tasks.lock().push(1);
        if self.claims.add(1) {
            *self.put.lock() += 1;
        }
    }

    /// As a worker does that has got a claim, if one is there.
    fn work(&self) {
        {
            let mut put = self.put.lock();
            if *put == 0 {
                return;
            }
            *put -= 1;
        }
        loop {
            let task = self.tasks.lock().pop();
            match task {
                Some(_) => *self.ran.lock() += 1,
                None if self.claims.give_back(1, || self.tasks.lock().is_empty()) => {}
                None => return,
            }
        }
    }
}

#[test]
fn no_task_of_a_scope_stays_without_a_claim() {
    explore(|| {
        let listed = Arc::new(Listed {
            claims: Claims::default(),
            tasks: Mutex::new(Vec::new()),
            put: Mutex::new(0),
            ran: Mutex::new(0),
        });
        listed.spawn();
        let worker = {
            let listed = Arc::clone(&listed);
            thread::spawn(move || listed.work())
        };
        listed.spawn();
        worker.join().unwrap();
        // Whatever the first left has a claim in the queue.
        listed.work();
        assert!(listed.tasks.lock().is_empty());
        assert_eq!(*listed.ran.lock(), 2);
    });
}
