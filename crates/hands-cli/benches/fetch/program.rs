//! The programs: how each is told what to fetch, and what it took.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// What is to be fetched, where to, and how each program is told.
#[derive(Clone)]
pub(crate) struct Batch {
    pub(crate) names: Vec<String>,
    pub(crate) urls: Vec<String>,
    pub(crate) out: PathBuf,
    pub(crate) lists: PathBuf,
    pub(crate) bytes: u64,
}

/// What it took.
pub(crate) struct Took {
    pub(crate) nanoseconds: f64,
    /// The most memory it has had.
    pub(crate) bytes: f64,
}

pub(crate) fn is_installed(program: &str) -> bool {
    let found = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    // What `wrk` makes of that is a code of its own.
    found.is_ok()
}

impl Batch {
    fn list(&self) -> Result<PathBuf, String> {
        let path = self.lists.join("urls");
        fs::write(&path, self.urls.join("\n") + "\n").map_err(|error| error.to_string())?;
        Ok(path)
    }

    pub(crate) fn hands(&self, words: &[&str]) -> Result<Took, String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hands"));
        command
            .args(["fetch", "-q", "-i"])
            .arg(self.list()?)
            .arg("-d")
            .arg(&self.out)
            .args(words);
        self.run(command)
    }

    pub(crate) fn curl(&self, at_once: usize) -> Result<Took, String> {
        let mut text = String::new();
        for (url, name) in self.urls.iter().zip(&self.names) {
            text += &format!(
                "url=\"{url}\"\noutput=\"{}\"\n",
                self.out.join(name).display()
            );
        }
        let path = self.lists.join("curl");
        fs::write(&path, text).map_err(|error| error.to_string())?;
        let mut command = Command::new("curl");
        command
            .args(["-s", "-Z", "--parallel-max", &at_once.to_string(), "-K"])
            .arg(path);
        self.run(command)
    }

    pub(crate) fn wget2(&self, at_once: usize) -> Result<Took, String> {
        let mut command = Command::new("wget2");
        command
            .args(["-q", &format!("--max-threads={at_once}"), "-i"])
            .arg(self.list()?)
            .arg("-P")
            .arg(&self.out);
        self.run(command)
    }

    pub(crate) fn aria2(&self, at_once: usize) -> Result<Took, String> {
        let mut command = Command::new("aria2c");
        command
            .args(["-q", "-j", &at_once.to_string(), "-x", "16", "-i"])
            .arg(self.list()?)
            .arg("-d")
            .arg(&self.out);
        self.run(command)
    }

    /// One file again and again, thrown away: the least that it takes. Nanoseconds for each.
    pub(crate) fn wrk(&self) -> Result<f64, String> {
        let output = Command::new("wrk")
            .args(["-t2", "-c16", "-d1"])
            .arg(&self.urls[0])
            .output();
        let output = output.map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("Requests/sec:"));
        let rate: Option<f64> = line.and_then(|rate| rate.trim().parse().ok());
        rate.map(|rate| 1e9 / rate)
            .ok_or_else(|| format!("it said: {text}"))
    }

    fn run(&self, mut command: Command) -> Result<Took, String> {
        let wrong = |error: std::io::Error| error.to_string();
        empty(&self.out).map_err(wrong)?;
        // What the last one wrote is not this one's to wait for.
        rustix::fs::sync();
        let from = Instant::now();
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(wrong)?;
        // SAFETY: plain data, of which all zeros are a value.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        let mut status = 0;
        // SAFETY: waits for a child of our own that nobody else waits for; both places are ours.
        let pid =
            unsafe { libc::wait4(child.id().cast_signed(), &raw mut status, 0, &raw mut usage) };
        let nanoseconds = from.elapsed().as_nanos() as f64;
        if pid < 0 || status != 0 {
            return Err(format!("it ended with {status}"));
        }
        let mut bytes = 0;
        for name in &self.names {
            bytes += fs::metadata(self.out.join(name))
                .map_err(|error| format!("{name}: {error}"))?
                .len();
        }
        if bytes != self.bytes {
            return Err(format!("{bytes} bytes came of {}", self.bytes));
        }
        empty(&self.out).map_err(wrong)?;
        Ok(Took {
            nanoseconds,
            bytes: 1024.0 * usage.ru_maxrss as f64,
        })
    }
}

fn empty(folder: &Path) -> std::io::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)
}
