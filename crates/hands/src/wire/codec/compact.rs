//! A value as it is written down compactly, unless its own calls show that it could not be read
//! back that way.
//!
//! Postcard writes fields without names, one after the other. A value that leaves a field out
//! (`skip_serializing_if`), or does not know how many it has (`flatten`), is read back as another
//! one, or not at all. [`Compact`] hands all calls on, and refuses those if it is to.

use std::cell::RefCell;
use std::fmt;

use serde::ser::{self, Error as _, Serialize, Serializer};

/// Why a value was not written down.
#[derive(Clone, Debug)]
pub(super) struct NotCompact {
    pub(super) what: String,
    /// With the names of its fields it could be.
    pub(super) needs_names: bool,
}

thread_local! {
    /// What was refused within a value within another: postcard's errors keep no text.
    static INNER: RefCell<Option<NotCompact>> = const { RefCell::new(None) };
}

impl NotCompact {
    fn by(error: impl fmt::Display) -> NotCompact {
        INNER.take().unwrap_or_else(|| NotCompact {
            what: error.to_string(),
            needs_names: false,
        })
    }

    #[cold]
    fn needs_names() -> NotCompact {
        NotCompact {
            what: "it leaves out fields".to_owned(),
            needs_names: true,
        }
    }
}

impl fmt::Display for NotCompact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for NotCompact {}

impl ser::Error for NotCompact {
    fn custom<T: fmt::Display>(what: T) -> NotCompact {
        NotCompact {
            what: what.to_string(),
            needs_names: false,
        }
    }
}

/// A serialiser that goes as deep as it has to, on as much stack as that takes; a strict one
/// refuses what cannot be read back without names.
pub(super) struct Compact<S, const STRICT: bool>(pub(super) S);

/// A value within another.
struct Of<'a, T: ?Sized, const STRICT: bool>(&'a T);

/// With less stack than this another piece is taken, of this size.
const LEAST: usize = 64 << 10;
const PIECE: usize = 1 << 20;

impl<T: Serialize + ?Sized, const STRICT: bool> Serialize for Of<'_, T, STRICT> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let write = || self.0.serialize(Compact::<S, STRICT>(serializer));
        stacker::maybe_grow(LEAST, PIECE, write).map_err(|refused| {
            let error = S::Error::custom(&refused);
            INNER.set(Some(refused));
            error
        })
    }
}

macro_rules! plainly {
    ($($name:ident: $value:ty),*) => { $(
        #[inline]
        fn $name(self, value: $value) -> Result<S::Ok, NotCompact> {
            self.0.$name(value).map_err(NotCompact::by)
        }
    )* };
}

impl<S: Serializer, const STRICT: bool> Serializer for Compact<S, STRICT> {
    type Ok = S::Ok;
    type Error = NotCompact;
    type SerializeSeq = Compact<S::SerializeSeq, STRICT>;
    type SerializeTuple = Compact<S::SerializeTuple, STRICT>;
    type SerializeTupleStruct = Compact<S::SerializeTupleStruct, STRICT>;
    type SerializeTupleVariant = Compact<S::SerializeTupleVariant, STRICT>;
    type SerializeMap = Compact<S::SerializeMap, STRICT>;
    type SerializeStruct = Compact<S::SerializeStruct, STRICT>;
    type SerializeStructVariant = Compact<S::SerializeStructVariant, STRICT>;

    plainly! {
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_i128: i128,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_u128: u128, serialize_f32: f32,
        serialize_f64: f64, serialize_char: char, serialize_str: &str, serialize_bytes: &[u8], serialize_unit_struct: &'static str
    }

    #[inline]
    fn serialize_none(self) -> Result<S::Ok, NotCompact> {
        self.0.serialize_none().map_err(NotCompact::by)
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, NotCompact> {
        self.0
            .serialize_some(&Of::<T, STRICT>(value))
            .map_err(NotCompact::by)
    }

    #[inline]
    fn serialize_unit(self) -> Result<S::Ok, NotCompact> {
        self.0.serialize_unit().map_err(NotCompact::by)
    }

    #[inline]
    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<S::Ok, NotCompact> {
        let written = self.0.serialize_unit_variant(name, index, variant);
        written.map_err(NotCompact::by)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, NotCompact> {
        let written = self
            .0
            .serialize_newtype_struct(name, &Of::<T, STRICT>(value));
        written.map_err(NotCompact::by)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, NotCompact> {
        let value = &Of::<T, STRICT>(value);
        let written = self
            .0
            .serialize_newtype_variant(name, index, variant, value);
        written.map_err(NotCompact::by)
    }

    #[inline]
    fn serialize_seq(self, length: Option<usize>) -> Result<Self::SerializeSeq, NotCompact> {
        if STRICT && length.is_none() {
            return Err(NotCompact::needs_names());
        }
        self.0
            .serialize_seq(length)
            .map(Compact)
            .map_err(NotCompact::by)
    }

    #[inline]
    fn serialize_tuple(self, length: usize) -> Result<Self::SerializeTuple, NotCompact> {
        self.0
            .serialize_tuple(length)
            .map(Compact)
            .map_err(NotCompact::by)
    }

    #[inline]
    fn serialize_tuple_struct(
        self,
        name: &'static str,
        length: usize,
    ) -> Result<Self::SerializeTupleStruct, NotCompact> {
        let begun = self.0.serialize_tuple_struct(name, length);
        begun.map(Compact).map_err(NotCompact::by)
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Self::SerializeTupleVariant, NotCompact> {
        let begun = self.0.serialize_tuple_variant(name, index, variant, length);
        begun.map(Compact).map_err(NotCompact::by)
    }

    #[inline]
    fn serialize_map(self, length: Option<usize>) -> Result<Self::SerializeMap, NotCompact> {
        if STRICT && length.is_none() {
            return Err(NotCompact::needs_names());
        }
        self.0
            .serialize_map(length)
            .map(Compact)
            .map_err(NotCompact::by)
    }

    #[inline]
    fn serialize_struct(
        self,
        name: &'static str,
        length: usize,
    ) -> Result<Self::SerializeStruct, NotCompact> {
        self.0
            .serialize_struct(name, length)
            .map(Compact)
            .map_err(NotCompact::by)
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Self::SerializeStructVariant, NotCompact> {
        let begun = self
            .0
            .serialize_struct_variant(name, index, variant, length);
        begun.map(Compact).map_err(NotCompact::by)
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

macro_rules! elements {
    ($($kind:ident: $name:ident;)*) => { $(
        impl<S: ser::$kind, const STRICT: bool> ser::$kind for Compact<S, STRICT> {
            type Ok = S::Ok;
            type Error = NotCompact;

            #[inline]
            fn $name<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NotCompact> {
                self.0.$name(&Of::<T, STRICT>(value)).map_err(NotCompact::by)
            }

            #[inline]
            fn end(self) -> Result<S::Ok, NotCompact> {
                self.0.end().map_err(NotCompact::by)
            }
        }
    )* };
}

elements! {
    SerializeSeq: serialize_element;
    SerializeTuple: serialize_element;
    SerializeTupleStruct: serialize_field;
    SerializeTupleVariant: serialize_field;
}

impl<S: ser::SerializeMap, const STRICT: bool> ser::SerializeMap for Compact<S, STRICT> {
    type Ok = S::Ok;
    type Error = NotCompact;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), NotCompact> {
        self.0
            .serialize_key(&Of::<T, STRICT>(key))
            .map_err(NotCompact::by)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NotCompact> {
        self.0
            .serialize_value(&Of::<T, STRICT>(value))
            .map_err(NotCompact::by)
    }

    fn end(self) -> Result<S::Ok, NotCompact> {
        self.0.end().map_err(NotCompact::by)
    }
}

macro_rules! fields {
    ($($kind:ident;)*) => { $(
        impl<S: ser::$kind, const STRICT: bool> ser::$kind for Compact<S, STRICT> {
            type Ok = S::Ok;
            type Error = NotCompact;

            #[inline]
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), NotCompact> {
                self.0.serialize_field(key, &Of::<T, STRICT>(value)).map_err(NotCompact::by)
            }

            fn skip_field(&mut self, key: &'static str) -> Result<(), NotCompact> {
                if STRICT {
                    return Err(NotCompact::needs_names());
                }
                self.0.skip_field(key).map_err(NotCompact::by)
            }

            #[inline]
            fn end(self) -> Result<S::Ok, NotCompact> {
                self.0.end().map_err(NotCompact::by)
            }
        }
    )* };
}

fields! {
    SerializeStruct;
    SerializeStructVariant;
}
