//! The cookie by which a job's processes are known wherever they went.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::sys::watchdog::COOKIE;

/// One batch, or one command that is run alone: a name that no other run on this machine has.
#[derive(Clone, Debug)]
pub struct RunMark {
    /// `HANDS_JOB=…`, shared by all its jobs.
    entry: Vec<u8>,
}

impl Default for RunMark {
    fn default() -> RunMark {
        RunMark::new()
    }
}

impl RunMark {
    /// A name for a new run.
    pub fn new() -> RunMark {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let mut entry = format!("{COOKIE}=").into_bytes();
        // Inside somebody's job: keep its name in front, so that its owner finds our processes as
        // well.
        if let Some(outer) = std::env::var_os(COOKIE).filter(|outer| !outer.is_empty()) {
            entry.extend_from_slice(outer.as_bytes());
            entry.push(b'/');
        }
        let pid = rustix::process::getpid().as_raw_nonzero();
        let mut random = [0; 8];
        // Without randomness (it was asked for before the kernel had any) pid, count and time still
        // tell runs apart.
        if rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::NONBLOCK).is_err() {
            let now = std::time::SystemTime::UNIX_EPOCH
                .elapsed()
                .unwrap_or_default()
                .as_nanos();
            random.copy_from_slice(&now.to_ne_bytes()[..8]);
        }
        let random = u64::from_ne_bytes(random);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        entry.extend_from_slice(format!("{pid:x}-{count:x}-{random:016x}").as_bytes());
        RunMark { entry }
    }

    /// What all jobs' entries begin with.
    pub fn entry(&self) -> &[u8] {
        &self.entry
    }

    /// One job's entry.
    pub fn job(&self, number: u64) -> CString {
        let mut entry = self.entry.clone();
        entry.extend_from_slice(format!(".{number}").as_bytes());
        CString::new(entry)
            .expect("a value taken from the environment has no NUL, and the rest is hexadecimal")
    }
}
