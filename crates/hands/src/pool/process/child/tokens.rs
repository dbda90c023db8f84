//! The cancel token of the task that a worker runs, and the thread that cancels it when the pool
//! says so.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use crate::pool::process::protocol::control_block::ControlBlock;
use crate::shared::wait;
use crate::sync::cancel::{CancelToken, Owner};

/// Which task runs, and its token if it has asked for one. A thread that sleeps at the control
/// block cancels that; it is started with the first token.
pub(in crate::pool::process) struct Tokens {
    pub(in crate::pool::process) control: ControlBlock,
    pub(in crate::pool::process) current: Mutex<CurrentTask>,
}

#[derive(Default)]
pub(in crate::pool::process) struct CurrentTask {
    number: Option<u64>,
    token: Option<CancelToken>,
    is_watched: bool,
}

pub(in crate::pool::process) struct Running {
    pub(in crate::pool::process) number: u64,
    pub(in crate::pool::process) tokens: Arc<Tokens>,
}

impl Tokens {
    pub(in crate::pool::process) fn begin(&self, number: u64) {
        self.current.lock().number = Some(number);
    }

    pub(in crate::pool::process) fn end(&self) {
        let mut current = self.current.lock();
        current.number = None;
        let token = current.token.take();
        drop(current);
        drop(token);
    }

    /// Cancels the task's token if the pool has said so.
    fn check(&self) {
        let token = {
            let current = self.current.lock();
            let is_meant = current
                .number
                .is_some_and(|number| self.control.is_unwanted(number));
            current.token.clone().filter(|_| is_meant)
        };
        if let Some(token) = token {
            token.cancel();
        }
    }

    fn watch(&self) {
        loop {
            let seen = self.control.cancels().load(Ordering::SeqCst);
            self.check();
            wait::sleep(self.control.cancels(), seen);
        }
    }
}

impl Owner for Running {
    fn token(&self, outer: Option<&CancelToken>) -> CancelToken {
        let mut current = self.tokens.current.lock();
        if current.number != Some(self.number) {
            // It has ended, and somebody else asks.
            let token = CancelToken::new();
            token.cancel();
            return token;
        }
        let made = || outer.map_or_else(CancelToken::new, CancelToken::child);
        let token = current.token.get_or_insert_with(made).clone();
        if !current.is_watched {
            let tokens = Arc::clone(&self.tokens);
            let thread = std::thread::Builder::new().name("hands-cancel".to_owned());
            let started = thread.spawn(move || tokens.watch());
            current.is_watched = started.is_ok();
        }
        drop(current);
        self.tokens.check();
        token
    }
}
