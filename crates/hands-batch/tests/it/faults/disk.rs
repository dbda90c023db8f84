//! A disk that fills up while outputs wait on it.

use std::process::{Command as Tool, Stdio};

use hands_batch::{Batch, Commands, Grouping};

use crate::recorder::{Recorder, Shared, shell};
use crate::support::{Scene, folder, report, var};

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
        .through(["prlimit", "--fsize=262144"])
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

/// As a library: nobody has had the signal ignored.
pub(crate) fn small_files() {
    use hands::pool::ProcessPool;
    use hands::shared::{Bytes, Memory};

    let _hands = hands::init();
    let told = |refused: Result<(), String>| refused.expect_err("files are small");
    let large = |error: &str| assert!(error.contains("File too large"), "{error}");
    large(&told(
        Memory::new(1 << 20)
            .map(drop)
            .map_err(|error| error.to_string()),
    ));
    large(&told(
        Bytes::new(&[0; 1 << 20])
            .map(drop)
            .map_err(|error| error.to_string()),
    ));
    large(&told(
        ProcessPool::new()
            .map(drop)
            .map_err(|error| error.to_string()),
    ));
    let sent = hands::process::spawn(|bytes: Vec<u8>| bytes.len(), vec![7; 1 << 20]);
    large(&told(sent.map(drop).map_err(|error| error.to_string())));
    let small =
        hands::process::spawn(|bytes: Vec<u8>| bytes.len(), vec![7; 1000]).expect("it fits");
    assert_eq!(small.join(), Ok(1000));
    let result = hands::process::spawn(|n: usize| vec![7_u8; n], 1 << 20).expect("a process");
    match result.join() {
        Err(hands::task::TaskError::Encode { what }) => large(&what),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_limit_on_the_size_of_files_is_an_error_and_not_the_end_of_the_program() {
    Scene::new("small_files")
        .through(["prlimit", "--fsize=262144"])
        .succeed();
}
