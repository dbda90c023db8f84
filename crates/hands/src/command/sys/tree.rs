//! Everything a job has started: found in `/proc`, and ended.
//!
//! A job leads a process group, which one `kill` reaches whole. What has left the group is found by
//! its parents (a chain of them leads to the job) or by the cookie in its environment, which
//! survives `setsid` and a double fork.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Read;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::search::{LOOKS, Search};

/// What tells a job's processes from others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kin<'a> {
    /// The group that the job leads; also its own pid.
    pub(crate) leader: Pid,
    /// Once the leader has been reaped its number may belong to somebody else: then only `mark`
    /// counts.
    pub(crate) reaped: bool,
    /// The `NAME=value` entry that only this job's processes have in their environment.
    pub(crate) mark: &'a [u8],
}

/// Signals a job's processes as a shell would: its process group.
pub(crate) fn signal(kin: Kin<'_>, signal: Signal) {
    if kin.reaped {
        for stray in strays(&[kin]) {
            let _ = kill_process(stray, signal);
        }
    } else {
        // A group that has gone meanwhile is no error.
        let _ = kill_process_group(kin.leader, signal);
    }
}

/// Kills the jobs' groups and all their kin elsewhere. Looks again until a look finds nobody new, a
/// bounded number of times, because what is being killed may be forking.
pub(crate) fn kill(kins: &[Kin<'_>]) {
    for _ in 0..10 {
        // The groups first: a process that leaves one before its kill is there to be seen by the
        // look that follows.
        for kin in kins.iter().filter(|kin| !kin.reaped) {
            let _ = kill_process_group(kin.leader, Signal::KILL);
        }
        let strays = strays(kins);
        if strays.is_empty() {
            break;
        }
        for &stray in &strays {
            let _ = kill_process(stray, Signal::KILL);
        }
    }
}

/// Living processes of the jobs that are outside their groups; all of them where the leader has
/// been reaped.
pub(crate) fn strays(kins: &[Kin<'_>]) -> Vec<Pid> {
    let own = rustix::process::getpid();
    let leaders: HashSet<Pid> = kins
        .iter()
        .filter(|kin| !kin.reaped)
        .map(|kin| kin.leader)
        .collect();
    let table = processes();
    let mut family = leaders.clone();
    // Parents may come after their children in the listing: repeat until nothing is added.
    loop {
        let before = family.len();
        for (&pid, process) in &table {
            if family.contains(&process.parent) || leaders.contains(&process.group) {
                family.insert(pid);
            }
        }
        if family.len() == before {
            break;
        }
    }
    table
        .iter()
        .filter(|&(&pid, process)| {
            pid != own
                && !leaders.contains(&process.group)
                && (family.contains(&pid) || kins.iter().any(|kin| carries(pid, kin.mark)))
        })
        .map(|(&pid, _)| pid)
        .collect()
}

/// Living processes of `groups` whose environment holds `mark`.
pub(crate) fn members(groups: &[Pid], mark: &[u8]) -> Vec<Pid> {
    let table = processes();
    let members = table
        .iter()
        .filter(|(pid, process)| groups.contains(&process.group) && carries(**pid, mark));
    members.map(|(&pid, _)| pid).collect()
}

/// Living processes that have this parent.
pub(crate) fn children_of(parent: Pid) -> Vec<Pid> {
    let table = processes();
    let children = table.iter().filter(|(_, process)| process.parent == parent);
    children.map(|(&pid, _)| pid).collect()
}

struct TreeProcess {
    parent: Pid,
    group: Pid,
}

/// All living processes that can be seen, zombies left out.
fn processes() -> HashMap<Pid, TreeProcess> {
    let Ok(listing) = fs::read_dir("/proc") else {
        return HashMap::new();
    };
    listing
        .filter_map(|entry| process(entry.ok()?.file_name().to_str()?.parse().ok()?))
        .collect()
}

fn process(pid: i32) -> Option<(Pid, TreeProcess)> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, spaces and parentheses included: start behind the
    // last one.
    let behind = stat.iter().rposition(|&byte| byte == b')')? + 2;
    let text = std::str::from_utf8(stat.get(behind..)?).ok()?;
    let mut fields = text.split(' ');
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    // The kernel's own threads have parent or group 0, which is no pid: never ours.
    let parent = Pid::from_raw(fields.next()?.parse().ok()?)?;
    let group = Pid::from_raw(fields.next()?.parse().ok()?)?;
    Some((Pid::from_raw(pid)?, TreeProcess { parent, group }))
}

/// Whether the process was started with `mark` in its environment. False for another user's
/// process.
fn carries(pid: Pid, mark: &[u8]) -> bool {
    for _ in 0..LOOKS {
        let Ok(mut file) = fs::File::open(format!("/proc/{pid}/environ")) else {
            return false;
        };
        if let Some(carries) = holds(&mut file, mark) {
            return carries;
        }
        if fs::read_link(format!("/proc/{pid}/exe")).is_err() {
            return false;
        }
        std::thread::park_timeout(std::time::Duration::from_millis(1));
    }
    false
}

/// `None`: there is nothing in it.
fn holds(file: &mut fs::File, mark: &[u8]) -> Option<bool> {
    let mut search = Search::new(mark);
    let mut is_empty = true;
    let mut buffer = [0; 4096];
    loop {
        match file.read(&mut buffer) {
            Ok(0) if is_empty => return None,
            Ok(0) => return Some(search.at_end()),
            Ok(got) if search.feed(&buffer[..got]) => return Some(true),
            Ok(_) => is_empty = false,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return Some(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_also_on_its_way_to_another_program() {
        let folder = tempfile::tempdir().expect("a folder");
        let script = folder.path().join("again");
        let text = r#"printf '#!/bin/sh\nexec "$0"\n' > "$1" && chmod 755 "$1""#;
        let written = std::process::Command::new("sh")
            .args(["-c", text, "sh"])
            .arg(&script)
            .status();
        assert!(written.is_ok_and(|status| status.success()));
        let mark = "HANDS_TEST_EXECS=1";
        let mut again = std::process::Command::new(&script);
        let mut again = again
            .env("HANDS_TEST_EXECS", "1")
            .spawn()
            .expect("it starts");
        let pid = Pid::from_child(&again);
        let missed = (0..3000).filter(|_| !carries(pid, mark.as_bytes())).count();
        again.kill().expect("it is there");
        again.wait().expect("it has ended");
        assert_eq!(missed, 0);
    }
}
