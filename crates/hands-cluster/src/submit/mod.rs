//! The submitter's side: what was handed over and has no outcome yet, and who is told of it.
//!
//! A task is published by the connection's thread, which sends it again, under the same name, until
//! the server has it. Its outcome comes in one of three ways, whichever is first: the server
//! repeats it to us when it is written; we look for it now and then, as a message may be lost; or
//! it cannot come any more. What is the user's (reading a result, callbacks) runs on a thread of
//! its own.

mod deliver;
mod entry;
mod look;
mod send;
mod submitter;

use std::sync::Arc;

use crate::ClusterError;
use crate::link::ServerLink;
use crate::names::PoolNames;
use crate::settings::Settings;
use crate::streams::Streams;

pub(crate) use self::entry::SentTask;
pub use self::entry::{WorkerOrder, WorkerStatus};
pub(crate) use self::submitter::Submitter;

/// A submitter whose parts are at work.
pub(crate) fn open(
    link: ServerLink,
    names: PoolNames,
    streams: Streams,
    settings: Settings,
    run: Option<String>,
) -> Result<Arc<Submitter>, ClusterError> {
    let (submitter, to_send, to_deliver) =
        Submitter::new(link.clone(), names, streams, settings, run);
    deliver::start(Arc::downgrade(&submitter), to_deliver)?;
    let listens = submitter.listen();
    let lost = || ClusterError::server("open the pool", "the connection has ended");
    link.wait(listens).ok_or_else(lost)??;
    link.spawn(send::all(Arc::downgrade(&submitter), to_send));
    link.spawn(look::now_and_then(Arc::downgrade(&submitter)));
    Ok(submitter)
}
