//! Jobs that have a folder of their own on the machine that runs them: what was sent is put there
//! before they begin, what is wanted of them is taken from there when they have ended.
//!
//! **Names are safe.** A file that travels has a relative name without `..`; it is written into a
//! folder that nobody else has, and read from there only if it is a plain file that lies in it,
//! whatever links a job may have made. What comes is checked against the hash it was stored by.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::job::{JobBatch, JobEnd};
use super::runner::run_here;

/// Runs the only job of a batch in a folder of its own.
pub(super) async fn run_apart(batch: JobBatch) -> JobEnd {
    match prepared_and_run(batch).await {
        Ok(end) => end,
        Err(why) => JobEnd::refused(why, 126),
    }
}

async fn prepared_and_run(batch: JobBatch) -> Result<JobEnd, String> {
    let files = hands_cluster::current_task().and_then(|task| task.files());
    let files = files.ok_or("this program is no worker")?;
    let folder = tempfile::Builder::new()
        .prefix("hands-job-")
        .tempdir()
        .map_err(|error| format!("no folder can be made for the job: {error}"))?;
    let Some(job) = batch.jobs.first().cloned() else {
        return Err("a job is missing".to_owned());
    };
    for (name, stored) in &job.send {
        let path = within(folder.path(), name)?;
        if let Some(parent) = path.parent() {
            let made = std::fs::create_dir_all(parent);
            made.map_err(|error| format!("`{}`: {error}", parent.display()))?;
        }
        files.get(stored, &path).await?;
    }
    let run = batch.run.clone();
    let ends = run_here(batch, Some(folder.path().to_owned())).await;
    let Some(mut end) = ends.into_iter().next() else {
        return Err("the worker is ending".to_owned());
    };
    let mut made = BTreeMap::new();
    for name in &job.fetch {
        let path = within(folder.path(), name)?;
        match plain(folder.path(), &path) {
            Ok(true) => {
                made.insert(name.clone(), files.put(&run, &path).await?);
            }
            // It has failed, and that is what is to be told.
            Ok(false) if end.status != Some(0) => {}
            Ok(false) => {
                let name = String::from_utf8_lossy(name);
                end.why = Some((
                    format!("it has not made `{name}`, which was to be returned"),
                    126,
                ));
                end.status = None;
            }
            Err(why) => return Err(why),
        }
    }
    end.made = made;
    Ok(end)
}

/// Whether the file is there: a plain one, in this folder.
fn plain(folder: &Path, path: &Path) -> Result<bool, String> {
    let Ok(real) = std::fs::canonicalize(path) else {
        return Ok(false);
    };
    let root = std::fs::canonicalize(folder).map_err(|error| error.to_string())?;
    let is_plain = std::fs::metadata(&real).is_ok_and(|about| about.is_file());
    match real.starts_with(&root) && is_plain {
        true => Ok(true),
        false => Err(format!(
            "`{}` is no plain file in the job's folder, and is not returned",
            path.strip_prefix(folder).unwrap_or(path).display()
        )),
    }
}

/// The path of a name in a folder.
///
/// # Errors
///
/// When the name leads elsewhere.
pub(crate) fn within(folder: &Path, name: &[u8]) -> Result<PathBuf, String> {
    let path = Path::new(OsStr::from_bytes(name));
    let shown = path.display();
    if name.is_empty() || name.contains(&0) {
        return Err(format!("`{shown}` is no name of a file"));
    }
    let is_good = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if !path.components().all(is_good) || name.ends_with(b"/") {
        return Err(format!(
            "`{shown}` cannot travel: a file that is sent or returned has a name below the folder of the job, without `..` and without a `/` in front"
        ));
    }
    Ok(folder.join(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_leads_elsewhere_is_refused() {
        let folder = Path::new("/f");
        for bad in [
            "",
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a/..",
            "..",
            "x/",
            "a\0b",
        ] {
            assert!(within(folder, bad.as_bytes()).is_err(), "{bad:?}");
        }
        for good in ["a", "a/b.out", "./a", "…", "..a", "a..b"] {
            let path = within(folder, good.as_bytes()).unwrap_or_default();
            assert!(path.starts_with(folder), "{good:?}");
        }
    }

    #[test]
    fn a_link_out_of_the_folder_is_not_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/etc/hostname", &link).expect("a link");
        assert!(plain(folder.path(), &link).is_err());
        assert_eq!(plain(folder.path(), &folder.path().join("none")), Ok(false));
        let file = folder.path().join("file");
        std::fs::write(&file, "x").expect("a file");
        assert_eq!(plain(folder.path(), &file), Ok(true));
    }
}
