//! What is said while files are fetched, and what it comes to: messages, events, the summary, the
//! exit code.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hands_fetch::{
    Fetch, FetchEvent, FetchPlan, FetchProgress, FetchState, NOBODY_READS as STDOUT_CLOSED, clean,
};
use serde::Serialize;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::progress::{FetchCounts, FetchDisplay, bytes};
use super::web::FetchPage;
use crate::flags::{self, ShownFlags};
use crate::ui::codes::{INTERRUPTED, NOBODY_READS};
use crate::ui::paint::Paint;
use crate::ui::time::time;
use crate::ui::usage::USAGE;

/// A stopped run waits so long for what is under way to come to rest.
const GRACE: Duration = Duration::from_secs(2);

/// Downloads that are under way, here or on other machines.
pub(crate) trait Downloads {
    /// What has happened since, and whether more may; it waits a little for that.
    fn wait(&self) -> (Vec<FetchEvent>, bool);
    /// The same, without waiting.
    fn take(&self) -> Vec<FetchEvent>;
    /// Begins no more, and ends what is under way.
    fn stop(&self);
    /// A file is being given its name.
    fn is_naming(&self) -> bool;
    fn progress(&self) -> FetchProgress;
    fn connections(&self) -> usize;
}

impl Downloads for Fetch {
    fn wait(&self) -> (Vec<FetchEvent>, bool) {
        Fetch::wait(self)
    }

    fn take(&self) -> Vec<FetchEvent> {
        Fetch::take(self)
    }

    fn stop(&self) {
        Fetch::stop(self);
    }

    fn is_naming(&self) -> bool {
        Fetch::is_naming(self)
    }

    fn progress(&self) -> FetchProgress {
        Fetch::progress(self)
    }

    fn connections(&self) -> usize {
        Fetch::connections(self)
    }
}

pub(super) struct FetchReport {
    is_json: bool,
    is_quiet: bool,
    is_head: bool,
    is_fail_fast: bool,
    display: FetchDisplay,
    paint: Paint,
    counts: FetchCounts,
    since: Instant,
    interrupted: Arc<AtomicBool>,
    stopping_since: Option<Instant>,
    /// Why stdout cannot be written any more.
    closed: Option<io::Error>,
    broken: Option<String>,
    is_first_head: bool,
    /// Where to write down what failed, and what that is.
    failed_to: Option<(PathBuf, File)>,
    failed: BTreeMap<u64, String>,
    /// `--web`.
    pub(super) web: Option<FetchPage>,
    /// With it: how those ended that have not come, as they may be tried again.
    not_there: HashMap<u64, NotThere>,
}

/// How a file ended that has not come.
#[derive(Clone, Copy)]
enum NotThere {
    Skipped,
    Failed,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum FetchJsonEvent<'a> {
    Start {
        number: u64,
        url: &'a str,
    },
    Retry {
        number: u64,
        url: &'a str,
        why: &'a str,
        wait: f64,
    },
    End {
        number: u64,
        url: &'a str,
        state: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        file: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        bytes: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        received: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
        seconds: f64,
    },
    Summary {
        ok: u64,
        unchanged: u64,
        skipped: u64,
        failed: u64,
        bytes: u64,
        seconds: f64,
        connections: usize,
        exit_code: u8,
    },
}

impl FetchReport {
    pub(super) fn new(shown: &ShownFlags, plan: &FetchPlan) -> Result<FetchReport, String> {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGHUP, SIGTERM] {
            if hands::command::signal_is_ignored(signal) {
                continue;
            }
            let caught = signal_hook::flag::register(signal, Arc::clone(&interrupted));
            caught.map_err(|error| format!("cannot set up signals: {error}"))?;
        }
        let progress = match (shown.progress, shown.quiet || plan.what.head) {
            (Some(asked), _) => asked,
            (None, true) => flags::ProgressStyle::None,
            (None, false) => flags::ProgressStyle::Auto,
        };
        Ok(FetchReport {
            is_json: shown.json,
            is_quiet: shown.quiet,
            is_head: plan.what.head,
            is_fail_fast: plan.transfer.fail_fast,
            display: FetchDisplay::new(progress),
            paint: Paint::new(shown.color),
            counts: FetchCounts::default(),
            since: Instant::now(),
            interrupted,
            stopping_since: None,
            closed: None,
            broken: None,
            is_first_head: true,
            failed_to: failed_to(plan)?,
            failed: BTreeMap::new(),
            web: None,
            not_there: HashMap::new(),
        })
    }

    /// Says what there is to say until all is over, and gives the exit code.
    pub(super) fn run(mut self, fetch: &dyn Downloads) -> u8 {
        loop {
            let (told, is_more) = fetch.wait();
            for told in told {
                self.say(told, fetch);
            }
            if !is_more {
                break;
            }
            let is_interrupted = self.interrupted.load(Ordering::Relaxed);
            if (is_interrupted || self.closed.is_some()) && self.stopping_since.is_none() {
                self.stop(fetch);
            }
            // A list that is still being written may never end.
            let is_long_ago = |since: Instant| since.elapsed() > GRACE;
            if self.stopping_since.is_some_and(is_long_ago) && !fetch.is_naming() {
                // What has been told just now.
                for told in fetch.take() {
                    self.say(told, fetch);
                }
                break;
            }
            self.display.show(self.counts, || fetch.progress());
        }
        self.display.end();
        if let Some(web) = &self.web {
            web.end();
        }
        self.finish(fetch)
    }

    fn stop(&mut self, fetch: &dyn Downloads) {
        fetch.stop();
        self.stopping_since = Some(Instant::now());
    }

    fn say(&mut self, told: FetchEvent, fetch: &dyn Downloads) {
        if let Some(web) = &self.web {
            web.told(&told);
        }
        match told {
            FetchEvent::Start { number, url } => {
                self.event(&FetchJsonEvent::Start { number, url: &url })
            }
            FetchEvent::Retry {
                number,
                url,
                why,
                wait,
            } => self.event(&FetchJsonEvent::Retry {
                number,
                url: &url,
                why: &why,
                wait: wait.as_secs_f64(),
            }),
            FetchEvent::End {
                number,
                url,
                path,
                state,
                time,
                listed,
            } => {
                self.failed.extend(listed.map(|listed| (number, listed)));
                if self.web.is_some() {
                    let how = match state {
                        FetchState::Skipped(_) => Some(NotThere::Skipped),
                        FetchState::Failed(_) => Some(NotThere::Failed),
                        _ => None,
                    };
                    self.not_there.extend(how.map(|how| (number, how)));
                }
                self.ended(fetch, number, &url, path.as_deref(), &state, time);
            }
            FetchEvent::Head { number, url, head } => self.head(fetch, number, &url, head),
            FetchEvent::Again { number, .. } => {
                self.failed.remove(&number);
                match self.not_there.remove(&number) {
                    Some(NotThere::Skipped) => self.counts.skipped -= 1,
                    Some(NotThere::Failed) => self.counts.failed -= 1,
                    None => {}
                }
            }
            FetchEvent::Total(total) => self.counts.total = Some(total),
            FetchEvent::Broken(why) => {
                self.message(&self.paint.wrong(&format!("hands: {why}")));
                self.broken = Some(why);
            }
            _ => {}
        }
    }

    fn ended(
        &mut self,
        fetch: &dyn Downloads,
        number: u64,
        url: &str,
        path: Option<&Path>,
        state: &FetchState,
        time: Duration,
    ) {
        let (name, reason) = match state {
            FetchState::Ok { .. } => {
                self.counts.ok += 1;
                ("ok", None)
            }
            FetchState::Unchanged => {
                self.counts.unchanged += 1;
                ("unchanged", None)
            }
            FetchState::Skipped(why) => {
                self.counts.skipped += 1;
                ("skipped", Some(why.as_str()))
            }
            FetchState::Failed(why) => {
                self.counts.failed += 1;
                ("failed", Some(why.as_str()))
            }
        };
        let (bytes, received) = match *state {
            FetchState::Ok { bytes, received } => (Some(bytes), Some(received)),
            _ => (None, None),
        };
        self.event(&FetchJsonEvent::End {
            number,
            url,
            state: name,
            file: path.map(|path| path.display().to_string()),
            bytes,
            received,
            reason,
            seconds: time.as_secs_f64(),
        });
        if let FetchState::Failed(why) = state {
            if why == STDOUT_CLOSED {
                self.closed = Some(io::ErrorKind::BrokenPipe.into());
                return;
            }
            let url = clean(url);
            self.message(&self.paint.wrong(&format!("hands: {url}: {}", clean(why))));
            if self.is_fail_fast && self.stopping_since.is_none() {
                self.stop(fetch);
            }
        }
    }

    fn head(
        &mut self,
        fetch: &dyn Downloads,
        number: u64,
        url: &str,
        head: Result<Vec<u8>, String>,
    ) {
        match head {
            Ok(head) => {
                self.counts.ok += 1;
                let mut text = Vec::new();
                if !std::mem::take(&mut self.is_first_head) {
                    text.push(b'\n');
                }
                text.extend(clean(url).into_bytes());
                text.push(b'\n');
                text.extend(head);
                self.print(&text);
            }
            Err(why) => self.ended(
                fetch,
                number,
                url,
                None,
                &FetchState::Failed(why),
                Duration::ZERO,
            ),
        }
    }

    fn event(&mut self, event: &FetchJsonEvent<'_>) {
        if self.is_json {
            // Writing numbers and strings to memory cannot fail.
            let mut line = serde_json::to_vec(event).unwrap_or_default();
            line.push(b'\n');
            self.print(&line);
        }
    }

    fn print(&mut self, text: &[u8]) {
        if self.closed.is_some() {
            return;
        }
        let mut written = Ok(());
        self.display.aside(|| {
            let mut stdout = io::stdout().lock();
            written = stdout.write_all(text).and_then(|()| stdout.flush());
        });
        self.closed = written.err();
    }

    fn message(&mut self, text: &str) {
        self.display.aside(|| {
            // A closed stderr leaves nobody to tell.
            let _ = writeln!(io::stderr(), "{text}");
        });
    }

    fn finish(&mut self, fetch: &dyn Downloads) -> u8 {
        let counts = self.counts;
        let is_interrupted = self.interrupted.load(Ordering::Relaxed)
            || self.web.as_ref().is_some_and(FetchPage::has_stopped);
        let exit_code = match counts.failed {
            _ if self.broken.is_some() => USAGE,
            _ if is_interrupted => INTERRUPTED,
            failed => u8::try_from(failed.min(101)).unwrap_or(101),
        };
        if let Some((path, mut file)) = self.failed_to.take() {
            let text: String = self.failed.values().map(String::as_str).collect();
            let written = file
                .set_len(0)
                .and_then(|()| file.write_all(text.as_bytes()));
            if let Err(error) = written {
                self.message(&format!("error: `--failed {}`: {error}", path.display()));
                return USAGE;
            }
        }
        let elapsed = self.since.elapsed();
        self.event(&FetchJsonEvent::Summary {
            ok: counts.ok,
            unchanged: counts.unchanged,
            skipped: counts.skipped,
            failed: counts.failed,
            bytes: fetch.progress().bytes,
            seconds: elapsed.as_secs_f64(),
            connections: fetch.connections(),
            exit_code,
        });
        if let Some(error) = &self.closed {
            if error.kind() == io::ErrorKind::BrokenPipe {
                return NOBODY_READS;
            }
            self.message(&format!("error: stdout cannot be written: {error}"));
            return USAGE;
        }
        if !self.is_quiet && !self.is_head {
            self.message(&summary(
                counts,
                fetch.progress().bytes,
                elapsed,
                is_interrupted,
            ));
        }
        exit_code
    }
}

/// The file for the URLs that fail, opened before anything is fetched, for nobody else to read:
/// URLs may have passwords in them.
fn failed_to(plan: &FetchPlan) -> Result<Option<(PathBuf, File)>, String> {
    let Some(path) = &plan.files.failed else {
        return Ok(None);
    };
    let wrong = |what: &str| format!("`--failed {}`: {what}", path.display());
    let mut options = File::options();
    options.write(true).create(true).truncate(false).mode(0o600);
    let file = options
        .open(path)
        .map_err(|error| wrong(&error.to_string()))?;
    let known = |path: &Path| path.metadata().map(|there| (there.dev(), there.ino())).ok();
    let own = known(path);
    if plan.what.input_file.iter().any(|list| known(list) == own) {
        return Err(wrong("it is the list that is read"));
    }
    Ok(Some((path.clone(), file)))
}

/// `hands: 98 ok, 1 unchanged, 1 failed; 12.3 MiB in 3s (4.1 MiB/s)`.
fn summary(counts: FetchCounts, received: u64, elapsed: Duration, is_interrupted: bool) -> String {
    let mut parts = vec![format!("{} ok", counts.ok)];
    for (count, name) in [
        (counts.unchanged, "unchanged"),
        (counts.skipped, "skipped"),
        (counts.failed, "failed"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {name}"));
        }
    }
    let received = received as f64;
    let seconds = elapsed.as_secs_f64().max(0.001);
    let took = if elapsed.as_secs() < 10 {
        format!("{seconds:.2}s")
    } else {
        time(elapsed)
    };
    let mut text = format!(
        "hands: {}; {} in {took} ({}/s)",
        parts.join(", "),
        bytes(received),
        bytes(received / seconds)
    );
    if is_interrupted {
        text.push_str("; interrupted, and what has come is kept");
    }
    text
}
