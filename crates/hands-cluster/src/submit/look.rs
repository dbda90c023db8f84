//! Looking for outcomes of which nothing was heard.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_nats::RequestErrorKind;
use async_nats::jetstream::stream::{DirectGetErrorKind, Stream};
use hands::task::TaskError;

use super::entry::PendingTask;
use super::submitter::{Submitter, keep_from_beginning, take_off};

/// How often it is looked for other programs' tasks, of which nothing is heard at all.
const TICK: Duration = Duration::from_millis(100);
/// And for our own, each time the ticks have come to this number, and they are old enough.
const TICKS: u32 = 10;
const OLD: Duration = Duration::from_secs(2);
/// The number of tasks that are looked for each time.
const AT_ONCE: usize = 256;
/// A task that is neither queued nor answered at so many looks is lost.
const IN_VAIN: u32 = 3;
const IN_VAIN_ELSEWHERE: u32 = 30;

pub(super) async fn now_and_then(me: Weak<Submitter>) {
    let (mut from, mut ticks) = (0, 0);
    loop {
        tokio::time::sleep(TICK).await;
        let Some(submitter) = me.upgrade() else {
            return;
        };
        if submitter.has_ended.load(Ordering::SeqCst) {
            return;
        }
        ticks = (ticks + 1) % TICKS;
        let is_due = |entry: &&Arc<PendingTask>| {
            entry.is_foreign || ticks == 0 && entry.submitted.elapsed() > OLD
        };
        let mut due: Vec<Arc<PendingTask>> = {
            let table = submitter.table.lock();
            let all = table.entries.values().flatten();
            all.filter(is_due).cloned().collect()
        };
        // A part of them each time, in turns.
        due.sort_by(|a, b| a.id.cmp(&b.id));
        from = if from >= due.len() { 0 } else { from };
        due.rotate_left(from);
        from += AT_ONCE;
        for entry in due.iter().take(AT_ONCE) {
            look_for(&submitter, entry).await;
        }
    }
}

async fn look_for(submitter: &Submitter, entry: &Arc<PendingTask>) {
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
    let sequence = entry.sequence.load(Ordering::SeqCst);
    // Our own are on their way until the server has said that it has them.
    let may_be_gone = entry.is_foreign || sequence > 0;
    if may_be_gone && !is_queued(submitter, entry).await {
        // Its outcome may have been written since we looked; another program's task may be on its
        // way.
        let in_vain = if entry.is_foreign {
            IN_VAIN_ELSEWHERE
        } else {
            IN_VAIN
        };
        if entry.missing.fetch_add(1, Ordering::SeqCst) + 1 >= in_vain {
            submitter.refuse(entry, TaskError::Lost);
        }
        return;
    }
    entry.missing.store(0, Ordering::SeqCst);
    if !entry.is_foreign
        && entry.submitted.elapsed() > submitter.settings.start_timeout
        && !has_begun(submitter, entry).await
        && nobody_serves(submitter, entry).await
    {
        let (link, names) = (&submitter.link, &submitter.names);
        if keep_from_beginning(link, names, &submitter.streams, entry).await {
            take_off(&submitter.streams, entry).await;
            let name = entry.name.to_owned();
            submitter.refuse(entry, TaskError::NoWorker { name });
        }
    }
}

/// Whether the server still has the task.
async fn is_queued(submitter: &Submitter, entry: &PendingTask) -> bool {
    let subject = submitter.names.task(entry.hash, &entry.id);
    is_there(&submitter.streams.tasks, subject).await
}

/// Whether a worker has begun it.
async fn has_begun(submitter: &Submitter, entry: &PendingTask) -> bool {
    let subject = submitter.names.start(&entry.id);
    is_there(&submitter.streams.results, subject).await
}

/// Whether a message is there; when in doubt it is.
async fn is_there(stream: &Stream, subject: String) -> bool {
    match stream.direct_get_last_for_subject(subject).await {
        Ok(_) => true,
        Err(error) => error.kind() != DirectGetErrorKind::NotFound,
    }
}

async fn nobody_serves(submitter: &Submitter, entry: &PendingTask) -> bool {
    let subject = submitter.names.serves(entry.hash);
    let asked = submitter.link.client().request(subject, "".into()).await;
    matches!(asked, Err(error) if error.kind() == RequestErrorKind::NoResponders)
}
