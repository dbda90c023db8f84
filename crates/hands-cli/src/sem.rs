//! `hands sem`: a limited number of commands of one name at once, no matter who starts them.
//!
//! A semaphore is a folder of the user's with a file for each place; who has the lock on one
//! (`flock`) has the place. The command inherits it, so the system gives it back when the last
//! process of the command is gone, however it ends. Who waits has the lock on `queue`, so that one
//! looks for a place, and the others wait for that one.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::{FdFlags, fcntl_setfd};

use crate::flags::SemFlags;
use crate::ui::usage;

/// Between two looks for a place.
const LOOK: Duration = Duration::from_millis(10);

/// Runs it, and gives the code to exit with.
pub(crate) fn main(flags: SemFlags) -> ExitCode {
    match run(flags) {
        Ok(code) => code,
        Err(message) => usage::fail(&message),
    }
}

fn run(flags: SemFlags) -> Result<ExitCode, String> {
    match (flags.wait, flags.words.is_empty()) {
        (true, false) => {
            return Err("`--wait` waits for the commands that run, and takes none\n  hint: start the command first, then `hands sem --wait`".to_owned());
        }
        (false, true) => {
            return Err(
                "there is no command\n  hint: `hands sem --help` shows examples".to_owned(),
            );
        }
        _ => {}
    }
    let name = match flags.id {
        Some(name) => name,
        None => of_terminal(),
    };
    let folder = folder(&name)?;
    let until = flags.timeout.map(|time| Instant::now() + time);
    let wrong = |error: io::Error| format!("`{}`: {error}", folder.display());
    let Some(queue) = lock(&folder.join("queue"), until).map_err(wrong)? else {
        return Ok(ExitCode::FAILURE);
    };
    if flags.wait {
        let mut held = Vec::new();
        let places = places(&folder).map_err(wrong)?;
        for place in places {
            match lock(&place, until).map_err(wrong)? {
                Some(place) => held.push(place),
                None => return Ok(ExitCode::FAILURE),
            }
        }
        return Ok(ExitCode::SUCCESS);
    }
    let count = flags.jobs.map_or(1, |jobs| jobs.get());
    let place = loop {
        let free = (1..=count).find_map(|number| {
            let place = open(&folder.join(number.to_string()));
            let place = place.and_then(|place| Ok(try_lock(&place)?.then_some(place)));
            place.transpose()
        });
        match free {
            Some(place) => break place.map_err(wrong)?,
            None if until.is_some_and(|until| until <= Instant::now()) => {
                return Ok(ExitCode::FAILURE);
            }
            None => pause(),
        }
    };
    drop(queue);
    start(flags.words, &place, flags.fg)
}

/// There is no event for "one of these locks is free".
#[allow(clippy::disallowed_methods, reason = "locks of files tell nobody")]
fn pause() {
    std::thread::sleep(LOOK);
}

/// The command has the lock from now on.
fn start(words: Vec<OsString>, place: &File, fg: bool) -> Result<ExitCode, String> {
    let mut command = match words.as_slice() {
        [line] => {
            let mut command = Command::new("/bin/sh");
            command.arg("-c").arg(line);
            command
        }
        words => {
            let mut command = Command::new(&words[0]);
            command.args(&words[1..]);
            command
        }
    };
    fcntl_setfd(place, FdFlags::empty())
        .map_err(|error| format!("cannot keep the lock: {error}"))?;
    let shown = words
        .first()
        .map(|word| word.display().to_string())
        .unwrap_or_default();
    let wrong = |error: io::Error| format!("`{shown}` cannot be started: {error}");
    if fg {
        return Err(wrong(command.exec()));
    }
    // A program in the background that reads a terminal would be stopped.
    let child = command.stdin(Stdio::null()).process_group(0).spawn();
    child.map_err(wrong)?;
    Ok(ExitCode::SUCCESS)
}

/// That of the terminal, or of the process that has started us.
fn of_terminal() -> String {
    match rustix::termios::ttyname(io::stdin(), Vec::new()) {
        Ok(name) => format!("tty{}", name.to_string_lossy().replace('/', "_")),
        Err(_) => format!("parent_{}", std::os::unix::process::parent_id()),
    }
}

/// The folder of a semaphore, which belongs to the user and to nobody else.
fn folder(name: &str) -> Result<PathBuf, String> {
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
        return Err(format!(
            "`--id {name}` is no name of a semaphore: it has no `/`, and does not begin with a dot"
        ));
    }
    let user = rustix::process::getuid().as_raw();
    let base = match std::env::var_os("XDG_RUNTIME_DIR").filter(|path| !path.is_empty()) {
        Some(path) => PathBuf::from(path).join("hands-sem"),
        None => std::env::temp_dir().join(format!("hands-sem-{user}")),
    };
    let wrong = |error: io::Error| format!("`{}`: {error}", base.display());
    let mut made = fs::DirBuilder::new();
    made.recursive(true).mode(0o700);
    made.create(&base).map_err(wrong)?;
    let there = fs::symlink_metadata(&base).map_err(wrong)?;
    if !there.is_dir() || there.uid() != user {
        return Err(format!("`{}` belongs to somebody else", base.display()));
    }
    let folder = base.join(name);
    made.create(&folder).map_err(wrong)?;
    Ok(folder)
}

/// All places that there have been.
fn places(folder: &std::path::Path) -> io::Result<Vec<PathBuf>> {
    let mut places = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name != "queue") {
            places.push(path);
        }
    }
    places.sort();
    Ok(places)
}

fn open(path: &std::path::Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
}

fn try_lock(file: &File) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The lock on a file, waited for; `None`: it could not be had in time.
fn lock(path: &std::path::Path, until: Option<Instant>) -> io::Result<Option<File>> {
    let file = open(path)?;
    let Some(until) = until else {
        loop {
            match flock(&file, FlockOperation::LockExclusive) {
                Ok(()) => return Ok(Some(file)),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    };
    while !try_lock(&file)? {
        if until <= Instant::now() {
            return Ok(None);
        }
        pause();
    }
    Ok(Some(file))
}
