//! [`Memory`]: a piece of memory that several processes have.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use rustix::fs::{
    FallocateFlags, MemfdFlags, SealFlags, fallocate, fcntl_add_seals, fcntl_get_seals, fstat,
    memfd_create,
};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::machine::AvailableMemory;
use crate::machine::with_file_limit_as_error;
use crate::primitive::{AtomicU32, AtomicU64, Ordering};
use crate::wire::codec::Carried;

/// From here on it is looked whether there is so much memory.
const LARGE: usize = 16 << 20;

/// What no process can take back: the size of the memory.
const FIXED: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW);

/// Bytes that several processes have at the same time. A clone is the same memory, and so is one
/// that was sent to a process.
///
/// It has no name, and is gone with the last process that has it. It is there in full from the
/// beginning: a system that has not enough of it refuses [`new`](Self::new), and nobody is killed
/// later by a page that is missing, unless a process that has it gives pages back on purpose
/// (`fallocate` can punch holes). Its size is fixed for everybody.
///
/// Others may write while this process reads: what is read is then some mixture of both, and never
/// anything worse. Nothing is changed but the bytes that are written, also where others write their
/// neighbours at the same time. All is read and written 8 bytes at a time, by relaxed atomic
/// operations: what is written before a lock is left, an event set or an item put is seen by
/// a process that has the lock, the event or the item next.
///
/// ```
/// # hands::entry!();
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
    shared: Arc<SharedMemory>,
}

struct SharedMemory {
    fd: Carried,
    map: Mapping,
    /// In its place.
    #[cfg(hands_loom)]
    model: (Vec<AtomicU64>, Vec<AtomicU32>),
}

/// A mapping of a whole file.
pub(super) struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: it is memory that other processes write to whenever they like. A process that touches it
// in this one does so by atomic operations, or because the kernel has been told that nobody may
// write.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    pub(super) fn new(
        fd: impl AsFd,
        length: usize,
        protection: ProtFlags,
        kind: MapFlags,
    ) -> io::Result<Mapping> {
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let start = unsafe { mmap(ptr::null_mut(), length, protection, kind, fd, 0) }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Mapping { start, length })
    }

    pub(super) fn start(&self) -> *const u8 {
        self.start.as_ptr()
    }

    pub(super) fn length(&self) -> usize {
        self.length
    }
}

impl Drop for Mapping {
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
        && let Ok(available) = AvailableMemory::of(Path::new("/")).now()
        && available.bytes.0 < length as u64
    {
        let told = format!(
            "{length} bytes of shared memory are not to be had: {} of memory are available",
            available.bytes
        );
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

/// Whether all of its pages are there. For what may still be written, that holds for the moment
/// only.
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
    /// Memory of `length` bytes, all 0.
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
        let map = Mapping::new(
            &fd,
            length,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::SHARED,
        )?;
        Ok(Memory {
            shared: Arc::new(SharedMemory {
                fd,
                map,
                #[cfg(hands_loom)]
                model: (
                    (0..length.div_ceil(8)).map(|_| AtomicU64::new(0)).collect(),
                    (0..length.div_ceil(4)).map(|_| AtomicU32::new(0)).collect(),
                ),
            }),
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
        let (first, words, last) = pieces(at, into.len());
        let (head, rest) = into.split_at_mut(first.length);
        let (middle, tail) = rest.split_at_mut(8 * words);
        for (piece, own) in [(&first, head), (&last, tail)] {
            if piece.length > 0 {
                let word = self
                    .long_around(piece.at)
                    .load(Ordering::Relaxed)
                    .to_ne_bytes();
                own.copy_from_slice(&word[piece.from..][..piece.length]);
            }
        }
        let (middle, _) = middle.as_chunks_mut::<8>();
        for (word, long) in middle.iter_mut().zip(self.longs(at + first.length, words)) {
            *word = long.load(Ordering::Relaxed).to_ne_bytes();
        }
    }

    /// Copies `bytes` to where `at` is.
    ///
    /// # Panics
    ///
    /// When that goes beyond the end.
    pub fn write(&self, at: usize, bytes: &[u8]) {
        self.check(at, bytes.len());
        let (first, words, last) = pieces(at, bytes.len());
        let (head, rest) = bytes.split_at(first.length);
        let (middle, tail) = rest.split_at(8 * words);
        for (piece, own) in [(&first, head), (&last, tail)] {
            if piece.length == 0 {
                continue;
            }
            // Its neighbours in the word are others'.
            let with_own = |word: u64| {
                let mut word = word.to_ne_bytes();
                word[piece.from..][..piece.length].copy_from_slice(own);
                Some(u64::from_ne_bytes(word))
            };
            let (set, got) = (Ordering::Relaxed, Ordering::Relaxed);
            let _ = self.long_around(piece.at).fetch_update(set, got, with_own);
        }
        let (middle, _) = middle.as_chunks::<8>();
        for (word, long) in middle.iter().zip(self.longs(at + first.length, words)) {
            long.store(u64::from_ne_bytes(*word), Ordering::Relaxed);
        }
    }

    /// As [`write`](Self::write) at a multiple of 8, for who has the rest of the last 8 bytes to
    /// himself: it becomes 0.
    pub(crate) fn write_whole(&self, at: usize, bytes: &[u8]) {
        let (middle, tail) = bytes.as_chunks::<8>();
        for (word, long) in middle.iter().zip(self.longs(at, middle.len())) {
            long.store(u64::from_ne_bytes(*word), Ordering::Relaxed);
        }
        if !tail.is_empty() {
            let mut word = [0; 8];
            word[..tail.len()].copy_from_slice(tail);
            let last = self.long_around(at + 8 * middle.len());
            last.store(u64::from_ne_bytes(word), Ordering::Relaxed);
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

    /// The 8 bytes that the byte at `at` is one of. They are there also at the end of memory of
    /// another length: pages are.
    fn long_around(&self, at: usize) -> &AtomicU64 {
        self.check(at, 1);
        let at = at / 8 * 8;
        #[cfg(hands_loom)]
        return &self.shared.model.0[at / 8];
        #[cfg(not(hands_loom))]
        {
            // SAFETY: inside the mapping, which is one of whole pages and lives as long as `self`.
            let long = unsafe { self.shared.map.start.add(at) };
            // SAFETY: mapped for reading and writing, and touched by atomic operations of this size
            // only; a mapping begins at a page, so a multiple of 8 from there is aligned.
            unsafe { AtomicU64::from_ptr(long.cast().as_ptr()) }
        }
    }

    /// Words of 8 bytes from `at` on, a multiple of 8.
    fn longs(&self, at: usize, count: usize) -> &[AtomicU64] {
        if count == 0 {
            return &[];
        }
        self.check(at, count.saturating_mul(8));
        assert_eq!(at % 8, 0, "8 bytes lie at a multiple of 8");
        #[cfg(hands_loom)]
        return &self.shared.model.0[at / 8..at / 8 + count];
        #[cfg(not(hands_loom))]
        {
            // SAFETY: inside the mapping, which lives as long as `self`.
            let longs = unsafe { self.shared.map.start.add(at) };
            // SAFETY: all of them are inside. Mapped for reading and writing, and touched by atomic
            // operations of this size only; a mapping begins at a page, so a multiple of 8 from
            // there is aligned.
            unsafe { std::slice::from_raw_parts(longs.cast().as_ptr(), count) }
        }
    }

    /// The 8 bytes at `at`, a multiple of 8.
    pub(crate) fn long(&self, at: usize) -> &AtomicU64 {
        &self.longs(at, 1)[0]
    }

    /// The word at `at`, a multiple of 4. A process that has a word somewhere looks at these 4
    /// bytes by nothing else: the language leaves open what atomic operations of different sizes
    /// see of each other.
    pub(crate) fn word(&self, at: usize) -> &AtomicU32 {
        self.check(at, 4);
        assert_eq!(at % 4, 0, "a word lies at a multiple of 4");
        #[cfg(hands_loom)]
        return &self.shared.model.1[at / 4];
        #[cfg(not(hands_loom))]
        {
            // SAFETY: inside the mapping, which lives as long as `self`.
            let word = unsafe { self.shared.map.start.add(at) };
            // SAFETY: mapped for reading and writing, and touched by atomic operations of this size
            // only, as the caller sees to; a mapping begins at a page, so a multiple of 4 from
            // there is aligned.
            unsafe { AtomicU32::from_ptr(word.cast().as_ptr()) }
        }
    }
}

/// What is copied of a word that is not copied whole.
struct MemoryPiece {
    at: usize,
    /// Where it begins in its word.
    from: usize,
    length: usize,
}

/// What lies before the first whole word, how many of them there are, and what lies behind the
/// last.
fn pieces(at: usize, length: usize) -> (MemoryPiece, usize, MemoryPiece) {
    let first = MemoryPiece {
        at,
        from: at % 8,
        length: if at.is_multiple_of(8) {
            0
        } else {
            length.min(8 - at % 8)
        },
    };
    let words = (length - first.length) / 8;
    let last = MemoryPiece {
        at: at + first.length + 8 * words,
        from: 0,
        length: length - first.length - 8 * words,
    };
    (first, words, last)
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
