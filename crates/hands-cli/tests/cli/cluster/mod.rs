//! Jobs on other machines, tried as a person would: a server by `hands cluster dev`, workers by
//! `hands worker`, runs by `hands run --cluster`. All of them are killed with the test.

mod fetch;
mod files;
mod run;
mod submitter;
mod workers;

use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::stage::{Ended, HANDS, Run, Stage};

/// A program that runs beside the test, and is killed with it.
struct Beside(Child);

impl Beside {
    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a pid"), signal).expect("a signal");
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server and a folder.
struct Machines {
    stage: Stage,
    url: String,
    token: String,
    printed: String,
    dev: Option<Beside>,
}

impl Machines {
    fn new() -> Machines {
        let stage = Stage::new();
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let server = Command::new(root.join(".ci/nats-server"))
            .stderr(Stdio::inherit())
            .output()
            .expect("bash");
        let server = String::from_utf8(server.stdout).expect("text");
        let printed = std::fs::File::create(stage.path("dev.out")).expect("a file");
        let child = Command::new("setpriv")
            .args([
                "--pdeathsig",
                "TERM",
                HANDS,
                "cluster",
                "dev",
                "--dir",
                "dev",
            ])
            .current_dir(stage.folder())
            .env("HANDS_NATS_SERVER", server.trim())
            .stdin(Stdio::null())
            .stdout(printed)
            .spawn()
            .expect("a server");
        let dev = Beside(child);
        let printed = awaited(&stage, "dev.out", "hands run --cluster");
        let url = printed
            .split_whitespace()
            .find(|word| word.starts_with("nats://"))
            .expect("an address")
            .trim_end_matches(',')
            .to_owned();
        let token = stage.text("dev/token").trim().to_owned();
        Machines {
            stage,
            url,
            token,
            printed,
            dev: Some(dev),
        }
    }

    /// A worker of this name, which has said that it takes jobs.
    fn worker(&self, name: &str, words: &[&str]) -> Beside {
        let log = format!("{name}.err");
        let stderr = std::fs::File::create(self.stage.path(&log)).expect("a file");
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", HANDS, "worker", &self.url])
            .args(["--name", name, "--hold", "1"])
            .args(words)
            .current_dir(self.stage.folder())
            .env("HANDS_TOKEN", &self.token)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .expect("a worker");
        let worker = Beside(child);
        awaited(&self.stage, &log, "may run");
        worker
    }

    fn run(&self, words: &[&str]) -> Run {
        let first = ["--cluster", &self.url, "--hold", "1"];
        let words = first.iter().chain(words);
        self.stage.run(words).env("HANDS_TOKEN", &self.token)
    }

    fn hands(&self, words: &[&str]) -> Run {
        self.stage.hands(words).env("HANDS_TOKEN", &self.token)
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        if let Some(mut dev) = self.dev.take() {
            // It ends its server.
            dev.signal(Signal::TERM);
            let _ = dev.0.wait();
        }
    }
}

/// A file's text, once this is in it.
#[track_caller]
fn awaited(stage: &Stage, name: &str, what: &str) -> String {
    let since = std::time::Instant::now();
    loop {
        let text = std::fs::read_to_string(stage.path(name)).unwrap_or_default();
        if text.contains(what) {
            return text;
        }
        assert!(
            since.elapsed().as_secs() < 100,
            "`{what}` is not in: {text}"
        );
        std::thread::yield_now();
    }
}

/// What it said beside the line that each run begins with.
fn said(ended: &Ended) -> String {
    let lines = ended.stderr.lines();
    let lines = lines.filter(|line| !line.contains("begins; if") && !line.contains("--attach"));
    lines.map(|line| format!("{line}\n")).collect()
}
