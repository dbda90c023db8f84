//! `--web`: a batch, as a page shows and steers it.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hands::sync::Mutex;
use hands_batch::{BatchProgress, Control, Finished, Outcome, Started, Stop};
use hands_web::{Action, End, Ledger, Overview, Phase, Refused, Source, Verb};

use super::failures::reason;
use crate::plan::Plan;
use crate::ui::page::ServedPage;

/// How often the batch says where it stands.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// What the batch tells; the page fetches it.
#[derive(Default)]
struct ToldJobs {
    changes: Vec<Change>,
    overview: Overview,
    /// Somebody has asked for an early end.
    stopped: bool,
}

enum Change {
    Started {
        number: u64,
        command: String,
        slot: u32,
    },
    Finished {
        number: u64,
        command: String,
        end: End,
    },
    TriedAgain(u64),
    Note(String),
}

/// The batch's side: it hears all and waits for nothing.
pub(super) struct BatchPage {
    told: Arc<Mutex<ToldJobs>>,
    /// Dropped at the end: it shows that until then.
    _page: ServedPage,
    /// Jobs run on other machines.
    is_elsewhere: bool,
}

/// Whether what fails can be tried again from the page: what a job was given must be there still.
pub(super) fn keeps_failed(plan: &Plan) -> bool {
    plan.web.is_some() && plan.pipe.is_none() && plan.machines.is_none()
}

impl BatchPage {
    pub(super) fn open(
        address: SocketAddr,
        plan: &Plan,
        control: &Control,
    ) -> Result<BatchPage, String> {
        let told = Arc::new(Mutex::new(ToldJobs::default()));
        let source = BatchSource {
            told: Arc::clone(&told),
            control: control.clone(),
            keeps_failed: keeps_failed(plan),
        };
        let words: Vec<String> = plan
            .words
            .iter()
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        let command = words.iter().take_while(|word| !word.starts_with(":::"));
        let title: Vec<&str> = command.map(String::as_str).collect();
        let title = match title.is_empty() {
            true => "hands run".to_owned(),
            false => title.join(" ").chars().take(120).collect(),
        };
        let page = ServedPage::open(address, Ledger::new(title), source)?;
        Ok(BatchPage {
            told,
            _page: page,
            is_elsewhere: plan.machines.is_some(),
        })
    }

    fn tell(&self, change: Change) {
        self.told.lock().changes.push(change);
    }

    pub(super) fn started(&self, job: &Started<'_>) {
        self.tell(Change::Started {
            number: job.place.number,
            command: String::from_utf8_lossy(job.display).into_owned(),
            slot: u32::try_from(job.place.slot).unwrap_or(u32::MAX),
        });
    }

    pub(super) fn finished(&self, job: &Finished<'_>) {
        let mut end = End::new(job.outcome.task_end(), job.wall);
        end.cpu = Some(job.cpu_user + job.cpu_system);
        end.tail = String::from_utf8_lossy(job.stderr_tail).into_owned();
        end.why = match job.outcome {
            Outcome::Success => String::new(),
            Outcome::Ended => "ended, as it was asked for".to_owned(),
            _ => reason(job),
        };
        if let Some(host) = job.host {
            let at = if end.why.is_empty() { "on " } else { ", on " };
            end.why += &format!("{at}{host}");
        }
        self.tell(Change::Finished {
            number: job.place.number,
            command: String::from_utf8_lossy(job.display).into_owned(),
            end,
        });
    }

    pub(super) fn tried_again(&self, number: u64) {
        self.tell(Change::TriedAgain(number));
    }

    /// What is told on the terminal beside the display.
    pub(super) fn note(&self, text: &str) {
        self.tell(Change::Note(text.to_owned()));
    }

    pub(super) fn tick(&self, progress: &BatchProgress<'_>) {
        let done = progress.succeeded + progress.failed;
        let running = progress.running_count as u64;
        let retrying = progress.retrying as u64;
        let known = progress.total.unwrap_or(progress.started);
        self.told.lock().overview = Overview {
            phase: match progress.done {
                true => Phase::Done,
                false => Phase::Running,
            },
            total: progress.total,
            waiting: known.saturating_sub(done + running),
            finished: done,
            failed: progress.failed,
            retrying,
            workers: progress.at_once,
            busy: progress.running_count,
            sizing: match progress.sizing {
                Some(decision) => decision.to_string(),
                None if self.is_elsewhere => {
                    format!("up to {} handed to the workers at a time", progress.at_once)
                }
                None => format!("{} at once, as it was set", progress.at_once),
            },
            bytes: 0,
        };
    }

    /// Whether the batch was stopped by the page.
    pub(super) fn has_stopped(&self) -> bool {
        self.told.lock().stopped
    }

    /// The batch is over: pages that are open are told so.
    pub(super) fn end(&self) {
        self.told.lock().overview.phase = Phase::Done;
    }
}

/// The page's side.
struct BatchSource {
    told: Arc<Mutex<ToldJobs>>,
    control: Control,
    keeps_failed: bool,
}

impl Source for BatchSource {
    fn update(&mut self, ledger: &mut Ledger) {
        let (changes, mut overview) = {
            let mut told = self.told.lock();
            (std::mem::take(&mut told.changes), told.overview.clone())
        };
        // All that are tried again come together: there may be thousands.
        let mut again = HashSet::new();
        for change in changes {
            if let Change::TriedAgain(number) = change {
                again.insert(number);
                continue;
            }
            ledger.forget_failures(&std::mem::take(&mut again));
            match change {
                Change::Started {
                    number,
                    command,
                    slot,
                } => ledger.started(number, &command, slot),
                Change::Finished {
                    number,
                    command,
                    end,
                } => ledger.finished(number, &command, end),
                Change::TriedAgain(_) => {}
                Change::Note(text) => ledger.note(text),
            }
        }
        ledger.forget_failures(&again);
        if overview.phase != Phase::Done {
            overview.phase = match (self.control.stopped(), self.control.is_paused()) {
                (Stop::No, true) => Phase::Paused,
                (Stop::No, false) => Phase::Running,
                _ => Phase::Stopping,
            };
        }
        ledger.overview(overview);
    }

    fn verbs(&self) -> Vec<Verb> {
        let mut verbs = vec![Verb::Pause, Verb::Stop, Verb::Cancel];
        if self.keeps_failed {
            verbs.extend([Verb::Retry, Verb::RetryFailed]);
        }
        verbs
    }

    fn act(&mut self, action: Action, ledger: &mut Ledger) -> Result<String, Refused> {
        if ledger.phase() == Phase::Done {
            return Err(Refused::new("all is over"));
        }
        self.told.lock().stopped |= matches!(action, Action::Stop { .. });
        let said = match action {
            Action::Pause => {
                self.control.pause(true);
                "no further job starts until it is resumed; those that run go on"
            }
            Action::Resume => {
                self.control.pause(false);
                "it goes on"
            }
            Action::Stop { now: false } => {
                self.control.stop(Stop::Drain);
                "no further job starts; those that run come to their end"
            }
            Action::Stop { now: true } => {
                self.control.stop(Stop::Terminate);
                "the jobs that run are being ended"
            }
            Action::Cancel { id } => {
                self.control.end_job(id);
                "it is being ended"
            }
            Action::Retry { id } if self.keeps_failed => {
                self.control.retry(id);
                "it is tried again"
            }
            Action::RetryFailed if self.keeps_failed => {
                self.control.retry_failed();
                "what failed is tried again"
            }
            _ => return Err(Refused::new("that cannot be done with this batch")),
        };
        Ok(said.to_owned())
    }
}
