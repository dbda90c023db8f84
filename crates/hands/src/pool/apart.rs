//! Waiting for what blocks, in a coroutine.

use std::sync::Arc;

use crate::sync::Event;

/// Calls what blocks on a thread of its own. It goes on when the future is dropped.
pub(super) async fn apart(run: impl FnOnce() + Send + 'static) {
    let done = Arc::new(Event::new());
    let told = Arc::clone(&done);
    let run = move || {
        run();
        told.set();
    };
    let thread = std::thread::Builder::new().name("hands-shutdown".to_owned());
    if thread.stack_size(128 * 1024).spawn(run).is_ok() {
        done.wait_async().await;
    }
}
