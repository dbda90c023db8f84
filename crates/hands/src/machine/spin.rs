//! Looking before sleeping, for as long as it has been worth it.
//!
//! To be woken takes some microseconds, and tens of them where an idle core has to be woken too. So
//! a thread that waits for another process looks for a while first. Where that was in vain it looks
//! half as long the next time, soon not at all, and then once in a while: so a wait that is long
//! costs nothing, and neither does one for somebody who needs this very core to answer.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// As long as anybody looks: what it takes to be woken on an idle core.
const LONGEST: u32 = 50_000;
/// Looking for less is not worth asking the clock.
const SHORTEST: u32 = 1_000;
/// After this number of waits without looking, looking is tried again.
const REST: u32 = 64;

/// How long it is worth looking at one thing. Threads may share it: then it is roughly so.
#[derive(Debug)]
pub(crate) struct Spin {
    /// Nanoseconds; below [`SHORTEST`], how often it has not been looked.
    worth: AtomicU32,
}

impl Default for Spin {
    fn default() -> Spin {
        Spin {
            worth: AtomicU32::new(LONGEST),
        }
    }
}

impl Spin {
    /// Tries until something comes of it, or until it is no longer worth it.
    pub(crate) fn look<R>(&self, mut attempt: impl FnMut() -> Option<R>) -> Option<R> {
        // How long depends on the clock, and a model is to be the same each time.
        if cfg!(hands_loom) {
            return None;
        }
        let worth = self.worth.load(Ordering::Relaxed);
        if worth < SHORTEST {
            let next = if worth < REST {
                worth + 1
            } else {
                4 * SHORTEST
            };
            self.worth.store(next, Ordering::Relaxed);
            return None;
        }
        let start = Instant::now();
        let limit = Duration::from_nanos(worth.into());
        loop {
            let found = attempt();
            if found.is_some() {
                self.worth.store(LONGEST, Ordering::Relaxed);
                return found;
            }
            if start.elapsed() > limit {
                let half = worth / 2;
                let next = if half < SHORTEST { 0 } else { half };
                self.worth.store(next, Ordering::Relaxed);
                return None;
            }
            std::hint::spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_soon_is_seen() {
        let spin = Spin::default();
        let mut looks = 0;
        let found = spin.look(|| {
            looks += 1;
            (looks == 3).then_some(looks)
        });
        assert_eq!(found, Some(3));
    }

    #[test]
    fn looking_in_vain_ends_and_is_tried_again_later() {
        let spin = Spin::default();
        let mut waits = Vec::new();
        for _ in 0..200 {
            let mut looks = 0_u32;
            assert_eq!(
                spin.look(|| {
                    looks += 1;
                    None::<()>
                }),
                None
            );
            waits.push(looks > 0);
        }
        let looked = waits.iter().filter(|&&looked| looked).count();
        assert!(waits[0] && (7..20).contains(&looked), "{looked} of 200");
        // One that comes of it, and it is worth it again.
        while spin.look(|| Some(())).is_none() {}
        assert_eq!(spin.look(|| Some(())), Some(()));
        assert_eq!(spin.worth.load(Ordering::Relaxed), LONGEST);
    }
}
