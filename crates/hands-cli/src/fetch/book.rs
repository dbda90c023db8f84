//! The list of a download page, so that it is there again after a restart.
//!
//! `DIR/.hands-downloads` has a line of JSON for each change: an entry, what became of it, that it
//! is gone. It is locked while a page uses it, and written anew, without what is past, when a page
//! is opened. A line that was not written to its end is passed over.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

const NAME: &str = ".hands-downloads";
/// A longer book is somebody else's.
const LONGEST: u64 = 256 << 20;

/// What is known of a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BookEntry {
    pub(super) id: u64,
    pub(super) url: String,
    pub(super) state: LinkState,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LinkState {
    /// It has not come yet.
    Wanted,
    /// It is there, as this file.
    Done {
        path: Option<PathBuf>,
        bytes: u64,
    },
    Failed {
        why: String,
    },
    /// It is not listed any more.
    Removed,
}

pub(super) struct DownloadBook {
    file: File,
    entries: BTreeMap<u64, BookEntry>,
    next: u64,
}

impl DownloadBook {
    /// That of a folder, which is made if it is not there.
    pub(super) fn open(dir: &Path) -> Result<DownloadBook, String> {
        let path = dir.join(NAME);
        let wrong = |error: io::Error| format!("`{}`: {error}", path.display());
        if !dir.as_os_str().is_empty() {
            fs::create_dir_all(dir)
                .map_err(|error| format!("`--dir {}` cannot be made: {error}", dir.display()))?;
        }
        let Some(mut file) = locked(&path).map_err(wrong)? else {
            let dir = if dir.as_os_str().is_empty() {
                Path::new(".")
            } else {
                dir
            };
            return Err(format!(
                "another `hands fetch --web` has the folder `{}`; open its page, or name another folder with --dir",
                dir.display()
            ));
        };
        let mut text = Vec::new();
        (&mut file)
            .take(LONGEST)
            .read_to_end(&mut text)
            .map_err(wrong)?;
        let mut book = DownloadBook {
            file,
            entries: BTreeMap::new(),
            next: 1,
        };
        for line in text.split(|byte| *byte == b'\n') {
            if let Ok(entry) = serde_json::from_slice::<BookEntry>(line) {
                book.next = book.next.max(entry.id.saturating_add(1));
                book.take(entry);
            }
        }
        book.shorten(&path, &text).map_err(wrong)?;
        Ok(book)
    }

    /// Writes it anew if that makes it much shorter, beside it, and then in its place: a full disk,
    /// or an end in between, loses nothing.
    fn shorten(&mut self, path: &Path, before: &[u8]) -> io::Result<()> {
        let text: Vec<u8> = self.entries.values().flat_map(line).collect();
        if before.is_empty() || before.ends_with(b"\n") && text.len() * 2 > before.len() {
            return Ok(());
        }
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let mut anew = tempfile::Builder::new()
            .prefix(NAME)
            .append(true)
            .tempfile_in(folder.unwrap_or(Path::new(".")))?;
        anew.write_all(&text)?;
        anew.as_file().sync_data()?;
        // Before anybody can find it.
        flock(anew.as_file(), FlockOperation::NonBlockingLockExclusive)?;
        self.file = anew.persist(path)?;
        Ok(())
    }

    fn take(&mut self, entry: BookEntry) {
        match entry.state {
            LinkState::Removed => drop(self.entries.remove(&entry.id)),
            _ => drop(self.entries.insert(entry.id, entry)),
        }
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &BookEntry> {
        self.entries.values()
    }

    pub(super) fn entry(&self, id: u64) -> Option<&BookEntry> {
        self.entries.get(&id)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// These links are wanted: noted together, or not at all. Returns their numbers.
    pub(super) fn add(&mut self, urls: Vec<String>) -> io::Result<Vec<u64>> {
        let from = self.next;
        let entries: Vec<BookEntry> = (from..)
            .zip(urls)
            .map(|(id, url)| BookEntry {
                id,
                url,
                state: LinkState::Wanted,
            })
            .collect();
        let text: Vec<u8> = entries.iter().flat_map(line).collect();
        self.append(&text)?;
        self.next += entries.len() as u64;
        let ids = entries.iter().map(|entry| entry.id).collect();
        entries.into_iter().for_each(|entry| self.take(entry));
        Ok(ids)
    }

    /// That has become of a link.
    pub(super) fn set(&mut self, id: u64, state: LinkState) -> io::Result<()> {
        let Some(entry) = self.entries.get(&id) else {
            return Ok(());
        };
        let entry = BookEntry {
            state,
            ..entry.clone()
        };
        let written = self.append(&line(&entry));
        self.take(entry);
        written
    }

    fn append(&mut self, text: &[u8]) -> io::Result<()> {
        let before = self.file.metadata()?.len();
        let written = self.file.write_all(text);
        if written.is_err() {
            // A half would keep the next line from being read.
            let _ = self.file.set_len(before);
        }
        written
    }
}

fn line(entry: &BookEntry) -> Vec<u8> {
    let mut line = serde_json::to_vec(entry).expect("texts and numbers can be written");
    line.push(b'\n');
    line
}

/// The file of this name, made if it is not there, for nobody else to read; a link is not followed.
/// `None`: somebody else has it.
fn locked(path: &Path) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600);
    options.custom_flags(OFlags::NOFOLLOW.bits() as i32);
    loop {
        let file = options.open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        // Whoever had it may have put another one in its place meanwhile.
        let (own, there) = (file.metadata()?, fs::symlink_metadata(path));
        if there.is_ok_and(|there| (there.dev(), there.ino()) == (own.dev(), own.ino())) {
            return Ok(Some(file));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done() -> LinkState {
        LinkState::Done {
            path: Some("a".into()),
            bytes: 3,
        }
    }

    #[test]
    fn it_is_there_again_after_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut book = DownloadBook::open(folder.path()).expect("a book");
        let urls = ["http://a/1", "http://a/2", "http://a/3"].map(str::to_owned);
        assert_eq!(book.add(urls.to_vec()).expect("room"), [1, 2, 3]);
        book.set(1, done()).expect("room");
        book.set(3, LinkState::Removed).expect("room");
        assert!(DownloadBook::open(folder.path()).is_err(), "it is in use");
        drop(book);
        let mut book = DownloadBook::open(folder.path()).expect("a book");
        let states: Vec<_> = book
            .entries()
            .map(|entry| (entry.id, entry.state.clone()))
            .collect();
        assert_eq!(states, [(1, done()), (2, LinkState::Wanted)]);
        assert_eq!(book.add(vec!["http://a/4".to_owned()]).expect("room"), [4]);
    }

    #[test]
    fn lines_that_are_none_are_passed_over_and_it_does_not_grow_for_ever() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(NAME);
        fs::write(
            &path,
            "{\"id\":1,\"url\":\"http://a\",\"state\":\"wanted\"}\nnonsense\n\0\n{\"id\":2,\"ur",
        )
        .expect("a file");
        let mut book = DownloadBook::open(folder.path()).expect("a book");
        assert_eq!(book.entries().count(), 1);
        for _ in 0..1000 {
            book.set(
                1,
                LinkState::Failed {
                    why: "no".to_owned(),
                },
            )
            .expect("room");
        }
        drop(book);
        let book = DownloadBook::open(folder.path()).expect("a book");
        assert_eq!(book.entries().count(), 1);
        assert!(fs::metadata(&path).expect("it").len() < 200);
    }

    #[test]
    fn a_link_in_its_place_is_not_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let other = folder.path().join("other");
        fs::write(&other, "mine").expect("a file");
        std::os::unix::fs::symlink(&other, folder.path().join(NAME)).expect("a link");
        assert!(DownloadBook::open(folder.path()).is_err());
        assert_eq!(fs::read_to_string(&other).expect("it"), "mine");
    }
}
