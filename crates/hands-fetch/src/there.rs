//! What a file is called, and what is there already under that name.

use std::fs;
use std::path::{Path, PathBuf};

use reqwest::Response;
use reqwest::header::CONTENT_DISPOSITION;

use super::answer::{is_current, is_from};
use super::checksum::{Checksum, Pieces};
use super::name::{self, numbered};
use super::part::is_of_another;
use super::state::{FetchState, FetchTarget, Trouble};
use super::transfer::Transfer;

/// More files of one name are not looked through.
const MANY: u64 = 1000;

impl Transfer<'_> {
    /// The name that the server says, where it may: in the order of the list, and never that of a
    /// file that was there. True: it has been given now.
    pub(super) async fn name_by(&mut self, response: &Response) -> Result<bool, Trouble> {
        let FetchTarget::Named { folder, otherwise } = &self.job.target else {
            return Ok(false);
        };
        if self.path.is_some() {
            return Ok(false);
        }
        let said = response.headers().get(CONTENT_DISPOSITION);
        let said = said.and_then(|said| name::of_disposition(said.as_bytes()));
        let is_elsewhere = !self.job.wanted.sources.contains(response.url());
        let behind_redirects = || name::of_url(response.url()).filter(|_| is_elsewhere);
        let name = said.or_else(behind_redirects);
        let wanted = folder.join(name.as_ref().unwrap_or(otherwise));
        self.fetcher.naming.wait(self.job.number).await;
        let files = &self.fetcher.flags.files;
        if files.no_clobber && wanted.symlink_metadata().is_ok() {
            let state = self.look(&wanted).await;
            let skipped =
                || FetchState::Skipped(format!("`{}` is there already", wanted.display()));
            self.path = Some(wanted.clone());
            return Err(Trouble::Is(state.unwrap_or_else(skipped)));
        }
        let url = self.job.wanted.sources[0].as_str();
        if files.timestamping
            && let Some(path) = earlier(&wanted, url)
            && self.fetcher.names.lock().take(&path)
        {
            self.path = Some(path.clone());
            return match is_current(&path, response.headers()) {
                true => Err(Trouble::Is(FetchState::Unchanged)),
                false => Ok(true),
            };
        }
        let is_free = |path: &Path| path.symlink_metadata().is_err() && !is_of_another(path, url);
        let path = match name {
            // What was there before the run is not the server's to replace.
            Some(_) => self.fetcher.names.lock().claim_if(wanted, is_free),
            None => self.fetcher.names.lock().claim(wanted),
        };
        self.fetcher.naming.leave(self.job.number);
        self.path = Some(path.clone());
        match self.look(&path).await {
            Some(state) => Err(Trouble::Is(state)),
            None => Ok(true),
        }
    }

    /// What the file of this name should be, by the list, the Metalink, the sums.
    pub(super) fn expected(&self, name: &Path) -> Expected {
        let checksum = self.job.wanted.checksum.clone();
        Expected {
            size: self.job.wanted.size,
            checksum: checksum.or_else(|| self.fetcher.checksum_of(name)),
            pieces: self.job.wanted.pieces.clone(),
        }
    }

    /// What is there already is looked at: what it has come to by that, if there is nothing to
    /// fetch.
    pub(super) async fn look(&self, path: &Path) -> Option<FetchState> {
        let files = &self.fetcher.flags.files;
        let there = fs::metadata(path).ok();
        let is_only_looking = files.check_integrity;
        let Some(there) = there else {
            let is_link = path.symlink_metadata().is_ok();
            return match (is_only_looking, files.no_clobber && is_link) {
                (true, _) => Some(FetchState::Failed(format!(
                    "`{}` is not there",
                    path.display()
                ))),
                (_, true) => Some(FetchState::Skipped(
                    "it is there already, as a link to nothing".to_owned(),
                )),
                _ => None,
            };
        };
        let expected = self.expected(path);
        let is_known = expected.is_known();
        if !is_known && !self.fetcher.sums.is_empty() && (files.no_clobber || is_only_looking) {
            let why = format!("`--checksums` has nothing for `{}`", path.display());
            return Some(FetchState::Failed(why));
        }
        if !there.is_file() || !is_known {
            return match (is_only_looking, files.no_clobber) {
                (true, _) => Some(FetchState::Failed(
                    "nothing says what it should be".to_owned(),
                )),
                (_, true) => Some(FetchState::Skipped("it is there already".to_owned())),
                _ => None,
            };
        }
        let (own, length) = (path.to_owned(), there.len());
        let checked = self
            .fetcher
            .pool
            .spawn_blocking(move || expected.check(&own, length));
        let wrong = match checked.await {
            Ok(Ok(Ok(()))) => return Some(FetchState::Unchanged),
            Ok(Ok(Err(why))) => why,
            Ok(Err(error)) => format!("it cannot be read: {error}"),
            Err(error) => error.to_string(),
        };
        match (is_only_looking, files.no_clobber) {
            (true, _) => Some(FetchState::Failed(format!("`{}`: {wrong}", path.display()))),
            (_, true) => Some(FetchState::Failed(format!(
                "what is there is another file, and --no-clobber keeps it: {wrong}"
            ))),
            _ => None,
        }
    }
}

/// The file of this name, or of this name and a number, that has come from a URL in an earlier run.
fn earlier(wanted: &Path, url: &str) -> Option<PathBuf> {
    let paths = (0..MANY).map(|number| numbered(wanted, number));
    let mut there = paths.take_while(|path| path.symlink_metadata().is_ok());
    there.find(|path| is_from(path, url))
}

/// What a file should be.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    size: Option<u64>,
    checksum: Option<Checksum>,
    pieces: Option<Pieces>,
}

impl Expected {
    /// Whether more is known than its length.
    pub(super) fn is_known(&self) -> bool {
        self.checksum.is_some() || self.pieces.is_some()
    }

    /// Reads a file of this length. `Err`: what is wrong with it.
    pub(super) fn check(&self, path: &Path, length: u64) -> std::io::Result<Result<(), String>> {
        if let Some(size) = self.size.filter(|size| *size != length) {
            return Ok(Err(format!("it has {length} bytes and not {size}")));
        }
        if let Some(pieces) = &self.pieces
            && let Err(number) = pieces.check(path)?
        {
            let why = format!("piece {number} of it has another checksum than it should");
            return Ok(Err(why));
        }
        if let Some(wanted) = &self.checksum
            && let Err(found) = wanted.check(path)?
        {
            return Ok(Err(format!("its checksum is {found} and not {wanted}")));
        }
        Ok(Ok(()))
    }
}
