//! A file that is not whole yet: `NAME.part`, and `NAME.part.state`, which says what it is a part
//! of.
//!
//! # What it promises
//!
//! A file that is not whole never has its final name, also when the program is killed or the disk
//! is full. What has come stays, and is taken up again if the server says that it is still the
//! same.
//!
//! # How
//!
//! A download in one piece has as much of the file as the part is long. One in segments has written
//! down, in the state, how far each is: one line of fixed length for each, overwritten in one
//! `write`, after what it speaks of was written. After a restart of the machine lines and bytes
//! need not agree, so a state in segments counts only within the same boot.
//!
//! Two programs that would write the same part are kept apart by a lock on it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::name;

/// What is known of a file on a server: whether another answer is about the same one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) etag: Option<String>,
    pub(crate) last_modified: Option<String>,
    pub(crate) length: Option<u64>,
}

impl Identity {
    /// What `If-Range` takes: a strong ETag, or a date. `None`: the server could not say whether it
    /// is still the same.
    pub(crate) fn validator(&self) -> Option<&str> {
        let strong = self.etag.as_deref().filter(|etag| !etag.starts_with("W/"));
        strong.or(self.last_modified.as_deref())
    }
}

/// Bytes of a file that one connection fetches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Where it is next, and where it ends.
    pub(crate) at: u64,
    pub(crate) end: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct PartState {
    url: String,
    identity: Identity,
    /// That in which its segments count.
    boot: Option<String>,
}

/// Smaller files are fetched anew: a state would cost more than it saves.
const WORTH_A_STATE: u64 = 64 * 1024;

/// Each segment is one line of this number of bytes in the state, after the first line.
const LINE: usize = 42;

#[derive(Debug)]
pub(crate) struct PartFile {
    path: PathBuf,
    state_path: PathBuf,
    final_path: PathBuf,
    file: File,
    state: Option<File>,
    identity: Identity,
    /// Where the lines of the segments begin in the state.
    lines_at: u64,
    pub(crate) segments: Vec<Segment>,
    /// Bytes that are there, of one that is in one piece.
    received: u64,
    /// How long the file may be.
    longest: u64,
    /// The file system that it is on.
    system: u64,
}

/// Bytes of a name that file systems allow, less those that a new state has for a moment.
const LONGEST: usize = 255 - ".new".len();

/// Beside a file, under its name and an ending; where that is too long under the beginning of the
/// name, and what tells it from others.
fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default();
    let mut whole = name.to_owned();
    if name.len() + 1 + ending.len() > LONGEST {
        let text = name.to_string_lossy();
        let digest = &hex(&Sha256::digest(name.as_encoded_bytes()))[..16];
        let mut end = LONGEST - digest.len() - ending.len() - "~.".len();
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        whole = format!("{}~{digest}", &text[..end]).into();
    }
    whole.push(".");
    whole.push(ending);
    path.with_file_name(whole)
}

impl PartFile {
    /// That of a file, with what has come of it earlier from this URL.
    pub(crate) fn open(final_path: &Path, url: &str) -> io::Result<PartFile> {
        let path = with_ending(final_path, name::PART);
        let state_path = with_ending(final_path, name::STATE);
        let (file, metadata) = loop {
            let (file, metadata) = PartFile::lock(&path)?;
            // The process that had the lock before may have given the file its name meanwhile.
            let there = fs::symlink_metadata(&path);
            if there
                .is_ok_and(|there| (there.dev(), there.ino()) == (metadata.dev(), metadata.ino()))
            {
                break (file, metadata);
            }
        };
        // What it replaces may not be for all to read.
        if let Ok(before) = fs::symlink_metadata(final_path)
            && before.is_file()
        {
            file.set_permissions(before.permissions())?;
        }
        let length = metadata.len();
        let mut part = PartFile {
            path,
            state_path,
            final_path: final_path.to_owned(),
            file,
            state: None,
            identity: Identity::default(),
            lines_at: 0,
            segments: Vec::new(),
            received: 0,
            longest: length,
            system: metadata.dev(),
        };
        if length > 0 && !part.take_up(url, length) {
            part.forget_state()?;
            part.begin_again()?;
        }
        Ok(part)
    }

    fn lock(path: &Path) -> io::Result<(File, fs::Metadata)> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            // Anyone who may write here must not have us write elsewhere, nor wait.
            .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
            .open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| {
            if error == rustix::io::Errno::WOULDBLOCK {
                io::Error::other(format!("another program is fetching `{}`", path.display()))
            } else {
                error.into()
            }
        })?;
        Ok((file, metadata))
    }

    /// Takes up what has come earlier. False: that is of no use.
    fn take_up(&mut self, url: &str, length: u64) -> bool {
        let mut text = String::new();
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
            .open(&self.state_path);
        let Ok(mut file) = opened else { return false };
        if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            return false;
        }
        if Read::take(&mut file, 1 << 20)
            .read_to_string(&mut text)
            .is_err()
        {
            return false;
        }
        let Some((head, lines)) = text.split_once('\n') else {
            return false;
        };
        let Ok(state) = serde_json::from_str::<PartState>(head) else {
            return false;
        };
        if state.url != known_as(url) || state.identity.validator().is_none() {
            return false;
        }
        let mut segments = Vec::new();
        for line in lines.lines() {
            let numbers = line
                .split_once(' ')
                .map(|(at, end)| (at.parse(), end.trim().parse()));
            let Some((Ok(at), Ok(end))) = numbers else {
                return false;
            };
            if at > end || end > state.identity.length.unwrap_or(0) {
                return false;
            }
            segments.push(Segment { at, end });
        }
        if !segments.is_empty() && (state.boot.is_none() || state.boot != boot()) {
            return false;
        }
        if segments.is_empty() {
            self.received = length;
        }
        self.lines_at = head.len() as u64 + 1;
        self.identity = state.identity;
        self.segments = segments;
        self.state = Some(file);
        true
    }

    /// Whether the file has come whole, as far as is known.
    pub(crate) fn is_whole(&self) -> bool {
        match &self.segments[..] {
            [] => self.identity.length == Some(self.received),
            segments => segments.iter().all(|segment| segment.at == segment.end),
        }
    }

    pub(crate) fn received(&self) -> u64 {
        let Some(length) = self.identity.length.filter(|_| !self.segments.is_empty()) else {
            return self.received;
        };
        let missing: u64 = self
            .segments
            .iter()
            .map(|segment| segment.end - segment.at)
            .sum();
        length.saturating_sub(missing)
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Nothing of it has come.
    pub(crate) fn begin_again(&mut self) -> io::Result<()> {
        if self.longest > 0 {
            self.file.set_len(0)?;
            self.longest = 0;
        }
        if self.state.is_some() {
            self.forget_state()?;
        }
        self.received = 0;
        self.segments.clear();
        self.identity = Identity::default();
        Ok(())
    }

    fn forget_state(&mut self) -> io::Result<()> {
        self.state = None;
        match fs::remove_file(&self.state_path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// From now on it is a part of this; nothing of it has come. More than one segment: it comes in
    /// several at once.
    pub(crate) fn begin(
        &mut self,
        url: &str,
        identity: Identity,
        segments: Vec<Segment>,
    ) -> io::Result<()> {
        self.begin_again()?;
        self.identity = identity;
        let is_worth = self
            .identity
            .length
            .is_none_or(|length| length >= WORTH_A_STATE);
        if is_worth && self.identity.validator().is_some() {
            let state = PartState {
                url: known_as(url),
                identity: self.identity.clone(),
                boot: if segments.is_empty() { None } else { boot() },
            };
            let mut text = serde_json::to_string(&state)?;
            text.push('\n');
            self.lines_at = text.len() as u64;
            for segment in &segments {
                text.push_str(&line(segment));
            }
            // Made beside it and renamed: a state that is not whole would be none.
            let mut new = self.state_path.clone().into_os_string();
            new.push(".new");
            let new = PathBuf::from(new);
            match fs::remove_file(&new) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            // Made by us, not where somebody has put a link; and for nobody else to read.
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&new)?;
            file.write_all(text.as_bytes())?;
            fs::rename(&new, &self.state_path)?;
            self.state = Some(file);
        }
        self.segments = segments;
        Ok(())
    }

    /// Adds to one that comes in one piece.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.received)?;
        self.received += bytes.len() as u64;
        self.longest = self.longest.max(self.received);
        Ok(())
    }

    /// Adds to a segment.
    pub(crate) fn append_to(&mut self, segment: usize, bytes: &[u8]) -> io::Result<()> {
        let Segment { at, end } = self.segments[segment];
        let bytes = &bytes[..bytes
            .len()
            .min(usize::try_from(end - at).unwrap_or(usize::MAX))];
        self.file.write_all_at(bytes, at)?;
        self.segments[segment].at += bytes.len() as u64;
        self.longest = self.longest.max(self.segments[segment].at);
        if let Some(state) = &self.state {
            let line_at = self.lines_at + (segment * LINE) as u64;
            state.write_all_at(line(&self.segments[segment]).as_bytes(), line_at)?;
        }
        Ok(())
    }

    /// It is whole: as a file that can be given its name.
    pub(crate) fn finish(self) -> io::Result<Whole> {
        let length = match self.segments.is_empty() {
            true => self.received,
            false => self.identity.length.unwrap_or(0),
        };
        // Something longer may have been there before.
        if self.longest != length {
            self.file.set_len(length)?;
        }
        Ok(Whole {
            part: self.path,
            state: self.state.map(|_| self.state_path),
            name: self.final_path,
            file: self.file,
            length,
            system: self.system,
        })
    }

    /// Nothing came of it: there is no need to leave an empty file behind.
    pub(crate) fn drop_if_empty(self) {
        if self.received() == 0 {
            let _ = fs::remove_file(&self.path);
            let _ = fs::remove_file(&self.state_path);
        }
    }
}

/// Deletes what has come of a file that is not whole.
pub(super) fn forget(final_path: &Path) {
    for ending in [name::PART, name::STATE] {
        // It may not have begun.
        let _ = fs::remove_file(with_ending(final_path, ending));
    }
}

/// What stands for a URL in a state: a URL may have a password in it.
pub(super) fn known_as(url: &str) -> String {
    hex(&Sha256::digest(url))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether what is there under the name of a part has come from another URL, as far as is known.
pub(super) fn is_of_another(final_path: &Path, url: &str) -> bool {
    let Ok(text) = fs::read_to_string(with_ending(final_path, name::STATE)) else {
        return false;
    };
    let head = text.lines().next().unwrap_or_default();
    serde_json::from_str::<PartState>(head).is_ok_and(|state| state.url != known_as(url))
}

fn line(segment: &Segment) -> String {
    format!("{:<20} {:<20}\n", segment.at, segment.end)
}

/// Which start of the machine this is.
fn boot() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned())
}

/// A part that has become whole.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) part: PathBuf,
    state: Option<PathBuf>,
    pub(crate) name: PathBuf,
    pub(crate) file: File,
    pub(crate) length: u64,
    /// The file system that it is on.
    pub(crate) system: u64,
}

impl Whole {
    /// Gives it its name. It should be on the disk by then.
    pub(crate) fn name(&self) -> io::Result<()> {
        fs::rename(&self.part, &self.name)?;
        self.forget_state();
        Ok(())
    }

    /// It is not what it should be: it is kept under another name.
    pub(crate) fn set_aside(&self) -> io::Result<PathBuf> {
        let bad = with_ending(&self.name, name::BAD);
        fs::rename(&self.part, &bad)?;
        self.forget_state();
        Ok(bad)
    }

    fn forget_state(&self) {
        if let Some(state) = &self.state {
            // One that stays without its part means nothing.
            let _ = fs::remove_file(state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(length: u64) -> Identity {
        Identity {
            etag: Some("\"a\"".to_owned()),
            last_modified: None,
            length: Some(length),
        }
    }

    #[test]
    fn what_has_come_is_taken_up_if_it_is_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x");
        let mut part = PartFile::open(&path, "http://a/x").expect("a part");
        part.begin("http://a/x", identity(100_000), Vec::new())
            .expect("room");
        part.append(&[1; 70_000]).expect("room");
        assert!(PartFile::open(&path, "http://a/x").is_err(), "locked");
        drop(part);
        let part = PartFile::open(&path, "http://a/x").expect("a part");
        assert_eq!((part.received(), part.is_whole()), (70_000, false));
        drop(part);
        let part = PartFile::open(&path, "http://a/y").expect("a part");
        assert_eq!(part.received(), 0, "of another URL");
    }

    #[test]
    fn a_name_as_long_as_file_systems_allow_has_a_part() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["x".repeat(255), "ü".repeat(127), "y".repeat(240)] {
            let path = folder.path().join(&name);
            let mut part = PartFile::open(&path, "http://a/x").expect("a part");
            part.begin("http://a/x", identity(100_000), Vec::new())
                .expect("room");
            part.append(&[1; 100_000]).expect("room");
            assert!(is_of_another(&path, "http://a/y") && !is_of_another(&path, "http://a/x"));
            part.finish().expect("room").name().expect("a name");
            assert!(path.exists());
        }
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 3);
    }

    #[test]
    fn segments_are_taken_up_where_they_were() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x");
        let segments = vec![Segment { at: 0, end: 50 }, Segment { at: 50, end: 100 }];
        let mut part = PartFile::open(&path, "http://a/x").expect("a part");
        part.begin("http://a/x", identity(100), segments.clone())
            .expect("room");
        // Too small for a state.
        assert!(part.state.is_none());
        let segments = vec![
            Segment { at: 0, end: 50_000 },
            Segment {
                at: 50_000,
                end: 100_000,
            },
        ];
        part.begin("http://a/x", identity(100_000), segments)
            .expect("room");
        part.append_to(1, &[2; 60_000]).expect("room");
        part.append_to(0, &[1; 10]).expect("room");
        drop(part);
        let mut part = PartFile::open(&path, "http://a/x").expect("a part");
        assert_eq!(part.received(), 50_010);
        part.append_to(0, &[1; 49_990]).expect("room");
        assert!(part.is_whole());
        let whole = part.finish().expect("whole");
        whole.name().expect("a name");
        let bytes = fs::read(&path).expect("a file");
        assert_eq!((bytes.len(), bytes[49_999], bytes[50_000]), (100_000, 1, 2));
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }

    #[test]
    fn a_state_that_makes_no_sense_is_no_state() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x");
        let good = r#"{"url":"URL","identity":{"etag":"\"a\"","last_modified":null,"length":9},"boot":null}"#;
        let good = good.replace("URL", &known_as("u"));
        for state in [
            "",
            "\n",
            "{}\n",
            &format!("{good}\n5 4\n"),
            &format!("{good}\n0 10\n"),
            &format!("{good}\nx\n"),
        ] {
            fs::write(with_ending(&path, name::PART), "12345").expect("room");
            fs::write(with_ending(&path, name::STATE), state).expect("room");
            let part = PartFile::open(&path, "u").expect("a part");
            assert_eq!(part.received(), 0, "{state:?}");
        }
        fs::write(with_ending(&path, name::PART), "12345").expect("room");
        fs::write(with_ending(&path, name::STATE), format!("{good}\n")).expect("room");
        assert_eq!(PartFile::open(&path, "u").expect("a part").received(), 5);
    }

    #[test]
    fn a_link_is_not_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x");
        let other = folder.path().join("other");
        fs::write(&other, "kept").expect("room");
        std::os::unix::fs::symlink(&other, with_ending(&path, name::PART)).expect("a link");
        assert!(PartFile::open(&path, "u").is_err());
        assert_eq!(fs::read_to_string(&other).expect("a file"), "kept");
    }
}
