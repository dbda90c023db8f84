//! `hands fetch`.

mod basics;
mod checks;
mod elders;
mod hostile;
mod interrupt;
mod names;
mod nginx;
mod odd;
mod one_file;
mod resume;
mod rough;
pub(crate) mod server;
mod sources;

use std::path::Path;

use crate::stage::{Run, Stage};

impl Stage {
    /// `hands fetch` with these words, in this folder.
    fn fetch(&self, words: &[&str]) -> Run {
        self.hands([&["fetch"], words].concat())
    }
}

/// Its files, sorted, without what the stage put there.
fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    let mut names: Vec<String> = names
        .filter(|name| !["stdout", "urls"].contains(&name.as_str()))
        .collect();
    names.sort();
    names
}
