//! [`Slice`]: a sequence of numbers, or of what is made of them.

use std::fmt;
use std::io;
use std::marker::PhantomData;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::memory::Memory;
use super::{Plain, TooLarge};

/// A sequence of plain values that several processes read and write. A clone is the same sequence.
///
/// There is no lock: what two processes do at the same time to the same element is a mixture of
/// both. Give them different parts, or put a [`Mutex`](super::Mutex) beside it.
///
/// ```
/// # hands::entry!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use hands::shared::Slice;
///
/// fn square((slice, at): (Slice<f64>, usize)) {
///     let x = slice.get(at).expect("within");
///     slice.set(at, x * x);
/// }
///
/// # let _hands = hands::init();
/// let slice = Slice::from_slice(&[1.0, 2.0, 3.0])?;
/// let squares = (0..3).map(|at| hands::process::spawn(square, (slice.clone(), at)));
/// for process in squares.collect::<Result<Vec<_>, _>>()? {
///     process.join()?;
/// }
/// assert_eq!(slice.to_vec(), [1.0, 4.0, 9.0]);
/// # Ok(())
/// # }
/// ```
pub struct Slice<T> {
    memory: Memory,
    length: usize,
    elements: PhantomData<fn(T) -> T>,
}

impl<T: Plain> Slice<T> {
    const SIZE: usize = size_of::<T>();

    /// A slice of `length` elements, all zero.
    ///
    /// # Errors
    ///
    /// When they take more bytes than there can be, and when the system has not enough memory or
    /// descriptors.
    pub fn zeroed(length: usize) -> io::Result<Slice<T>> {
        let bytes = length.checked_mul(Self::SIZE).ok_or(TooLarge)?;
        Ok(Slice {
            // One of no elements has a byte all the same.
            memory: Memory::new(bytes.max(1))?,
            length,
            elements: PhantomData,
        })
    }

    /// A copy of these elements.
    ///
    /// # Errors
    ///
    /// As [`zeroed`](Self::zeroed).
    pub fn from_slice(elements: &[T]) -> io::Result<Slice<T>> {
        let slice = Slice::zeroed(elements.len())?;
        slice.write(0, elements);
        Ok(slice)
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The element at `at`. `None`: the slice is shorter.
    pub fn get(&self, at: usize) -> Option<T> {
        if at >= self.length {
            return None;
        }
        let mut element = T::zeroed();
        self.memory
            .read(at * Self::SIZE, bytemuck::bytes_of_mut(&mut element));
        Some(element)
    }

    /// Sets the element at `at`.
    ///
    /// # Panics
    ///
    /// When the slice is shorter.
    pub fn set(&self, at: usize, element: T) {
        self.write(at, &[element]);
    }

    /// Copies elements from `at` on.
    ///
    /// # Panics
    ///
    /// When the slice is shorter.
    pub fn read(&self, at: usize, into: &mut [T]) {
        self.check(at, into.len());
        self.memory
            .read(at * Self::SIZE, bytemuck::cast_slice_mut(into));
    }

    /// Sets elements from `at` on.
    ///
    /// # Panics
    ///
    /// When the slice is shorter.
    pub fn write(&self, at: usize, elements: &[T]) {
        self.check(at, elements.len());
        self.memory
            .write(at * Self::SIZE, bytemuck::cast_slice(elements));
    }

    /// A copy of all.
    pub fn to_vec(&self) -> Vec<T> {
        let mut elements = vec![T::zeroed(); self.length];
        self.read(0, &mut elements);
        elements
    }

    #[track_caller]
    fn check(&self, at: usize, length: usize) {
        let end = at.checked_add(length);
        assert!(
            end.is_some_and(|end| end <= self.length),
            "{length} elements at {at} are not within a slice of {}",
            self.length
        );
    }
}

impl<T> Clone for Slice<T> {
    fn clone(&self) -> Slice<T> {
        Slice {
            memory: self.memory.clone(),
            length: self.length,
            elements: PhantomData,
        }
    }
}

impl<T> Serialize for Slice<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.memory, self.length).serialize(serializer)
    }
}

impl<'de, T: Plain> Deserialize<'de> for Slice<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Slice<T>, D::Error> {
        let (memory, length) = <(Memory, usize)>::deserialize(deserializer)?;
        match length.checked_mul(Self::SIZE) {
            Some(bytes) if bytes <= memory.len() => Ok(Slice {
                memory,
                length,
                elements: PhantomData,
            }),
            _ => Err(serde::de::Error::custom(
                "a shared slice is longer than its memory",
            )),
        }
    }
}

impl<T> fmt::Debug for Slice<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slice").field("len", &self.length).finish()
    }
}
