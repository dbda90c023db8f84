//! An item that is held.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use hands::queue::GetError;
use hands::task::Data;

use super::core::{Message, QueueCore};
use crate::remote;

/// An item that was taken, and that comes again unless it is [done](HeldItem::done).
#[must_use = "dropped, the item is given back"]
pub struct HeldItem<T> {
    item: Option<T>,
    message: Option<Message>,
    core: Arc<QueueCore>,
}

impl<T: Data> HeldItem<T> {
    pub(super) fn read(core: Arc<QueueCore>, message: Message) -> Result<HeldItem<T>, GetError> {
        match remote::read_value(&message.payload) {
            Ok(item) => Ok(HeldItem {
                item: Some(item),
                message: Some(message),
                core,
            }),
            Err(_) => {
                // It will never be one, for anybody.
                core.discard(message);
                Err(GetError::Unreadable)
            }
        }
    }
}

impl<T> HeldItem<T> {
    /// The item was worked on, and does not come again. Waits until the server has heard it: a
    /// fifth of a millisecond, usually.
    pub fn done(mut self) {
        if let Some(message) = self.message.take() {
            self.core.done(message);
        }
    }

    pub(super) fn into_parts(mut self) -> (T, Message) {
        match (self.item.take(), self.message.take()) {
            (Some(item), Some(message)) => (item, message),
            _ => unreachable!("it has both until it is taken apart, which consumes it"),
        }
    }
}

impl<T> Deref for HeldItem<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.item {
            Some(item) => item,
            None => unreachable!("it has its item until it is taken apart, which consumes it"),
        }
    }
}

impl<T> Drop for HeldItem<T> {
    fn drop(&mut self) {
        if let Some(message) = self.message.take() {
            self.core.give_back(message);
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for HeldItem<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Held").field(&self.item).finish()
    }
}
