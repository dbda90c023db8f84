//! The values of the user's: arguments and results, each in a frame of its own.
//!
//! ```text
//! form (1 byte) │ length (4 bytes) │ bytes
//! ```
//!
//! The form is compact (postcard) where the type can be [read](super::probe) and the value be
//! [written](super::compact) without the names of its fields, and named (MessagePack) where not. So
//! whatever survives `serde_json` survives this. What is left over in a frame is an error, and
//! whatever is wrong with one value is not wrong with the next. A type that contains itself is read
//! and written on as much stack as it is deep.

use std::any::TypeId;
use std::cell::RefCell;
use std::hash::{Hash, Hasher};

use super::compact::{Compact, NotCompact};
use super::probe::{self, Shape};
use super::{Appended, FILLED, Failure, worded};
use crate::task::Data;
use crate::thread::panic::caught;

const COMPACT: u8 = 0;
const NAMED: u8 = 1;
pub(crate) const HEAD: usize = 5;

/// Types of which is known how they are written down; few are used at a time.
const KNOWN: usize = 64;

thread_local! {
    static SHAPES: RefCell<[Option<(TypeId, Shape)>; KNOWN]> = const { RefCell::new([None; KNOWN]) };
}

/// Where a type is looked for: its number is a hash already.
#[derive(Default)]
struct ValuePlace(u64);

impl Hasher for ValuePlace {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// How values of this type are written down, as far as the type says.
#[inline]
fn shape<T: Data>() -> Shape {
    let own = TypeId::of::<T>();
    let mut place = ValuePlace::default();
    own.hash(&mut place);
    let place = place.finish() as usize % KNOWN;
    let known = SHAPES.with_borrow(|shapes| shapes[place]);
    match known {
        Some((known, shape)) if known == own => shape,
        _ => learn::<T>(own, place),
    }
}

#[cold]
fn learn<T: Data>(own: TypeId, place: usize) -> Shape {
    // Its deserialiser is the user's, and may not like what it is shown.
    let shape = caught(probe::shape::<T>).unwrap_or(Shape::UNKNOWN);
    SHAPES.with_borrow_mut(|shapes| shapes[place] = Some((own, shape)));
    shape
}

/// Appends a value in its frame; what is there stays as it was when that fails.
#[inline]
pub(crate) fn write<T: Data>(value: &T, to: &mut Vec<u8>) -> Result<(), Failure> {
    let before = to.len();
    let mut written = match shape::<T>().is_plain {
        true => write_as(COMPACT, value, to),
        false => write_as(NAMED, value, to),
    };
    if matches!(&written, Err(refused) if refused.needs_names) {
        to.truncate(before);
        written = write_as(NAMED, value, to);
    }
    written.map_err(|refused| {
        to.truncate(before);
        Failure::Encode(refused.what)
    })
}

#[inline]
fn write_as<T: Data>(form: u8, value: &T, to: &mut Vec<u8>) -> Result<(), NotCompact> {
    let before = to.len();
    to.extend_from_slice(&[form, 0, 0, 0, 0]);
    if form == COMPACT {
        let mut serializer = postcard::Serializer {
            output: Appended(to),
        };
        value.serialize(Compact::<_, true>(&mut serializer))?;
    } else {
        let mut serializer = rmp_serde::Serializer::new(&mut *to).with_struct_map();
        serializer.unstable_set_max_depth(usize::MAX);
        value.serialize(Compact::<_, false>(&mut serializer))?;
    }
    let length = u32::try_from(to.len() - before - HEAD).map_err(|_| NotCompact {
        what: "a value of 4 GiB or more".to_owned(),
        needs_names: false,
    })?;
    to[before + 1..before + HEAD].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

/// Reads the value in the first frame, and goes on to the next, whatever is wrong with that value.
#[inline]
pub(crate) fn read<T: Data>(bytes: &mut &[u8]) -> Result<T, Failure> {
    let missing = || Failure::Decode("it is missing, or cut off".to_owned());
    let (head, rest) = bytes.split_first_chunk::<HEAD>().ok_or_else(missing)?;
    let [form, length @ ..] = *head;
    let length = u32::from_le_bytes(length) as usize;
    let own = rest.get(..length).ok_or_else(missing)?;
    *bytes = &rest[length..];
    match form {
        COMPACT => {
            // What belongs to it has been taken by the first who reads it.
            let may_repeat = !FILLED.get();
            let mut deserializer = postcard::Deserializer::from_bytes(own);
            let value = match shape::<T>().is_recursive {
                false => T::deserialize(&mut deserializer),
                true => T::deserialize(serde_stacker::Deserializer::new(&mut deserializer)),
            };
            let value = value.map_err(|error| {
                let said = may_repeat.then(|| worded::why::<T>(own)).flatten();
                Failure::Decode(said.unwrap_or_else(|| error.to_string()))
            })?;
            let left = deserializer.finalize();
            let left = left.map_err(|error| Failure::Decode(error.to_string()))?;
            whole(value, left.len())
        }
        NAMED => {
            let mut left = own;
            let mut deserializer = rmp_serde::Deserializer::new(&mut left);
            deserializer.set_max_depth(usize::MAX);
            let value = T::deserialize(serde_stacker::Deserializer::new(&mut deserializer))
                .map_err(|error| Failure::Decode(error.to_string()))?;
            drop(deserializer);
            whole(value, left.len())
        }
        _ => Err(Failure::Decode("its form is unknown".to_owned())),
    }
}

#[inline]
fn whole<T>(value: T, left: usize) -> Result<T, Failure> {
    match left {
        0 => Ok(value),
        left => Err(Failure::Decode(format!("{left} bytes of it are left over"))),
    }
}
