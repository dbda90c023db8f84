//! [`Bytes`]: bytes that nobody changes any more.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::ops::Deref;
use std::sync::Arc;

use rustix::fs::{SealFlags, fcntl_add_seals};
use rustix::mm::{MapFlags, ProtFlags};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::memory::{Mapping, is_all_there, reserve, sealed_length};
use crate::machine::with_file_limit_as_error;
use crate::wire::codec::Carried;

/// What no process can undo: neither size nor content changes.
const FROZEN: SealFlags = SealFlags::SHRINK
    .union(SealFlags::GROW)
    .union(SealFlags::WRITE);

/// Bytes that are sent to a process without being copied: a gigabyte in the time of a few bytes. A
/// clone is the same bytes.
///
/// The kernel keeps everybody from changing them, also their maker. So they are read as any
/// slice is.
///
/// ```
/// # hands::entry!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use hands::shared::Bytes;
///
/// # let _hands = hands::init();
/// let image = Bytes::new(&[7; 1_000_000])?;
/// let sum = |image: Bytes| image.iter().map(|&byte| u64::from(byte)).sum::<u64>();
/// assert_eq!(hands::process::spawn(sum, image.clone())?.join(), Ok(7_000_000));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Bytes {
    /// `None`: no bytes, for which there is no memory.
    shared: Option<Arc<SharedBytes>>,
}

struct SharedBytes {
    fd: Carried,
    map: Mapping,
}

impl Bytes {
    /// A copy of these.
    ///
    /// # Errors
    ///
    /// When the system has not enough memory or descriptors.
    pub fn new(bytes: &[u8]) -> io::Result<Bytes> {
        if bytes.is_empty() {
            return Ok(Bytes { shared: None });
        }
        let mut file = File::from(reserve(bytes.len())?);
        with_file_limit_as_error(|| file.write_all(bytes))?;
        fcntl_add_seals(&file, FROZEN | SealFlags::SEAL)?;
        Bytes::of(Carried::from(std::os::fd::OwnedFd::from(file)))
    }

    fn of(fd: Carried) -> io::Result<Bytes> {
        let length = sealed_length(&fd, FROZEN)?;
        if !is_all_there(&fd, length)? {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "what was received has holes, for which there may be no memory when they are read",
            ));
        }
        // Private, as kernels before 6.7 map nothing shared that must not be written; the pages are
        // the same.
        let map = Mapping::new(&fd, length, ProtFlags::READ, MapFlags::PRIVATE)?;
        Ok(Bytes {
            shared: Some(Arc::new(SharedBytes { fd, map })),
        })
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let Some(shared) = &self.shared else {
            return &[];
        };
        // SAFETY: a mapping of this length that lives as long as `self`. Its file is sealed against
        // writing and against shrinking, for ever and for all processes, which `of` has looked at:
        // so nothing changes, and no page is missing.
        unsafe { std::slice::from_raw_parts(shared.map.start(), shared.map.length()) }
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.shared
            .as_ref()
            .map(|shared| &shared.fd)
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        match Option::<Carried>::deserialize(deserializer)? {
            None => Ok(Bytes { shared: None }),
            Some(fd) => Bytes::of(fd).map_err(serde::de::Error::custom),
        }
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Bytes) -> bool {
        **self == **other
    }
}

impl Eq for Bytes {}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bytes").field("len", &self.len()).finish()
    }
}
