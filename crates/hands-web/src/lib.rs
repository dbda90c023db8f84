//! A page to watch and steer what runs: who is busy, how much waits, how fast it goes, what failed
//! and what it said.
//!
//! ```no_run
//! use hands::pool::{Pool, ThreadPool};
//!
//! let pool = ThreadPool::with_workers(2)?;
//! let page = hands_web::serve(&pool)?;
//! println!("watch it at {}", page.link());
//! pool.map(|n: u64| n * n, 0..1_000_000).for_each(drop);
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! ```
//!
//! ```text
//! pool, batch, downloads ── events ──▶ Ledger ── a Frame, five times a second ──▶ watch ──▶ each open page
//!         ▲                             └ rows ◀── the part of a list that is on the screen
//!         └───────────── Action ◀── buttons, keys
//! ```
//!
//! # What it promises
//!
//! - **It does not drown.** A page gets the state, and not each event, so one that sleeps or is
//!   slow delays nobody and misses nothing that still matters. The [`Ledger`] is bounded.
//! - **Nobody else looks on.** It listens on 127.0.0.1 unless told otherwise. The link has a token
//!   of 256 random bits, which a cookie takes the place of; the names that a request may come under
//!   are few, so that no other site can reach it through its own name; what has effects must come
//!   from the page itself. No script or style runs but its own, and all that tasks are called, say
//!   and write is shown as text.
//! - **It needs nothing else**: no file beside the program, no other server.
//!
//! A [`Source`] of your own can be served, too: see [`Page::open`].
#![forbid(unsafe_code)]

mod ledger;
mod pool;
mod server;
mod source;

pub use self::ledger::{
    End, Frame, HistoryLines, Ledger, List, ListSizes, Overview, Phase, Row, RowOrder, Rows,
};
pub use self::pool::serve;
pub use self::server::{Page, PageOptions, State};
pub use self::source::{Action, Refused, Source, Verb};
