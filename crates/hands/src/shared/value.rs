//! [`Value`]: a value that is always whole.
//!
//! There is room for two, and a word that says which of them counts. A process that changes it has
//! the lock, writes to the other place and then moves on by one store. So at every instruction one
//! of them is whole, and a process that inherits the lock from a process that was killed has
//! nothing to mend.

use std::fmt;
use std::io;
use std::marker::PhantomData;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::memory::Memory;
use super::{Plain, TooLarge, lock, step};
use crate::primitive::{AtomicU32, Ordering};

/// Where in its memory it has what.
const WORD: usize = 0;
const WHICH: usize = 4;
const PLACES: usize = 64;

/// A plain value that processes read and change, and that is never seen half changed. A clone is
/// the same value, and so is one that was sent to a process.
///
/// Unlike a [`Mutex`](super::Mutex) it cannot be poisoned: a process that is killed while it
/// changes the value has either changed it or not. A mutex is for what is changed in several steps,
/// or is elsewhere.
///
/// ```
/// # hands::entry!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use hands::shared::Value;
///
/// fn deposit((account, times): (Value<u64>, u64)) {
///     for _ in 0..times {
///         account.update(|balance| *balance += 1);
///     }
/// }
///
/// # let _hands = hands::init();
/// let account = Value::new(0_u64)?;
/// let processes = [(); 2].map(|()| hands::process::spawn(deposit, (account.clone(), 10_000)));
/// for process in processes {
///     process?.join()?;
/// }
/// assert_eq!(account.get(), 20_000);
/// # Ok(())
/// # }
/// ```
pub struct Value<T> {
    memory: Memory,
    value: PhantomData<fn(T) -> T>,
}

/// The lock, until the end of the block.
struct ValueHeld<'a>(&'a AtomicU32);

impl Drop for ValueHeld<'_> {
    fn drop(&mut self) {
        lock::unlock(self.0);
    }
}

impl<T: Plain> Value<T> {
    /// A new one.
    ///
    /// # Errors
    ///
    /// When the system has not enough memory or descriptors.
    pub fn new(value: T) -> io::Result<Value<T>> {
        let length = Self::length().ok_or(TooLarge)?;
        let new = Value {
            memory: Memory::new(length)?,
            value: PhantomData,
        };
        new.memory.write_whole(PLACES, bytemuck::bytes_of(&value));
        Ok(new)
    }

    /// Bytes between the beginnings of the two places.
    fn stride() -> Option<usize> {
        size_of::<T>().checked_next_multiple_of(64)
    }

    fn length() -> Option<usize> {
        Self::stride()?.checked_mul(2)?.checked_add(PLACES)
    }

    fn place(which: u32) -> usize {
        // There is memory for two of them, so this does not overflow. Whatever others have written
        // there, it is one of the two.
        PLACES + (which as usize & 1) * Self::stride().unwrap_or(0)
    }

    fn hold(&self) -> ValueHeld<'_> {
        let word = self.memory.word(WORD);
        // Whom it is inherited from does not matter: nothing is left half done.
        let _ = lock::lock(word, None);
        ValueHeld(word)
    }

    /// For who has the lock.
    fn read(&self) -> (u32, T) {
        let which = self.memory.word(WHICH).load(Ordering::Relaxed);
        let mut value = T::zeroed();
        let bytes = bytemuck::bytes_of_mut(&mut value);
        self.memory.read(Self::place(which), bytes);
        (which, value)
    }

    /// The value.
    pub fn get(&self) -> T {
        let _held = self.hold();
        self.read().1
    }

    /// Another value from now on.
    pub fn set(&self, value: T) {
        self.update(|now| *now = value);
    }

    /// Another value from now on; returns the one before.
    pub fn replace(&self, value: T) -> T {
        self.update(|now| std::mem::replace(now, value))
    }

    /// Adds to the value, and returns what it was before. A sum that has no room is a panic, where
    /// others are, and leaves the value as it was.
    pub fn fetch_add(&self, add: T) -> T
    where
        T: std::ops::Add<Output = T>,
    {
        self.update(|now| std::mem::replace(now, *now + add))
    }

    /// Changes the value, while nobody else reads or changes it; returns what `change` does. A
    /// panic in there leaves the value as it was.
    ///
    /// Others wait meanwhile, so `change` must not use this value again: it would wait for itself.
    pub fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let _held = self.hold();
        let (which, mut value) = self.read();
        let result = change(&mut value);
        let next = which.wrapping_add(1);
        step();
        self.memory
            .write_whole(Self::place(next), bytemuck::bytes_of(&value));
        step();
        // Seen by the next to have the lock, who also sees what was written before.
        self.memory.word(WHICH).store(next, Ordering::Release);
        step();
        result
    }
}

impl<T> Clone for Value<T> {
    fn clone(&self) -> Value<T> {
        Value {
            memory: self.memory.clone(),
            value: PhantomData,
        }
    }
}

impl<T> Serialize for Value<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.memory.serialize(serializer)
    }
}

impl<'de, T: Plain> Deserialize<'de> for Value<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value<T>, D::Error> {
        let memory = Memory::deserialize(deserializer)?;
        if Self::length().is_none_or(|length| memory.len() < length) {
            return Err(serde::de::Error::custom(
                "a shared value has less memory than it takes",
            ));
        }
        Ok(Value {
            memory,
            value: PhantomData,
        })
    }
}

impl<T: Plain + fmt::Debug> fmt::Debug for Value<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Value").field(&self.get()).finish()
    }
}
