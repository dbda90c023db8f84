//! [`Page`]: a thread that serves.
//!
//! One thread with a runtime of its own, so that it needs none of the program's and is not held up
//! by its tasks. `accept` takes connections, `guard` lets in who may, `routes` answer, `stream`
//! sends the state for as long as a page is open.

mod accept;
mod guard;
mod routes;
mod stream;
mod token;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::mem::ManuallyDrop;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use hands::sync::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use self::guard::PageGuard;
use self::token::Token;
use crate::ledger::{Frame, Ledger, List, RowOrder};
use crate::source::{Source, Verb};

/// How often the ledger is brought up to date, and a page is sent its state: each fourth time.
const UPDATE: Duration = Duration::from_millis(50);
const EACH: u32 = 4;
/// So long after the last state has been sent, requests are still taken.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// So long a page waits for a source that is at work.
const PATIENCE: Duration = Duration::from_millis(100);
/// So long open connections are waited for at the end.
const AT_THE_END: Duration = Duration::from_secs(1);

/// Where a page is served.
#[derive(Clone, Debug)]
pub struct PageOptions {
    address: SocketAddr,
}

impl Default for PageOptions {
    fn default() -> PageOptions {
        PageOptions::new()
    }
}

impl PageOptions {
    /// On a port of 127.0.0.1 that the system chooses.
    pub fn new() -> PageOptions {
        PageOptions {
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
        }
    }

    /// At this address; at port 0 the system chooses one. At an address that is not the machine's
    /// own loopback, everybody who can read what goes over that network can read the page, its
    /// token included: it is not encrypted.
    pub fn address(mut self, address: SocketAddr) -> PageOptions {
        self.address = address;
        self
    }
}

/// What `/state` answers, and pages are sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct State {
    /// How things stand.
    #[serde(flatten)]
    pub frame: Frame,
    /// What can be done.
    pub can: Vec<Verb>,
}

/// What the parts of the server share.
struct Shared {
    guard: Arc<PageGuard>,
    watched: Mutex<WatchedSource>,
    /// The state as it is sent, and its number.
    frames: watch::Sender<(u64, Arc<str>)>,
    /// Whether the page is to end.
    ending: watch::Sender<bool>,
}

struct WatchedSource {
    ledger: Ledger,
    source: Box<dyn Source>,
    /// What could be done when it was asked last.
    verbs: Vec<Verb>,
    /// The source has panicked: it is not asked any more how things stand.
    is_broken: bool,
}

impl Shared {
    /// What is watched, unless its source is at work for longer than a page waits: it may be so for
    /// ever, or ask its own page.
    fn watched(&self) -> Option<MutexGuard<'_, WatchedSource>> {
        self.watched.try_lock_for(PATIENCE)
    }

    /// The state now, or the last one that is known.
    fn frame(&self) -> Arc<str> {
        match self.watched() {
            Some(mut watched) => watched.frame(),
            None => Arc::clone(&self.frames.borrow().1),
        }
    }

    /// The last state, and the beginning of each list, as far as they are to be had.
    fn last(&self) -> String {
        let names = [List::Running, List::Waiting, List::Failed, List::Finished];
        let (frame, lists) = match self.watched() {
            Some(mut watched) => {
                let frame = watched.frame();
                let rows = |list| watched.ledger.rows(list, RowOrder::Number, 0, usize::MAX);
                (frame, names.map(rows))
            }
            None => (Arc::clone(&self.frames.borrow().1), Default::default()),
        };
        let lists: HashMap<_, _> = names.into_iter().zip(lists).collect();
        let lists = serde_json::to_string(&lists).expect("numbers and texts can be written");
        format!("{{\"frame\":{frame},\"lists\":{lists}}}")
    }
}

impl WatchedSource {
    /// Asks the source. It is foreign code: a panic costs the page what is new, and not its thread.
    fn ask<R>(&mut self, ask: impl FnOnce(&mut dyn Source, &mut Ledger) -> R) -> Option<R> {
        let WatchedSource { ledger, source, .. } = self;
        let answer = catch_unwind(AssertUnwindSafe(|| ask(&mut **source, ledger)));
        let payload = match answer {
            Ok(answer) => return Some(answer),
            Err(payload) => payload,
        };
        // It may panic when it is dropped.
        let _ = ManuallyDrop::new(payload);
        if !std::mem::replace(&mut self.is_broken, true) {
            self.ledger
                .note("what this page watches has panicked: it is shown as it was before");
        }
        None
    }

    /// What can be done, or could be before the source panicked: it may well be stopped still.
    fn verbs(&mut self) -> Vec<Verb> {
        if !self.is_broken
            && let Some(verbs) = self.ask(|source, _| source.verbs())
        {
            self.verbs = verbs;
        }
        self.verbs.clone()
    }

    /// Has the source bring the ledger up to date.
    fn update(&mut self) {
        if !self.is_broken {
            self.ask(|source, ledger| source.update(ledger));
        }
    }

    /// The state, and what can be done.
    fn frame(&mut self) -> Arc<str> {
        self.update();
        let sent = State {
            can: self.verbs(),
            frame: self.ledger.frame(),
        };
        serde_json::to_string(&sent)
            .expect("numbers and texts can be written")
            .into()
    }
}

/// A page that is served. Dropping it ends it: pages that are open show the last state, and that
/// the program has ended.
pub struct Page {
    address: SocketAddr,
    link: String,
    token: Token,
    shared: Arc<Shared>,
    /// With what is hung up when it ends.
    thread: Option<(JoinHandle<()>, Receiver<()>)>,
}

impl Page {
    /// Serves what a source tells.
    ///
    /// ```
    /// use hands_web::{Ledger, Overview, Page, PageOptions, Source};
    ///
    /// struct Kettle(f64);
    ///
    /// impl Source for Kettle {
    ///     fn update(&mut self, ledger: &mut Ledger) {
    ///         self.0 += 0.5;
    ///         ledger.overview(Overview { finished: self.0 as u64, total: Some(100), ..Overview::default() });
    ///     }
    /// }
    ///
    /// let page = Page::open(PageOptions::new(), Ledger::new("kettle"), Kettle(20.0))?;
    /// assert!(page.link().starts_with("http://127.0.0.1:"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the address cannot be had, or there is no thread for it.
    pub fn open(options: PageOptions, ledger: Ledger, source: impl Source) -> io::Result<Page> {
        let listener = TcpListener::bind(options.address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let token = Token::new()?;
        let link = format!("http://{address}/?token={token}");
        let mut watched = WatchedSource {
            ledger,
            source: Box::new(source),
            verbs: Vec::new(),
            is_broken: false,
        };
        let first = watched.frame();
        let shared = Arc::new(Shared {
            guard: Arc::new(PageGuard::new(address, token.clone())),
            watched: Mutex::new(watched),
            frames: watch::Sender::new((0, first)),
            ending: watch::Sender::new(false),
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(4)
            .build()?;
        let served = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("hands-web".to_owned());
        let (running, has_ended) = channel();
        let thread = thread.spawn(move || {
            let _running = running;
            runtime.block_on(serve(listener, &served));
            // Not waited for: an action may take for ever.
            runtime.shutdown_background();
        })?;
        Ok(Page {
            address,
            link,
            token,
            shared,
            thread: Some((thread, has_ended)),
        })
    }

    /// What to open: with the token, which lets in whoever has it. A browser forgets it at once,
    /// and keeps a cookie instead.
    pub fn link(&self) -> &str {
        &self.link
    }

    /// Where it is served.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a program says in the header `Authorization: Bearer TOKEN` to read `/state`, `/metrics`
    /// (the text format of Prometheus) and `/list`.
    pub fn token(&self) -> String {
        self.token.to_string()
    }

    /// The state as pages get it: JSON. The last one that is known, if the source is at work for
    /// longer than a tenth of a second.
    pub fn state(&self) -> String {
        self.shared.frame().to_string()
    }

    /// Ends it. Pages that are open get the last state first; for that a second is given, and
    /// another one to a source that is at work.
    pub fn close(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.shared.ending.send_replace(true);
        let Some((thread, has_ended)) = self.thread.take() else {
            return;
        };
        // A source that owns its page may drop it there.
        let is_own = thread.thread().id() == std::thread::current().id();
        // One that does not come back from its source is left behind.
        if !is_own && has_ended.recv_timeout(2 * AT_THE_END) == Err(RecvTimeoutError::Disconnected)
        {
            // It does not panic; if it did, it has said so.
            let _ = thread.join();
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.end();
    }
}

impl Drop for WatchedSource {
    /// The source may panic when it is dropped, which may be while its owner panics.
    fn drop(&mut self) {
        let source = std::mem::replace(&mut self.source, Box::new(Nothing));
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(source)));
        let _ = dropped.map_err(ManuallyDrop::new);
    }
}

/// What is watched when all is over.
struct Nothing;

impl Source for Nothing {
    fn update(&mut self, _: &mut Ledger) {}
}

impl fmt::Debug for Page {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

async fn serve(listener: TcpListener, shared: &Arc<Shared>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    let routes = routes::all(shared);
    let mut ending = shared.ending.subscribe();
    tokio::select! {
        () = accept::serve(listener, routes, ended(shared)) => {}
        () = keep_up(shared) => {}
        () = async {
            let _ = ending.wait_for(|ending| *ending).await;
            tokio::time::sleep(AT_THE_END).await;
        } => {}
    }
}

/// The page is to end, and each that is open has its last state.
async fn ended(shared: &Arc<Shared>) {
    let mut ending = shared.ending.subscribe();
    let _ = ending.wait_for(|ending| *ending).await;
    let is_open = shared.frames.receiver_count() > 0;
    while shared.frames.receiver_count() > 0 {
        tokio::time::sleep(UPDATE / 10).await;
    }
    if is_open {
        // What a page has asked for just now is on its way.
        tokio::time::sleep(LAST_WORDS).await;
    }
}

/// Brings the ledger up to date, for ever; its state is put into words only while somebody looks.
async fn keep_up(shared: &Arc<Shared>) {
    let mut clock = tokio::time::interval(UPDATE);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut turn = 0_u32;
    loop {
        clock.tick().await;
        turn = turn.wrapping_add(1);
        let Some(mut watched) = shared.watched.try_lock() else {
            continue;
        };
        watched.update();
        watched.ledger.tick();
        if turn.is_multiple_of(EACH) && shared.frames.receiver_count() > 0 {
            let frame = watched.frame();
            drop(watched);
            shared.frames.send_modify(|(number, last)| {
                *number += 1;
                *last = frame;
            });
        }
    }
}
