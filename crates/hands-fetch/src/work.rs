//! The life of each download: taken from the list, fetched, and told of.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::FutureExt;
use hands::event::{EventKind, Name, TaskEnd};
use hands::sync::CancelToken;

use super::event::FetchEvent;
use super::fetcher::Fetcher;
use super::head;
use super::items::Items;
use super::state::FetchWork;
use super::state::{FetchState, STOPPED};

/// Fetches one URL after the other, as long as there are any.
pub(crate) async fn take_and_fetch(fetcher: Arc<Fetcher>, items: Arc<Items>, worker: u32) {
    let _leave = fetcher.told.sender();
    while let Some(work) = fetcher.steering.next(|| items.next()).await {
        match work {
            Ok(work) => one(&fetcher, work, worker).await,
            Err(why) => {
                fetcher.tell(FetchEvent::Broken(why));
                return fetcher.steering.done();
            }
        }
        fetcher.steering.done();
    }
}

async fn one(fetcher: &Fetcher, work: FetchWork, worker: u32) {
    let number = work.number;
    let since = std::time::Instant::now();
    let (task, name) = (number, Name::NONE);
    let events = &fetcher.board.events;
    events.tell(EventKind::Started {
        task,
        name,
        worker,
        waited: None,
    });
    let job = work.job.as_ref().ok();
    let is_being_named = job.map(|job| Arc::clone(&job.is_being_named));
    let token = fetcher.steering.begin(number);
    let kept = token.is_some().then(|| work.clone());
    let told = fetched(fetcher, work, token.as_ref()).await;
    let has_come = told.how() == TaskEnd::Well;
    events.tell(EventKind::Finished {
        task,
        name,
        worker: Some(worker),
        how: told.how(),
        wall: since.elapsed(),
        cpu: None,
    });
    if let FetchEvent::End {
        state: FetchState::Failed(_),
        ..
    } = told
        && fetcher.flags.transfer.fail_fast
    {
        // Here and not where it is said: by then others would have begun.
        fetcher.stop.cancel();
    }
    fetcher.tell(told);
    if let Some(kept) = kept {
        // Only now: that it is tried again is told after its end.
        fetcher.steering.end(kept, has_come);
    }
    fetcher.going_out.leave(number);
    if is_being_named.is_some_and(|is_so| is_so.load(Ordering::SeqCst)) {
        fetcher.being_named.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What is to be told of it in the end.
async fn fetched(fetcher: &Fetcher, work: FetchWork, token: Option<&CancelToken>) -> FetchEvent {
    let since = std::time::Instant::now();
    let FetchWork { number, text, job } = work;
    let url = text.clone();
    let end = |path, state: FetchState, listed: Option<String>| FetchEvent::End {
        number,
        url,
        path,
        listed: listed.filter(|_| matches!(state, FetchState::Failed(_))),
        state,
        time: since.elapsed(),
    };
    let is_listed = fetcher.flags.files.failed.is_some();
    let job = match job {
        Ok(job) => job,
        Err(state) => return end(None, state, is_listed.then(|| format!("{text}\n"))),
    };
    let listed = is_listed.then(|| job.wanted.listed());
    if fetcher.stop.is_cancelled() || fetcher.steering.is_draining() {
        return end(
            None,
            FetchState::Skipped("stopped before".to_owned()),
            listed,
        );
    }
    if token.is_some_and(CancelToken::is_cancelled) {
        let why = fetcher.steering.why(number);
        return end(None, FetchState::Skipped(why.to_owned()), listed);
    }
    fetcher.tell(FetchEvent::Start {
        number,
        url: text.clone(),
    });
    if fetcher.flags.what.head {
        let head = head::of(fetcher, &job).await;
        return FetchEvent::Head {
            number,
            url: text,
            head,
        };
    }
    let is_being_named = Arc::clone(&job.is_being_named);
    let fetched = AssertUnwindSafe(fetcher.fetch(job)).catch_unwind();
    tokio::pin!(fetched);
    let panicked = || {
        let why = "it panicked, which is a mistake in this program";
        (FetchState::Failed(why.to_owned()), None)
    };
    let given_up = async {
        match token {
            Some(token) => drop(token.cancelled().await),
            None => std::future::pending().await,
        }
        fetcher.steering.why(number)
    };
    let why = tokio::select! {
        biased;
        why = given_up => why,
        _ = fetcher.stop.cancelled() => STOPPED,
        fetched = &mut fetched => {
            let (state, path) = fetched.unwrap_or_else(|_| panicked());
            return end(path, state, listed);
        }
    };
    let (state, path) = match is_being_named.load(Ordering::SeqCst) {
        // It has its name in a moment, or has it already.
        true => fetched.await.unwrap_or_else(|_| panicked()),
        false => {
            fetcher.board.end(number);
            (FetchState::Skipped(why.to_owned()), None)
        }
    };
    end(path, state, listed)
}
