//! A process that is the program started anew, rather than a copy of one that has started.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;

use super::order::{Hello, SpawnOrder};
use super::role::{MARK, Role, stop};
use crate::wire::codec::{self, Message};
use crate::wire::message as wire;

/// In a process that the zygote has just forked: takes its order along into a new image of the
/// program.
pub(super) fn start(mut order: SpawnOrder, descriptors: Vec<OwnedFd>) -> ! {
    // With it, not in it: by the time it reads its order something in it may have started a thread,
    // and look at the environment.
    let environment = std::mem::take(&mut order.environment);
    let sent = || {
        let (ours, its) = wire::pair()?;
        let message = codec::encode(&(Hello::new(), &order)).unwrap_or_default();
        let message = Message {
            descriptors,
            ..message
        };
        // It lies there until it is read.
        wire::send(&ours, &message)?;
        rustix::stdio::dup2_stdin(&its)?;
        let mut own = std::env::args_os();
        let mut command = std::process::Command::new("/proc/self/exe");
        if let Some(name) = own.next() {
            command.arg0(name);
        }
        command.args([MARK, Role::Worker.word()]);
        for (name, value) in &environment {
            let name = OsStr::from_bytes(name);
            match value {
                Some(value) => command.env(name, OsStr::from_bytes(value)),
                None => command.env_remove(name),
            };
        }
        Err::<(), std::io::Error>(command.exec())
    };
    let why = sent().err().map(|error| error.to_string());
    stop(&format!(
        "the program could not be started anew: {}",
        why.unwrap_or_default()
    ))
}
