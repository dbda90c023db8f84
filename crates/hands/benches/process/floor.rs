//! What the system takes, with as little around it as possible: processes that are forked here and
//! do one thing.
//!
//! The benchmark has no other thread while one of these runs, so that its copies may do what they
//! like.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use super::child::{child, reap};
use super::figure::{Figure, medians, told};

pub(crate) fn spawn(count: u64) -> Figure {
    let (mut ours, mut its) = UnixStream::pair().map_err(told)?;
    let server = child(|| {
        let mut byte = [0];
        while its.read_exact(&mut byte).is_ok() {
            let mut answer = &its;
            if let Ok(pid) = child(|| drop(answer.write_all(&[1]))) {
                reap(pid);
            }
        }
    })?;
    drop(its);
    let figure = medians(count, |_| {
        ours.write_all(&[1]).map_err(told)?;
        ours.read_exact(&mut [0]).map_err(told)
    });
    // Not by dropping it: the server has a copy.
    let _ = ours.shutdown(Shutdown::Both);
    reap(server);
    figure
}

/// A pthread mutex in memory that children share, and a number beside it.
struct Shared {
    page: *mut u8,
}

const PAGE: usize = 4096;

impl Shared {
    fn new() -> Result<Shared, String> {
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
        let shared = Shared { page: page.cast() };
        let mut attributes = std::mem::MaybeUninit::uninit();
        // SAFETY: initialises the attributes.
        unsafe { libc::pthread_mutexattr_init(attributes.as_mut_ptr()) };
        // SAFETY: initialised above.
        unsafe {
            libc::pthread_mutexattr_setpshared(
                attributes.as_mut_ptr(),
                libc::PTHREAD_PROCESS_SHARED,
            )
        };
        // SAFETY: as above.
        unsafe {
            libc::pthread_mutexattr_setrobust(attributes.as_mut_ptr(), libc::PTHREAD_MUTEX_ROBUST)
        };
        // SAFETY: a page has room for a mutex, at its beginning; the attributes are initialised.
        unsafe { libc::pthread_mutex_init(shared.mutex(), attributes.as_ptr()) };
        Ok(shared)
    }

    fn mutex(&self) -> *mut libc::pthread_mutex_t {
        self.page.cast()
    }

    fn number(&self) -> *mut u64 {
        self.page.wrapping_add(1024).cast()
    }

    fn add(&self, count: u64) {
        for _ in 0..count {
            // SAFETY: initialised in `new`, and alive.
            unsafe { libc::pthread_mutex_lock(self.mutex()) };
            // SAFETY: a number in the page, which whoever has the lock may read.
            let value = unsafe { self.number().read_volatile() };
            // SAFETY: as above, and write.
            unsafe { self.number().write_volatile(value + 1) };
            // SAFETY: taken above.
            unsafe { libc::pthread_mutex_unlock(self.mutex()) };
        }
    }

    fn counted(&self, count: u64) -> Result<(), String> {
        // SAFETY: all who wrote have ended.
        match unsafe { self.number().read_volatile() } {
            seen if seen == count => Ok(()),
            seen => Err(format!("{count} increments came to {seen}")),
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping made in `new`.
        unsafe { libc::munmap(self.page.cast(), PAGE) };
    }
}

pub(crate) fn lock(count: u64) -> Figure {
    let shared = Shared::new()?;
    let start = Instant::now();
    shared.add(count);
    let figure = start.elapsed().as_nanos() as f64 / count as f64;
    shared.counted(count)?;
    Ok(figure)
}

pub(crate) fn lock_contended(count: u64) -> Figure {
    let shared = Shared::new()?;
    let half = count / 2;
    let start = Instant::now();
    let one = child(|| shared.add(half))?;
    let other = child(|| shared.add(half))?;
    reap(one);
    reap(other);
    let figure = start.elapsed().as_nanos() as f64 / (2 * half) as f64;
    shared.counted(2 * half)?;
    Ok(figure)
}

pub(crate) fn pipe(count: u64) -> Figure {
    let (mut ours, mut its) = UnixStream::pair().map_err(told)?;
    let echo = child(|| {
        let mut bytes = [0; 8];
        while its.read_exact(&mut bytes).is_ok() {
            if its.write_all(&bytes).is_err() {
                break;
            }
        }
    })?;
    drop(its);
    let figure = medians(count, |n| {
        ours.write_all(&n.to_ne_bytes()).map_err(told)?;
        let mut back = [0; 8];
        ours.read_exact(&mut back).map_err(told)
    });
    let _ = ours.shutdown(Shutdown::Both);
    reap(echo);
    figure
}

pub(crate) fn copy(count: u64) -> Figure {
    let from = vec![7_u8; 1 << 20];
    let mut to = vec![0_u8; 1 << 20];
    let start = Instant::now();
    for _ in 0..count {
        to.copy_from_slice(std::hint::black_box(&from));
        std::hint::black_box(&mut to);
    }
    Ok(start.elapsed().as_nanos() as f64 / count as f64)
}
