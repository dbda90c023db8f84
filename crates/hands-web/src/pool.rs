//! A pool, watched.

use std::io;

use hands::event::Listener;
use hands::pool::{Pool, StatsReader};

use crate::ledger::{Ledger, Overview, Phase};
use crate::server::{Page, PageOptions};
use crate::source::Source;

/// Serves a page that shows what a pool does, on a port of 127.0.0.1 that the system chooses;
/// [`Page::link`] says where. It shows only: a program steers its pool itself.
///
/// The page goes on when the pool is gone, and shows how it ended, until it is dropped.
///
/// # Errors
///
/// When no port can be had, threads are short, or eight listen to the pool's events already.
pub fn serve(pool: &impl Pool) -> io::Result<Page> {
    let name = std::env::current_exe().ok();
    let name = name.as_deref().and_then(std::path::Path::file_name);
    let title = name.map_or_else(|| "pool".into(), |name| name.to_string_lossy());
    let source = WatchedPool {
        listener: pool.events().listen().map_err(io::Error::other)?,
        stats: pool.stats_reader(),
    };
    Page::open(PageOptions::new(), Ledger::new(title), source)
}

struct WatchedPool {
    listener: Listener,
    stats: StatsReader,
}

impl Source for WatchedPool {
    fn update(&mut self, ledger: &mut Ledger) {
        for event in &mut self.listener {
            ledger.event(&event);
        }
        let stats = self.stats.read();
        ledger.lost(self.listener.lost());
        ledger.overview(Overview {
            phase: match (self.stats.is_over(), stats.busy + stats.queued) {
                (true, _) => Phase::Done,
                (false, 0) => Phase::Idle,
                (false, _) => Phase::Running,
            },
            waiting: stats.queued as u64,
            finished: stats.finished,
            failed: stats.panicked + stats.died + stats.timed_out,
            retrying: 0,
            workers: stats.workers,
            busy: stats.busy,
            sizing: stats.sizing.to_string(),
            ..Overview::default()
        });
    }
}
