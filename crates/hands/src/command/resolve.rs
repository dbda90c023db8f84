//! Which file a program's name means: looked up once, not by every child.

use std::collections::HashMap;
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use rustix::io::Errno;

use super::error::{CommandError, SpawnReason};

/// What the C library uses when `PATH` is unset.
const DEFAULT_PATH: &str = "/usr/local/bin:/bin:/usr/bin";

/// Remembers where each program was found. A program that is replaced keeps working; one that is
/// moved to another folder of `PATH` while a batch runs is not looked for again.
#[derive(Debug)]
pub struct Resolver {
    folders: Vec<PathBuf>,
    /// Where the programs will start: relative folders are meant from there.
    directory: Option<PathBuf>,
    found: HashMap<Vec<u8>, CString>,
    /// The last program that was named by its path. There may be as many of them as there are jobs.
    path: CString,
}

impl Resolver {
    /// Looks in the folders of `path`, seen from `directory`.
    pub fn new(path: Option<&OsStr>, directory: Option<&Path>) -> Resolver {
        let path = path.unwrap_or(OsStr::new(DEFAULT_PATH));
        Resolver {
            folders: std::env::split_paths(path).collect(),
            directory: directory.map(Path::to_owned),
            found: HashMap::new(),
            path: CString::default(),
        }
    }

    /// The file to execute for `program`. A name with a slash is used as it is.
    pub fn resolve(&mut self, program: &[u8]) -> Result<&CString, CommandError> {
        if program.contains(&b'/') {
            self.path = as_c(program, program)?;
            return Ok(&self.path);
        }
        // Looked up twice because a borrow returned early would last for the whole function.
        if !self.found.contains_key(program) {
            let file = self.search(program)?;
            self.found.insert(program.to_vec(), file);
        }
        Ok(&self.found[program])
    }

    fn search(&self, program: &[u8]) -> Result<CString, CommandError> {
        let refuse = |reason| Err(CommandError::spawn(program, reason));
        if program.is_empty() {
            return refuse(SpawnReason::EmptyName);
        }
        let mut refused = false;
        for folder in &self.folders {
            // An empty entry in PATH means the current directory.
            let folder = if folder.as_os_str().is_empty() {
                Path::new(".")
            } else {
                folder
            };
            let candidate = folder.join(OsStr::from_bytes(program));
            let seen = match &self.directory {
                Some(directory) => &directory.join(&candidate),
                None => &candidate,
            };
            match access(seen, Access::EXEC_OK) {
                Ok(()) if seen.is_file() => {
                    return as_c(candidate.as_os_str().as_bytes(), program);
                }
                Ok(()) | Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(_) => refused |= seen.is_file(),
            }
        }
        refuse(if refused {
            SpawnReason::PermissionDenied
        } else {
            SpawnReason::NotFound
        })
    }
}

fn as_c(path: &[u8], program: &[u8]) -> Result<CString, CommandError> {
    CString::new(path).map_err(|_| CommandError::spawn(program, SpawnReason::NulByte))
}
