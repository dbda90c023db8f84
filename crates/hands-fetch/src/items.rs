//! What there is to do, one after the other, for whoever fetches next.

use std::collections::HashSet;
use std::sync::Arc;

use hands::sync::Mutex;
use tokio::sync::mpsc::{Receiver, channel};

use super::event::FetchEvent;
use super::fetcher::Fetcher;
use super::list::ListItem;
use super::source::{UrlSource, target};
use super::state::{FetchJob, FetchState, FetchTarget, FetchWork};

type Works = Box<dyn Iterator<Item = Result<FetchWork, String>> + Send>;

/// All the work, for the coroutine that takes the next.
pub(super) enum Items {
    /// To be had at once.
    Here(Mutex<Works>),
    /// Read by a thread that may wait.
    Read(tokio::sync::Mutex<Receiver<Result<FetchWork, String>>>),
}

/// Items that are read ahead.
const AHEAD: usize = 256;

impl Items {
    pub(super) fn new(source: UrlSource, fetcher: &Arc<Fetcher>) -> Result<Items, String> {
        let may_wait = source.may_wait;
        let source = match fetcher.flags.open {
            true => source.with_added(fetcher.steering.opened()),
            false => source,
        };
        let works = works(source, fetcher);
        if !may_wait {
            return Ok(Items::Here(Mutex::new(works)));
        }
        let (put, get) = channel(AHEAD);
        let reader = std::thread::Builder::new().name("hands-list".to_owned());
        let reader = reader.spawn(move || {
            for work in works {
                if put.blocking_send(work).is_err() {
                    break;
                }
            }
        });
        drop(reader.map_err(|error| format!("cannot start a thread: {error}"))?);
        Ok(Items::Read(tokio::sync::Mutex::new(get)))
    }

    /// The next, if there is one left.
    pub(super) async fn next(&self) -> Option<Result<FetchWork, String>> {
        match self {
            Items::Here(works) => works.lock().next(),
            Items::Read(get) => get.lock().await.recv().await,
        }
    }
}

/// What there is to do, as it is asked for; at the end of it how much it was is told.
fn works(source: UrlSource, fetcher: &Arc<Fetcher>) -> Works {
    let fetcher = Arc::clone(fetcher);
    let mut known = HashSet::new();
    let mut number = 0;
    let mut items = source.items;
    let is_one = source.is_one;
    Box::new(std::iter::from_fn(move || {
        let Some(item) = items.next() else {
            fetcher.tell(FetchEvent::Total(number));
            return None;
        };
        let ListItem { text, wanted } = match item {
            Ok(item) => item,
            Err(why) => return Some(Err(why)),
        };
        number += 1;
        let target = wanted.map_err(FetchState::Failed).and_then(|wanted| {
            let target = if fetcher.flags.what.head {
                FetchTarget::Stdout { waits: false }
            } else {
                target(&fetcher.flags, &fetcher.names, &wanted, &mut known, is_one)?
            };
            Ok((wanted, target))
        });
        if matches!(target, Ok((_, FetchTarget::Stdout { waits: true }))) {
            fetcher.going_out.enter(number);
        }
        let job = target.map(|(wanted, target)| FetchJob {
            number,
            wanted,
            target,
            is_being_named: Arc::default(),
        });
        Some(Ok(FetchWork { number, text, job }))
    }))
}
