//! What a disk that fills up in the middle of a row leaves behind.
//!
//! The limits hold for a whole process, so each test starts this test program again, under the
//! limit, for itself alone.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use super::{JobLog, JobLogEntry, JobLogError, Resume, ResumeMode};

/// Set in the process that has little room: the directory to write in.
const DIRECTORY: &str = "HANDS_TEST_LITTLE_ROOM";

/// Runs `shell` with this test program's words for test `name` in `"$@"`; true when all went well.
fn again(shell: &str, name: &str, directory: &Path) -> bool {
    let output = Command::new("sh")
        .args(["-c", shell, "sh"])
        .arg(env::current_exe().unwrap())
        .args([
            "--exact",
            &format!("joblog::full_disk_tests::{name}"),
            "--nocapture",
        ])
        .env(DIRECTORY, directory)
        .output()
        .unwrap();
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    assert!(output.status.success(), "{told}");
    told.contains("1 passed")
}

fn given_directory() -> Option<OsString> {
    env::var_os(DIRECTORY)
}

/// Writes rows until there is no room, and looks at the file then.
fn fill(directory: &Path) -> (JobLog, u64) {
    let path = directory.join("log");
    let mut log = JobLog::create(&path).unwrap();
    let mut record = |seq: u64| {
        log.record(&JobLogEntry {
            host: ":",
            seq,
            start: UNIX_EPOCH,
            runtime: Duration::ZERO,
            sent: 0,
            received: 0,
            exit: 0,
            signal: 0,
            command: &[b'x'; 777],
        })
    };
    let (full, error) = (1..1000)
        .find_map(|seq| Some((seq, record(seq).err()?)))
        .expect("the limit to be met");
    assert!(matches!(error, JobLogError::Write { .. }), "{error:?}");
    assert!(
        error.to_string().contains(path.to_str().unwrap()),
        "{error}"
    );
    assert!(
        full > 2,
        "some rows should have had room, and row {full} had none"
    );
    let whole = |rows: u64| {
        let text = fs::read(&path).unwrap();
        assert_eq!(text.last(), Some(&b'\n'), "a piece of a row was left");
        assert_eq!(
            text.iter().filter(|&&b| b == b'\n').count() as u64,
            rows + 1
        );
    };
    whole(full - 1);
    record(full).unwrap_err();
    whole(full - 1);
    let resume = Resume::read(&path, ResumeMode::Skip).unwrap();
    assert_eq!((resume.highest_seq(), resume.unfinished()), (full - 1, 0));
    (log, full)
}

#[test]
fn a_row_that_meets_the_file_size_limit_is_taken_back() {
    if let Some(directory) = given_directory() {
        fill(Path::new(&directory));
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let name = "a_row_that_meets_the_file_size_limit_is_taken_back";
    assert!(again(
        "trap '' XFSZ; ulimit -f 8; exec \"$@\"",
        name,
        dir.path()
    ));
}

#[test]
fn a_row_that_meets_a_full_disk_is_taken_back_and_goes_in_once_there_is_room() {
    if let Some(directory) = given_directory() {
        let directory = Path::new(&directory);
        let ballast = directory.join("ballast");
        fs::write(&ballast, [0; 4096]).unwrap();
        let (mut log, full) = fill(directory);
        fs::remove_file(ballast).unwrap();
        let start = UNIX_EPOCH;
        let entry = JobLogEntry {
            host: ":",
            seq: full,
            start,
            runtime: Duration::ZERO,
            sent: 0,
            received: 0,
            exit: 0,
            signal: 0,
            command: b"x",
        };
        log.record(&entry).unwrap();
        assert_eq!(
            Resume::read(log.path(), ResumeMode::Skip)
                .unwrap()
                .highest_seq(),
            full
        );
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mounted = "mount -t tmpfs -o size=16k hands \"$HANDS_TEST_LITTLE_ROOM\"";
    let allowed = Command::new("unshare")
        .args(["-rm", "sh", "-c", mounted])
        .env(DIRECTORY, dir.path())
        .output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        // No mounts of our own here (a container, most likely); the file size limit above tells
        // much the same.
        return;
    }
    let name = "a_row_that_meets_a_full_disk_is_taken_back_and_goes_in_once_there_is_room";
    let shell = format!("exec unshare -rm sh -c '{mounted} && exec \"$@\"' sh \"$@\"");
    assert!(again(&shell, name, dir.path()));
}

#[test]
fn a_device_without_room_is_an_error_that_names_it() {
    let error = JobLog::create("/dev/full").unwrap_err();
    assert!(matches!(error, JobLogError::Write { .. }), "{error:?}");
    assert!(
        error
            .to_string()
            .starts_with("cannot write to the job log `/dev/full`: "),
        "{error}"
    );
    JobLog::append("/dev/full").unwrap_err();
    JobLog::append("/dev/null").unwrap();
}
