//! Many short jobs on a machine that is busy with something else: the order of events is then
//! anything but usual.

use std::process::Child;

use hands_batch::policy::Retries;
use hands_batch::{Batch, Commands, Grouping};

use crate::recorder::{Recorder, Shared};
use crate::support::in_time;

/// Keeps both cores busy until it is dropped.
struct Load([Child; 2]);

impl Load {
    fn new() -> Load {
        Load([(); 2].map(|()| {
            std::process::Command::new("sh")
                .args(["-c", "while :; do :; done"])
                .spawn()
                .expect("sh starts")
        }))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn every_one_of_many_short_jobs_under_load_gets_its_own_end_and_output() {
    let load = Load::new();
    let words = |number: u64| {
        let text = number.to_string();
        match number % 5 {
            0 => vec!["true".into()],
            1 => vec!["false".into()],
            2 => vec!["printf".into(), "%s\\n".into(), text.into()],
            3 => vec![
                "sh".into(),
                "-c".into(),
                format!("echo {text} >&2; exit 3").into(),
            ],
            _ => vec![
                "sh".into(),
                "-c".into(),
                format!("printf '%s\\n' {text} | cat").into(),
            ],
        }
    };
    let (out, err) = (Shared::default(), Shared::default());
    let batch = Batch::new()
        .jobs(4)
        .grouping(Grouping::Ordered)
        .retries(Retries::NONE)
        .stdout(out.sink())
        .stderr(err.sink());
    in_time(move || {
        let mut recorder = Recorder::default();
        let work = Commands::new((1..=1500).map(words));
        let summary = batch.run(work, &mut recorder).expect("it runs");
        assert_eq!(
            (summary.succeeded, summary.failed, summary.exit_code),
            (900, 600, 101)
        );
        assert_eq!(recorder.ends.len(), 1500);
        for end in &recorder.ends {
            let code = [0, 1, 0, 3, 0][(end.number % 5) as usize];
            assert_eq!(end.exit, code, "job {}", end.number);
            assert_eq!(end.status.and_then(|status| status.code()), Some(code));
        }
    });
    drop(load);
    let expected = |kinds: &[u64]| {
        let numbers = (1..=1500_u64).filter(|number| kinds.contains(&(number % 5)));
        numbers.map(|number| number.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(out.lines(), expected(&[2, 4]));
    assert_eq!(err.lines(), expected(&[3]));
}
