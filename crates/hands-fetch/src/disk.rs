//! Gives whole files their names, once they are on the disk.
//!
//! One file is synced by itself. When many become whole at about the same time, while others are
//! being synced, all of them are synced by one call for their file system: so a thousand small
//! files do not wait for the disk a thousand times. In memory there is nothing to sync.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};

use hands::sync::Mutex;
use rustix::fs::{fdatasync, fstatfs, fsync, syncfs};
use tokio::sync::oneshot;

use super::part::Whole;

/// From this number of files on they are synced together.
const MANY: usize = 4;

const TMPFS: i64 = 0x0102_1994;
const RAMFS: i64 = 0x8584_58f6;

pub(crate) struct Disk {
    /// File systems, and whether they are in memory.
    known: Mutex<HashMap<u64, bool>>,
    whole: Sender<(Whole, oneshot::Sender<io::Result<()>>)>,
}

impl Disk {
    pub(crate) fn new() -> io::Result<Disk> {
        let (whole, received) = channel();
        let thread = std::thread::Builder::new().name("hands-disk".to_owned());
        thread.spawn(move || serve(&received))?;
        Ok(Disk {
            known: Mutex::default(),
            whole,
        })
    }

    /// Returns when the file is on the disk under its name.
    pub(crate) async fn name(&self, whole: Whole) -> io::Result<()> {
        let known = self.known.lock().get(&whole.system).copied();
        let is_in_memory = known.unwrap_or_else(|| {
            let is_so = is_in_memory(&whole.file);
            self.known.lock().insert(whole.system, is_so);
            is_so
        });
        if is_in_memory {
            return whole.name();
        }
        let (told, done) = oneshot::channel();
        let gone = || io::Error::other("the thread that writes files has ended");
        self.whole.send((whole, told)).map_err(|_| gone())?;
        done.await.map_err(|_| gone())?
    }
}

fn is_in_memory(file: &File) -> bool {
    fstatfs(file).is_ok_and(|system| [TMPFS, RAMFS].contains(&system.f_type))
}

fn serve(received: &Receiver<(Whole, oneshot::Sender<io::Result<()>>)>) {
    while let Ok(first) = received.recv() {
        let mut batch = vec![first];
        batch.extend(received.try_iter());
        let synced = sync(batch.iter().map(|(whole, _)| whole), batch.len());
        let mut folders = HashSet::new();
        let mut named = Vec::with_capacity(batch.len());
        for ((whole, told), synced) in batch.into_iter().zip(synced) {
            let result = synced.and_then(|()| whole.name());
            let folder = whole
                .name
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty());
            folders.insert(folder.unwrap_or(Path::new(".")).to_owned());
            named.push((told, result));
        }
        let lost = sync_folders(folders);
        for (told, result) in named {
            let result = match &lost {
                Some(error) if result.is_ok() => Err(io::Error::other(error.clone())),
                _ => result,
            };
            // Nobody waits any more when all is being ended.
            let _ = told.send(result);
        }
    }
}

fn sync<'a>(files: impl Iterator<Item = &'a Whole>, count: usize) -> Vec<io::Result<()>> {
    if count < MANY {
        return files.map(|whole| Ok(fdatasync(&whole.file)?)).collect();
    }
    let mut systems = HashSet::new();
    let mut one = |whole: &Whole| {
        if systems.insert(whole.system) {
            syncfs(&whole.file)?;
        }
        Ok(())
    };
    files.map(&mut one).collect()
}

/// So that the names are there, too, after a power failure. Why not, if it does not work.
fn sync_folders(folders: HashSet<PathBuf>) -> Option<String> {
    let mut lost = None;
    for folder in folders {
        let synced = File::open(&folder).and_then(|opened| Ok(fsync(opened)?));
        if let Err(error) = synced {
            // Some file systems cannot sync a folder.
            if error.kind() != io::ErrorKind::InvalidInput {
                lost = Some(format!("`{}` cannot be written: {error}", folder.display()));
            }
        }
    }
    lost
}
