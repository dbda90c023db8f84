//! Many commands at once: whose output comes when, where jobs come from, what becomes of them, and
//! who may stop them.

mod control;
mod flow;
mod input;
mod jobs;
mod output;
mod rules;
mod sizing;

use crate::support::Scenes;

pub(crate) const SCENES: Scenes = output::SCENES;
