//! Who holds which lock, which threads wait for each other in a ring, and which may one day.
//!
//! Only with the feature `diagnose`; without it nothing of this exists and locks are
//! `parking_lot`'s own. With it, [`Mutex`](super::Mutex), [`RwLock`](super::RwLock) and
//! [`ReentrantMutex`](super::ReentrantMutex) take some microseconds each time: for tests and for
//! hunting, not for production.
//!
//! - **A deadlock** is found just before it is complete. A [`Report`] shows where each thread of
//!   the ring holds its lock and where it waits; it goes to the handler and, as a panic's message,
//!   to the panic hook, and then the program is aborted, since none of these threads could ever go
//!   on. Waits with a time-out end by themselves, and are none.
//! - **A lock-order inversion** is warned of when it is first seen: somebody has locked B while
//!   holding A, and somebody A while holding B, or a longer ring of that kind. That may be harmless
//!   today, and it may deadlock tomorrow. `try_lock` never waits, and makes no order.
//! - **[`holders`]** lists all locks that are held now.
//!
//! Nothing is printed; [`on_report`] says what to do with a report, and [`reports`] keeps the last
//! hundred.
//!
//! ```
//! use hands::sync::{Mutex, diagnose};
//!
//! let (accounts, journal) = (Mutex::new(()), Mutex::new(()));
//! {
//!     let _accounts = accounts.lock();
//!     assert_eq!(diagnose::holders().len(), 1);
//!     let _journal = journal.lock();
//! }
//! let _journal = journal.lock();
//! let _accounts = accounts.lock(); // the other way round
//! let report = diagnose::reports().pop().expect("a warning");
//! assert!(report.to_string().starts_with("lock-order inversion: "));
//! ```
//!
//! # How it works
//!
//! Each lock gets a number when it is first used. One graph, behind one plain lock, knows who holds
//! and who awaits which number with which stack, and which numbers were ever locked while holding
//! which. A thread notes what it has got before it goes on, and what it awaits before it waits; so
//! a thread that closes a ring finds all of it noted. A release is noted before it happens, so that
//! no ring is seen that is just being opened.
//!
//! While it notes something, and while a handler runs, a thread's own locks go unnoticed: neither
//! an allocator nor a handler that uses locks can go round in circles here.
//!
//! A guard may be sent to another thread, which cannot be seen. Once a lock has been released by a
//! thread that had not locked it, waits for that lock count as no part of a deadlock any more.
//! Before that first time, a thread that gives its guard away and locks again before it is released
//! is taken to wait for itself.
//!
//! The orders seen are kept for locks that are gone, too, since nobody is told of a lock's end; at
//! [`ORDERS`] of them all are forgotten, and learning begins anew.

pub(super) mod graph;
pub(super) mod number;
mod report;

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

pub use self::graph::{Held, ORDERS, holders};
pub use self::number::{LockId, LockMode};
pub use self::report::{Report, ReportKind, ReportSide};

/// Reports that are kept.
const KEPT: usize = 100;

type Handler = Arc<dyn Fn(&Report) + Send + Sync>;

static HANDLER: RwLock<Option<Handler>> = RwLock::new(None);
static REPORTS: Mutex<VecDeque<Arc<Report>>> = Mutex::new(VecDeque::new());

/// Calls `handler` with each report from now on, instead of the handler before: to log it, or to
/// fail a test.
///
/// ```
/// hands::sync::diagnose::on_report(|report| eprintln!("{report}"));
/// ```
pub fn on_report(handler: impl Fn(&Report) + Send + Sync + 'static) {
    let before = HANDLER.write().replace(Arc::new(handler));
    // It is the user's, and so are its captures: dropped without the lock.
    drop(before);
}

/// The last hundred reports, the latest last.
pub fn reports() -> Vec<Arc<Report>> {
    REPORTS.lock().iter().cloned().collect()
}

/// Keeps a report and calls the handler.
fn publish(report: &Arc<Report>) {
    {
        let mut reports = REPORTS.lock();
        if reports.len() == KEPT {
            reports.pop_front();
        }
        reports.push_back(Arc::clone(report));
    }
    let handler = HANDLER.read().clone();
    if let Some(handler) = handler {
        handler(report);
    }
}
