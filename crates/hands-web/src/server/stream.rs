//! `/events`: the state, as often as it changes, for as long as a page is open.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, Sse};
use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::sync::watch;

use super::Shared;

/// So soon a page that has lost us tries again.
const AGAIN: Duration = Duration::from_secs(1);

enum StreamStage {
    First,
    More,
    /// The last state has been sent.
    Over,
}

struct OpenPage {
    shared: Arc<Shared>,
    frames: watch::Receiver<(u64, Arc<str>)>,
    ending: watch::Receiver<bool>,
    stage: StreamStage,
}

/// Each event is the whole state: one that comes late is replaced by the next, and not queued.
pub(super) async fn events(
    State(shared): State<Arc<Shared>>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let open = OpenPage {
        frames: shared.frames.subscribe(),
        ending: shared.ending.subscribe(),
        shared,
        stage: StreamStage::First,
    };
    Sse::new(unfold(open, next))
}

async fn next(mut open: OpenPage) -> Option<(Result<Event, Infallible>, OpenPage)> {
    let event = match open.stage {
        StreamStage::First => {
            open.stage = StreamStage::More;
            let now = open.shared.frame();
            Event::default().retry(AGAIN).data(&now)
        }
        StreamStage::More => {
            let changed = tokio::select! {
                changed = open.frames.changed() => changed.is_ok(),
                _ = open.ending.wait_for(|ending| *ending) => false,
            };
            if changed {
                let (number, frame) = open.frames.borrow_and_update().clone();
                Event::default().id(number.to_string()).data(&frame)
            } else {
                open.stage = StreamStage::Over;
                // So that the page does not ask again, of somebody else on this port perhaps; with
                // all that it may want to show later.
                Event::default().event("end").data(open.shared.last())
            }
        }
        StreamStage::Over => return None,
    };
    Some((Ok(event), open))
}
