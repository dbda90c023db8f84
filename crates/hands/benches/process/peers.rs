//! Peers that are programs of their own: each is told what to do how often, and prints the
//! nanoseconds of one.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::contest::{Contestant, contestant};

/// Those that there are.
pub(crate) struct Peers {
    python: Option<PathBuf>,
    rust: Option<PathBuf>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../benches/peers")
}

/// Looks for Python, and for what `benches/run` has built of the other libraries.
pub(crate) fn found() -> Peers {
    let has_python = Command::new("python3").arg("--version").output();
    let built = folder().join("target/release/hands-peers");
    Peers {
        python: has_python.is_ok().then(|| "python3".into()),
        rust: built.exists().then_some(built),
    }
}

impl Peers {
    /// Something of Python's, which does `part` times fewer.
    pub(crate) fn python(
        &self,
        name: &'static str,
        what: &'static str,
        part: u64,
    ) -> Option<Contestant> {
        let program = self.python.clone()?;
        let script = folder().join("multiprocessing_bench.py");
        Some(contestant(name, move |count| {
            run(Command::new(&program).arg(&script).arg(what), count / part)
        }))
    }

    /// A library in Rust, which does `part` times fewer.
    pub(crate) fn rust(
        &self,
        name: &'static str,
        what: &'static str,
        part: u64,
    ) -> Option<Contestant> {
        let program = self.rust.clone()?;
        Some(contestant(name, move |count| {
            run(Command::new(&program).arg(what), count / part)
        }))
    }
}

fn run(command: &mut Command, count: u64) -> Result<f64, String> {
    let output = command.arg(count.max(1).to_string()).output();
    let output = output.map_err(|error| error.to_string())?;
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{}: {}", output.status, told.trim_end()));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim()
        .parse()
        .map_err(|_| format!("it printed `{}`", text.trim()))
}
