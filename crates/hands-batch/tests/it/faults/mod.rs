//! The machine runs short, or somebody kills what must not die.

mod disk;
mod killed;
mod memory;
mod shortage;
mod stress;

use crate::support::Scenes;

pub(crate) const SCENES: Scenes = &[
    ("full_disk", disk::full_disk),
    ("small_files", disk::small_files),
    ("victim", killed::victim),
    ("many_batches", killed::many_batches),
    ("lost_watchdog", killed::lost_watchdog),
    ("waiting_outputs", memory::waiting_outputs),
    ("endless_writers", memory::endless_writers),
    ("endless_input", memory::endless_input),
    ("few_descriptors", shortage::few_descriptors),
    ("few_processes", shortage::few_processes),
    ("no_process", shortage::no_process),
];
