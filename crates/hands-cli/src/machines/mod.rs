//! Jobs on other machines: `hands worker`, `hands cluster`, and what `hands run --cluster` and
//! `hands fetch --cluster` hand over.
//!
//! ```text
//!   hands run ── jobs, some in a task ──▶ the cluster ──▶ hands worker: run_jobs ──▶ its thread of jobs
//!      ▲  sender                                                                       runner
//!      └─────────────── ends, and output ◀─────────────────────────────────────────────┘
//! ```
//!
//! | file | what it does |
//! |---|---|
//! | `access` | how a cluster is reached, and where secrets come from |
//! | `job` | what travels |
//! | `sender`, `bell`, `travel` | the side that has the jobs |
//! | `fetch` | downloads, both sides |
//! | `attach` | what another program needs to go on with a run |
//! | `task`, `runner`, `files`, `allow`, `log` | the side that runs them |
//! | `worker`, `admin`, `dev` | the commands `hands worker` and `hands cluster` |

pub(crate) mod access;
pub(crate) mod admin;
pub(crate) mod allow;
pub(crate) mod attach;
mod bell;
pub(crate) mod dev;
pub(crate) mod fetch;
pub(crate) mod files;
pub(crate) mod job;
mod log;
pub(crate) mod run;
pub(crate) mod runner;
pub(crate) mod sender;
mod task;
mod travel;
pub(crate) mod worker;

pub(crate) use self::access::AccessPlan;

use std::future::Future;
use std::io::Write;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

/// Where the token comes from, if from no file.
pub(crate) const TOKEN: &str = "HANDS_TOKEN";

/// A line on stderr.
pub(crate) fn say(line: &str) {
    // A closed stderr leaves nobody to tell.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Blocks this thread until a future is ready.
fn wait_for<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}
