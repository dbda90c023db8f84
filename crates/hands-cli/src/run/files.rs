//! `--files`: what jobs write is in files, and their names are printed.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The new folder with the files, and the names that wait for their turn.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    keep_order: bool,
    next: u64,
    waiting: BTreeMap<u64, Vec<u8>>,
}

/// Makes the folder: below this one, or below that for temporary files.
pub(super) fn folder(below: Option<&Path>) -> io::Result<PathBuf> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("hands-");
    let folder = match below {
        Some(below) => builder.tempdir_in(below),
        None => builder.tempdir(),
    };
    Ok(folder?.keep())
}

impl Files {
    pub(super) fn new(folder: PathBuf, keep_order: bool) -> Files {
        Files {
            folder,
            keep_order,
            next: 1,
            waiting: BTreeMap::new(),
        }
    }

    /// A job has ended for good: adds what is to be printed.
    pub(super) fn end(&mut self, number: u64, out: &mut Vec<u8>) {
        let mut name = self
            .folder
            .join(number.to_string())
            .as_os_str()
            .as_bytes()
            .to_vec();
        name.push(b'\n');
        if !self.keep_order {
            out.extend(name);
            return;
        }
        self.waiting.insert(number, name);
        while let Some(name) = self.waiting.remove(&self.next) {
            out.extend(name);
            self.next += 1;
        }
    }

    /// Names behind a job that has never run.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.waiting)
            .into_values()
            .flatten()
            .collect()
    }
}
