//! `--web`: the page of a run, its link, and where `hands top` finds it.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hands_web::{Ledger, Page, PageOptions, Source};

/// A page that is served. Dropping it ends it.
pub(crate) struct ServedPage {
    _page: Page,
    /// Has the link, for `hands top`.
    file: Option<PathBuf>,
}

impl ServedPage {
    /// Serves it, and says where.
    ///
    /// # Errors
    ///
    /// A sentence for the user.
    pub(crate) fn open(
        address: SocketAddr,
        ledger: Ledger,
        source: impl Source,
    ) -> Result<ServedPage, String> {
        let options = PageOptions::new().address(address);
        let page = Page::open(options, ledger, source).map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => format!(
                "`--web={address}`: somebody else has that port; choose another one, or none: `--web`"
            ),
            _ => format!("`--web={address}`: {error}"),
        })?;
        // Who reads the link finds the page by the number of its process, too.
        let file = note(page.link());
        let mut told = format!("hands: watch it at {}\n", page.link());
        if !page.address().ip().is_loopback() {
            told += "hands: warning: others can reach this page, and it is not encrypted: who can read the network can read it, its token included\n";
        }
        // A closed stderr leaves nobody to tell.
        let _ = io::stderr().write_all(told.as_bytes());
        Ok(ServedPage { _page: page, file })
    }
}

impl Drop for ServedPage {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            // Whoever reads it meanwhile finds nobody.
            let _ = fs::remove_file(file);
        }
    }
}

/// Notes the link where its owner alone can read it. Without such a place `hands top` has to be
/// given the link.
fn note(link: &str) -> Option<PathBuf> {
    let folder = links()?;
    forget_the_dead(&folder);
    let file = folder.join(std::process::id().to_string());
    // One that is left of another process of this number.
    let _ = fs::remove_file(&file);
    let mut options = fs::OpenOptions::new();
    let mut opened = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&file)
        .ok()?;
    opened.write_all(link.as_bytes()).ok()?;
    Some(file)
}

/// A program that was killed has left its link.
fn forget_the_dead(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            // Another program may have done it.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// The folder of the links: this user's own.
pub(crate) fn links() -> Option<PathBuf> {
    let uid = rustix::process::geteuid().as_raw();
    let folder = match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(folder) if Path::new(&folder).is_absolute() => PathBuf::from(folder).join("hands"),
        _ => std::env::temp_dir().join(format!("hands-{uid}")),
    };
    // It may be there.
    let _ = fs::DirBuilder::new().mode(0o700).create(&folder);
    let found = fs::symlink_metadata(&folder).ok()?;
    let is_own = found.is_dir() && found.uid() == uid && found.mode() & 0o077 == 0;
    is_own.then_some(folder)
}
