//! How arguments and results are written down, with the descriptors that belong to them.
//!
//! The bytes of what is ours are postcard's; those of the user's values are in frames ([`value`]).
//! A thing that is shared is known by a descriptor, which cannot be written down: while a value is
//! encoded, its descriptors are collected beside the bytes, and the value says which of them it
//! means. Both go in one message; the kernel makes them descriptors of the receiver.

mod compact;
mod probe;
mod value;
mod worded;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use postcard::ser_flavors::Flavor;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(crate) use self::value::{HEAD, read, write};
use crate::task::Data;

/// A value could not be written down, or not be read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Encode(String),
    Decode(String),
}

/// A value as it travels.
#[derive(Debug, Default)]
pub(crate) struct Message {
    pub(crate) bytes: Vec<u8>,
    pub(crate) descriptors: Vec<OwnedFd>,
}

/// Descriptors that are taken one by one, by values that are read at different times.
pub(crate) type LaidReady = Vec<Option<OwnedFd>>;

pub(crate) fn laid_ready(descriptors: Vec<OwnedFd>) -> LaidReady {
    descriptors.into_iter().map(Some).collect()
}

/// What this thread does with values at the moment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CodecMode {
    Nothing,
    Encoding,
    Decoding,
}

thread_local! {
    static MODE: Cell<CodecMode> = const { Cell::new(CodecMode::Nothing) };
    /// Whether anything is in [`CARRIED`]. Few values have descriptors, and the others do not touch
    /// it.
    static FILLED: Cell<bool> = const { Cell::new(false) };
    /// The descriptors of the value that is being encoded or decoded on this thread.
    static CARRIED: RefCell<LaidReady> = const { RefCell::new(Vec::new()) };
}

/// From its beginning to its end this thread encodes, or decodes. What was there before is back
/// afterwards, also when unwinding.
struct DescriptorScope {
    mode: CodecMode,
    carried: LaidReady,
}

impl DescriptorScope {
    #[inline]
    fn begin(mode: CodecMode, carried: LaidReady) -> DescriptorScope {
        let mut before = DescriptorScope {
            mode: MODE.replace(mode),
            carried: Vec::new(),
        };
        if FILLED.replace(!carried.is_empty()) {
            before.carried = CARRIED.replace(carried);
        } else if !carried.is_empty() {
            CARRIED.set(carried);
        }
        before
    }

    /// What there is now.
    #[inline]
    fn end(self) -> LaidReady {
        match FILLED.replace(false) {
            true => CARRIED.take(),
            false => Vec::new(),
        }
    }
}

impl Drop for DescriptorScope {
    #[inline]
    fn drop(&mut self) {
        if FILLED.replace(false) {
            drop(CARRIED.take());
        }
        if !self.carried.is_empty() {
            CARRIED.set(std::mem::take(&mut self.carried));
            FILLED.set(true);
        }
        MODE.set(self.mode);
    }
}

pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Message, Failure> {
    let scope = DescriptorScope::begin(CodecMode::Encoding, Vec::new());
    let bytes = postcard::to_allocvec(value).map_err(|error| Failure::Encode(error.to_string()))?;
    Ok(Message {
        bytes,
        descriptors: scope.end().into_iter().flatten().collect(),
    })
}

/// [`encode`] for a value of the user's.
pub(crate) fn encode_value<T: Data>(value: &T) -> Result<Message, Failure> {
    let mut bytes = Vec::new();
    let (written, descriptors) = collecting(|| write(value, &mut bytes));
    written.map(|()| Message { bytes, descriptors })
}

/// [`decode`] for a value of the user's.
pub(crate) fn decode_value<T: Data>(mut bytes: &[u8]) -> Result<T, Failure> {
    let value = read(&mut bytes)?;
    match bytes.len() {
        0 => Ok(value),
        left => Err(Failure::Decode(format!("{left} bytes come after it"))),
    }
}

/// Runs `write`, which may [append](append) values, and returns the descriptors that belong to
/// them.
#[inline]
pub(crate) fn collecting<T>(write: impl FnOnce() -> T) -> (T, Vec<OwnedFd>) {
    let scope = DescriptorScope::begin(CodecMode::Encoding, Vec::new());
    let done = write();
    if !FILLED.get() {
        return (done, Vec::new());
    }
    (done, scope.end().into_iter().flatten().collect())
}

/// Writes a value behind what is there already; what is there stays when that fails.
#[inline]
pub(crate) fn append<T: Serialize>(value: &T, to: &mut Vec<u8>) -> Result<(), Failure> {
    let before = to.len();
    let written = postcard::serialize_with_flavor(value, Appended(to));
    written.map_err(|error| {
        to.truncate(before);
        Failure::Encode(error.to_string())
    })
}

struct Appended<'a>(&'a mut Vec<u8>);

impl Flavor for Appended<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        // A call that copies takes longer than a few bytes, and most numbers have no more.
        if bytes.len() <= 8 {
            bytes.iter().for_each(|byte| self.0.push(*byte));
        } else {
            self.0.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Reads the first of the values there, and goes on to the next.
#[inline]
pub(crate) fn take<T: DeserializeOwned>(bytes: &mut &[u8]) -> Result<T, Failure> {
    let (value, rest) =
        postcard::take_from_bytes(bytes).map_err(|error| Failure::Decode(error.to_string()))?;
    *bytes = rest;
    Ok(value)
}

/// Reads a value whose descriptors have been [laid ready](with_descriptors), or that has none.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    postcard::from_bytes(bytes).map_err(|error| Failure::Decode(error.to_string()))
}

/// Bytes that are written down in one piece, for `#[serde(with = "...")]`; serde knows a `Vec<u8>`
/// as many numbers.
pub(crate) mod raw {
    use std::fmt;

    use serde::de::Visitor;
    use serde::{Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }

            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
                Ok(bytes)
            }
        }
        deserializer.deserialize_byte_buf(Bytes)
    }
}

/// Runs `read`, which finds these descriptors when it [decodes](decode).
pub(crate) fn with_descriptors<T>(descriptors: Vec<OwnedFd>, read: impl FnOnce() -> T) -> T {
    lend(&mut laid_ready(descriptors), read)
}

/// Runs `read`, which finds these descriptors, and leaves those that it does not take.
#[inline]
pub(crate) fn lend<T>(descriptors: &mut LaidReady, read: impl FnOnce() -> T) -> T {
    if descriptors.is_empty() && MODE.get() == CodecMode::Nothing {
        // It will find none, as it is.
        return read();
    }
    let scope = DescriptorScope::begin(CodecMode::Decoding, std::mem::take(descriptors));
    let done = read();
    *descriptors = scope.end();
    done
}

/// A descriptor within a value.
pub(crate) struct Carried(pub(crate) OwnedFd);

impl From<OwnedFd> for Carried {
    fn from(fd: OwnedFd) -> Carried {
        Carried(fd)
    }
}

impl fmt::Debug for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl AsFd for Carried {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Serialize for Carried {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::Error;
        if MODE.get() != CodecMode::Encoding {
            return Err(S::Error::custom(
                "a descriptor cannot be written down; send the value to a process of this program instead",
            ));
        }
        let copy = self.0.try_clone().map_err(S::Error::custom)?;
        FILLED.set(true);
        let at = CARRIED.with_borrow_mut(|carried| {
            carried.push(Some(copy));
            u32::try_from(carried.len() - 1).map_err(S::Error::custom)
        })?;
        at.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Carried {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Carried, D::Error> {
        use serde::de::Error;
        let at = u32::deserialize(deserializer)?;
        let taken = CARRIED.with_borrow_mut(|carried| {
            let at = usize::try_from(at).ok()?;
            carried
                .get_mut(at)
                .filter(|_| MODE.get() == CodecMode::Decoding)?
                .take()
        });
        taken.map(Carried).ok_or_else(|| {
            D::Error::custom("a descriptor is missing: this was not sent to this process")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn null() -> Carried {
        Carried(std::fs::File::open("/dev/null").expect("/dev/null").into())
    }

    #[test]
    fn descriptors_travel_beside_the_bytes() {
        let message = encode(&(1_u8, null(), "x".to_owned(), null())).expect("encoded");
        assert_eq!(message.descriptors.len(), 2);
        let read = with_descriptors(message.descriptors, || {
            decode::<(u8, Carried, String, Carried)>(&message.bytes)
        });
        let (one, _, x, _) = read.expect("decoded");
        assert_eq!((one, x.as_str()), (1, "x"));
    }

    #[test]
    fn a_descriptor_alone_is_refused_in_words() {
        let alone = postcard::to_allocvec(&null());
        assert!(alone.is_err());
        let message = encode(&null()).expect("encoded");
        assert!(
            decode::<Carried>(&message.bytes).is_err(),
            "nothing was laid ready"
        );
        let none = with_descriptors(Vec::new(), || decode::<Carried>(&message.bytes));
        assert!(none.is_err());
    }

    #[test]
    fn bytes_that_are_no_value_are_an_error() {
        let read = decode::<(u64, String)>(&[0xff; 5]);
        assert!(matches!(read, Err(Failure::Decode(_))), "{read:?}");
    }
}
