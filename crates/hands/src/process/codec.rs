//! How arguments and results are written down, with the descriptors that belong to them.
//!
//! The bytes are postcard's. A thing that is shared is known by a descriptor, which cannot be written down: while a value is
//! encoded, its descriptors are collected beside the bytes, and the value says which of them it means. Both go in one
//! message; the kernel makes them descriptors of the receiver.

use std::cell::RefCell;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

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

thread_local! {
    /// The descriptors of the value that is being encoded or decoded on this thread.
    static CARRIED: RefCell<Option<Vec<Option<OwnedFd>>>> = const { RefCell::new(None) };
}

/// Puts back what was there, also when unwinding.
struct Restore(Option<Vec<Option<OwnedFd>>>);

impl Drop for Restore {
    fn drop(&mut self) {
        CARRIED.set(self.0.take());
    }
}

pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Message, Failure> {
    let restore = Restore(CARRIED.replace(Some(Vec::new())));
    let bytes = postcard::to_allocvec(value).map_err(|error| Failure::Encode(error.to_string()))?;
    let carried = CARRIED.take().unwrap_or_default();
    drop(restore);
    Ok(Message {
        bytes,
        descriptors: carried.into_iter().flatten().collect(),
    })
}

/// Reads a value whose descriptors have been [laid ready](with_descriptors), or that has none.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    postcard::from_bytes(bytes).map_err(|error| Failure::Decode(error.to_string()))
}

/// Runs `read`, which finds these descriptors when it [decodes](decode).
pub(crate) fn with_descriptors<T>(descriptors: Vec<OwnedFd>, read: impl FnOnce() -> T) -> T {
    let descriptors = descriptors.into_iter().map(Some).collect();
    let _restore = Restore(CARRIED.replace(Some(descriptors)));
    read()
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
        let at = CARRIED.with_borrow_mut(|carried| {
            let Some(carried) = carried else {
                return Err(S::Error::custom(
                    "a descriptor cannot be written down; send the value to a process of this program instead",
                ));
            };
            carried.push(Some(self.0.try_clone().map_err(S::Error::custom)?));
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
            carried.as_mut()?.get_mut(at)?.take()
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
