//! What is said while files are fetched, and what it comes to: messages, events, the summary, the exit code.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hands::sync::{Condvar, Mutex};
use serde::Serialize;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::progress::{Counts, Display, REDRAW, bytes};
use super::state::State;
use super::text::clean;
use super::{Fetcher, Told, state};
use crate::flags::{self, FetchFlags};
use crate::run::paint::Paint;
use crate::run::progress::time;
use crate::run::{INTERRUPTED, NOBODY_READS};
use crate::usage::USAGE;

/// Where what is told waits to be said. Nobody is woken for it, except when it is worth that: at the end, when something fails or is shown.
pub(super) struct Mailbox {
    inside: Mutex<Inside>,
    news: Condvar,
}

struct Inside {
    told: Vec<Told>,
    is_urgent: bool,
    /// Those that may still tell something.
    senders: usize,
}

/// Somebody who may still tell something.
pub(super) struct Sender<'a>(&'a Mailbox);

impl Mailbox {
    pub(super) fn new(senders: usize) -> Mailbox {
        Mailbox {
            inside: Mutex::new(Inside {
                told: Vec::new(),
                is_urgent: false,
                senders,
            }),
            news: Condvar::new(),
        }
    }

    pub(super) fn put(&self, told: Told) {
        let is_urgent = match &told {
            Told::Head { .. } | Told::Broken(_) => true,
            Told::End { state, .. } => matches!(state, State::Failed(_)),
            _ => false,
        };
        let mut inside = self.inside.lock();
        inside.told.push(told);
        if is_urgent && !inside.is_urgent {
            inside.is_urgent = true;
            self.news.notify_one();
        }
    }

    /// What has been told, without waiting.
    fn take(&self) -> Vec<Told> {
        std::mem::take(&mut self.inside.lock().told)
    }

    /// One of those that it was made for; it leaves when it is dropped.
    pub(super) fn sender(&self) -> Sender<'_> {
        Sender(self)
    }

    /// What has been told, when that is urgent or some time has passed; and whether there may be more.
    fn wait(&self) -> (Vec<Told>, bool) {
        let mut inside = self.inside.lock();
        let is_time = |inside: &mut Inside| inside.is_urgent || inside.senders == 0;
        self.news.wait_for(&mut inside, is_time, Some(REDRAW));
        inside.is_urgent = false;
        (std::mem::take(&mut inside.told), inside.senders > 0)
    }
}

impl Drop for Sender<'_> {
    fn drop(&mut self) {
        let mut inside = self.0.inside.lock();
        inside.senders -= 1;
        if inside.senders == 0 {
            self.0.news.notify_one();
        }
    }
}

/// A stopped run waits so long for what is under way to come to rest.
const GRACE: Duration = Duration::from_secs(2);

pub(super) struct Report {
    is_json: bool,
    is_quiet: bool,
    is_head: bool,
    is_fail_fast: bool,
    display: Display,
    paint: Paint,
    counts: Counts,
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
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Event<'a> {
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

impl Report {
    pub(super) fn new(flags: &FetchFlags) -> Result<Report, String> {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGHUP, SIGTERM] {
            if hands::command::signal_is_ignored(signal) {
                continue;
            }
            let caught = signal_hook::flag::register(signal, Arc::clone(&interrupted));
            caught.map_err(|error| format!("cannot set up signals: {error}"))?;
        }
        let shown = &flags.shown;
        let progress = match (shown.progress, shown.quiet || flags.what.head) {
            (Some(asked), _) => asked,
            (None, true) => flags::Progress::None,
            (None, false) => flags::Progress::Auto,
        };
        Ok(Report {
            is_json: shown.json,
            is_quiet: shown.quiet,
            is_head: flags.what.head,
            is_fail_fast: flags.transfer.fail_fast,
            display: Display::new(progress),
            paint: Paint::new(shown.color),
            counts: Counts::default(),
            since: Instant::now(),
            interrupted,
            stopping_since: None,
            closed: None,
            broken: None,
            is_first_head: true,
            failed_to: failed_to(flags)?,
            failed: BTreeMap::new(),
        })
    }

    /// Says what there is to say until all is over, and gives the exit code.
    pub(super) fn run(mut self, fetcher: &Fetcher) -> u8 {
        loop {
            let (told, is_more) = fetcher.told.wait();
            for told in told {
                self.say(told, fetcher);
            }
            if !is_more {
                break;
            }
            let is_interrupted = self.interrupted.load(Ordering::Relaxed);
            if (is_interrupted || self.closed.is_some()) && self.stopping_since.is_none() {
                self.stop(fetcher);
            }
            // A list that is still being written may never end.
            let is_long_ago = |since: Instant| since.elapsed() > GRACE;
            if self.stopping_since.is_some_and(is_long_ago)
                && fetcher.being_named.load(Ordering::SeqCst) == 0
            {
                // What has been told just now.
                for told in fetcher.told.take() {
                    self.say(told, fetcher);
                }
                break;
            }
            self.display.show(self.counts, &fetcher.board);
        }
        self.display.end();
        self.finish(fetcher)
    }

    fn stop(&mut self, fetcher: &Fetcher) {
        fetcher.stop.cancel();
        self.stopping_since = Some(Instant::now());
    }

    fn say(&mut self, told: Told, fetcher: &Fetcher) {
        match told {
            Told::Start { number, url } => self.event(&Event::Start { number, url: &url }),
            Told::Retry {
                number,
                url,
                why,
                wait,
            } => self.event(&Event::Retry {
                number,
                url: &url,
                why: &why,
                wait: wait.as_secs_f64(),
            }),
            Told::End {
                number,
                url,
                path,
                state,
                time,
                listed,
            } => {
                self.failed.extend(listed.map(|listed| (number, listed)));
                self.ended(fetcher, number, &url, path.as_deref(), &state, time);
            }
            Told::Head { number, url, head } => self.head(fetcher, number, &url, head),
            Told::Total(total) => self.counts.total = Some(total),
            Told::Broken(why) => {
                self.message(&self.paint.wrong(&format!("hands: {why}")));
                self.broken = Some(why);
            }
        }
    }

    fn ended(
        &mut self,
        fetcher: &Fetcher,
        number: u64,
        url: &str,
        path: Option<&Path>,
        state: &State,
        time: Duration,
    ) {
        let (name, reason) = match state {
            State::Ok { .. } => {
                self.counts.ok += 1;
                ("ok", None)
            }
            State::Unchanged => {
                self.counts.unchanged += 1;
                ("unchanged", None)
            }
            State::Skipped(why) => {
                self.counts.skipped += 1;
                ("skipped", Some(why.as_str()))
            }
            State::Failed(why) => {
                self.counts.failed += 1;
                ("failed", Some(why.as_str()))
            }
        };
        let (bytes, received) = match *state {
            State::Ok { bytes, received } => (Some(bytes), Some(received)),
            _ => (None, None),
        };
        self.event(&Event::End {
            number,
            url,
            state: name,
            file: path.map(|path| path.display().to_string()),
            bytes,
            received,
            reason,
            seconds: time.as_secs_f64(),
        });
        if let State::Failed(why) = state {
            if why == state::NOBODY_READS {
                self.closed = Some(io::ErrorKind::BrokenPipe.into());
                return;
            }
            let url = clean(url);
            self.message(&self.paint.wrong(&format!("hands: {url}: {}", clean(why))));
            if self.is_fail_fast && self.stopping_since.is_none() {
                self.stop(fetcher);
            }
        }
    }

    fn head(&mut self, fetcher: &Fetcher, number: u64, url: &str, head: Result<Vec<u8>, String>) {
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
                fetcher,
                number,
                url,
                None,
                &State::Failed(why),
                Duration::ZERO,
            ),
        }
    }

    fn event(&mut self, event: &Event<'_>) {
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

    fn finish(&mut self, fetcher: &Fetcher) -> u8 {
        let counts = self.counts;
        let is_interrupted = self.interrupted.load(Ordering::Relaxed);
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
        self.event(&Event::Summary {
            ok: counts.ok,
            unchanged: counts.unchanged,
            skipped: counts.skipped,
            failed: counts.failed,
            bytes: fetcher.board.bytes(),
            seconds: elapsed.as_secs_f64(),
            connections: fetcher.connections.size(),
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
                fetcher.board.bytes(),
                elapsed,
                is_interrupted,
            ));
        }
        exit_code
    }
}

/// The file for the URLs that fail, opened before anything is fetched, for nobody else to read: URLs may have passwords in them.
fn failed_to(flags: &FetchFlags) -> Result<Option<(PathBuf, File)>, String> {
    let Some(path) = &flags.files.failed else {
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
    if flags.what.input_file.iter().any(|list| known(list) == own) {
        return Err(wrong("it is the list that is read"));
    }
    Ok(Some((path.clone(), file)))
}

/// `hands: 98 ok, 1 unchanged, 1 failed; 12.3 MiB in 3s (4.1 MiB/s)`.
fn summary(counts: Counts, received: u64, elapsed: Duration, is_interrupted: bool) -> String {
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
