//! What can be gone through in parts.

use std::ops::Range;

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

macro_rules! ranges {
    ($($integer:ty: $unsigned:ty),*) => { $(
        impl Split for Range<$integer> {
            type Item = $integer;
            type Items = Range<$integer>;

            fn length(&self) -> usize {
                if self.is_empty() {
                    return 0;
                }
                // Two's complement: right for signed ones too, whose difference may not fit their own type.
                let count = self.end.wrapping_sub(self.start) as $unsigned;
                usize::try_from(count).unwrap_or(usize::MAX)
            }

            fn split_at(self, at: usize) -> (Self, Self) {
                assert!(at <= self.length(), "cannot cut {self:?} at {at}");
                // The count fits, if not in the signed type then modulo 2^n, which is the same here.
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

/// Cuts it into so many parts, which differ by one element at most; fewer, if there are fewer elements.
///
/// ```
/// assert_eq!(hands::split(1..11, 3), [1..5, 5..8, 8..11]);
/// ```
pub fn split<S: Split>(whole: S, parts: usize) -> Vec<S> {
    let count = whole.length();
    let parts = parts.min(count);
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
