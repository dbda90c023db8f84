//! A tiny process that ends our jobs if we are killed before we can.
//!
//! # Promise
//!
//! When the program ends in any way without saying goodbye (`SIGKILL`, a crash, the out-of-memory
//! killer), every process of its jobs is killed: those in a job's process group, and those that
//! left it (`setsid`, daemons) but kept the environment they were given, in which [`COOKIE`] names
//! the run. What escapes has left its group *and* hides its environment: erased it, belongs to
//! another user, or may not be looked into (`PR_SET_DUMPABLE`).
//!
//! # How
//!
//! ```text
//! program ──── socket, other end held by the program only ───► watchdog: blocked in read()
//!    └─ shared table: process group of each running job ────►   EOF without goodbye: kill groups, then scan /proc
//! ```
//!
//! It is forked once, right behind the first job (which has `PDEATHSIG` until then), lives in its
//! own session (so that neither Ctrl-C nor a kill of the program's group reaches it), holds no
//! descriptor but its end of the socket (so that it keeps nobody's pipe open), and has no `SIGCHLD`
//! (so that the program never finds an unknown child). Keeping the job's spawn path free of
//! pre-exec bookkeeping is what makes it cheap: one relaxed store a job.
//!
//! **Invariant:** after the fork the watchdog makes only system calls on its own stack: no
//! allocation, no lock, no panic. The program may have had other threads, whose locks stay locked
//! for ever in the copy.

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::process::Pid;

use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socketpair};

use super::search::{LOOKS, Search};
use super::spawn::{block_signals, errno, set_signal_mask};

/// The environment variable that marks every process of a job: `RUN.SEQ`, behind the outer job's
/// value and a `/` when runs are nested, so that the outer run finds the inner one's processes too.
pub const COOKIE: &str = "HANDS_JOB";

/// Process groups that the table can hold. Jobs beyond it are still found by their cookie.
const GROUPS: usize = 16 * 1024;

/// Written before the program ends in good order.
const GOODBYE: u8 = b'.';

/// The program's side. Dropping it says goodbye: the watchdog then ends without killing anything.
#[derive(Debug)]
pub struct Watchdog {
    line: OwnedFd,
    groups: *const AtomicI32,
    pid: c_int,
}

// SAFETY: `groups` points to shared memory that lives as long as the value and is only used through
// atomics.
unsafe impl Send for Watchdog {}

impl Watchdog {
    /// Forks the watchdog. `mark` is the part of the entry that all jobs of the run share:
    /// `HANDS_JOB=RUN`.
    pub fn start(mark: &[u8]) -> io::Result<Watchdog> {
        reap_ended();
        // Sockets, because a write to a pipe whose reader is gone may come with a signal that ends
        // the program.
        let (read, write) = socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )?;
        let length = GROUPS * size_of::<AtomicI32>();
        // SAFETY: a fresh anonymous mapping; zero bytes are valid atomics. Pages are only made when
        // touched.
        let groups = unsafe {
            libc::mmap(
                ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if groups == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let groups: *const AtomicI32 = groups.cast();
        // A plain fork by system call: the C library's own would take locks and run handlers of the
        // host program, and would send it SIGCHLD. The child keeps to the module's invariant, so
        // nothing of the C library is needed. Signals stay blocked in the child for good: it dies
        // of none that ends its program, and runs no handler.
        let mask = block_signals();
        // SAFETY: without CLONE_VM the child has its own copy of this memory.
        let pid = unsafe { libc::syscall(libc::SYS_clone, 0, 0, 0, 0, 0) };
        if pid == 0 {
            // SAFETY: GROUPS zeroed atomics, just mapped.
            let groups = unsafe { std::slice::from_raw_parts(groups, GROUPS) };
            watch(read.as_raw_fd(), groups, mark);
        }
        let clone_error = io::Error::last_os_error();
        set_signal_mask(mask);
        if pid < 0 {
            // SAFETY: the mapping made above, which nothing else refers to.
            unsafe { libc::munmap(groups.cast_mut().cast(), length) };
            return Err(clone_error);
        }
        Ok(Watchdog {
            line: write,
            groups,
            pid: c_int::try_from(pid).unwrap_or(0),
        })
    }

    fn table(&self) -> &[AtomicI32] {
        // SAFETY: GROUPS atomics that stay mapped until drop.
        unsafe { std::slice::from_raw_parts(self.groups, GROUPS) }
    }

    /// From now on the group of `leader` dies with the program. `place` is the job's own small
    /// number.
    pub fn guard(&self, place: usize, leader: Pid) {
        if let Some(entry) = self.table().get(place) {
            entry.store(leader.as_raw_nonzero().get(), Ordering::Release);
        }
    }

    /// The job at `place` is over. Call before its leader is reaped, so that the table never names
    /// a reused pid.
    pub fn release(&self, place: usize) {
        if let Some(entry) = self.table().get(place) {
            entry.store(0, Ordering::Release);
        }
    }

    /// Its process id, for tests and for those who list processes.
    #[cfg(test)]
    pub fn pid(&self) -> c_int {
        self.pid
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        // A watchdog that somebody killed cannot read this; then there is nothing to say goodbye
        // to.
        let _ = send(&self.line, &[GOODBYE], SendFlags::NOSIGNAL);
        // It ends by itself, within microseconds; a program that ends now need not wait for it, and
        // one that goes on reaps it when it starts the next one.
        ENDING
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(self.pid);
        reap_ended();
        // SAFETY: unmaps what `start` mapped; `table` borrows end with `self`.
        unsafe {
            libc::munmap(
                self.groups.cast_mut().cast(),
                GROUPS * size_of::<AtomicI32>(),
            )
        };
    }
}

/// Watchdogs that were told goodbye and have not been reaped.
static ENDING: Mutex<Vec<c_int>> = Mutex::new(Vec::new());

fn reap_ended() {
    let mut ending = ENDING.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: only looks whether our own child has ended; `__WALL` because it was made without
    // SIGCHLD.
    ending.retain(
        |&pid| unsafe { libc::waitpid(pid, ptr::null_mut(), libc::__WALL | libc::WNOHANG) } == 0,
    );
}

/// The watchdog's whole life.
fn watch(pipe: RawFd, groups: &[AtomicI32], mark: &[u8]) -> ! {
    // SAFETY: no memory is involved; fails harmlessly if we lead a group already.
    unsafe { libc::setsid() };
    // SAFETY: a NUL-terminated constant.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"hands-watchdog".as_ptr()) };
    close_all_but(pipe);
    let mut byte = 0_u8;
    loop {
        // SAFETY: one byte into a local.
        let got = unsafe { libc::read(pipe, (&raw mut byte).cast(), 1) };
        match got {
            1 if byte == GOODBYE => exit(),
            -1 if errno() == libc::EINTR => {}
            _ => break,
        }
    }
    // What is killed may be forking: scan until a whole pass finds nobody, in bounded time.
    for _ in 0..200 {
        for group in groups {
            // Once is enough, as nobody leaves a group while it is being killed; and once its
            // leader is gone, and reaped by the process that has taken it over, the number may be
            // given to others.
            let group = group.swap(0, Ordering::AcqRel);
            if group > 0 {
                // SAFETY: no memory is involved.
                unsafe { libc::kill(-group, libc::SIGKILL) };
            }
        }
        if kill_marked(mark) == 0 {
            break;
        }
        pause(5_000_000);
    }
    exit()
}

fn exit() -> ! {
    // SAFETY: ends this process only.
    unsafe { libc::_exit(0) }
}

fn close_all_but(keep: RawFd) {
    let Ok(keep) = u32::try_from(keep) else {
        return;
    };
    if keep > 0 {
        close_range(0, keep - 1);
    }
    close_range(keep + 1, u32::MAX);
}

fn close_range(first: u32, last: u32) {
    // SAFETY: descriptors of this process only; nobody here uses them.
    if unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } == 0 {
        return;
    }
    // Before Linux 5.9: one by one, as far as this program could get.
    let mut limit = libc::rlimit64 {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: 0 means this process; writes one structure.
    unsafe { libc::prlimit64(0, libc::RLIMIT_NOFILE, ptr::null(), &mut limit) };
    let most = u32::try_from(limit.rlim_cur).map_or(1 << 20, |most| most.min(1 << 20));
    for fd in first..=last.min(most) {
        // SAFETY: as above.
        unsafe { libc::close(fd.cast_signed()) };
    }
}

/// Kills every process, other than ourselves, whose environment holds `mark`; returns how many
/// there were.
fn kill_marked(mark: &[u8]) -> u32 {
    // SAFETY: a NUL-terminated constant.
    let proc = unsafe {
        libc::open(
            c"/proc".as_ptr(),
            libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC,
        )
    };
    if proc < 0 {
        return 0;
    }
    // SAFETY: always succeeds.
    let own = unsafe { libc::getpid() };
    let mut killed = 0;
    let mut entries = [0_u8; 4096];
    loop {
        // SAFETY: the kernel writes at most `entries.len()` bytes.
        let got = unsafe {
            libc::syscall(
                libc::SYS_getdents64,
                proc,
                entries.as_mut_ptr(),
                entries.len(),
            )
        };
        let Some(mut rest) = usize::try_from(got)
            .ok()
            .filter(|&got| got > 0)
            .and_then(|got| entries.get(..got))
        else {
            break;
        };
        // struct linux_dirent64: u64 inode, i64 offset, u16 record length, u8 type, name.
        while let Some(length) = rest
            .get(16..18)
            .and_then(|bytes| bytes.try_into().ok())
            .map(u16::from_ne_bytes)
        {
            let (Some(name), Some(next)) = (rest.get(19..), rest.get(usize::from(length)..)) else {
                break;
            };
            if let Some(pid) = leading_number(name)
                && pid != own
                && environment_holds(pid, mark)
            {
                // SAFETY: no memory is involved.
                unsafe { libc::kill(pid, libc::SIGKILL) };
                killed += 1;
            }
            if length == 0 {
                break;
            }
            rest = next;
        }
    }
    // SAFETY: the descriptor opened above.
    unsafe { libc::close(proc) };
    killed
}

/// A directory name that is a number, up to its NUL.
fn leading_number(name: &[u8]) -> Option<i32> {
    let mut number = 0_i32;
    for (place, &byte) in name.iter().enumerate() {
        match byte {
            b'0'..=b'9' => {
                number = number
                    .checked_mul(10)?
                    .checked_add(i32::from(byte - b'0'))?
            }
            0 if place > 0 => return Some(number),
            _ => return None,
        }
    }
    None
}

/// Whether `/proc/PID/environ` has an entry that is or continues `mark`.
fn environment_holds(pid: i32, mark: &[u8]) -> bool {
    let mut environ = [0_u8; 32];
    write_path(&mut environ, pid, b"/environ\0");
    let mut exe = [0_u8; 32];
    write_path(&mut exe, pid, b"/exe\0");
    for _ in 0..LOOKS {
        if let Some(holds) = file_holds(&environ, mark) {
            return holds;
        }
        // It is on its way to another program; or it has none, as what is the kernel's.
        let mut target = [0_u8; 8];
        // SAFETY: `write_path` leaves a NUL-terminated string; the kernel writes at most
        // `target.len()` bytes.
        let got = unsafe {
            libc::readlink(
                exe.as_ptr().cast(),
                target.as_mut_ptr().cast(),
                target.len(),
            )
        };
        if got < 0 {
            return false;
        }
        pause(1_000_000);
    }
    false
}

/// `None`: there is nothing in it.
fn file_holds(path: &[u8; 32], mark: &[u8]) -> Option<bool> {
    // SAFETY: the caller's path has a NUL behind it.
    let file = unsafe { libc::open(path.as_ptr().cast(), libc::O_RDONLY | libc::O_CLOEXEC) };
    if file < 0 {
        return Some(false);
    }
    let mut search = Search::new(mark);
    let mut is_empty = true;
    let mut buffer = [0_u8; 4096];
    let found = loop {
        // SAFETY: the kernel writes at most `buffer.len()` bytes.
        let got = unsafe { libc::read(file, buffer.as_mut_ptr().cast(), buffer.len()) };
        let Some(chunk) = usize::try_from(got)
            .ok()
            .filter(|&got| got > 0)
            .and_then(|got| buffer.get(..got))
        else {
            break search.at_end();
        };
        is_empty = false;
        if search.feed(chunk) {
            break true;
        }
    };
    // SAFETY: the descriptor opened above.
    unsafe { libc::close(file) };
    (!is_empty).then_some(found)
}

fn pause(nanoseconds: libc::c_long) {
    let pause = libc::timespec {
        tv_sec: 0,
        tv_nsec: nanoseconds,
    };
    // SAFETY: a valid structure; no remainder is wanted.
    unsafe { libc::nanosleep(&pause, ptr::null_mut()) };
}

/// A path below `/proc/PID`, whose end has a NUL, without allocating.
fn write_path(path: &mut [u8; 32], pid: i32, end: &[u8]) {
    let mut digits = [0_u8; 10];
    let mut count = 0;
    let mut rest = pid.unsigned_abs();
    for digit in &mut digits {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        count += 1;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    let text = b"/proc/"
        .iter()
        .chain(digits.iter().take(count).rev())
        .chain(end);
    for (place, &byte) in path.iter_mut().zip(text) {
        *place = byte;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_found_in_any_cut_of_the_text() {
        let text = b"A=1\0HANDS_JOB=ab\0B=2";
        for cut in 0..text.len() {
            let mut search = Search::new(b"HANDS_JOB=ab");
            let (left, right) = text.split_at(cut);
            assert!(search.feed(left) || search.feed(right));
        }
    }

    #[test]
    fn a_longer_value_is_another_run_unless_nested() {
        let found = |text: &[u8]| {
            let mut search = Search::new(b"HANDS_JOB=ab");
            search.feed(text) || search.at_end()
        };
        assert!(!found(b"HANDS_JOB=abc\0"));
        assert!(!found(b"XHANDS_JOB=ab\0"));
        assert!(found(b"HANDS_JOB=ab/cd\0"));
        assert!(found(b"HANDS_JOB=ab.7\0"));
        assert!(found(b"X=1\0HANDS_JOB=ab"));
    }

    #[test]
    fn paths_are_written_without_the_library() {
        for pid in [1, 42, 4_194_304] {
            let mut path = [0_u8; 32];
            write_path(&mut path, pid, b"/environ\0");
            let text = path.split(|&byte| byte == 0).next().expect("a first piece");
            assert_eq!(text, format!("/proc/{pid}/environ").as_bytes());
        }
        assert_eq!(leading_number(b"123\0xx"), Some(123));
        assert_eq!(leading_number(b"self\0"), None);
    }

    #[test]
    fn saying_goodbye_ends_it() {
        let dog = Watchdog::start(b"HANDS_JOB=test-goodbye").expect("fork");
        let pid = rustix::process::Pid::from_raw(dog.pid()).expect("a pid");
        let ended = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty());
        let ended = ended.expect("pidfd");
        drop(dog);
        let mut ended = [rustix::event::PollFd::new(
            &ended,
            rustix::event::PollFlags::IN,
        )];
        rustix::event::poll(&mut ended, None).expect("poll");
    }
}
