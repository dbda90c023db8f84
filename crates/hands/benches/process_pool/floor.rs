//! The least that a task to another process and back can take: a word there and a word back, in
//! memory that both have.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, futex, sched_getaffinity, sched_setaffinity};

use super::child::{child, reap};
use super::figure::{Figure, medians, told};
use super::work::{LONG, PAUSE, compute, pause};

/// What is written to have the other side end.
const END: u32 = u32::MAX;

/// How one waits for the other.
#[derive(Clone, Copy)]
enum Waits {
    Looking,
    Asleep,
}

/// Two words, on lines of their own: one is written here, one there.
#[derive(Clone, Copy)]
struct Words(*const u8);

const PAGE: usize = 4096;

impl Words {
    /// In memory that children share. It is never given back, as the benchmark ends before that
    /// matters.
    fn new() -> Result<Words, String> {
        // SAFETY: a new mapping at an address of the kernel's choice.
        let page = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                PAGE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if page == libc::MAP_FAILED {
            return Err(told(std::io::Error::last_os_error()));
        }
        Ok(Words(page.cast()))
    }

    fn word(&self, at: usize) -> &'static AtomicU32 {
        // SAFETY: within the page, which stays, and is used as atomic words alone.
        unsafe { &*self.0.wrapping_add(at).cast() }
    }

    fn there(&self) -> &'static AtomicU32 {
        self.word(0)
    }

    fn back(&self) -> &'static AtomicU32 {
        self.word(128)
    }
}

fn tell(word: &AtomicU32, value: u32, waits: Waits) {
    word.store(value, Ordering::Release);
    if matches!(waits, Waits::Asleep) {
        let _ = futex::wake(word, futex::Flags::empty(), 1);
    }
}

fn await_other_than(word: &AtomicU32, value: u32, waits: Waits) -> u32 {
    loop {
        let seen = word.load(Ordering::Acquire);
        if seen != value {
            return seen;
        }
        match waits {
            Waits::Looking => std::hint::spin_loop(),
            Waits::Asleep => {
                let _ = futex::wait(word, futex::Flags::empty(), value, None);
            }
        }
    }
}

/// Keeps the calling thread to one processor, and says what it could have before.
pub(crate) fn keep_to(cpu: usize) -> Result<CpuSet, String> {
    let before = sched_getaffinity(None).map_err(told)?;
    let mut only = CpuSet::new();
    only.set(cpu);
    sched_setaffinity(None, &only).map_err(told)?;
    Ok(before)
}

/// As [`ping_pong`], but each side has a core of its own. Left to the scheduler, two processes of
/// which one sleeps share one, which is the faster way to wake anybody, and no way for both to
/// work.
fn ping_pong_apart(count: u64, gap: Duration, work: Duration) -> Figure {
    let before = keep_to(0)?;
    let figure = ping_pong_as(count, Waits::Asleep, Some(gap), work, Some(1));
    sched_setaffinity(None, &before).map_err(told)?;
    figure
}

fn ping_pong(count: u64, waits: Waits, gap: Option<Duration>, work: Duration) -> Figure {
    ping_pong_as(count, waits, gap, work, None)
}

fn ping_pong_as(
    count: u64,
    waits: Waits,
    gap: Option<Duration>,
    work: Duration,
    cpu: Option<usize>,
) -> Figure {
    let words = Words::new()?;
    let theirs = words;
    let echo = child(move || {
        if let Some(cpu) = cpu {
            let _ = keep_to(cpu);
        }
        let mut seen = 0;
        while seen != END {
            seen = await_other_than(theirs.there(), seen, waits);
            compute(work);
            tell(theirs.back(), seen, waits);
        }
    })?;
    let mut times = Vec::new();
    for n in 1..=u32::try_from(count).map_err(told)? {
        if let Some(gap) = gap {
            pause(gap);
        }
        let start = Instant::now();
        tell(words.there(), n, waits);
        if await_other_than(words.back(), n - 1, waits) != n {
            return Err(format!("{n} did not come back"));
        }
        times.push(start.elapsed().saturating_sub(work).as_nanos() as f64);
    }
    tell(words.there(), END, waits);
    reap(echo);
    Ok(super::shared::median(times))
}

pub(crate) fn looking(count: u64) -> Figure {
    ping_pong(count, Waits::Looking, None, Duration::ZERO)
}

pub(crate) fn asleep(count: u64) -> Figure {
    ping_pong(count, Waits::Asleep, None, Duration::ZERO)
}

pub(crate) fn parked(count: u64) -> Figure {
    ping_pong(count, Waits::Asleep, Some(PAUSE), Duration::ZERO)
}

pub(crate) fn parked_both(count: u64) -> Figure {
    ping_pong(count, Waits::Asleep, Some(PAUSE), LONG)
}

pub(crate) fn parked_apart(count: u64) -> Figure {
    ping_pong_apart(count, PAUSE, Duration::ZERO)
}

pub(crate) fn parked_both_apart(count: u64) -> Figure {
    ping_pong_apart(count, PAUSE, LONG)
}

/// 1 MiB copied, and copied back.
pub(crate) fn copy(count: u64) -> Figure {
    let mut here = vec![7_u8; 1 << 20];
    let mut there = vec![0_u8; 1 << 20];
    medians(count, |_| {
        there.copy_from_slice(std::hint::black_box(&here));
        here.copy_from_slice(std::hint::black_box(&there));
        Ok(())
    })
}
