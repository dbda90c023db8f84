//! Where this process sits in the kernel's control groups, and nothing else.
//!
//! A limit set on a group binds every group below it, so a reader asks for the *chain*: the
//! directories from our own group up to the top, own group first, and takes the tightest value it
//! finds. Both generations are covered. Version 2 has one hierarchy for all controllers; version 1
//! has one for each, and a machine may use both at the same time.
//!
//! ```text
//! /proc/self/cgroup     4:memory:/batch/nightly          (version 1: number, controllers, path)
//!                       0::/user.slice/run-7.scope       (version 2)
//! chain("memory")   ->  /sys/fs/cgroup/memory/batch/nightly
//!                       /sys/fs/cgroup/memory/batch
//!                       /sys/fs/cgroup/memory
//! ```
//!
//! The usual mount points are tried first because reading `mountinfo` takes milliseconds on a
//! machine with thousands of container mounts; it is read only where the usual place does not hold
//! our group.
//!
//! Every function takes the directory that stands for `/`, so a test can lay out any machine it
//! likes.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// The groups this process is in, as `/proc/self/cgroup` listed them when asked.
#[derive(Debug)]
pub struct Cgroups {
    root: PathBuf,
    listing: Vec<u8>,
}

/// Which of the kernel's hierarchies to look in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hierarchy<'a> {
    Unified,
    Controller(&'a str),
}

impl Cgroups {
    /// Reads the listing under `root`. A kernel without control groups gives empty chains, not an
    /// error.
    pub fn of_self(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            listing: fs::read(root.join("proc/self/cgroup")).unwrap_or_default(),
        }
    }

    /// The version 2 groups we are in, own group first; empty where version 2 is not in use.
    pub fn unified(&self) -> Vec<PathBuf> {
        self.chain(Hierarchy::Unified)
    }

    /// The version 1 groups of `controller`, own group first; empty where that controller is not a
    /// version 1 one.
    pub fn controller(&self, controller: &str) -> Vec<PathBuf> {
        self.chain(Hierarchy::Controller(controller))
    }

    fn chain(&self, hierarchy: Hierarchy<'_>) -> Vec<PathBuf> {
        let Some(path) = self.path_in(hierarchy) else {
            return Vec::new();
        };
        for mount in usual_mounts(hierarchy) {
            let mount = self.root.join(mount);
            if mount.join(&path).is_dir() {
                return levels(&mount, &path);
            }
        }
        let Ok(mountinfo) = fs::read(self.root.join("proc/self/mountinfo")) else {
            return Vec::new();
        };
        mountinfo
            .split(|&byte| byte == b'\n')
            .filter_map(|line| Mount::parse(line, hierarchy))
            .map(|mount| {
                let point = self.root.join(relative(&mount.point));
                // A container may see only a part of the tree: its mount then begins at a group,
                // not at the top.
                let inside = path.strip_prefix(relative(&mount.root)).unwrap_or(&path);
                levels(&point, inside)
            })
            .next()
            .unwrap_or_default()
    }

    /// Our path in one hierarchy, relative to its top.
    fn path_in(&self, hierarchy: Hierarchy<'_>) -> Option<PathBuf> {
        self.listing
            .split(|&byte| byte == b'\n')
            .find_map(|line| {
                let mut fields = line.splitn(3, |&byte| byte == b':');
                let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
                let ours = match hierarchy {
                    Hierarchy::Unified => number == b"0" && controllers.is_empty(),
                    Hierarchy::Controller(name) => has(controllers, name),
                };
                ours.then(|| relative(Path::new(OsStr::from_bytes(path))).to_owned())
            })
            .map(|path| {
                // `/../..` means our group lies above the part of the tree this namespace shows.
                let climbs = path.components().any(|part| part == Component::ParentDir);
                if climbs { PathBuf::new() } else { path }
            })
    }
}

/// One line of `mountinfo` that mounts the wanted hierarchy.
struct Mount {
    root: PathBuf,
    point: PathBuf,
}

impl Mount {
    /// `36 25 0:30 /root /point options [optional…] - type source super,options`
    fn parse(line: &[u8], hierarchy: Hierarchy<'_>) -> Option<Self> {
        let mut fields = line.split(|&byte| byte == b' ');
        let root = fields.by_ref().nth(3)?;
        let point = fields.next()?;
        fields.by_ref().find(|field| *field == b"-")?;
        let kind = fields.next()?;
        let options = fields.nth(1)?;
        let wanted = match hierarchy {
            Hierarchy::Unified => kind == b"cgroup2",
            Hierarchy::Controller(name) => kind == b"cgroup" && has(options, name),
        };
        wanted.then(|| Self {
            root: OsStr::from_bytes(root).into(),
            point: OsStr::from_bytes(point).into(),
        })
    }
}

fn usual_mounts(hierarchy: Hierarchy<'_>) -> Vec<PathBuf> {
    let top = Path::new("sys/fs/cgroup");
    match hierarchy {
        // `unified` first: on a mixed machine the directory above it is no group.
        Hierarchy::Unified => vec![top.join("unified"), top.to_owned()],
        Hierarchy::Controller(name) => vec![top.join(name)],
    }
}

/// The directories from `mount/path` up to `mount`.
fn levels(mount: &Path, path: &Path) -> Vec<PathBuf> {
    path.ancestors().map(|part| mount.join(part)).collect()
}

fn has(list: &[u8], name: &str) -> bool {
    list.split(|&byte| byte == b',')
        .any(|entry| entry == name.as_bytes())
}

fn relative(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

/// The decimal number a one-line kernel file holds; `None` for `max`, for anything else and for a
/// file that is not there.
pub fn number(path: &Path) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    text.trim_end().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)], folders: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a temporary directory");
        for folder in folders {
            fs::create_dir_all(root.path().join(folder)).expect("a folder");
        }
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        root
    }

    fn names(root: &tempfile::TempDir, chain: Vec<PathBuf>) -> Vec<String> {
        let inside = |path: PathBuf| {
            let path = path.strip_prefix(root.path()).expect("inside").to_owned();
            path.to_string_lossy().trim_end_matches('/').to_owned()
        };
        chain.into_iter().map(inside).collect()
    }

    #[test]
    fn a_version_2_chain_runs_from_our_group_to_the_top() {
        let root = machine(
            &[("proc/self/cgroup", "0::/a.slice/b.scope\n")],
            &["sys/fs/cgroup/a.slice/b.scope"],
        );
        let groups = Cgroups::of_self(root.path());
        assert_eq!(
            names(&root, groups.unified()),
            [
                "sys/fs/cgroup/a.slice/b.scope",
                "sys/fs/cgroup/a.slice",
                "sys/fs/cgroup"
            ]
        );
        assert!(groups.controller("cpu").is_empty());
    }

    #[test]
    fn a_version_1_controller_is_found_among_several_on_a_line() {
        let root = machine(
            &[("proc/self/cgroup", "5:cpu,cpuacct:/x\n3:memory:/y\n0::/\n")],
            &["sys/fs/cgroup/cpu/x", "sys/fs/cgroup/memory/y"],
        );
        let groups = Cgroups::of_self(root.path());
        assert_eq!(
            names(&root, groups.controller("cpu")),
            ["sys/fs/cgroup/cpu/x", "sys/fs/cgroup/cpu"]
        );
        assert_eq!(
            names(&root, groups.controller("memory"))[0],
            "sys/fs/cgroup/memory/y"
        );
        assert!(groups.controller("cpuset").is_empty());
    }

    #[test]
    fn a_mount_elsewhere_that_shows_only_our_part_of_the_tree_is_found() {
        let root = machine(
            &[
                ("proc/self/cgroup", "0::/docker/abc/job\n"),
                (
                    "proc/self/mountinfo",
                    "1 0 8:1 / / rw - ext4 /dev/a rw\n\
                     9 1 0:30 /docker/abc /groups rw shared:4 - cgroup2 cgroup2 rw\n",
                ),
            ],
            &[],
        );
        assert_eq!(
            names(&root, Cgroups::of_self(root.path()).unified()),
            ["groups/job", "groups"]
        );
    }

    #[test]
    fn a_group_above_what_we_may_see_counts_as_the_top() {
        let root = machine(
            &[("proc/self/cgroup", "0::/../../other\n")],
            &["sys/fs/cgroup"],
        );
        assert_eq!(
            names(&root, Cgroups::of_self(root.path()).unified()),
            ["sys/fs/cgroup"]
        );
    }

    #[test]
    fn no_control_groups_is_no_error() {
        let root = machine(&[], &[]);
        let groups = Cgroups::of_self(root.path());
        assert!(groups.unified().is_empty());
        assert!(groups.controller("cpu").is_empty());
    }
}
