//! One command: what goes in and out, under which conditions it runs, how it ends, and what is left
//! of it.

mod child;
mod conditions;
mod ending;
mod errors;
mod host;
mod streams;

use crate::support::Scenes;

pub(crate) const SCENES: Scenes = host::SCENES;
