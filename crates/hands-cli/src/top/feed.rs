//! The threads that follow and ask, and what they have been told last.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use hands::sync::Mutex;
use hands_web::{Action, List, Phase, RowOrder, Rows, State};

use super::client::{News, TopClient};

/// Rows are asked for no more often than that.
const OFTEN: Duration = Duration::from_millis(150);
/// So soon it is tried again to reach a run that does not answer.
const AGAIN: Duration = Duration::from_secs(1);

/// The part of a list that is on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WantedRows {
    pub(super) list: List,
    pub(super) order: RowOrder,
    pub(super) from: usize,
    pub(super) count: usize,
}

/// What there is to show.
#[derive(Clone, Debug)]
pub(super) struct ShownState {
    pub(super) state: State,
    pub(super) rows: Rows,
    pub(super) of: Option<WantedRows>,
    /// What became of the last action, and whether that was done.
    pub(super) said: Option<(String, bool, Instant)>,
    /// The run does not answer any more: since when, and why.
    pub(super) lost: Option<(Instant, String)>,
    /// The run has ended, and this is left of its lists.
    over: Option<Arc<HashMap<List, Rows>>>,
}

pub(super) struct TopFeed {
    shown: Arc<Mutex<ShownState>>,
    asks: Sender<Ask>,
}

enum Ask {
    /// There is something new.
    Look,
    Rows(WantedRows),
    Act(Action),
}

impl TopFeed {
    /// One client follows, the other asks.
    pub(super) fn start(clients: [TopClient; 2], first: State) -> io::Result<TopFeed> {
        let shown = ShownState {
            state: first,
            rows: Rows::default(),
            of: None,
            said: None,
            lost: None,
            over: None,
        };
        let shown = Arc::new(Mutex::new(shown));
        let (asks, asked) = channel();
        let [follows, asking] = clients;
        // They end with the program.
        let (told, news) = (Arc::clone(&shown), asks.clone());
        let thread = std::thread::Builder::new().name("hands-top".to_owned());
        drop(thread.spawn(move || follow(&follows, &told, &news))?);
        let told = Arc::clone(&shown);
        let thread = std::thread::Builder::new().name("hands-top-ask".to_owned());
        drop(thread.spawn(move || ask(&asking, &asked, &told))?);
        Ok(TopFeed { shown, asks })
    }

    pub(super) fn shown(&self) -> ShownState {
        self.shown.lock().clone()
    }

    /// What is on the screen from now on.
    pub(super) fn wants(&self, rows: WantedRows) {
        if self.shown.lock().of != Some(rows) {
            // It lives as long as this.
            let _ = self.asks.send(Ask::Rows(rows));
        }
    }

    pub(super) fn act(&self, action: Action) {
        let _ = self.asks.send(Ask::Act(action));
    }
}

/// Keeps up with how things stand, until the run has ended.
fn follow(client: &TopClient, shown: &Mutex<ShownState>, asks: &Sender<Ask>) {
    loop {
        let followed = client.follow(|news| {
            let mut shown = shown.lock();
            shown.lost = None;
            match news {
                News::State(state) => shown.state = *state,
                News::End(last) => {
                    shown.state = last.frame;
                    shown.state.can.clear();
                    if shown.state.frame.phase != Phase::Done {
                        shown.lost = Some((Instant::now(), "the run has ended".to_owned()));
                    }
                    shown.over = Some(Arc::new(last.lists));
                }
            }
            drop(shown);
            // It lives as long as the program.
            let _ = asks.send(Ask::Look);
        });
        match followed {
            Ok(()) => return,
            Err(why) => {
                let mut shown = shown.lock();
                shown.lost.get_or_insert((Instant::now(), why));
                shown.state.can.clear();
            }
        }
        std::thread::park_timeout(AGAIN);
    }
}

fn ask(client: &TopClient, asked: &Receiver<Ask>, shown: &Mutex<ShownState>) {
    let mut wanted: Option<WantedRows> = None;
    let mut looked = Instant::now();
    while let Ok(ask) = asked.recv() {
        match ask {
            Ask::Look if looked.elapsed() < OFTEN => continue,
            Ask::Look => {}
            Ask::Rows(rows) if wanted == Some(rows) => continue,
            Ask::Rows(rows) => wanted = Some(rows),
            Ask::Act(action) => {
                let said = client.act(&action);
                let is_done = said.is_ok();
                let (Ok(text) | Err(text)) = said;
                shown.lock().said = Some((text, is_done, Instant::now()));
            }
        }
        let Some(wanted) = wanted else { continue };
        looked = Instant::now();
        let over = shown.lock().over.clone();
        let rows = match over {
            Some(lists) => Ok(part(lists.get(&wanted.list), wanted)),
            None => client.rows(wanted.list, wanted.order, wanted.from, wanted.count),
        };
        // Whether anybody answers is told by the one who follows.
        if let Ok(rows) = rows {
            let mut shown = shown.lock();
            (shown.rows, shown.of) = (rows, Some(wanted));
        }
    }
}

/// What is on the screen of a list that is whole.
fn part(list: Option<&Rows>, wanted: WantedRows) -> Rows {
    let mut rows = list.cloned().unwrap_or_default();
    let from = wanted.from.min(rows.rows.len());
    rows.rows.drain(..from);
    rows.rows.truncate(wanted.count);
    rows.from = from;
    rows
}
