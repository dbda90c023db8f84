//! A job as it travels: its command line, and the files that go with it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use hands_batch::ElsewhereJob;
use hands_cluster::RunFiles;

use super::files::within;
use super::job::JobSpec;

/// The job, once the files that it needs are stored.
pub(super) fn spec(job: &ElsewhereJob, files: &RunFiles, run: &str) -> Result<JobSpec, String> {
    let mut send = BTreeMap::new();
    for name in &job.send {
        within(Path::new(""), name)?;
        let path = Path::new(OsStr::from_bytes(name));
        if !path.is_file() {
            return Err(format!("`--send`: `{}` is no file", path.display()));
        }
        let stored = super::wait_for(files.put(run, path));
        let stored = stored.map_err(|why| format!("`--send`: {why}"))?;
        send.insert(name.clone(), stored);
    }
    for name in &job.fetch {
        within(Path::new(""), name)?;
    }
    Ok(JobSpec {
        number: job.place.number,
        slot: job.place.slot as u64,
        argv: job.argv.clone(),
        stdin: job.stdin.clone(),
        timeout: job.timeout,
        send,
        fetch: job.fetch.clone(),
    })
}

/// Brings here what a job has made. A file has its name when it is whole.
pub(super) fn fetch(made: &BTreeMap<Vec<u8>, String>, files: &RunFiles) -> Result<(), String> {
    for (name, stored) in made {
        // Asked for by us, and told by somebody else.
        let path = within(Path::new(""), name)?;
        fetch_one(&path, stored, files).map_err(|why| format!("`--return`: {why}"))?;
        files.remove(stored);
    }
    Ok(())
}

pub(super) fn fetch_one(path: &Path, stored: &str, files: &RunFiles) -> Result<(), String> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let wrong = |error: std::io::Error| format!("`{}`: {error}", path.display());
    std::fs::create_dir_all(&parent).map_err(wrong)?;
    let folder = tempfile::Builder::new()
        .prefix(".hands-")
        .tempdir_in(&parent)
        .map_err(wrong)?;
    let part = folder.path().join("part");
    super::wait_for(files.get(stored, &part))?;
    std::fs::rename(&part, path).map_err(wrong)
}
