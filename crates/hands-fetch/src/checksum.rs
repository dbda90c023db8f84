//! What a file should be: a digest, from a flag, from a list, or from a file of them as `sha256sum`
//! writes it.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;

use sha2::Digest;

/// A digest that a file should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checksum {
    kind: ChecksumKind,
    digest: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChecksumKind {
    Md5,
    Sha1,
    Sha256,
    Sha512,
}

impl ChecksumKind {
    const ALL: [ChecksumKind; 4] = [
        ChecksumKind::Md5,
        ChecksumKind::Sha1,
        ChecksumKind::Sha256,
        ChecksumKind::Sha512,
    ];

    fn name(self) -> &'static str {
        match self {
            ChecksumKind::Md5 => "md5",
            ChecksumKind::Sha1 => "sha1",
            ChecksumKind::Sha256 => "sha256",
            ChecksumKind::Sha512 => "sha512",
        }
    }

    fn length(self) -> usize {
        match self {
            ChecksumKind::Md5 => 16,
            ChecksumKind::Sha1 => 20,
            ChecksumKind::Sha256 => 32,
            ChecksumKind::Sha512 => 64,
        }
    }

    /// `sha256`, `SHA-256`.
    fn named(name: &str) -> Option<ChecksumKind> {
        let name = name.to_ascii_lowercase().replace('-', "");
        ChecksumKind::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

impl Checksum {
    /// `kind` as Metalink writes it.
    pub(crate) fn new(kind: &str, digest: &str) -> Result<Checksum, String> {
        let kind = ChecksumKind::named(kind).ok_or_else(|| {
            format!("`{kind}` is no kind of checksum; md5, sha1, sha256 and sha512 are")
        })?;
        let bytes = from_hex(digest.trim());
        match bytes {
            Some(digest) if digest.len() == kind.length() => Ok(Checksum { kind, digest }),
            _ => Err(format!(
                "`{digest}` is no {} checksum, which has {} hexadecimal digits",
                kind.name(),
                2 * kind.length()
            )),
        }
    }

    /// By the number of its digits.
    fn bare(digest: &str) -> Option<Checksum> {
        let digest = from_hex(digest)?;
        let kind = ChecksumKind::ALL
            .into_iter()
            .find(|kind| kind.length() == digest.len())?;
        Some(Checksum { kind, digest })
    }

    /// The stronger of two is the one to go by.
    pub(crate) fn strength(&self) -> usize {
        self.kind.length()
    }

    /// Reads the file. `Err`: what it has instead.
    pub(crate) fn check(&self, path: &Path) -> io::Result<Result<(), Checksum>> {
        let mut file = File::open(path)?;
        let digest = match self.kind {
            ChecksumKind::Md5 => digest::<md5::Md5>(&mut file),
            ChecksumKind::Sha1 => digest::<sha1::Sha1>(&mut file),
            ChecksumKind::Sha256 => digest::<sha2::Sha256>(&mut file),
            ChecksumKind::Sha512 => digest::<sha2::Sha512>(&mut file),
        }?;
        Ok(if digest == self.digest {
            Ok(())
        } else {
            let kind = self.kind;
            Err(Checksum { kind, digest })
        })
    }
}

/// What the pieces of a file should be, each but the last of this length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pieces {
    pub(crate) length: u64,
    pub(crate) each: Vec<Checksum>,
}

impl Pieces {
    /// Reads the file. `Err`: the number of the first piece that is another, from 1.
    pub(crate) fn check(&self, path: &Path) -> io::Result<Result<(), usize>> {
        let mut file = File::open(path)?;
        let size = file.metadata()?.len();
        if size.div_ceil(self.length) != self.each.len() as u64 {
            return Ok(Err(self.each.len()));
        }
        for (number, wanted) in (1..).zip(&self.each) {
            let mut running = RunningSum::new(wanted);
            let mut piece = Read::take(&mut file, self.length);
            io::copy(&mut piece, &mut running)?;
            if running.finish() != *wanted {
                return Ok(Err(number));
            }
        }
        Ok(Ok(()))
    }
}

/// A digest of what goes by.
pub(crate) struct RunningSum {
    kind: ChecksumKind,
    digest: Box<dyn sha2::digest::DynDigest + Send + Sync>,
}

impl RunningSum {
    /// Of the same kind as this.
    pub(crate) fn new(wanted: &Checksum) -> RunningSum {
        let digest: Box<dyn sha2::digest::DynDigest + Send + Sync> = match wanted.kind {
            ChecksumKind::Md5 => Box::new(md5::Md5::new()),
            ChecksumKind::Sha1 => Box::new(sha1::Sha1::new()),
            ChecksumKind::Sha256 => Box::new(sha2::Sha256::new()),
            ChecksumKind::Sha512 => Box::new(sha2::Sha512::new()),
        };
        RunningSum {
            kind: wanted.kind,
            digest,
        }
    }

    pub(crate) fn finish(self) -> Checksum {
        Checksum {
            kind: self.kind,
            digest: self.digest.finalize().into_vec(),
        }
    }
}

impl io::Write for RunningSum {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.digest.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn digest<D: Digest>(file: &mut File) -> io::Result<Vec<u8>> {
    let mut digest = D::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(digest.finalize().to_vec()),
            Ok(read) => digest.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// `sha256:0123…` or `sha256=0123…`.
impl FromStr for Checksum {
    type Err = String;

    fn from_str(text: &str) -> Result<Checksum, String> {
        match text.split_once([':', '=']) {
            Some((kind, digest)) => Checksum::new(kind, digest),
            None => Err(format!(
                "`{text}` is no checksum; write it as `sha256:` and its hexadecimal digits"
            )),
        }
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.kind.name())?;
        self.digest
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || text.len() % 2 == 1 || text.is_empty() {
        return None;
    }
    let pair = |at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    let all_digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    all_digits.then(|| (0..text.len()).step_by(2).map(pair).collect())?
}

/// A file of checksums: by the name of what they are of.
#[derive(Debug, Default)]
pub(crate) struct ChecksumList(HashMap<String, Checksum>);

impl ChecksumList {
    /// Reads `text`, as `sha256sum` or `shasum --tag` writes it. Gives the numbers of lines that
    /// are neither: they cost no other. `Err`: no line is one.
    pub(crate) fn add(&mut self, text: &str) -> Result<Vec<usize>, usize> {
        let mut odd = Vec::new();
        let mut good = 0;
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim_end();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            let Some((name, checksum)) = tagged(line).or_else(|| plain(line)) else {
                odd.push(number);
                continue;
            };
            good += 1;
            // Under the name that it gets here as well, where that is another.
            let path = Path::new(&name);
            if let (Some(last), Some(folder)) = (path.file_name(), path.parent()) {
                let safe = folder.join(super::name::safe(&last.to_string_lossy()));
                let safe = safe.to_string_lossy().into_owned();
                self.0.entry(safe).or_insert_with(|| checksum.clone());
            }
            self.0.insert(name, checksum);
        }
        match odd.first() {
            Some(&first) if good == 0 => Err(first),
            _ => Ok(odd),
        }
    }

    /// That of a file of this name.
    pub(crate) fn of(&self, name: &str) -> Option<&Checksum> {
        self.0.get(name)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// `0123…  name`, with `*` before the name for binary.
fn plain(line: &str) -> Option<(String, Checksum)> {
    let (digest, name) = line.split_once(' ')?;
    let name = name.strip_prefix([' ', '*']).unwrap_or(name);
    let name = name.strip_prefix("./").unwrap_or(name);
    (!name.is_empty()).then_some(())?;
    Some((name.to_owned(), Checksum::bare(digest)?))
}

/// `SHA256 (name) = 0123…`.
fn tagged(line: &str) -> Option<(String, Checksum)> {
    let (kind, rest) = line.split_once(" (")?;
    let (name, digest) = rest.rsplit_once(") = ")?;
    Some((name.to_owned(), Checksum::new(kind, digest).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_checksum_is_written_in_several_ways() {
        for text in [
            format!("sha256:{ABC}"),
            format!("SHA-256={}", ABC.to_uppercase()),
        ] {
            assert_eq!(
                text.parse::<Checksum>().map(|sum| sum.to_string()),
                Ok(format!("sha256:{ABC}"))
            );
        }
        for text in [
            "",
            "abc",
            "sha256:",
            "sha256:abc",
            "sha256:zz",
            "crc32:00000000",
        ] {
            assert!(text.parse::<Checksum>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_file_has_it_or_another() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("abc");
        std::fs::write(&path, "abc").expect("room");
        let sum = |text: &str| text.parse::<Checksum>().expect("a checksum");
        assert_eq!(
            sum(&format!("sha256:{ABC}")).check(&path).expect("a file"),
            Ok(())
        );
        let md5 = sum("md5:900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(md5.check(&path).expect("a file"), Ok(()));
        std::fs::write(&path, "abd").expect("room");
        assert!(md5.check(&path).expect("a file").is_err());
    }

    #[test]
    fn files_of_checksums_are_read() {
        let mut sums = ChecksumList::default();
        let text = format!("# a comment\n\n{ABC}  a b.txt\n{ABC} *./bin\nSHA256 (x (1)) = {ABC}\n");
        assert_eq!(sums.add(&text), Ok(Vec::new()));
        for name in ["a b.txt", "bin", "x (1)"] {
            assert!(sums.of(name).is_some(), "{name}");
        }
        assert_eq!(sums.add(&format!("{ABC}  ok\nnonsense\n")), Ok(vec![2]));
        assert_eq!(sums.add("abc  name\n"), Err(1));
    }
}
