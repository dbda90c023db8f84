//! A real server of a test's own: on a free port, in a folder of its own, ended with the test.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// So long may a server take to be there.
const START: Duration = Duration::from_secs(30);

pub(crate) struct Server {
    folder: TempDir,
    child: Option<Child>,
    pub(crate) port: u16,
    monitor: u16,
    config: String,
}

/// The binary, fetched by `.ci/nats-server` if it is not there.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let output = Command::new(root.join(".ci/nats-server"))
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .expect("bash");
        assert!(output.status.success(), "no server to test with");
        PathBuf::from(String::from_utf8(output.stdout).expect("text").trim())
    })
}

impl Server {
    pub(crate) fn start() -> Server {
        Server::with("")
    }

    /// With more in its configuration.
    pub(crate) fn with(config: &str) -> Server {
        let folder = tempfile::tempdir().expect("a folder");
        let mut server = Server {
            folder,
            child: None,
            port: 0,
            monitor: 0,
            config: config.to_owned(),
        };
        server.run();
        server
    }

    pub(crate) fn without_jetstream() -> Server {
        Server::with("no-jetstream")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts it, on the port that it had before.
    pub(crate) fn run(&mut self) {
        let port = match self.port {
            0 => "-1".to_owned(),
            port => port.to_string(),
        };
        let folder = self.folder.path().display().to_string();
        let (keeps, more) = match self.config.as_str() {
            "no-jetstream" => (String::new(), ""),
            more => (
                format!("jetstream {{ store_dir: \"{folder}/store\" }}"),
                more,
            ),
        };
        let listen = format!("listen: 127.0.0.1:{port}\nhttp: 127.0.0.1:-1");
        let config = format!("{listen}\nports_file_dir: \"{folder}\"\n{keeps}\n{more}\n");
        fs::write(self.path("server.conf"), config).expect("a file");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.path("log"))
            .expect("a log");
        // Ended with the test, also when that is killed.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(binary())
            .arg("-c")
            .arg(self.path("server.conf"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a copy"))
            .stderr(log)
            .spawn()
            .expect("a server");
        // Named after the program's file and its number.
        let name = binary().file_name().expect("a name").to_string_lossy();
        let ports = self.path(&format!("{name}_{}.ports", child.id()));
        self.child = Some(child);
        let since = Instant::now();
        loop {
            let text = fs::read_to_string(&ports).unwrap_or_default();
            let port_of = |what: &str| {
                let after = text.split(&format!("\"{what}\"")).nth(1)?;
                let digits = after.split("127.0.0.1:").nth(1)?;
                let digits = digits.chars().take_while(char::is_ascii_digit);
                digits.collect::<String>().parse().ok()
            };
            if let (Some(port), Some(monitor)) = (port_of("nats"), port_of("monitoring")) {
                (self.port, self.monitor) = (port, monitor);
                return;
            }
            let log = || fs::read_to_string(self.path("log")).unwrap_or_default();
            assert!(
                since.elapsed() < START,
                "the server does not start: {}",
                log()
            );
            std::thread::yield_now();
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a pid"), signal).expect("a signal");
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("a kill");
            child.wait().expect("an end");
        }
    }

    /// Waits until a stream of it holds this number of messages.
    pub(crate) fn await_kept(&self, stream: &str, messages: u64) {
        let since = Instant::now();
        while self.kept(stream) != messages {
            assert!(since.elapsed() < START, "it holds {}", self.kept(stream));
            std::thread::yield_now();
        }
    }

    /// How many messages a stream of it holds.
    pub(crate) fn kept(&self, stream: &str) -> u64 {
        let mut connection = TcpStream::connect(("127.0.0.1", self.monitor)).expect("a monitor");
        let request = "GET /jsz?streams=true HTTP/1.0\r\n\r\n";
        connection.write_all(request.as_bytes()).expect("a request");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).expect("an answer");
        let of = answer.split(&format!("\"name\": \"{stream}\"")).nth(1);
        let digits = of
            .and_then(|of| of.split("\"messages\": ").nth(1))
            .expect("a stream");
        let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("a number")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
