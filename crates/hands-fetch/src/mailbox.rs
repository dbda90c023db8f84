//! From the transfers to the listener.

use std::time::Duration;

use hands::sync::{Condvar, Mutex};

use super::event::FetchEvent;
use super::state::FetchState;

/// Who listens looks at least so often.
const LOOK: Duration = Duration::from_millis(125);

/// Where what is told waits to be said. Nobody is woken for it, except when it is worth that: at
/// the end, when something fails or is shown.
pub(super) struct EventBox {
    inside: Mutex<Inside>,
    news: Condvar,
}

struct Inside {
    told: Vec<FetchEvent>,
    is_urgent: bool,
    /// Those that may still tell something.
    senders: usize,
}

/// Somebody who may still tell something.
pub(super) struct Sender<'a>(&'a EventBox);

impl EventBox {
    pub(super) fn new(senders: usize) -> EventBox {
        EventBox {
            inside: Mutex::new(Inside {
                told: Vec::new(),
                is_urgent: false,
                senders,
            }),
            news: Condvar::new(),
        }
    }

    pub(super) fn put(&self, told: FetchEvent) {
        let is_urgent = match &told {
            FetchEvent::Head { .. } | FetchEvent::Broken(_) => true,
            FetchEvent::End { state, .. } => matches!(state, FetchState::Failed(_)),
            _ => false,
        };
        let mut inside = self.inside.lock();
        inside.told.push(told);
        if is_urgent && !inside.is_urgent {
            inside.is_urgent = true;
            self.news.notify_one();
        }
    }

    /// What has been told, without waiting.
    pub(super) fn take(&self) -> Vec<FetchEvent> {
        std::mem::take(&mut self.inside.lock().told)
    }

    /// One of those that it was made for; it leaves when it is dropped.
    pub(super) fn sender(&self) -> Sender<'_> {
        Sender(self)
    }

    /// What has been told, when that is urgent or some time has passed; and whether there may be
    /// more.
    pub(super) fn wait(&self) -> (Vec<FetchEvent>, bool) {
        let mut inside = self.inside.lock();
        let is_time = |inside: &mut Inside| inside.is_urgent || inside.senders == 0;
        self.news.wait_for(&mut inside, is_time, Some(LOOK));
        inside.is_urgent = false;
        (std::mem::take(&mut inside.told), inside.senders > 0)
    }
}

impl Drop for Sender<'_> {
    fn drop(&mut self) {
        let mut inside = self.0.inside.lock();
        inside.senders -= 1;
        if inside.senders == 0 {
            self.0.news.notify_one();
        }
    }
}
