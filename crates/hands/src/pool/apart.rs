//! Waiting for what blocks, in a coroutine.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::sync::Event;
use crate::thread::panic::caught;

/// Calls what blocks on a thread of its own, with as much stack as any, as callbacks may run there;
/// on this one, if there is no other to be had. It goes on when the future is dropped.
pub(super) async fn apart(run: impl FnOnce() + Send + 'static) {
    let done = Arc::new(Event::new());
    let told = Arc::clone(&done);
    let run = move || {
        let _ = caught(run);
        told.set();
    };
    let here = Arc::new(Mutex::new(Some(run)));
    let there = Arc::clone(&here);
    let thread = std::thread::Builder::new().name("hands-shutdown".to_owned());
    let started = thread.spawn(move || {
        let run = there.lock().take();
        if let Some(run) = run {
            run();
        }
    });
    let left = here.lock().take_if(|_| started.is_err());
    match left {
        Some(run) => run(),
        None => done.wait_async().await,
    }
}
