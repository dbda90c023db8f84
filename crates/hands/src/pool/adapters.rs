//! What is gone through in parts together, or with its numbers.

use super::split::{IntoSplit, Split};

/// The pieces of a slice: what [`chunks`] returns.
#[derive(Clone, Copy, Debug)]
pub struct ChunkSplit<'a, T> {
    slice: &'a [T],
    size: usize,
}

/// The elements of a slice in pieces of `size`, the last of which may be shorter, for
/// [`for_each`](super::ThreadPool::for_each) and [`reduce`](super::ThreadPool::reduce).
///
/// ```
/// use hands::pool::{ThreadPool, chunks};
///
/// let numbers = [1, 2, 3, 4, 5];
/// let pool = ThreadPool::new()?;
/// let longest = pool.reduce(chunks(&numbers, 2), || 0, |longest, piece| longest.max(piece.len()), usize::max);
/// assert_eq!(longest, 2);
/// # std::io::Result::Ok(())
/// ```
///
/// # Panics
///
/// If `size` is 0.
pub fn chunks<T: Sync>(slice: &[T], size: usize) -> ChunkSplit<'_, T> {
    assert!(size > 0, "pieces of 0 elements would never end");
    ChunkSplit { slice, size }
}

impl<'a, T: Sync> Split for ChunkSplit<'a, T> {
    type Item = &'a [T];
    type Items = std::slice::Chunks<'a, T>;

    fn length(&self) -> usize {
        self.slice.len().div_ceil(self.size)
    }

    fn split_at(self, at: usize) -> (Self, Self) {
        let at = at.saturating_mul(self.size).min(self.slice.len());
        let (first, others) = self.slice.split_at(at);
        let size = self.size;
        let of = |slice| ChunkSplit { slice, size };
        (of(first), of(others))
    }

    fn items(self) -> Self::Items {
        self.slice.chunks(self.size)
    }
}

/// The pieces of a slice, to be changed: what [`chunks_mut`] returns.
#[derive(Debug)]
pub struct ChunksMut<'a, T> {
    slice: &'a mut [T],
    size: usize,
}

/// [`chunks`] whose elements may be changed.
///
/// ```
/// use hands::pool::{ThreadPool, chunks_mut, enumerate};
///
/// let mut numbers = [0; 5];
/// let pool = ThreadPool::new()?;
/// pool.for_each(enumerate(chunks_mut(&mut numbers, 2)), |(number, piece)| piece.fill(number));
/// assert_eq!(numbers, [0, 0, 1, 1, 2]);
/// # std::io::Result::Ok(())
/// ```
///
/// # Panics
///
/// If `size` is 0.
pub fn chunks_mut<T: Send>(slice: &mut [T], size: usize) -> ChunksMut<'_, T> {
    assert!(size > 0, "pieces of 0 elements would never end");
    ChunksMut { slice, size }
}

impl<'a, T: Send> Split for ChunksMut<'a, T> {
    type Item = &'a mut [T];
    type Items = std::slice::ChunksMut<'a, T>;

    fn length(&self) -> usize {
        self.slice.len().div_ceil(self.size)
    }

    fn split_at(self, at: usize) -> (Self, Self) {
        let at = at.saturating_mul(self.size).min(self.slice.len());
        let (first, others) = self.slice.split_at_mut(at);
        let size = self.size;
        (
            ChunksMut { slice: first, size },
            ChunksMut {
                slice: others,
                size,
            },
        )
    }

    fn items(self) -> Self::Items {
        self.slice.chunks_mut(self.size)
    }
}

/// Elements with their numbers: what [`enumerate`] returns.
#[derive(Clone, Copy, Debug)]
pub struct Enumerate<S> {
    whole: S,
    from: usize,
}

/// Each element with its number, from 0.
pub fn enumerate<S: IntoSplit>(whole: S) -> Enumerate<S::Split> {
    Enumerate {
        whole: whole.into_split(),
        from: 0,
    }
}

impl<S: Split> Split for Enumerate<S> {
    type Item = (usize, S::Item);
    type Items = std::iter::Zip<std::ops::RangeFrom<usize>, S::Items>;

    fn length(&self) -> usize {
        self.whole.length()
    }

    fn split_at(self, at: usize) -> (Self, Self) {
        let (first, others) = self.whole.split_at(at);
        let of = |whole, from| Enumerate { whole, from };
        (of(first, self.from), of(others, self.from + at))
    }

    fn items(self) -> Self::Items {
        (self.from..).zip(self.whole.items())
    }
}
