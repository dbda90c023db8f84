//! A disk that fills up while outputs wait on it.

use std::process::{Command as Tool, Stdio};

use hands::command::batch::{Batch, Commands, Grouping};

use crate::support::{Recorder, Scene, Shared, folder, report, shell, var};

/// Each job writes this many lines of ten bytes to both streams.
const LINES: usize = 40_000;

pub(crate) fn full_disk() {
    for grouping in [Grouping::Jobs, Grouping::Ordered, Grouping::Lines] {
        let (out, err) = (Shared::default(), Shared::default());
        let lines = (0..6).map(|n| format!("seq -f {n}-%07.0f {LINES} | tee /dev/stderr"));
        let batch = Batch::new()
            .jobs(3)
            .grouping(grouping)
            .spill_folder(var("SPILL"))
            .stdout(out.sink())
            .stderr(err.sink());
        let mut recorder = Recorder::default();
        let summary = batch
            .run(Commands::new(shell(lines)), &mut recorder)
            .expect("it runs");
        assert_eq!(summary.succeeded, 6);
        report(format_args!(
            "{grouping:?} {}",
            recorder.noticed("SpillFull")
        ));
        for text in [out.text(), err.text()] {
            for job in 0..6 {
                let mine = text
                    .lines()
                    .filter(|line| line.starts_with(&format!("{job}-")));
                assert!(mine.clone().is_sorted());
                assert_eq!(mine.count(), LINES);
            }
            let mut order: Vec<_> = text.lines().map(|line| &line[..1]).collect();
            assert_eq!(order.len(), 6 * LINES);
            order.dedup();
            assert!(
                grouping == Grouping::Lines || order.len() == 6,
                "mixed: {order:?}"
            );
            assert!(grouping != Grouping::Ordered || order.is_sorted());
        }
    }
    let left = std::fs::read_dir(var("SPILL")).expect("the folder").count();
    assert_eq!(left, 0, "files are left");
}

#[test]
fn a_folder_of_256_kib_is_enough_for_megabytes_that_wait() {
    let folder = folder();
    // A file that may not grow further is refused as one on a full disk is.
    Scene::new("full_disk")
        .through(["env", "--ignore-signal=XFSZ", "prlimit", "--fsize=262144"])
        .var("SPILL", folder.path())
        .succeed();
}

#[test]
fn a_file_system_of_256_kib_is_enough_for_megabytes_that_wait() {
    let folder = folder();
    let mount = r#"mount -t tmpfs -o size=256k tmpfs "$SPILL" && exec "$@""#;
    let words = ["unshare", "-rm", "sh", "-c", mount, "sh"];
    let mut trial = Tool::new(words[0]);
    trial
        .args(&words[1..])
        .arg("true")
        .env("SPILL", folder.path())
        .stderr(Stdio::null());
    // Where no user may make a name space of his own, the test above has to do.
    if trial.status().is_ok_and(|status| status.success()) {
        let played = Scene::new("full_disk")
            .through(words)
            .var("SPILL", folder.path())
            .succeed();
        assert!(
            !played.report.contains("Jobs 0"),
            "it was full: {}",
            played.report
        );
    }
}
