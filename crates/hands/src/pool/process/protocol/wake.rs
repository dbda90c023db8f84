//! Going to sleep, and being woken, between two processes: nobody sleeps while there is something
//! for it. `README.md` beside this file has a picture, and says why.

use crate::primitive::{AtomicU32, Ordering};
use crate::shared::wait;

/// A word that several processes have.
pub(in crate::pool::process) trait WakeWord {
    fn load(&self) -> u32;
    fn store(&self, value: u32);
    /// False: it was another.
    fn exchange(&self, from: u32, to: u32) -> bool;
    fn raise(&self);
    /// Sleeps, if it is still `seen`, until woken.
    fn sleep(&self, seen: u32);
    fn wake(&self);
}

impl WakeWord for AtomicU32 {
    fn load(&self) -> u32 {
        AtomicU32::load(self, Ordering::SeqCst)
    }

    fn store(&self, value: u32) {
        AtomicU32::store(self, value, Ordering::SeqCst);
    }

    fn exchange(&self, from: u32, to: u32) -> bool {
        self.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }

    fn raise(&self) {
        self.fetch_add(1, Ordering::SeqCst);
    }

    fn sleep(&self, seen: u32) {
        wait::sleep(self, seen);
    }

    fn wake(&self) {
        wait::wake(self, wait::ALL);
    }
}

/// Nobody sleeps, or nobody wants to be woken.
pub(in crate::pool::process) const NOBODY: u32 = 0;

/// Sleeps until somebody has [taken](take) the flag and [rung](ring), unless `is_called` says that
/// there is something already. It may also return for nothing.
pub(in crate::pool::process) fn sleep_unless<W: WakeWord>(
    flag: &W,
    who: u32,
    notifier: &W,
    is_called: impl FnOnce() -> bool,
) {
    let seen = notifier.load();
    flag.store(who);
    // Behind the flag: what is published later is published by one who sees the flag.
    if !is_called() {
        notifier.sleep(seen);
    }
    flag.store(NOBODY);
}

/// Behind having published something: who is to be woken for it, by the caller and by nobody else.
pub(in crate::pool::process) fn take<W: WakeWord>(flag: &W) -> Option<u32> {
    let who = flag.load();
    (who != NOBODY && flag.exchange(who, NOBODY)).then_some(who)
}

/// As [`take`], if it is this one.
pub(in crate::pool::process) fn take_if<W: WakeWord>(flag: &W, who: u32) -> bool {
    flag.load() == who && flag.exchange(who, NOBODY)
}

pub(in crate::pool::process) fn ring<W: WakeWord>(notifier: &W) {
    notifier.raise();
    notifier.wake();
}

#[cfg(all(test, hands_loom))]
mod model {
    use loom::sync::atomic::{AtomicU32, Ordering, fence};
    use loom::sync::{Arc, Condvar, Mutex};
    use loom::thread;

    use super::*;

    /// A word, and those who sleep at it. The model checker takes `SeqCst` for less than it is, but
    /// knows fences.
    #[derive(Default)]
    struct Model {
        value: AtomicU32,
        sleepers: Mutex<()>,
        woken: Condvar,
    }

    fn agreed<T>(run: impl FnOnce() -> T) -> T {
        fence(Ordering::SeqCst);
        run()
    }

    impl WakeWord for Model {
        fn load(&self) -> u32 {
            agreed(|| self.value.load(Ordering::SeqCst))
        }

        fn store(&self, value: u32) {
            agreed(|| self.value.store(value, Ordering::SeqCst));
        }

        fn exchange(&self, from: u32, to: u32) -> bool {
            let (had, not) = (Ordering::SeqCst, Ordering::SeqCst);
            agreed(|| self.value.compare_exchange(from, to, had, not).is_ok())
        }

        fn raise(&self) {
            agreed(|| self.value.fetch_add(1, Ordering::SeqCst));
        }

        fn sleep(&self, seen: u32) {
            let held = self.sleepers.lock().expect("no poison");
            // The kernel looks, and puts to sleep, under a lock of its own, behind a fence.
            fence(Ordering::SeqCst);
            if self.value.load(Ordering::SeqCst) == seen {
                drop(self.woken.wait(held));
            }
        }

        fn wake(&self) {
            drop(self.sleepers.lock());
            self.woken.notify_all();
        }
    }

    fn explore(body: impl Fn() + Sync + Send + 'static) {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(if cfg!(debug_assertions) { 2 } else { 3 });
        model.check(body);
    }

    const WORKER: u32 = 1;
    const SERVICE: u32 = 1;
    const JOINER: u32 = 2;

    #[derive(Default)]
    struct Side {
        flag: Model,
        notifier: Model,
        /// How much has been published.
        there: Model,
    }

    #[test]
    fn no_request_is_slept_through() {
        explore(|| {
            let side = Arc::new(Side::default());
            let worker = thread::spawn({
                let side = Arc::clone(&side);
                move || {
                    while side.there.load() < 2 {
                        let is_called = || side.there.load() == 2;
                        sleep_unless(&side.flag, WORKER, &side.notifier, is_called);
                    }
                }
            });
            for _ in 0..2 {
                side.there.raise();
                if take_if(&side.flag, WORKER) {
                    ring(&side.notifier);
                }
            }
            worker.join().expect("ends");
        });
    }

    /// As the pool has it: each worker has a flag, the joiner has one notifier.
    #[test]
    fn no_reply_is_slept_through() {
        explore(|| {
            let notifier = Arc::new(Model::default());
            let sides = [(); 2].map(|()| Arc::new(Side::default()));
            let workers = sides.clone().map(|side| {
                let notifier = Arc::clone(&notifier);
                thread::spawn(move || {
                    side.there.raise();
                    if take(&side.flag) == Some(JOINER) {
                        ring(&*notifier);
                    }
                })
            });
            let are_there = || sides.iter().all(|side| side.there.load() == 1);
            while !are_there() {
                let seen = notifier.load();
                sides.iter().for_each(|side| side.flag.store(JOINER));
                if !are_there() {
                    notifier.sleep(seen);
                }
            }
            for worker in workers {
                worker.join().expect("ends");
            }
        });
    }

    /// The joiner leaves; from then on the pool's thread is woken, which sleeps at a notifier of
    /// its own.
    #[test]
    fn nothing_is_lost_when_another_takes_over() {
        explore(|| {
            let side = Arc::new(Side::default());
            let door = Arc::new(Model::default());
            // A joiner takes in replies at first.
            side.flag.store(JOINER);
            let worker = thread::spawn({
                let (side, door) = (Arc::clone(&side), Arc::clone(&door));
                move || {
                    side.there.raise();
                    match take(&side.flag) {
                        Some(SERVICE) => ring(&*door),
                        Some(_) => ring(&side.notifier),
                        None => {}
                    }
                }
            });
            let service = thread::spawn({
                let (side, door) = (Arc::clone(&side), Arc::clone(&door));
                move || loop {
                    let seen = door.load();
                    if side.there.load() == 1 {
                        return;
                    }
                    door.sleep(seen);
                }
            });
            // It has given up: hands over, and looks once more behind that.
            side.flag.store(SERVICE);
            if side.there.load() == 1 {
                ring(&*door);
            }
            worker.join().expect("ends");
            service.join().expect("ends");
        });
    }
}
