//! [`Memory`]: a piece of memory that several processes have.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use rustix::fs::{
    FallocateFlags, MemfdFlags, SealFlags, fallocate, fcntl_add_seals, fcntl_get_seals, fstat,
    memfd_create,
};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::command::batch::policy::{MemFreeGate, Verdict};
use crate::command::sys::host::with_file_limit_as_error;
use crate::process::codec::Carried;

/// From here on it is looked whether there is so much memory.
const LARGE: usize = 16 << 20;

/// What no process can take back: the size of the memory.
const FIXED: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW);

/// Bytes that several processes have at the same time. A clone is the same memory, and so is one that was sent to a process.
///
/// It has no name, and is gone with the last process that has it. It is there in full from the beginning: a system that
/// has not enough of it refuses [`new`](Self::new), and nobody is killed later by a page that is missing, unless a process that
/// has it gives pages back on purpose (`fallocate` can punch holes). Its size is fixed for everybody.
///
/// Others may write while this process reads: what is read is then some mixture of both, and never anything worse.
///
/// ```
/// # hands::test_entry!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use hands::shared::Memory;
///
/// # let _hands = hands::init();
/// let memory = Memory::new(1000)?;
/// let writer = hands::process::spawn(|memory: Memory| memory.write(10, b"hello"), memory.clone())?;
/// writer.join()?;
/// let mut read = [0; 5];
/// memory.read(10, &mut read);
/// assert_eq!(&read, b"hello");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Memory {
    shared: Arc<Shared>,
}

struct Shared {
    fd: Carried,
    map: Map,
}

/// A mapping of a whole file.
pub(super) struct Map {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: it is memory that other processes write to whenever they like. Whoever touches it in this one does so by atomic
// operations, or because the kernel has been told that nobody may write.
unsafe impl Send for Map {}
// SAFETY: as above.
unsafe impl Sync for Map {}

impl Map {
    pub(super) fn new(
        fd: impl AsFd,
        length: usize,
        protection: ProtFlags,
        kind: MapFlags,
    ) -> io::Result<Map> {
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let start = unsafe { mmap(ptr::null_mut(), length, protection, kind, fd, 0) }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Map { start, length })
    }

    pub(super) fn start(&self) -> *const u8 {
        self.start.as_ptr()
    }

    pub(super) fn length(&self) -> usize {
        self.length
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping made in `new`, which nothing points into but through this.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.length) };
    }
}

/// An unnamed file of this size, all of which is there.
pub(super) fn reserve(length: usize) -> io::Result<OwnedFd> {
    if length == 0 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "0 bytes cannot be shared; ask for at least 1",
        ));
    }
    // The kernel would give what there is, and then kill somebody to have more.
    if length >= LARGE
        && let Ok(Verdict::Wait { why }) = MemFreeGate::new(length as u64, Path::new("/")).allows()
    {
        let told = format!("{length} bytes of shared memory are not to be had: {why}");
        return Err(io::Error::new(io::ErrorKind::OutOfMemory, told));
    }
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let fd = memfd_create("hands-shared", flags)?;
    loop {
        let all = || fallocate(&fd, FallocateFlags::empty(), 0, length as u64);
        match with_file_limit_as_error(all) {
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                let error = io::Error::from(error);
                let told = format!("{length} bytes of shared memory are not to be had: {error}");
                return Err(io::Error::new(error.kind(), told));
            }
            Ok(()) => return Ok(fd),
        }
    }
}

/// Whether all of its pages are there. For what may still be written, that holds for the moment only.
pub(super) fn is_all_there(fd: impl AsFd, length: usize) -> io::Result<bool> {
    let blocks = u64::try_from(fstat(&fd)?.st_blocks).unwrap_or(0);
    Ok(blocks.saturating_mul(512) >= length as u64)
}

/// Its length, if at least these seals keep it as it is.
pub(super) fn sealed_length(fd: impl AsFd, seals: SealFlags) -> io::Result<usize> {
    if !fcntl_get_seals(&fd)?.contains(seals) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "what was received is no shared memory of ours: it could be changed behind our back",
        ));
    }
    match usize::try_from(fstat(&fd)?.st_size) {
        Ok(length) if length > 0 => Ok(length),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

impl Memory {
    /// So many bytes, all 0.
    ///
    /// # Errors
    ///
    /// For 0 bytes, and when the system has not enough memory or descriptors.
    pub fn new(length: usize) -> io::Result<Memory> {
        let fd = reserve(length)?;
        fcntl_add_seals(&fd, FIXED | SealFlags::SEAL)?;
        Memory::of(fd.into())
    }

    pub(super) fn of(fd: Carried) -> io::Result<Memory> {
        let length = sealed_length(&fd, FIXED)?;
        let map = Map::new(
            &fd,
            length,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::SHARED,
        )?;
        Ok(Memory {
            shared: Arc::new(Shared { fd, map }),
        })
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        self.shared.map.length
    }

    /// Never: there is no memory of 0 bytes.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Whether both are the same memory, in this process: clones of each other.
    pub fn is_same(&self, other: &Memory) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Copies from `at` on into `into`.
    ///
    /// # Panics
    ///
    /// When that goes beyond the end.
    pub fn read(&self, at: usize, into: &mut [u8]) {
        self.check(at, into.len());
        let (mut at, mut left) = (at, into);
        while !left.is_empty() && at % 8 != 0 {
            left[0] = self.byte(at).load(Ordering::Relaxed);
            (at, left) = (at + 1, &mut left[1..]);
        }
        let (words, rest) = left.as_chunks_mut::<8>();
        let longs = self.longs(at, words.len());
        for (word, long) in words.iter_mut().zip(longs) {
            *word = long.load(Ordering::Relaxed).to_ne_bytes();
        }
        at += 8 * longs.len();
        for byte in rest {
            *byte = self.byte(at).load(Ordering::Relaxed);
            at += 1;
        }
    }

    /// Copies `bytes` to where `at` is.
    ///
    /// # Panics
    ///
    /// When that goes beyond the end.
    pub fn write(&self, at: usize, bytes: &[u8]) {
        self.check(at, bytes.len());
        let (mut at, mut left) = (at, bytes);
        while !left.is_empty() && at % 8 != 0 {
            self.byte(at).store(left[0], Ordering::Relaxed);
            (at, left) = (at + 1, &left[1..]);
        }
        let (words, rest) = left.as_chunks::<8>();
        for (word, long) in words.iter().zip(self.longs(at, words.len())) {
            long.store(u64::from_ne_bytes(*word), Ordering::Relaxed);
        }
        at += 8 * words.len();
        for &byte in rest {
            self.byte(at).store(byte, Ordering::Relaxed);
            at += 1;
        }
    }

    #[track_caller]
    fn check(&self, at: usize, length: usize) {
        let end = at.checked_add(length);
        assert!(
            end.is_some_and(|end| end <= self.len()),
            "{length} bytes at {at} are not within the {} bytes of this memory",
            self.len()
        );
    }

    fn byte(&self, at: usize) -> &AtomicU8 {
        self.check(at, 1);
        // SAFETY: inside the mapping, which lives as long as `self`.
        let byte = unsafe { self.shared.map.start.add(at) };
        // SAFETY: mapped for reading and writing, and touched by atomic operations only. Not all of them are of one size (a
        // copy takes 8 bytes at a time where it can): how such ones see each other when they race, the language leaves open; all
        // processors that Rust has atomics for give some mixture of the bytes, and none of it is looked at as anything but bytes.
        unsafe { AtomicU8::from_ptr(byte.as_ptr()) }
    }

    /// So many times 8 bytes from `at` on, a multiple of 8.
    fn longs(&self, at: usize, count: usize) -> &[AtomicU64] {
        if count == 0 {
            return &[];
        }
        self.check(at, count.saturating_mul(8));
        assert_eq!(at % 8, 0, "8 bytes lie at a multiple of 8");
        // SAFETY: inside the mapping, which lives as long as `self`.
        let longs = unsafe { self.shared.map.start.add(at) };
        // SAFETY: all of them are inside. Mapped for reading and writing, and touched by atomic operations only; a mapping
        // begins at a page, so a multiple of 8 from there is aligned.
        unsafe { std::slice::from_raw_parts(longs.cast().as_ptr(), count) }
    }

    /// The 8 bytes at `at`, a multiple of 8.
    pub(crate) fn long(&self, at: usize) -> &AtomicU64 {
        &self.longs(at, 1)[0]
    }

    /// The word at `at`, a multiple of 4.
    pub(crate) fn word(&self, at: usize) -> &AtomicU32 {
        self.check(at, 4);
        assert_eq!(at % 4, 0, "a word lies at a multiple of 4");
        // SAFETY: inside the mapping, which lives as long as `self`.
        let word = unsafe { self.shared.map.start.add(at) };
        // SAFETY: as for a byte; a mapping begins at a page, so a multiple of 4 from there is aligned.
        unsafe { AtomicU32::from_ptr(word.cast().as_ptr()) }
    }
}

impl Serialize for Memory {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.shared.fd.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Memory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Memory, D::Error> {
        Memory::of(Carried::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("len", &self.len()).finish()
    }
}
