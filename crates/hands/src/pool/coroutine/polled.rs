//! What the pool knows of a coroutine.

use std::sync::Arc;

use super::driver::Driver;
use crate::sync::cancel::Owners;
use crate::task::TaskError;

/// A coroutine, to the pool.
pub(super) trait Polled: Send + Sync {
    /// Polls it once.
    fn turn(self: Arc<Self>, driver: &Arc<Driver>, owners: &Owners);
    /// It has been admitted, under this number: from now on it wants to be polled.
    fn admit(self: Arc<Self>, place: u32);
    /// It will not begin.
    fn refuse(&self, why: TaskError);
    /// It is no longer wanted: its token is cancelled, and it is dropped where it awaits.
    fn give_up(self: Arc<Self>);
    /// It is to look whether it is still wanted.
    fn rouse(self: Arc<Self>);
    /// Nobody will poll it any more.
    fn abandon(&self);
    /// Whether it has an outcome.
    fn is_over(&self) -> bool;
    /// Its number among the events.
    fn number(&self) -> u64;
    /// What kind of task it is.
    fn class(&self) -> &'static str;
}
