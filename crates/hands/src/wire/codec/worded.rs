//! Reads a compact value that could not be read once more, for the words of the error.
//!
//! Postcard's errors keep no text, so what a type has to say of a value that it does not take ("not
//! a port: 0") is lost. Here the same bytes are read with errors that keep it. That is done behind
//! a failure only, and decides nothing: should this reading succeed, postcard's error stands.

use std::fmt;

use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

use crate::task::Data;

/// What is wrong with it. `None`: nothing that could be said better.
#[cold]
pub(super) fn why<T: Data>(bytes: &[u8]) -> Option<String> {
    let mut words = Words(bytes);
    let read = T::deserialize(serde_stacker::Deserializer::new(&mut words));
    read.err().and_then(|error| error.0)
}

/// The text of an error of the type's; `None` for one of the bytes'.
#[derive(Debug)]
struct Said(Option<String>);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or("it is no value of its type"))
    }
}

impl std::error::Error for Said {}

impl de::Error for Said {
    fn custom<T: fmt::Display>(what: T) -> Said {
        Said(Some(what.to_string()))
    }
}

const BAD: Said = Said(None);

/// What is left to be read.
struct Words<'de>(&'de [u8]);

impl<'de> Words<'de> {
    fn take(&mut self, count: usize) -> Result<&'de [u8], Said> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(BAD)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Said> {
        Ok(self.take(1)?[0])
    }

    /// Seven bits a byte, the lowest first.
    fn number(&mut self) -> Result<u128, Said> {
        let mut number = 0;
        for shift in (0..128).step_by(7) {
            let byte = self.byte()?;
            number |= u128::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(BAD)
    }

    fn narrow<N: TryFrom<u128>>(&mut self) -> Result<N, Said> {
        N::try_from(self.number()?).map_err(|_| BAD)
    }

    /// Small numbers of either sign are small.
    fn signed<N: TryFrom<i128>>(&mut self) -> Result<N, Said> {
        let number = self.number()?;
        let half = (number >> 1).cast_signed();
        let sign = -((number & 1).cast_signed());
        N::try_from(half ^ sign).map_err(|_| BAD)
    }

    fn bytes(&mut self) -> Result<&'de [u8], Said> {
        let length = self.narrow()?;
        self.take(length)
    }

    fn text(&mut self) -> Result<&'de str, Said> {
        str::from_utf8(self.bytes()?).map_err(|_| BAD)
    }

    fn flag(&mut self) -> Result<bool, Said> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(BAD),
        }
    }

    fn several(&mut self, left: usize) -> Several<'_, 'de> {
        Several { words: self, left }
    }
}

macro_rules! numbers {
    ($($name:ident $visit:ident $how:ident;)*) => { $(
        fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Said> {
            visitor.$visit(self.$how()?)
        }
    )* };
}

macro_rules! unnamed {
    ($($name:ident)*) => { $(
        fn $name<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Said> {
            Err(BAD)
        }
    )* };
}

impl<'de> Deserializer<'de> for &mut Words<'de> {
    type Error = Said;

    numbers! {
        deserialize_bool visit_bool flag;
        deserialize_u8 visit_u8 byte;
        deserialize_u16 visit_u16 narrow;
        deserialize_u32 visit_u32 narrow;
        deserialize_u64 visit_u64 narrow;
        deserialize_u128 visit_u128 number;
        deserialize_i16 visit_i16 signed;
        deserialize_i32 visit_i32 signed;
        deserialize_i64 visit_i64 signed;
        deserialize_i128 visit_i128 signed;
        deserialize_str visit_borrowed_str text;
        deserialize_string visit_borrowed_str text;
        deserialize_bytes visit_borrowed_bytes bytes;
        deserialize_byte_buf visit_borrowed_bytes bytes;
    }

    // They are not written by themselves.
    unnamed! { deserialize_any deserialize_identifier deserialize_ignored_any }

    fn deserialize_i8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Said> {
        visitor.visit_i8(self.byte()?.cast_signed())
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Said> {
        let bytes = self.take(4)?.try_into().map_err(|_| BAD)?;
        visitor.visit_f32(f32::from_le_bytes(bytes))
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Said> {
        let bytes = self.take(8)?.try_into().map_err(|_| BAD)?;
        visitor.visit_f64(f64::from_le_bytes(bytes))
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Said> {
        let mut text = self.text()?.chars();
        match (text.next(), text.next()) {
            (Some(only), None) => visitor.visit_char(only),
            _ => Err(BAD),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Said> {
        match self.flag()? {
            true => visitor.visit_some(self),
            false => visitor.visit_none(),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Said> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Said> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Said> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Said> {
        let length = self.narrow()?;
        visitor.visit_seq(self.several(length))
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Said> {
        visitor.visit_seq(self.several(length))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Said> {
        visitor.visit_seq(self.several(length))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Said> {
        let length = self.narrow()?;
        visitor.visit_map(self.several(length))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Said> {
        visitor.visit_seq(self.several(fields.len()))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Said> {
        visitor.visit_enum(self)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// A number of values, or of pairs of them.
struct Several<'a, 'de> {
    words: &'a mut Words<'de>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Several<'_, 'de> {
    type Error = Said;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Said> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(&mut *self.words).map(Some)
    }
}

impl<'de> MapAccess<'de> for Several<'_, 'de> {
    type Error = Said;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Said> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Said> {
        seed.deserialize(&mut *self.words)
    }
}

impl<'de> EnumAccess<'de> for &mut Words<'de> {
    type Error = Said;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self), Said> {
        let index: u32 = self.narrow()?;
        let variant = seed.deserialize(index.into_deserializer())?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for &mut Words<'de> {
    type Error = Said;

    fn unit_variant(self) -> Result<(), Said> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Said> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Said> {
        visitor.visit_seq(self.several(length))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Said> {
        visitor.visit_seq(self.several(fields.len()))
    }
}
