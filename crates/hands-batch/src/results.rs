//! A job's output kept as files in a folder of its own.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use hands::command::OutputStream;

/// The open files of one running job.
#[derive(Debug)]
pub(super) struct Results {
    folder: PathBuf,
    files: [File; 2],
}

impl Results {
    pub(super) fn create(folder: &Path, number: u64) -> io::Result<Results> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("seq"), format!("{number}\n"))?;
        let file = |stream: OutputStream| File::create(folder.join(stream.name()));
        Ok(Results {
            folder: folder.to_owned(),
            files: [file(OutputStream::Stdout)?, file(OutputStream::Stderr)?],
        })
    }

    /// Files beside each other instead: this one for its stdout, `.err`, `.seq`.
    pub(super) fn create_files(path: &Path, number: u64) -> io::Result<Results> {
        let beside = |ending: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(ending);
            PathBuf::from(name)
        };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(beside(".seq"), format!("{number}\n"))?;
        Ok(Results {
            folder: path.to_owned(),
            files: [File::create(path)?, File::create(beside(".err"))?],
        })
    }

    pub(super) fn write(&mut self, stream: OutputStream, bytes: &[u8]) -> io::Result<()> {
        self.files[stream as usize].write_all(bytes)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}
