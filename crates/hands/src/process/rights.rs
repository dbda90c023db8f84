//! What this process may do at the moment, to be compared with what it could when a zygote was
//! started.
//!
//! Processes that are forked by a zygote have its rights. If the program has given some up
//! meanwhile, they must not have them either; so a zygote is asked only as long as its rights are
//! those of the program.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::process::{getegid, geteuid, getgid, getuid};

/// Users, groups, capabilities, filters, namespaces, the root folder, limits, priority and mask, as
/// far as the system tells; as one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rights(u64);

/// What the lines of `/proc/thread-self/status` begin with that say something about them.
const LINES: &[&[u8]] = &[
    b"Umask:",
    b"Uid:",
    b"Gid:",
    b"Groups:",
    b"Cap",
    b"NoNewPrivs:",
    b"Seccomp",
];
const NAMESPACES: &[&str] = &[
    "/proc/thread-self/ns/cgroup",
    "/proc/thread-self/ns/ipc",
    "/proc/thread-self/ns/mnt",
    "/proc/thread-self/ns/net",
    "/proc/thread-self/ns/pid_for_children",
    "/proc/thread-self/ns/user",
    "/proc/thread-self/ns/uts",
];
/// There are so many kinds of limits on Linux.
const LIMITS: u32 = 16;

impl Rights {
    /// Those of the calling thread.
    pub(super) fn now() -> Rights {
        // SAFETY: it takes no pointer, and cannot fail for the calling thread.
        let nice = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
        Rights::but_for_priority(nice)
    }

    /// All but the priority, which one thread of a program may have lowered for itself.
    fn but_for_priority(nice: i32) -> Rights {
        let mut hash = DefaultHasher::new();
        (getuid().as_raw(), geteuid().as_raw()).hash(&mut hash);
        (getgid().as_raw(), getegid().as_raw()).hash(&mut hash);
        status(&mut hash);
        for path in NAMESPACES {
            let mut link = [MaybeUninit::uninit(); 64];
            if let Ok((link, _)) = rustix::fs::readlinkat_raw(CWD, *path, &mut link[..]) {
                link.hash(&mut hash);
            }
        }
        if let Ok(root) = rustix::fs::stat("/") {
            (root.st_dev, root.st_ino).hash(&mut hash);
        }
        (0..LIMITS).for_each(|kind| limit(kind).hash(&mut hash));
        nice.hash(&mut hash);
        Rights(hash.finish())
    }
}

/// The lines of the status that count. All of it is read: a user may be in thousands of groups, and
/// the capabilities come behind them.
fn status(hash: &mut DefaultHasher) {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let Ok(file) = rustix::fs::open("/proc/thread-self/status", flags, Mode::empty()) else {
        return;
    };
    let mut text = Vec::with_capacity(8192);
    while let Ok(1..) = rustix::io::read(&file, rustix::buffer::spare_capacity(&mut text)) {
        text.reserve(4096);
    }
    for line in text.split(|byte| *byte == b'\n') {
        if LINES.iter().any(|name| line.starts_with(name)) {
            line.hash(hash);
        }
    }
}

fn limit(kind: u32) -> (u64, u64) {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointer is to a local of the right type; a kind that the kernel does not know is
    // an error, and writes nothing.
    unsafe { libc::getrlimit(kind, &mut limit) };
    (limit.rlim_cur, limit.rlim_max)
}

/// What changes whenever rights are given up, for those who ask often: the effective user and
/// group, capabilities, and that no more are to be had.
fn quick() -> u64 {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    /// `_LINUX_CAPABILITY_VERSION_3`.
    const VERSION: u32 = 0x2008_0522;
    let mut header = Header {
        version: VERSION,
        pid: 0,
    };
    // Effective, permitted and inheritable, twice 32 of them.
    let mut capabilities = [0_u32; 6];
    // SAFETY: both are of the layout that this version has, and live.
    unsafe { libc::syscall(libc::SYS_capget, &raw mut header, capabilities.as_mut_ptr()) };
    // SAFETY: it takes no pointers.
    let no_new = unsafe { libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) };
    let mut hash = DefaultHasher::new();
    (geteuid().as_raw(), getegid().as_raw()).hash(&mut hash);
    (capabilities, no_new).hash(&mut hash);
    hash.finish()
}

/// What takes longer to look at is looked at so often.
const LOOK: Duration = Duration::from_millis(10);

/// The rights that workers were started with, to be compared with those of the program.
#[derive(Debug)]
pub(crate) struct KnownRights {
    quick: u64,
    whole: Rights,
    looked: Instant,
}

impl KnownRights {
    pub(crate) fn now() -> KnownRights {
        KnownRights {
            quick: quick(),
            whole: Rights::but_for_priority(0),
            looked: Instant::now(),
        }
    }

    /// Those of the calling thread, if they are others than when last asked: users and capabilities
    /// at once, limits, groups, namespaces and the root folder a moment later.
    pub(crate) fn changed(&mut self) -> Option<Rights> {
        let quick = quick();
        if quick == self.quick && self.looked.elapsed() < LOOK {
            return None;
        }
        self.looked = Instant::now();
        self.quick = quick;
        let whole = Rights::but_for_priority(0);
        (std::mem::replace(&mut self.whole, whole) != whole).then(Rights::now)
    }
}
