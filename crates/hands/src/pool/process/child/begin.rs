//! How a worker begins a coroutine.

use std::future::Future;
use std::os::fd::OwnedFd;
use std::pin::Pin;

use tokio::runtime::Runtime;

use crate::wire::codec::LaidReady;
use crate::wire::image::Code;

/// What is said of a task that has ended.
pub(in crate::pool::process) struct InitialReply {
    pub(in crate::pool::process) bytes: Vec<u8>,
    pub(in crate::pool::process) descriptors: Vec<OwnedFd>,
}

/// What comes of a coroutine, once it has.
pub(in crate::pool::process) type Coroutine = Pin<Box<dyn Future<Output = InitialReply>>>;

/// What is called in the worker to begin one: it takes the argument from what is to be read.
pub(in crate::pool::process) type Begin = fn(&mut &[u8], &mut LaidReady) -> Coroutine;

/// # Safety
///
/// The code was made by `begin_code_of` in a process of the same image.
pub(in crate::pool::process) unsafe fn begun(code: Code) -> Option<Begin> {
    let address = code.address()?;
    // SAFETY: the same code is at the same place in the image, as the caller says; there it was a
    // `Begin`.
    Some(unsafe { std::mem::transmute::<*const (), Begin>(address) })
}

/// A runtime for the coroutines of one thread.
pub(in crate::pool::process) fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}
