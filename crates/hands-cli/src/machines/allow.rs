//! Which programs a machine's owner lets others run on it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The list. Nothing that is not on it is run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Allowed {
    /// `--allow-all`
    pub(crate) all: bool,
    /// Names, which are looked for in `PATH`, and paths.
    pub(crate) programs: Vec<Vec<u8>>,
}

impl Allowed {
    /// Whether a command that begins with this word may be run. A name on the list is no leave for
    /// a path that ends in it: that may be any program.
    pub(crate) fn has(&self, program: &[u8]) -> bool {
        if self.all || self.programs.iter().any(|allowed| allowed == program) {
            return true;
        }
        // One file under two paths.
        let is_path = program.contains(&b'/');
        let Some(place) = is_path.then(|| place(Path::new(OsStr::from_bytes(program)))) else {
            return false;
        };
        place.is_some() && self.programs.iter().any(|allowed| found(allowed) == place)
    }

    /// In words, for who starts the worker and for who is refused.
    pub(crate) fn told(&self) -> String {
        if self.all {
            return "any program, with any arguments".to_owned();
        }
        let names: Vec<_> = self
            .programs
            .iter()
            .map(|program| format!("`{}`", String::from_utf8_lossy(program)))
            .collect();
        match names.as_slice() {
            [] => "nothing".to_owned(),
            [one] => format!("{one}, with any arguments, and nothing else"),
            several => format!(
                "{}, with any arguments, and nothing else",
                several.join(", ")
            ),
        }
    }

    /// Whether what is allowed runs whatever it is told to.
    pub(crate) fn has_a_shell(&self) -> bool {
        const SHELLS: [&[u8]; 8] = [
            b"sh", b"bash", b"dash", b"zsh", b"python3", b"perl", b"env", b"xargs",
        ];
        let last = |path: &[u8]| path.rsplit(|&byte| byte == b'/').next().map(<[u8]>::to_vec);
        let mut lasts = self.programs.iter().filter_map(|path| last(path));
        lasts.any(|name| SHELLS.contains(&name.as_slice()))
    }
}

/// Where an allowed program is.
fn found(program: &[u8]) -> Option<PathBuf> {
    let path = Path::new(OsStr::from_bytes(program));
    if program.contains(&b'/') {
        return place(path);
    }
    let folders = std::env::var_os("PATH")?;
    let mut files = std::env::split_paths(&folders).map(|folder| folder.join(path));
    place(&files.find(|file| file.is_file())?)
}

/// The path, its folder without links. A link at its end is not followed: one program may have
/// many names, and do what its name says.
fn place(path: &Path) -> Option<PathBuf> {
    let folder = std::fs::canonicalize(path.parent()?).ok()?;
    Some(folder.join(path.file_name()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(programs: &[&str]) -> Allowed {
        Allowed {
            all: false,
            programs: programs
                .iter()
                .map(|name| name.as_bytes().to_vec())
                .collect(),
        }
    }

    #[test]
    fn what_is_not_on_the_list_is_not_run() {
        assert!(!Allowed::default().has(b"true"));
        let list = allowed(&["echo", "/bin/true"]);
        assert!(list.has(b"echo"));
        assert!(list.has(b"/bin/true"));
        assert!(list.has(b"/bin/../bin/true"));
        assert!(list.has(b"/usr/bin/true") || !Path::new("/bin").is_symlink());
        for other in [
            "",
            "ech",
            "echo ",
            "./echo",
            "other/echo",
            "/bin/false",
            "true",
        ] {
            assert!(!list.has(other.as_bytes()), "{other}");
        }
    }
}
