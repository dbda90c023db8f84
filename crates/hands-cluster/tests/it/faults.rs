//! What is killed, stopped and cut off.

pub(crate) const SCENES: crate::support::Scenes = &[];
