//! One run of one program: its time, its processor time, its peak memory, and whether it did the
//! work.

use std::fs::{self, File};
use std::io;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// What one run took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    /// Seconds from start to exit.
    pub(crate) seconds: f64,
    /// Seconds of processor time, the jobs included.
    pub(crate) cpu: f64,
    /// Peak memory in bytes, of the program without its jobs; 0 when it was not asked for.
    pub(crate) bytes: f64,
}

/// Where the streams of a run go: to files, as no reader can then be the slow part.
pub(crate) struct Streams {
    pub(crate) stdout: PathBuf,
    stderr: PathBuf,
}

impl Streams {
    pub(crate) fn in_directory(directory: &Path) -> Self {
        Self {
            stdout: directory.join("stdout"),
            stderr: directory.join("stderr"),
        }
    }
}

/// Times `work`, which may be anything that is done when it returns.
pub(crate) fn timed<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<(T, Sample)> {
    let (start, before) = (Instant::now(), cpu_seconds()?);
    let done = work()?;
    let (seconds, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds()? - before);
    Ok((
        done,
        Sample {
            seconds,
            cpu,
            bytes: 0.0,
        },
    ))
}

/// Runs `command` to its end with `input` on standard input. `Err` says in a few words how it
/// failed.
pub(crate) fn run(
    mut command: Command,
    input: &Path,
    streams: &Streams,
    with_memory: bool,
) -> io::Result<Result<Sample, String>> {
    command.stdin(File::open(input)?);
    command.stdout(File::create(&streams.stdout)?);
    command.stderr(File::create(&streams.stderr)?);
    let mut bytes = 0.0;
    let ended = timed(|| {
        let mut child = command.spawn()?;
        if with_memory {
            bytes = peak_memory(&child)?;
        }
        child.wait()
    });
    let (status, sample) = match ended {
        Ok(ended) => ended,
        Err(error) => return Ok(Err(error.to_string())),
    };
    if status.success() {
        return Ok(Ok(Sample { bytes, ..sample }));
    }
    let told = fs::read(&streams.stderr)?;
    let told = String::from_utf8_lossy(&told);
    let line = told
        .lines()
        .rfind(|line| !line.trim().is_empty())
        .unwrap_or_default();
    let line: String = line
        .chars()
        .filter(|c| !c.is_control() && *c != '|')
        .take(100)
        .collect();
    let separator = if line.is_empty() { "" } else { ": " };
    Ok(Err(format!("{status}{separator}{line}")))
}

/// Follows the high-water mark of the child's resident memory until it exits.
///
/// What `wait4` reports will not do: it begins at what this process used when it started the child,
/// and takes in the jobs. The kernel's mark never sinks, so looking every millisecond misses no
/// peak but one of the last millisecond.
fn peak_memory(child: &Child) -> io::Result<f64> {
    let pidfd = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let status = format!("/proc/{}/status", child.id());
    let pause = Timespec {
        tv_sec: 0,
        tv_nsec: 1_000_000,
    };
    let mut peak: f64 = 0.0;
    loop {
        // The file ends with the process; its last words count.
        if let Ok(text) = fs::read_to_string(&status) {
            peak = peak.max(high_water_mark(&text).unwrap_or_default());
        }
        if poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&pause))? > 0 {
            return Ok(peak);
        }
    }
}

fn high_water_mark(status: &str) -> Option<f64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0)
}

/// Processor time of this process and of all children it has waited for, theirs included.
fn cpu_seconds() -> io::Result<f64> {
    let mut total = Duration::ZERO;
    for whose in [libc::RUSAGE_SELF, libc::RUSAGE_CHILDREN] {
        let mut usage = MaybeUninit::<libc::rusage>::uninit();
        // SAFETY: `usage` is a place for what the call writes, and the call keeps no pointer to it.
        if unsafe { libc::getrusage(whose, usage.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call succeeded, so it filled all of it.
        let usage = unsafe { usage.assume_init() };
        for time in [usage.ru_utime, usage.ru_stime] {
            total += Duration::from_secs(time.tv_sec as u64)
                + Duration::from_micros(time.tv_usec as u64);
        }
    }
    Ok(total.as_secs_f64())
}
