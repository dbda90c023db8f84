//! Looking for outcomes of which nothing was heard.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_nats::RequestErrorKind;
use async_nats::jetstream::stream::DirectGetErrorKind;
use hands::task::TaskError;

use super::{Entry, Submitter, deliver, keep_from_beginning};

/// How often, and what is old enough to be looked for.
const LOOK: Duration = Duration::from_secs(1);
const OLD: Duration = Duration::from_secs(2);
/// The number of tasks that are looked for each time.
const AT_ONCE: usize = 256;
/// A task that is neither queued nor answered at so many looks is lost.
const IN_VAIN: u32 = 3;

pub(super) async fn now_and_then(me: Weak<Submitter>) {
    let mut from = 0;
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(submitter) = me.upgrade() else {
            return;
        };
        if submitter.has_ended.load(Ordering::SeqCst) {
            return;
        }
        let mut old: Vec<Arc<Entry>> = {
            let table = submitter.table.lock();
            let is_old = |entry: &&Arc<Entry>| !entry.is_foreign && entry.submitted.elapsed() > OLD;
            table.entries.values().filter(is_old).cloned().collect()
        };
        // A part of them each time, in turns.
        old.sort_by(|a, b| a.id.cmp(&b.id));
        let count = old.len();
        from = if from >= count { 0 } else { from };
        old.rotate_left(from);
        from += AT_ONCE;
        for entry in old.iter().take(AT_ONCE) {
            look_for(&submitter, entry).await;
        }
    }
}

/// One that another program has submitted, and of which we hear nothing.
pub(super) async fn until_it_comes(me: Weak<Submitter>, entry: Arc<Entry>) {
    while let Some(submitter) = me.upgrade() {
        if submitter.has_ended.load(Ordering::SeqCst) || !entry.remote.is_open() {
            return;
        }
        look_for(&submitter, &entry).await;
        drop(submitter);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn look_for(submitter: &Submitter, entry: &Arc<Entry>) {
    let results = &submitter.streams.results;
    let subject = submitter.names.result(&entry.id);
    match results.direct_get_last_for_subject(subject).await {
        Ok(message) => {
            let headers = Some(message.headers);
            return submitter.came(&entry.id, headers, message.payload).await;
        }
        Err(error) if error.kind() == DirectGetErrorKind::NotFound => {}
        Err(_) => return,
    }
    let start = submitter.names.start(&entry.id);
    let has_begun = match results.direct_get_last_for_subject(start).await {
        Ok(_) => true,
        Err(error) if error.kind() == DirectGetErrorKind::NotFound => false,
        Err(_) => return,
    };
    let sequence = entry.sequence.load(Ordering::SeqCst);
    if entry.is_foreign && !has_begun || sequence > 0 && !is_queued(submitter, sequence).await {
        // Its outcome may have been written since we looked.
        if entry.missing.fetch_add(1, Ordering::SeqCst) + 1 >= IN_VAIN {
            deliver::refuse(submitter, entry, TaskError::Lost);
        }
        return;
    }
    entry.missing.store(0, Ordering::SeqCst);
    if !has_begun
        && !entry.is_foreign
        && entry.submitted.elapsed() > submitter.settings.start_timeout
        && nobody_serves(submitter, entry).await
    {
        let (link, names) = (&submitter.link, &submitter.names);
        if keep_from_beginning(link, names, &submitter.streams, entry).await {
            let name = entry.name.to_owned();
            deliver::refuse(submitter, entry, TaskError::NoWorker { name });
        }
    }
}

/// Whether the server still has the task; when in doubt it has.
async fn is_queued(submitter: &Submitter, sequence: u64) -> bool {
    match submitter.streams.tasks.direct_get(sequence).await {
        Ok(_) => true,
        Err(error) => error.kind() != DirectGetErrorKind::NotFound,
    }
}

async fn nobody_serves(submitter: &Submitter, entry: &Entry) -> bool {
    let subject = submitter.names.serves(entry.hash);
    let asked = submitter.link.client().request(subject, "".into()).await;
    matches!(asked, Err(error) if error.kind() == RequestErrorKind::NoResponders)
}
