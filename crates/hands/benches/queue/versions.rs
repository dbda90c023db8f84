//! Which versions are measured: those in `Cargo.lock`, as nothing else can have been built.

use std::process::Command;

use super::shared::locked;

const PEERS: [&str; 5] = [
    "crossbeam-channel",
    "flume",
    "async-channel",
    "kanal",
    "tokio",
];

/// Name and version of all that take part.
pub(crate) fn all() -> Vec<(&'static str, String)> {
    let mut all = vec![("hands", env!("CARGO_PKG_VERSION").to_owned())];
    all.extend(PEERS.map(|name| (name, locked(name).unwrap_or("unknown").to_owned())));
    all.push(("std", of_rust()));
    all
}

/// The standard library does not say it; the compiler has the same version.
fn of_rust() -> String {
    let told = Command::new("rustc").arg("--version").output();
    let text = told.map_or_else(
        |_| String::new(),
        |told| String::from_utf8_lossy(&told.stdout).into_owned(),
    );
    let version = text.split(' ').nth(1).unwrap_or("of an unknown Rust");
    version.to_owned()
}
