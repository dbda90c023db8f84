//! Starting a program: `clone(CLONE_VM | CLONE_VFORK | CLONE_PIDFD)`, a few system calls, `execve`.
//!
//! This is how glibc's `posix_spawn` works inside; we do it ourselves because the child can then
//! also enter its own process group, take limits, a nice value, a working directory and a
//! parent-death signal, and hand us a pidfd, at no further cost: `std`'s `Command` falls back to a
//! full `fork` for most of these.
//!
//! # Protocol
//!
//! ```text
//! caller                                 child (same memory, own stack, own signal handlers and descriptors)
//! block all signals
//! clone ──────────────────────────────►  reset handlers that are functions (they would run in our memory)
//!   │ suspended until execve or _exit    setpgid, prctl, chdir, dup2 ×3, rlimits, nice
//!   │                                    unblock all signals
//!   │                                    execve ── on failure: write (stage, errno) into `Orders`, _exit(127)
//! restore mask ◄─────────────────────────┘
//! read `Orders.failed`
//! ```
//!
//! **Invariant:** between `clone` and `execve` the child only makes system calls and touches
//! [`Orders`], which lives in the suspended caller's frame: no allocation, no lock, no panic, no
//! thread-local but `errno`.

use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_long, c_void};
use std::io;
use std::marker::PhantomData;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::time::Duration;

use rustix::process::Pid;

/// Bytes of stack for the child between `clone` and `execve`, with a guard page, which has up to 64
/// KiB on some machines. glibc uses 32 KiB for the same work.
const STACK: usize = 128 * 1024;

/// Milliseconds before a program is tried again whose file is open for writing.
const BUSY_WAITS: [u64; 5] = [1, 2, 4, 8, 16];

/// A resource limit for the child: soft and hard value.
#[derive(Clone, Copy, Debug)]
pub struct ResourceLimit {
    pub resource: u32,
    pub soft: u64,
    pub hard: u64,
}

/// What does not change from one child to the next.
#[derive(Clone, Debug, Default)]
pub struct Setting {
    /// Where it starts.
    pub directory: Option<std::ffi::CString>,
    /// Its resource limits.
    pub limits: Vec<ResourceLimit>,
    /// Added to the caller's own nice value.
    pub nice: i32,
    /// Ask the kernel to kill the child when the calling *thread* ends.
    pub die_with_thread: bool,
    /// Leave no descriptor to the child but its stdio, whether or not it closes itself. From Linux
    /// 5.11 on.
    pub close_others: bool,
}

impl Setting {
    /// Where this program finds the file that the child finds under `path`.
    pub fn seen_from_there(&self, path: &CStr) -> PathBuf {
        let path = Path::new(OsStr::from_bytes(path.to_bytes()));
        match &self.directory {
            Some(directory) => Path::new(OsStr::from_bytes(directory.as_bytes())).join(path),
            None => path.to_owned(),
        }
    }
}

/// An environment as `execve` takes it: pointers to strings that live as long as this does, and a
/// null behind them.
pub struct Pointers<'a> {
    pub(in crate::command) array: Vec<*const c_char>,
    pub(in crate::command) entries: PhantomData<&'a CString>,
}

impl Pointers<'_> {
    fn as_ptr(&self) -> *const *const c_char {
        self.array.as_ptr()
    }
}

/// One child to start.
pub(crate) struct Launch<'a> {
    pub program: &'a CStr,
    /// NULL-terminated, and with one spare entry before `argv[0]`, used when the file is a script
    /// without `#!`.
    pub argv: &'a mut ArgBlock,
    /// NULL-terminated `NAME=value` strings.
    pub environ: &'a Pointers<'a>,
    /// What becomes descriptors 0, 1 and 2. Each is its own target or is at least 3.
    pub stdio: [RawFd; 3],
    pub setting: &'a Setting,
}

/// An argument vector laid out for `execve`.
pub struct ArgBlock {
    /// `[spare, argv0, argv1, …, NULL]`
    pointers: Vec<*const c_char>,
    bytes: Vec<u8>,
}

impl ArgBlock {
    /// Copies the words; the caller has made sure that none holds a NUL byte.
    pub fn new<W: AsRef<[u8]>>(words: &[W]) -> ArgBlock {
        let total: usize = words.iter().map(|word| word.as_ref().len() + 1).sum();
        let mut bytes = Vec::with_capacity(total);
        for word in words {
            bytes.extend_from_slice(word.as_ref());
            bytes.push(0);
        }
        let mut pointers = Vec::with_capacity(words.len() + 2);
        pointers.push(ptr::null());
        let mut at = 0;
        for word in words {
            pointers.push(bytes[at..].as_ptr().cast());
            at += word.as_ref().len() + 1;
        }
        pointers.push(ptr::null());
        ArgBlock { pointers, bytes }
    }

    /// The words' bytes as they count against the kernel's limit, for error messages.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }
}

/// The step in the child that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum SpawnStage {
    None = 0,
    Clone,
    Namespace,
    Group,
    Directory,
    Stdio,
    Limit,
    Exec,
}

/// Why no child was started.
#[derive(Debug)]
pub struct Failed {
    pub stage: SpawnStage,
    pub error: io::Error,
}

/// A started child: not yet reaped, so that its pid cannot be given to anyone else.
#[derive(Debug)]
pub(crate) struct Spawned {
    pub pid: Pid,
    pub pidfd: OwnedFd,
}

/// Starts children; owns the stack they borrow until they exec.
pub(crate) struct Launcher {
    stack: *mut c_void,
    parent: i32,
}

// SAFETY: the mapping belongs to this value alone and is only handed out while `start` holds `&mut
// self`.
unsafe impl Send for Launcher {}

impl Launcher {
    pub(crate) fn new() -> io::Result<Launcher> {
        // SAFETY: an anonymous private mapping at an address of the kernel's choice touches nothing
        // that exists.
        let stack = unsafe {
            libc::mmap(
                ptr::null_mut(),
                STACK,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if stack == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // A guard page, so that an overrun faults in the child instead of writing over somebody's
        // memory. Advisory: the child's needs are constant and far below STACK. SAFETY: the first
        // page of the mapping just made; nothing points into it.
        unsafe { libc::mprotect(stack, rustix::param::page_size(), libc::PROT_NONE) };
        let parent = rustix::process::getpid().as_raw_nonzero().get();
        Ok(Launcher { stack, parent })
    }

    /// Starts one child and returns once its program has been loaded (or could not be).
    ///
    /// A program whose file is open for writing (`ETXTBSY`) is tried again for some milliseconds:
    /// mostly it has been written a moment ago, and the descriptor is in a child that another
    /// thread has forked and that has not loaded its own program yet. See
    /// <https://github.com/golang/go/issues/22315>.
    #[expect(
        clippy::disallowed_methods,
        reason = "nobody is told when a file is no longer open for writing; and it is 31 ms at most"
    )]
    pub(crate) fn start(&mut self, mut launch: Launch<'_>) -> Result<Spawned, Failed> {
        for wait in BUSY_WAITS {
            match self.start_once(&mut launch) {
                Err(failed) if failed.error.raw_os_error() == Some(libc::ETXTBSY) => {
                    std::thread::sleep(Duration::from_millis(wait));
                }
                outcome => return outcome,
            }
        }
        self.start_once(&mut launch)
    }

    fn start_once(&mut self, launch: &mut Launch<'_>) -> Result<Spawned, Failed> {
        let mut orders = Orders {
            program: launch.program.as_ptr(),
            argv: launch.argv.pointers.as_mut_ptr(),
            environ: launch.environ.as_ptr(),
            stdio: launch.stdio,
            setting: launch.setting,
            parent: self.parent,
            failed_stage: SpawnStage::None,
            failed_errno: 0,
        };
        let mask = block_signals();
        let mut pidfd: c_int = -1;
        // SAFETY: `stack + STACK` is the page-aligned top of a mapping that only this child uses:
        // `&mut self` excludes another `start`, and CLONE_VFORK suspends us until the child has
        // left this memory. `orders` outlives that. `run` keeps to the module's invariant.
        // CLONE_PIDFD makes the kernel store a descriptor in `pidfd`.
        let pid = unsafe {
            libc::clone(
                child_main,
                self.stack.wrapping_byte_add(STACK),
                libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD,
                (&raw mut orders).cast(),
                &raw mut pidfd,
            )
        };
        let clone_error = io::Error::last_os_error();
        set_signal_mask(mask);
        // Asked first: `from_raw` panics on the -1 of a failure.
        let Some(pid) = (pid > 0).then(|| Pid::from_raw(pid)).flatten() else {
            return Err(Failed {
                stage: SpawnStage::Clone,
                error: clone_error,
            });
        };
        // SAFETY: `clone` succeeded with CLONE_PIDFD, so `pidfd` is a fresh descriptor that nobody
        // else owns.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        // The child wrote these through a raw pointer while we were suspended; read them as memory,
        // not as the constants the optimiser may still believe in. SAFETY: a valid, aligned field
        // of a local.
        let stage = unsafe { ptr::read_volatile(&raw const orders.failed_stage) };
        if stage == SpawnStage::None {
            return Ok(Spawned { pid, pidfd });
        }
        // SAFETY: as above.
        let errno = unsafe { ptr::read_volatile(&raw const orders.failed_errno) };
        super::wait::reap(&pidfd);
        Err(Failed {
            stage,
            error: io::Error::from_raw_os_error(errno),
        })
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        // SAFETY: unmaps exactly the mapping made in `new`; no child uses it, as `start` has
        // returned.
        unsafe { libc::munmap(self.stack, STACK) };
    }
}

/// A set of signals as the kernel has it: a bit each.
pub(super) type SignalMask = u64;

/// Blocks all signals of this thread, and returns which were blocked before. By system call: the C
/// library leaves its own two out, whose handlers must not run in a child either.
pub fn block_signals() -> SignalMask {
    change_signal_mask(SignalMask::MAX)
}

/// Lets all signals through to this thread.
pub(crate) fn unblock_signals() {
    change_signal_mask(0);
}

/// Blocks these signals of this thread and no others.
pub fn set_signal_mask(mask: SignalMask) {
    change_signal_mask(mask);
}

fn change_signal_mask(mask: SignalMask) -> SignalMask {
    let mut before: SignalMask = 0;
    // SAFETY: reads one mask and writes the other, both of the size that is given.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const mask,
            &raw mut before,
            size_of::<SignalMask>(),
        )
    };
    before
}

/// What the child needs, in the suspended caller's frame.
struct Orders<'a> {
    program: *const c_char,
    argv: *mut *const c_char,
    environ: *const *const c_char,
    stdio: [RawFd; 3],
    setting: &'a Setting,
    parent: i32,
    failed_stage: SpawnStage,
    failed_errno: c_int,
}

/// The child's whole life before `execve`.
extern "C" fn child_main(orders: *mut c_void) -> c_int {
    // SAFETY: `start` passes a valid `Orders` that nobody else touches until we have left.
    let orders = unsafe { &mut *orders.cast::<Orders<'_>>() };
    let stage = prepare_and_exec(orders);
    orders.failed_errno = errno();
    orders.failed_stage = stage;
    // SAFETY: ends this process only, without running the caller's exit handlers.
    unsafe { libc::_exit(127) }
}

/// Returns only on failure, with `errno` set.
fn prepare_and_exec(orders: &mut Orders<'_>) -> SpawnStage {
    reset_handlers();
    // SAFETY: no memory is involved.
    if unsafe { libc::setpgid(0, 0) } != 0 {
        return SpawnStage::Group;
    }
    // SAFETY: always succeeds.
    if unsafe { libc::getpid() } == 1 {
        return SpawnStage::Namespace;
    }
    if orders.setting.die_with_thread {
        // SAFETY: no memory is involved. Cannot fail for a valid signal.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        // The caller may have been killed before the line above; then nobody would ever signal us.
        // SAFETY: always succeeds. 0 is a parent in another PID namespace, of whom no more can be
        // known.
        let parent = unsafe { libc::getppid() };
        if parent != orders.parent && parent != 0 {
            // SAFETY: ends this process only.
            unsafe { libc::_exit(127) };
        }
    }
    for (target, &source) in (0..).zip(&orders.stdio) {
        if source == target {
            // SAFETY: clears close-on-exec of a descriptor of this process; no memory is involved.
            if unsafe { libc::fcntl(target, libc::F_SETFD, 0) } < 0 {
                return SpawnStage::Stdio;
            }
        // SAFETY: replaces a descriptor in this process's own table (CLONE_FILES is not set).
        } else if unsafe { libc::dup2(source, target) } < 0 {
            return SpawnStage::Stdio;
        }
    }
    if let Some(directory) = &orders.setting.directory {
        // SAFETY: a NUL-terminated string that outlives the call; CLONE_FS is not set, so only we
        // move.
        if unsafe { libc::chdir(directory.as_ptr()) } != 0 {
            return SpawnStage::Directory;
        }
    }
    if orders.setting.nice != 0 {
        // A refusal (lowering without privilege) must not stop the job: nice is a wish.
        // SAFETY: no memory is involved.
        unsafe { libc::nice(orders.setting.nice) };
    }
    for limit in &orders.setting.limits {
        let value = libc::rlimit64 {
            rlim_cur: limit.soft,
            rlim_max: limit.hard,
        };
        // SAFETY: `value` is a valid structure and 0 means this process.
        if unsafe { libc::prlimit64(0, limit.resource, &value, ptr::null_mut()) } != 0 {
            return SpawnStage::Limit;
        }
    }
    if orders.setting.close_others {
        // The child's own table, a copy; and they are open still until `execve`. Where the kernel
        // knows no such flag, what does not close itself stays open, as with any other program.
        // SAFETY: no memory is involved.
        unsafe {
            libc::syscall(
                libc::SYS_close_range,
                3,
                u32::MAX,
                libc::CLOSE_RANGE_CLOEXEC,
            )
        };
    }
    // From here a signal can end us, but no handler is left to run. All are let through, as `std`
    // does: what a thread of ours blocks for itself must not make its children deaf to SIGTERM.
    set_signal_mask(0);
    // SAFETY: `ArgBlock` guarantees a spare entry before argv[0].
    let argv = unsafe { orders.argv.add(1) };
    // SAFETY: `program` is NUL-terminated; `argv` and `environ` are NULL-terminated arrays of such
    // strings.
    unsafe { libc::execve(orders.program, argv.cast_const(), orders.environ) };
    if errno() == libc::ENOEXEC {
        // A script without `#!`: the shells and `execvp` hand it to `sh`; so do we.
        // SAFETY: entry 0 of the block is the spare one.
        unsafe { *orders.argv = c"/bin/sh".as_ptr() };
        // SAFETY: `argv` is valid; the script's own path takes the place of its name.
        unsafe { *argv = orders.program };
        // SAFETY: as for the first execve.
        unsafe {
            libc::execve(
                c"/bin/sh".as_ptr(),
                orders.argv.cast_const().cast(),
                orders.environ,
            )
        };
    }
    SpawnStage::Exec
}

/// The last error, without the allocation that an `io::Error` may make. In the child it is the
/// suspended caller's.
pub(super) fn errno() -> c_int {
    // SAFETY: gives a valid pointer to this thread's own `errno`.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as said; reading it is a plain load.
    unsafe { *errno }
}

/// A handler function must not run in a child that shares its parent's memory; ignored signals stay
/// ignored (as under `nohup`), but for SIGPIPE, which Rust programs ignore for themselves and which
/// their children must not inherit.
///
/// By system call: the C library's `sigaction` refuses its own two signals, and may take a lock,
/// which a child that is killed at that moment would leave locked in its parent's memory.
fn reset_handlers() {
    // The kernel's structure begins with the handler on all platforms but MIPS; how it goes on
    // differs, but zeros are the default action without flags on each. More room than any of them
    // needs.
    const SIZE: usize = 16;
    for signal in 1..=64 {
        let mut action = [0_usize; SIZE];
        let nothing = ptr::null::<usize>();
        // SAFETY: reads the disposition into a local that is large enough.
        if unsafe { rt_sigaction(signal, nothing, action.as_mut_ptr()) } != 0 {
            continue;
        }
        let is_function = action[0] != libc::SIG_DFL && action[0] != libc::SIG_IGN;
        // These two we ignore ourselves: SIGPIPE as every Rust program, SIGXFSZ to be told of a
        // full disk by an error.
        if is_function || matches!(signal, libc::SIGPIPE | libc::SIGXFSZ) {
            let default = [0_usize; SIZE];
            // SAFETY: CLONE_SIGHAND is not set, so this changes the child's table only.
            unsafe { rt_sigaction(signal, default.as_ptr(), ptr::null_mut()) };
        }
    }
}

/// # Safety
///
/// The pointers are null, or lead to room for the kernel's structure.
unsafe fn rt_sigaction(signal: c_int, new: *const usize, old: *mut usize) -> c_long {
    // SAFETY: as the caller says.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            signal,
            new,
            old,
            size_of::<SignalMask>(),
        )
    }
}

impl Failed {
    /// A missing program looks the same to the kernel as a script whose interpreter is missing.
    pub fn missing_interpreter(&self, program: &Path) -> bool {
        self.stage == SpawnStage::Exec
            && self.error.raw_os_error() == Some(libc::ENOENT)
            && program.exists()
    }
}
