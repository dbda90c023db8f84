//! Who comes before whom, by the order of the list: for names that servers choose, and for what
//! goes to stdout.

use std::collections::BTreeSet;

use hands::sync::Mutex;
use tokio::sync::Notify;

/// Those that have not had their turn.
#[derive(Debug, Default)]
pub(crate) struct FetchTurns {
    open: Mutex<BTreeSet<u64>>,
    changed: Notify,
}

/// It has its turn to have, until this is dropped.
#[derive(Debug)]
pub(crate) struct FetchTurn<'a> {
    turns: &'a FetchTurns,
    number: u64,
}

impl FetchTurns {
    /// From now on the later ones wait for this number.
    pub(crate) fn enter(&self, number: u64) {
        self.open.lock().insert(number);
    }

    /// As [`enter`](Self::enter), until what is returned is dropped.
    pub(crate) fn turn(&self, number: u64) -> FetchTurn<'_> {
        self.enter(number);
        FetchTurn {
            turns: self,
            number,
        }
    }

    /// It has had its turn, or needs none.
    pub(crate) fn leave(&self, number: u64) {
        if self.open.lock().remove(&number) {
            self.changed.notify_waiters();
        }
    }

    /// Waits until all before this number that have entered have left.
    pub(crate) async fn wait(&self, number: u64) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let first = self.open.lock().first().copied();
            if first.is_none_or(|first| first >= number) {
                return;
            }
            changed.await;
        }
    }
}

impl Drop for FetchTurn<'_> {
    fn drop(&mut self) {
        self.turns.leave(self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn each_waits_for_those_before_it() {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.expect("a runtime").block_on(async {
            let (turns, came) = (
                Arc::new(FetchTurns::default()),
                Arc::new(Mutex::new(Vec::new())),
            );
            let mut all = Vec::new();
            for number in 0..5 {
                turns.enter(number);
            }
            for number in [4, 2, 0, 3, 1] {
                let (turns, came) = (Arc::clone(&turns), Arc::clone(&came));
                all.push(tokio::spawn(async move {
                    turns.wait(number).await;
                    came.lock().push(number);
                    turns.leave(number);
                }));
            }
            for one in all {
                one.await.expect("no panic");
            }
            assert_eq!(*came.lock(), [0, 1, 2, 3, 4]);
        });
    }
}
