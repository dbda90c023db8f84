//! What stands under its name is told as `ok`, also by a run that is interrupted; and nothing else
//! does.

use std::collections::BTreeSet;
use std::sync::mpsc::sync_channel;

use rustix::process::Signal;
use serde_json::Value;

use super::files;
use super::server::Server;
use crate::stage::{Playing, Stage};

const FILES: usize = 200;

/// The files that were told as `ok`.
fn told(out: &str) -> BTreeSet<String> {
    let events = out
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let ok = events.filter(|event| event["state"] == "ok");
    ok.filter_map(|event| Some(event["file"].as_str()?.to_owned()))
        .collect()
}

#[test]
fn an_interrupted_batch_tells_of_what_it_has_named() {
    for moment in (0..20).map(|number| 1 + number * (FILES / 20)) {
        let (seen, wait) = sync_channel::<()>(2 * FILES);
        let server = Server::new(move |asked, out| {
            let _ = seen.send(());
            out.answer("200 OK", &[], asked.path.as_bytes());
        });
        let stage = Stage::new();
        let urls = server.url(&format!("/[1-{FILES}]"));
        let first: Playing = stage.fetch(&[&urls, "--json", "-d", "out"]).start();
        for _ in 0..moment {
            wait.recv().expect("a request");
        }
        first.signal(Signal::INT);
        let first = first.end().calmly();
        let there: BTreeSet<String> = match stage.path("out").exists() {
            true => files(&stage.path("out"))
                .into_iter()
                .map(|name| format!("out/{name}"))
                .collect(),
            false => BTreeSet::new(),
        };
        let whole = there.into_iter().filter(|name| !name.contains(".part"));
        let whole: BTreeSet<String> = whole.collect();
        assert_eq!(whole, told(first.out()), "after {moment} requests");
        let second = stage
            .fetch(&[&urls, "--json", "-d", "out", "--no-clobber"])
            .end();
        let second = told(second.with_code(0).out());
        assert!(whole.is_disjoint(&second));
        assert_eq!(whole.len() + second.len(), FILES);
    }
}
