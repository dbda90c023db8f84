//! A source that does what a test says.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hands::event::TaskEnd;
use hands_web::{Action, End, Ledger, Overview, Page, PageOptions, Phase, Refused, Source, Verb};

/// What is known, and what was asked for.
#[derive(Clone, Default)]
pub(crate) struct Script(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    overview: Overview,
    changes: Vec<Change>,
    actions: Vec<Action>,
    verbs: Vec<Verb>,
    count: u64,
}

type Change = Box<dyn FnOnce(&mut Ledger) + Send>;

pub(crate) const ALL: [Verb; 5] = [
    Verb::Pause,
    Verb::Stop,
    Verb::Cancel,
    Verb::Retry,
    Verb::RetryFailed,
];

impl Script {
    pub(crate) fn new(verbs: &[Verb]) -> Script {
        let script = Script::default();
        script.inner().verbs = verbs.to_vec();
        script
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().expect("nobody panicked")
    }

    pub(crate) fn serve(&self, title: &str) -> Page {
        Page::open(PageOptions::new(), Ledger::new(title), self.clone()).expect("a page")
    }

    pub(crate) fn overview(&self, change: impl FnOnce(&mut Overview)) {
        change(&mut self.inner().overview);
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Ledger) + Send + 'static) {
        self.inner().changes.push(Box::new(change));
    }

    pub(crate) fn actions(&self) -> Vec<Action> {
        self.inner().actions.clone()
    }

    /// So many tasks have ended well and badly, and others run.
    pub(crate) fn busy(&self, running: u64, failed: u64) {
        self.overview(|overview| {
            overview.phase = Phase::Running;
            overview.total = Some(1000);
            overview.waiting = 1000 - running - failed;
            overview.finished = failed + 100;
            overview.failed = failed;
            (overview.workers, overview.busy) = (8, running as usize);
            overview.sizing = "8 jobs at once, as it was set".to_owned();
        });
        self.change(move |ledger| {
            for id in 0..failed {
                ledger.started(id, &format!("convert picture-{id}.png"), 1);
                let mut end = End::new(TaskEnd::Failed, Duration::from_millis(100 + id));
                end.why = "failed with exit code 3".to_owned();
                end.tail = format!("picture-{id}.png: no such file\n");
                ledger.finished(id, "", end);
            }
            for id in failed..failed + 100 {
                ledger.started(id, &format!("convert picture-{id}.png"), 2);
                let end = End::new(TaskEnd::Well, Duration::from_millis(700));
                ledger.finished(id, "", end);
            }
            for id in 0..running {
                let name = format!("convert picture-{}.png", 500 + id);
                ledger.started(500 + id, &name, (id % 8) as u32 + 1);
            }
        });
    }
}

impl Source for Script {
    fn update(&mut self, ledger: &mut Ledger) {
        let mut inner = self.inner();
        inner.count += 1;
        let changes: Vec<_> = inner.changes.drain(..).collect();
        let overview = inner.overview.clone();
        drop(inner);
        changes.into_iter().for_each(|change| change(ledger));
        ledger.overview(overview);
    }

    fn verbs(&self) -> Vec<Verb> {
        self.inner().verbs.clone()
    }

    fn act(&mut self, action: Action, _: &mut Ledger) -> Result<String, Refused> {
        let mut inner = self.inner();
        inner.actions.push(action.clone());
        match action {
            Action::Pause => inner.overview.phase = Phase::Paused,
            Action::Resume => inner.overview.phase = Phase::Running,
            Action::Stop { .. } => inner.overview.phase = Phase::Stopping,
            Action::Cancel { id: 501 } => return Err(Refused::new("501 has just ended")),
            _ => {}
        }
        Ok("it is done".to_owned())
    }
}
