//! Whether a type can be read without the names of its fields: found by reading it once from
//! nothing.
//!
//! A type with `untagged`, `tag` or `flatten` asks what comes next, which only bytes that describe
//! themselves can say. So the type is read from a deserialiser that makes up whatever it is asked
//! for, and notes that question. Each variant of each enum is tried. A type that does not accept
//! what was made up is taken for one that needs names, and contains itself: that is never wrong,
//! only slower.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;

use serde::de::value::U32Deserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess,
    SeqAccess, VariantAccess, Visitor,
};

/// From this depth on there are no more elements.
const DEEP: u32 = 8;
/// A type that is deeper is one that never ends.
const TOO_DEEP: u32 = 64;
/// More questions than this are not answered.
const QUESTIONS: u32 = 20_000;

/// What a type is like, as far as a reader can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// It can be read without names.
    pub(super) is_plain: bool,
    /// It may contain itself, and be as deep as it likes.
    pub(super) is_recursive: bool,
}

impl Shape {
    /// That of a type of which nothing is known.
    pub(super) const UNKNOWN: Shape = Shape {
        is_plain: false,
        is_recursive: true,
    };
}

pub(super) fn shape<T: DeserializeOwned>() -> Shape {
    let state = ProbeState::default();
    for _ in 0..1000 {
        state.is_new.set(false);
        let probe = Probe {
            state: &state,
            depth: 0,
        };
        if T::deserialize(probe).is_err() {
            return Shape::UNKNOWN;
        }
        if !state.is_new.get() {
            return Shape {
                is_plain: true,
                is_recursive: state.is_recursive.get(),
            };
        }
    }
    Shape::UNKNOWN
}

#[derive(Default)]
struct ProbeState {
    /// By the names of the variants: which is to be tried next.
    variants: RefCell<HashMap<(&'static str, usize), u32>>,
    /// A variant was tried that had not been before.
    is_new: Cell<bool>,
    questions: Cell<u32>,
    /// Structures and enums that are being read, by their names.
    around: RefCell<Vec<(&'static str, usize)>>,
    is_recursive: Cell<bool>,
}

/// A structure or enum is being read until this is dropped.
struct Within<'s>(&'s ProbeState);

impl<'s> Within<'s> {
    fn begin(
        state: &'s ProbeState,
        name: &'static str,
        names: &'static [&'static str],
    ) -> Within<'s> {
        let own = (name, names.as_ptr().addr());
        let mut around = state.around.borrow_mut();
        if around.contains(&own) {
            state.is_recursive.set(true);
        }
        around.push(own);
        Within(state)
    }
}

impl Drop for Within<'_> {
    fn drop(&mut self) {
        self.0.around.borrow_mut().pop();
    }
}

/// It asked what comes next, or did not like what was made up.
#[derive(Debug)]
struct No;

impl fmt::Display for No {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it cannot be read from nothing")
    }
}

impl std::error::Error for No {}

impl de::Error for No {
    fn custom<T: fmt::Display>(_: T) -> No {
        No
    }
}

#[derive(Clone, Copy)]
struct Probe<'s> {
    state: &'s ProbeState,
    depth: u32,
}

impl<'s> Probe<'s> {
    fn deeper(self) -> Result<Probe<'s>, No> {
        let questions = self.state.questions.get() + 1;
        self.state.questions.set(questions);
        match self.depth < TOO_DEEP && questions < QUESTIONS {
            true => Ok(Probe {
                depth: self.depth + 1,
                ..self
            }),
            false => Err(No),
        }
    }

    fn elements(self) -> usize {
        usize::from(self.depth < DEEP)
    }
}

macro_rules! made_up {
    ($($name:ident: $visit:ident($($value:expr)?);)*) => { $(
        fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, No> {
            visitor.$visit($($value)?)
        }
    )* };
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = No;

    made_up! {
        deserialize_bool: visit_bool(false);
        deserialize_i8: visit_i8(1);
        deserialize_i16: visit_i16(1);
        deserialize_i32: visit_i32(1);
        deserialize_i64: visit_i64(1);
        deserialize_i128: visit_i128(1);
        deserialize_u8: visit_u8(1);
        deserialize_u16: visit_u16(1);
        deserialize_u32: visit_u32(1);
        deserialize_u64: visit_u64(1);
        deserialize_u128: visit_u128(1);
        deserialize_f32: visit_f32(1.0);
        deserialize_f64: visit_f64(1.0);
        deserialize_char: visit_char('a');
        deserialize_str: visit_str("");
        deserialize_string: visit_string(String::new());
        deserialize_bytes: visit_bytes(&[]);
        deserialize_byte_buf: visit_byte_buf(Vec::new());
        deserialize_unit: visit_unit();
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, No> {
        Err(No)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, _: V) -> Result<V::Value, No> {
        Err(No)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, No> {
        Err(No)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, No> {
        match self.elements() {
            0 => visitor.visit_none(),
            _ => visitor.visit_some(self.deeper()?),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, No> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, No> {
        let _within = Within::begin(self.state, name, &[]);
        visitor.visit_newtype_struct(self.deeper()?)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, No> {
        let left = self.elements();
        visitor.visit_seq(Elements {
            of: self.deeper()?,
            left,
        })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, left: usize, visitor: V) -> Result<V::Value, No> {
        visitor.visit_seq(Elements {
            of: self.deeper()?,
            left,
        })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        left: usize,
        visitor: V,
    ) -> Result<V::Value, No> {
        let _within = Within::begin(self.state, name, &[]);
        visitor.visit_seq(Elements {
            of: self.deeper()?,
            left,
        })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, No> {
        let left = self.elements();
        visitor.visit_map(Elements {
            of: self.deeper()?,
            left,
        })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, No> {
        let _within = Within::begin(self.state, name, fields);
        let left = fields.len();
        visitor.visit_seq(Elements {
            of: self.deeper()?,
            left,
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, No> {
        let _within = Within::begin(self.state, name, variants);
        let index = {
            let mut all = self.state.variants.borrow_mut();
            let next = all.entry((name, variants.as_ptr().addr())).or_default();
            match (*next as usize) < variants.len() {
                true => {
                    self.state.is_new.set(true);
                    *next += 1;
                    *next - 1
                }
                false => 0,
            }
        };
        visitor.visit_enum(Variant {
            of: self.deeper()?,
            index,
        })
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

struct Elements<'s> {
    of: Probe<'s>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = No;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, No> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(self.of).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'de> MapAccess<'de> for Elements<'_> {
    type Error = No;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, No> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, No> {
        seed.deserialize(self.of)
    }
}

struct Variant<'s> {
    of: Probe<'s>,
    index: u32,
}

impl<'de, 's> EnumAccess<'de> for Variant<'s> {
    type Error = No;
    type Variant = Variant<'s>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Variant<'s>), No> {
        let index: U32Deserializer<No> = self.index.into_deserializer();
        Ok((seed.deserialize(index)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = No;

    fn unit_variant(self) -> Result<(), No> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, No> {
        seed.deserialize(self.of)
    }

    fn tuple_variant<V: Visitor<'de>>(self, left: usize, visitor: V) -> Result<V::Value, No> {
        visitor.visit_seq(Elements { of: self.of, left })
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, No> {
        let left = fields.len();
        visitor.visit_seq(Elements { of: self.of, left })
    }
}
