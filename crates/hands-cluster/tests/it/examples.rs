//! The examples say what they promise to say. They are built with the tests.

use std::process::{Child, Command, Stdio};

use crate::server::Server;
use crate::support::in_time;

fn example(name: &str, words: &[&str]) -> Command {
    let tests = std::env::current_exe().unwrap();
    let folder = tests.parent().and_then(|deps| deps.parent()).unwrap();
    // Ended with the test.
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL"])
        .arg(folder.join("examples").join(name))
        .args(words);
    command.stdin(Stdio::null());
    command
}

fn output(name: &str, words: &[&str]) -> String {
    let output = example(name, words).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {} {told}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn anywhere_gives_one_answer_on_every_kind_of_worker() {
    in_time(|| {
        let server = Server::start();
        let works = example("anywhere", &["--work", &server.url()]).spawn();
        let _works = Ended(works.unwrap());
        for on in ["threads", "processes", "coroutines", &server.url()] {
            let output = output("anywhere", &["--on", on]);
            assert_eq!(output, "78498 primes below 1000000\n", "{on}");
        }
        let refused = example("anywhere", &["--at"]).output().unwrap();
        assert!(!refused.status.success());
        let told = String::from_utf8_lossy(&refused.stderr);
        assert!(told.contains("Error: \"write `--on threads`"), "{told}");
    });
}

#[test]
fn shared_queue_squares_each_number_once_on_two_programs() {
    in_time(|| {
        let server = Server::start();
        let url = server.url();
        let works = || {
            example("shared_queue", &["work", &url])
                .stdout(Stdio::null())
                .spawn()
        };
        let _works = [(); 2].map(|()| Ended(works().unwrap()));
        let output = output("shared_queue", &["put", &url]);
        assert!(output.contains("7 * 7 = 49"), "{output}");
        assert!(output.ends_with("the sum is 385\n"), "{output}");
    });
}
