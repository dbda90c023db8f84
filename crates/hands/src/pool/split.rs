//! What can be gone through in parts.

use std::ops::{Range, RangeInclusive};

/// A range or a slice: something that has a length and can be cut in two.
pub trait Split: Sized + Send {
    /// One element.
    type Item: Send;
    /// All elements, in order.
    type Items: Iterator<Item = Self::Item>;

    /// How many elements there are.
    fn length(&self) -> usize;

    /// The first `at` elements, and the others.
    ///
    /// # Panics
    ///
    /// May panic if there are fewer.
    fn split_at(self, at: usize) -> (Self, Self);

    /// Its elements.
    fn items(self) -> Self::Items;
}

/// What turns into something that can be gone through in parts: all that is [`Split`], and
/// references to vectors and arrays.
pub trait IntoSplit {
    /// One element.
    type Item: Send;
    /// What it turns into.
    type Split: Split<Item = Self::Item>;

    /// Turns it into that.
    fn into_split(self) -> Self::Split;
}

impl<S: Split> IntoSplit for S {
    type Item = S::Item;
    type Split = S;

    fn into_split(self) -> S {
        self
    }
}

macro_rules! as_slices {
    ($(($($parameter:tt)*) $whole:ty => $slice:ty, $bound:ident;)*) => { $(
        impl<'a, T: $bound, $($parameter)*> IntoSplit for $whole {
            type Item = <$slice as Split>::Item;
            type Split = $slice;

            fn into_split(self) -> $slice {
                self
            }
        }
    )* };
}

as_slices! {
    () &'a Vec<T> => &'a [T], Sync;
    () &'a mut Vec<T> => &'a mut [T], Send;
    (const N: usize) &'a [T; N] => &'a [T], Sync;
    (const N: usize) &'a mut [T; N] => &'a mut [T], Send;
}

macro_rules! ranges {
    ($($integer:ty: $unsigned:ty),*) => { $(
        impl Split for Range<$integer> {
            type Item = $integer;
            type Items = Range<$integer>;

            fn length(&self) -> usize {
                if self.is_empty() {
                    return 0;
                }
                // Two's complement: right for signed ones too, whose difference may not fit their
                // own type.
                let count = self.end.wrapping_sub(self.start) as $unsigned;
                usize::try_from(count).unwrap_or(usize::MAX)
            }

            fn split_at(self, at: usize) -> (Self, Self) {
                assert!(at <= self.length(), "cannot cut {self:?} at {at}");
                // The count fits, if not in the signed type then modulo 2^n, which is the same
                // here.
                let middle = self.start.wrapping_add(at as $integer);
                (self.start..middle, middle..self.end)
            }

            fn items(self) -> Range<$integer> {
                self
            }
        }
    )* };
}

ranges! {
    u8: u8, u16: u16, u32: u32, u64: u64, usize: usize, i8: u8, i16: u16, i32: u32, i64: u64, isize: usize
}

macro_rules! inclusive {
    ($($integer:ty: $unsigned:ty),*) => { $(
        /// Its last element may be the greatest there is.
        impl Split for RangeInclusive<$integer> {
            type Item = $integer;
            type Items = RangeInclusive<$integer>;

            fn length(&self) -> usize {
                if self.is_empty() {
                    return 0;
                }
                let less = self.end().wrapping_sub(*self.start()) as $unsigned;
                usize::try_from(less).map_or(usize::MAX, |less| less.saturating_add(1))
            }

            fn split_at(self, at: usize) -> (Self, Self) {
                assert!(at <= self.length(), "cannot cut {self:?} at {at}");
                #[allow(clippy::reversed_empty_ranges, reason = "an empty one is meant")]
                let empty = 1..=0;
                if at == 0 {
                    return (empty, self);
                }
                let (start, end) = self.into_inner();
                let last = start.wrapping_add((at - 1) as $integer);
                if last == end {
                    return (start..=end, empty);
                }
                (start..=last, last + 1..=end)
            }

            fn items(self) -> RangeInclusive<$integer> {
                self
            }
        }
    )* };
}

inclusive! {
    u8: u8, u16: u16, u32: u32, u64: u64, usize: usize, i8: u8, i16: u16, i32: u32, i64: u64, isize: usize
}

impl<T: Send> Split for Vec<T> {
    type Item = T;
    type Items = std::vec::IntoIter<T>;

    fn length(&self) -> usize {
        self.len()
    }

    fn split_at(mut self, at: usize) -> (Self, Self) {
        let others = self.split_off(at);
        (self, others)
    }

    fn items(self) -> Self::Items {
        self.into_iter()
    }
}

impl<'a, T: Sync> Split for &'a [T] {
    type Item = &'a T;
    type Items = std::slice::Iter<'a, T>;

    fn length(&self) -> usize {
        self.len()
    }

    fn split_at(self, at: usize) -> (Self, Self) {
        <[T]>::split_at(self, at)
    }

    fn items(self) -> Self::Items {
        self.iter()
    }
}

impl<'a, T: Send> Split for &'a mut [T] {
    type Item = &'a mut T;
    type Items = std::slice::IterMut<'a, T>;

    fn length(&self) -> usize {
        self.len()
    }

    fn split_at(self, at: usize) -> (Self, Self) {
        self.split_at_mut(at)
    }

    fn items(self) -> Self::Items {
        self.iter_mut()
    }
}

/// Cuts it into `parts` parts, which differ by one element at most; fewer, if there are fewer
/// elements. Nothing is lost: 0 parts are 1, if there are any elements.
///
/// ```
/// assert_eq!(hands::split(1..11, 3), [1..5, 5..8, 8..11]);
/// ```
pub fn split<S: IntoSplit>(whole: S, parts: usize) -> Vec<S::Split> {
    let whole = whole.into_split();
    let count = whole.length();
    let parts = parts.max(1).min(count);
    let mut left = whole;
    let mut cut = Vec::with_capacity(parts);
    for part in 0..parts {
        // Longer ones first.
        let length = count / parts + usize::from(part < count % parts);
        let (first, others) = left.split_at(length);
        cut.push(first);
        left = others;
    }
    cut
}
