//! Processes that run a function of this program: what comes back, how they end, what they leave.

#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the error in hand"
)]

mod end;
mod life;
mod patience;
mod pipe;
mod start;
mod values;

use crate::support::Scenes;

pub(crate) const SCENES: Scenes = end::SCENES;
