//! What a run of downloads tells, without a terminal or a command line.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use hands::event::{EventKind, TaskEnd};
use hands_fetch::{Fetch, FetchEvent, FetchPlan};

hands::entry!();

/// Answers each request by its path: `/n` is n bytes long, `/none` is not there.
fn server() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.expect("a connection");
            let mut lines = BufReader::new(connection.try_clone().expect("a copy")).lines();
            let first = lines.next().expect("a line").expect("text");
            lines.find(|line| line.as_ref().is_ok_and(String::is_empty));
            let path = first
                .split(' ')
                .nth(1)
                .expect("a path")
                .trim_start_matches('/');
            let close = "Connection: close\r\n";
            let sent = match path.parse::<usize>() {
                Ok(length) => {
                    let head =
                        format!("HTTP/1.1 200 OK\r\n{close}Content-Length: {length}\r\n\r\n");
                    connection.write_all(&[head.as_bytes(), &vec![b'x'; length]].concat())
                }
                Err(_) => connection.write_all(
                    format!("HTTP/1.1 404 Not Found\r\n{close}Content-Length: 0\r\n\r\n")
                        .as_bytes(),
                ),
            };
            // Who asks may go away.
            drop(sent);
        }
    });
    address
}

#[test]
fn each_file_is_told_with_its_bytes_and_how_it_ended() {
    let address = server();
    let folder = tempfile::tempdir().expect("a folder");
    let paths = ["10", "none", "200000"];
    let mut plan = FetchPlan::of(paths.map(|path| format!("http://{address}/{path}")));
    plan.files.dir = Some(folder.path().to_owned());
    let fetch = Fetch::start(plan).expect("a run");
    let mut listener = fetch.work_events().listen().expect("a place");
    let ends = fetch
        .events()
        .filter(|event| matches!(event, FetchEvent::End { .. }));
    assert_eq!(ends.count(), 3);
    let mut moved = BTreeMap::new();
    let mut ended = BTreeMap::new();
    for event in listener.by_ref() {
        match event.kind {
            EventKind::Moved { task, bytes, .. } => *moved.entry(task).or_insert(0) += bytes,
            EventKind::Finished { task, how, .. } => assert_eq!(ended.insert(task, how), None),
            _ => {}
        }
    }
    // Some may have been over before anybody listened.
    for (task, how) in ended {
        let expected = if task == 2 {
            TaskEnd::Failed
        } else {
            TaskEnd::Well
        };
        assert_eq!(how, expected, "{task}");
    }
    assert!(moved.values().sum::<u64>() <= 200_010);
    assert_eq!(fetch.progress().bytes, 200_010);
    let length = |name: &str| {
        std::fs::metadata(folder.path().join(name))
            .expect("a file")
            .len()
    };
    assert_eq!((length("10"), length("200000")), (10, 200_000));
}
