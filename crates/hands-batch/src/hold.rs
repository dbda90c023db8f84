//! Output that waits for its turn: in memory while it is little, else in one unlinked temporary
//! file.
//!
//! All jobs of a batch share the file, so that a thousand waiting outputs cost one descriptor. Each
//! stream owns extents of it, of doubling size, so that even a very long output has few. An
//! extent's space is given back to the file system once it has been read, and the file is emptied
//! when nothing is left in it.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hands::command::engine::with_file_limit_as_error;
use rustix::fs::{FallocateFlags, OFlags, fallocate};

/// Bytes of one stream that may wait in memory.
const STREAM_MEMORY: usize = 64 * 1024;

/// Bytes of all streams together that may wait in memory.
const ALL_MEMORY: usize = 4 * 1024 * 1024;

/// The first extent of a stream that has outgrown memory, and the largest one.
const EXTENT: std::ops::RangeInclusive<u64> = 256 * 1024..=16 * 1024 * 1024;

/// The file that holds share, and the count of what they have in memory.
#[derive(Debug)]
pub(super) struct Spill {
    folder: PathBuf,
    file: Option<File>,
    end: u64,
    extents: usize,
    in_memory: usize,
}

/// One stream's waiting output, first in, first out.
#[derive(Debug, Default)]
pub(super) struct Hold {
    /// Older than `tail`.
    extents: VecDeque<Extent>,
    tail: Vec<u8>,
    read: usize,
}

#[derive(Debug)]
struct Extent {
    offset: u64,
    size: u64,
    written: u64,
    read: u64,
}

impl Spill {
    /// Makes no file until one is needed.
    pub(super) fn new(folder: &Path) -> Spill {
        Spill {
            folder: folder.to_owned(),
            file: None,
            end: 0,
            extents: 0,
            in_memory: 0,
        }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn file(&mut self) -> io::Result<&File> {
        if self.file.is_none() {
            self.file = Some(unnamed_file(&self.folder)?);
        }
        Ok(self.file.as_ref().expect("made above"))
    }

    fn reserve(&mut self, size: u64) -> Extent {
        let offset = self.end;
        self.end += size;
        self.extents += 1;
        Extent {
            offset,
            size,
            written: 0,
            read: 0,
        }
    }

    fn release(&mut self, extent: &Extent) {
        self.extents -= 1;
        let Some(file) = &self.file else { return };
        if self.extents == 0 {
            self.end = 0;
            // Keeping stale bytes wastes room and nothing else.
            let _ = file.set_len(0);
        } else {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            let _ = fallocate(file, flags, extent.offset, extent.size);
        }
    }
}

/// A file that no name leads to and that is gone with its descriptor, however the program ends.
fn unnamed_file(folder: &Path) -> io::Result<File> {
    let unnamed = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(OFlags::TMPFILE.bits().cast_signed())
        .open(folder);
    match unnamed {
        Ok(file) => return Ok(file),
        // The file system cannot (overlayfs before Linux 6.3, some network ones): make a name and
        // remove it at once.
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::EOPNOTSUPP | libc::EISDIR | libc::ENOENT)
            ) => {}
        Err(error) => return Err(error),
    }
    let path = folder.join(format!(".hands-{}-spill", std::process::id()));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

impl Hold {
    /// Appends. On an error (no room on the disk) the bytes are kept in memory all the same:
    /// nothing is lost, and the caller must bring no more to this hold until it has been read.
    pub(super) fn push(&mut self, bytes: &[u8], spill: &mut Spill) -> io::Result<()> {
        let fits = |tail: &[u8], spill: &Spill| {
            tail.len() + bytes.len() <= STREAM_MEMORY && spill.in_memory + bytes.len() <= ALL_MEMORY
        };
        let mut result = Ok(());
        let mut written = 0;
        if !fits(&self.tail, spill) {
            result = self.spill(spill);
            // Behind a tail that could not be spilled, the bytes have to wait too.
            let direct = bytes.len() >= STREAM_MEMORY / 2 || !fits(&self.tail, spill);
            if direct && self.tail.is_empty() && result.is_ok() {
                match self.append(bytes, spill) {
                    Ok(count) => written = count,
                    Err(error) => result = Err(error),
                }
            }
        }
        self.keep(&bytes[written..], spill);
        result
    }

    /// Appends in memory: for what is about to be read.
    pub(super) fn keep(&mut self, bytes: &[u8], spill: &mut Spill) {
        // A writer that is never quite caught up with must not leave what has been read lying in
        // front of it.
        if self.read >= STREAM_MEMORY {
            self.tail.drain(..self.read);
            spill.in_memory -= self.read;
            self.read = 0;
        }
        self.tail.extend_from_slice(bytes);
        spill.in_memory += bytes.len();
    }

    /// Moves the tail to the file.
    fn spill(&mut self, spill: &mut Spill) -> io::Result<()> {
        let tail = std::mem::take(&mut self.tail);
        let unread = &tail[self.read..];
        let result = self.append(unread, spill);
        let written = *result.as_ref().unwrap_or(&0);
        spill.in_memory -= self.read + written;
        self.tail = unread[written..].to_vec();
        self.read = 0;
        result.map(|_| ())
    }

    /// Writes to extents what there is room for, and returns how much that was; an error when it
    /// was nothing.
    fn append(&mut self, bytes: &[u8], spill: &mut Spill) -> io::Result<usize> {
        let mut done = 0;
        while done < bytes.len() {
            let rest = &bytes[done..];
            if self
                .extents
                .back()
                .is_none_or(|last| last.written == last.size)
            {
                let last = self.extents.back().map_or(0, |last| last.size);
                // A short output that only makes room in memory takes just its own length.
                let size = if last == 0 && (rest.len() as u64) < *EXTENT.start() / 2 {
                    rest.len() as u64
                } else {
                    (last * 2).clamp(*EXTENT.start(), *EXTENT.end())
                };
                spill.file()?;
                self.extents.push_back(spill.reserve(size));
            }
            let extent = self
                .extents
                .back_mut()
                .expect("pushed above if there was none");
            let room = usize::try_from(extent.size - extent.written).unwrap_or(usize::MAX);
            let piece = &rest[..rest.len().min(room)];
            let file = spill.file()?;
            let at = extent.offset + extent.written;
            if let Err(error) = with_file_limit_as_error(|| file.write_all_at(piece, at)) {
                if done > 0 {
                    break;
                }
                return Err(error);
            }
            extent.written += piece.len() as u64;
            done += piece.len();
        }
        Ok(done)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.extents.is_empty() && self.read == self.tail.len()
    }

    /// Bytes that wait.
    pub(super) fn len(&self) -> u64 {
        let on_disk: u64 = self
            .extents
            .iter()
            .map(|extent| extent.written - extent.read)
            .sum();
        on_disk + self.in_memory() as u64
    }

    /// Those of them that wait in memory.
    pub(super) fn in_memory(&self) -> usize {
        self.tail.len() - self.read
    }

    /// Removes and returns the next bytes, read into `buffer` where they were in the file; empty at
    /// the end.
    pub(super) fn pop<'a>(
        &'a mut self,
        buffer: &'a mut [u8],
        spill: &mut Spill,
    ) -> io::Result<&'a [u8]> {
        while let Some(extent) = self.extents.front_mut() {
            let left = extent.written - extent.read;
            if left == 0 {
                let extent = self.extents.pop_front().expect("looked at above");
                spill.release(&extent);
                continue;
            }
            let want = usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            let piece = &mut buffer[..want];
            spill
                .file()?
                .read_exact_at(piece, extent.offset + extent.read)?;
            extent.read += want as u64;
            return Ok(piece);
        }
        let unread = self.tail.len() - self.read;
        if unread == 0 {
            spill.in_memory -= self.tail.len();
            self.tail = Vec::new();
            self.read = 0;
            return Ok(&[]);
        }
        let from = self.read;
        self.read = from + unread.min(buffer.len());
        Ok(&self.tail[from..self.read])
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self, spill: &mut Spill) {
        for extent in self.extents.drain(..) {
            spill.release(&extent);
        }
        spill.in_memory -= self.tail.len();
        self.tail = Vec::new();
        self.read = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drain(hold: &mut Hold, spill: &mut Spill) -> Vec<u8> {
        let mut all = Vec::new();
        let mut buffer = vec![0; 10_000];
        loop {
            let piece = hold.pop(&mut buffer, spill).expect("read");
            if piece.is_empty() {
                return all;
            }
            all.extend_from_slice(piece);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn what_goes_in_comes_out_in_order_and_everything_is_given_back(
            pieces in prop::collection::vec((0..3_usize, 0..150_000_usize, any::<bool>()), 1..40)
        ) {
            let folder = tempfile::tempdir().expect("folder");
            let mut spill = Spill::new(folder.path());
            let mut holds = [Hold::default(), Hold::default(), Hold::default()];
            let mut expected: [Vec<u8>; 3] = Default::default();
            let mut got: [Vec<u8>; 3] = Default::default();
            for (number, (which, length, read)) in pieces.into_iter().enumerate() {
                let piece: Vec<u8> = (0..length).map(|at| (at * 7 + number) as u8).collect();
                holds[which].push(&piece, &mut spill).expect("room");
                expected[which].extend_from_slice(&piece);
                prop_assert!(spill.in_memory <= ALL_MEMORY);
                if read {
                    let mut buffer = vec![0; 5_000];
                    let piece = holds[which].pop(&mut buffer, &mut spill).expect("read");
                    got[which].extend_from_slice(piece);
                }
            }
            for which in 0..3 {
                got[which].extend(drain(&mut holds[which], &mut spill));
                prop_assert!(got[which] == expected[which]);
                prop_assert!(holds[which].is_empty());
            }
            prop_assert_eq!(spill.in_memory, 0);
            prop_assert_eq!(spill.extents, 0);
        }
    }

    #[test]
    fn without_room_on_the_disk_nothing_is_lost() {
        let folder = tempfile::tempdir().expect("folder");
        let mut spill = Spill::new(&folder.path().join("missing"));
        let mut hold = Hold::default();
        let piece = vec![7; STREAM_MEMORY];
        hold.push(&piece, &mut spill).expect("in memory");
        hold.push(&piece, &mut spill).expect_err("no such folder");
        assert_eq!(drain(&mut hold, &mut spill).len(), 2 * STREAM_MEMORY);
    }

    #[test]
    fn the_file_has_no_name() {
        let folder = tempfile::tempdir().expect("folder");
        let mut spill = Spill::new(folder.path());
        let mut hold = Hold::default();
        hold.push(&vec![1; 1_000_000], &mut spill).expect("room");
        assert_eq!(std::fs::read_dir(folder.path()).expect("list").count(), 0);
        hold.clear(&mut spill);
        assert_eq!(spill.in_memory, 0);
    }
}
