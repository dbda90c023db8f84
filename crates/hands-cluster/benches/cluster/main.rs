//! The pool on machines beside the bare client doing the same by hand: the limit that it is
//! measured against. Both use one server, one connection a side, and the same writes: a task, its outcome if
//! there is none, a confirmed acknowledgement. `benches/README.md` says how to read the table.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark is there to be read"
)]

#[path = "../../../../benches/options.rs"]
mod options;
mod raw;
#[path = "../../../../benches/shared.rs"]
#[allow(dead_code, reason = "each benchmark uses a part of it")]
mod shared;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use hands::pool::Pool;
use hands_cluster::{Cluster, worker};

use crate::options::Options;

const NAMES: [&str; 3] = ["round-trip", "one-by-one", "together"];

#[hands::task]
fn nothing((): ()) {}

/// A server in a folder of its own.
struct Server {
    child: std::process::Child,
    folder: std::path::PathBuf,
    url: String,
}

impl Server {
    fn start() -> Result<Server, String> {
        let text = |error: std::io::Error| error.to_string();
        let binary = std::process::Command::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../.ci/nats-server"
        ));
        let found = { binary }.output().map_err(text)?;
        let binary = String::from_utf8_lossy(&found.stdout).trim().to_owned();
        let folder = std::env::temp_dir().join(format!("hands-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(text)?;
        let shown = folder.display().to_string();
        let child = std::process::Command::new("setpriv")
            .args([
                "--pdeathsig",
                "KILL",
                &binary,
                "-a",
                "127.0.0.1",
                "-p",
                "-1",
                "-js",
            ])
            .args(["-sd", &shown, "--ports_file_dir", &shown])
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .map_err(text)?;
        let name = std::path::Path::new(&binary)
            .file_name()
            .unwrap_or_default();
        let ports = folder.join(format!("{}_{}.ports", name.to_string_lossy(), child.id()));
        let since = Instant::now();
        loop {
            let said = std::fs::read_to_string(&ports).unwrap_or_default();
            let port = said
                .split("nats://")
                .nth(1)
                .and_then(|rest| rest.split('"').next());
            if let Some(address) = port {
                let url = format!("nats://{address}");
                return Ok(Server { child, folder, url });
            }
            if since.elapsed() > Duration::from_secs(20) {
                return Err("the server does not start".to_owned());
            }
            std::thread::yield_now();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn main() -> ExitCode {
    let _hands = hands::init();
    match Options::from_words(std::env::args().skip(1), "cluster", &NAMES)
        .and_then(|options| run(&options))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(told) => {
            eprintln!("{told}");
            ExitCode::from(2)
        }
    }
}

/// Seconds that each of `times` took.
fn each(times: usize, mut once: impl FnMut() -> Result<(), String>) -> Result<Vec<f64>, String> {
    let timed = |_| {
        let since = Instant::now();
        once()?;
        Ok(since.elapsed().as_secs_f64())
    };
    (0..times).map(timed).collect()
}

fn run(options: &Options) -> Result<(), String> {
    let times = if options.quick { 200 } else { 2000 };
    let tasks = if options.quick { 2000 } else { 20_000 };
    let slots = 100;
    println!(
        "{}; {} rounds, nats-server with its defaults",
        shared::machine(),
        options.runs
    );
    let (mut ours, mut bare) = ([const { Vec::new() }; 3], [const { Vec::new() }; 2]);
    for _ in 0..options.runs {
        let server = Server::start()?;
        let said = |error: hands_cluster::ClusterError| error.to_string();
        {
            let _worker = worker(&server.url)
                .on_threads()
                .slots(slots)
                .start()
                .map_err(said)?;
            let pool = Cluster::connect(&server.url).map_err(said)?;
            let outcome =
                |outcome: hands::task::Outcome<()>| outcome.map_err(|error| error.to_string());
            each(20, || outcome(pool.submit(nothing, ()).join()))?;
            ours[0].push(shared::median(each(times, || {
                outcome(pool.submit(nothing, ()).join())
            })?));
            let since = Instant::now();
            let handles: Vec<_> = (0..tasks).map(|_| pool.submit(nothing, ())).collect();
            handles
                .into_iter()
                .try_for_each(|handle| outcome(handle.join()))?;
            ours[1].push(since.elapsed().as_secs_f64() / f64::from(tasks));
            let since = Instant::now();
            let many = pool.submit_many(nothing, (0..10 * tasks).map(|_| ()));
            many.into_iter().try_for_each(outcome)?;
            ours[2].push(since.elapsed().as_secs_f64() / f64::from(10 * tasks));
        }
        let raw = raw::Raw::new(&server.url)?;
        each(20, || raw.round_trip())?;
        bare[0].push(shared::median(each(times, || raw.round_trip())?));
        bare[1].push(raw.many(tasks)? / f64::from(tasks));
    }
    let [ours_trip, ours_one, ours_many] = ours.map(shared::median);
    let [bare_trip, bare_one] = bare.map(shared::median);
    let micros = |seconds: f64| format!("{:.0} µs", 1e6 * seconds);
    println!("| | hands | the bare client | hands takes |");
    println!("|---|---|---|---|");
    println!(
        "| submit, run, durable outcome, joined: p50 | {} | {} | {:.2} × its time |",
        micros(ours_trip),
        micros(bare_trip),
        ours_trip / bare_trip
    );
    println!(
        "| a task of many, each on its own, 100 at a time | {} | {} | {:.2} × its rate |",
        micros(ours_one),
        micros(bare_one),
        bare_one / ours_one
    );
    println!(
        "| a task of many, submitted together | {} | {} | {:.2} × its rate |",
        micros(ours_many),
        micros(bare_one),
        bare_one / ours_many
    );
    Ok(())
}
