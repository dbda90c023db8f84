//! Who may what: the lists of the crate's page, encrypted connections, keys, old servers.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use hands::pool::Pool;
use hands_cluster::{Cluster, ClusterError, worker};

use crate::conformance::pool::{square, the_same};
use crate::server::Server;
use crate::support::{folder, in_time};

/// The lists of rights that the crate's page has, for the pool `p`: publish and subscribe.
fn listed(who: &str) -> [Vec<String>; 2] {
    let page = include_str!("../../src/lib.rs");
    let row = page
        .lines()
        .find(|line| line.starts_with(&format!("//! | {who} |")));
    let cells: Vec<&str> = row.expect("a row").split('|').collect();
    [cells[2], cells[3]].map(|cell| {
        let quoted = cell.split('`').skip(1).step_by(2);
        quoted.map(str::to_owned).collect()
    })
}

fn rights(who: &str) -> String {
    let [publish, subscribe] = listed(who).map(|list| format!("{list:?}"));
    format!("permissions: {{ publish: {publish}, subscribe: {subscribe} }}")
}

#[test]
fn submitters_and_workers_need_no_more_than_what_is_listed() {
    in_time(|| {
        let server = Server::with(&format!(
            "authorization {{ users: [\n{{ user: all, password: x }}\n{{ user: submits, password: x, {} }}\n{{ user: works, password: x, {} }}\n] }}",
            rights("submitter"),
            rights("worker"),
        ));
        let url = server.url();
        // Who may do all makes the pool.
        let maker = Cluster::builder(&url).user("all", "x").pool("p");
        drop(maker.connect().unwrap().notes().unwrap());
        drop(
            worker(&url)
                .user("all", "x")
                .pool("p")
                .on_threads()
                .slots(1)
                .start()
                .unwrap(),
        );
        let works = worker(&url)
            .user("works", "x")
            .pool("p")
            .on_threads()
            .slots(1);
        let _works = works.start().unwrap();
        let pool = Cluster::builder(&url)
            .user("submits", "x")
            .pool("p")
            .connect()
            .unwrap();
        assert_eq!(pool.submit(square, 12).join(), Ok(144));
        let long = "x".repeat(2 << 20);
        assert!(pool.submit(the_same, long.clone()).join() == Ok(long));
        let (id, _) = pool.submit_named(square, 3);
        assert_eq!(pool.handle::<u64>(&id).join(), Ok(9));
        pool.submit(square, 4).cancel();
        pool.join();
        crate::feed::read_all(&pool, 40);
        let notes = pool.notes().unwrap();
        notes.add("kind", b"note".to_vec()).unwrap();
        assert_eq!(notes.read().unwrap().len(), 1);
        notes.remove();
        assert!(notes.read().unwrap().is_empty());
        assert_eq!(
            pool.ask_statuses(std::time::Duration::from_millis(500))
                .len(),
            1
        );
    });
}

#[test]
fn a_submitter_cannot_take_tasks_and_a_worker_cannot_submit_them() {
    in_time(|| {
        let [publish, _] = listed("worker");
        assert!(
            !publish
                .iter()
                .any(|subject| subject.starts_with("hands.p.task"))
        );
        let [publish, _] = listed("submitter");
        assert!(
            !publish
                .iter()
                .any(|subject| subject.contains("CONSUMER.MSG.NEXT.HANDS_p_TASKS"))
        );
    });
}

/// A certificate of its own authority, for the loopback.
fn certificates(folder: &Path) {
    let script = r#"
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ours -keyout ca.key -out ca.pem
        openssl req -newkey rsa:2048 -nodes -subj /CN=server -keyout server.key -out server.csr
        printf 'subjectAltName=IP:127.0.0.1\n' >ext
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out server.pem
    "#;
    let made = Command::new("sh")
        .args(["-ec", script])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
}

#[test]
fn an_encrypted_connection_is_made_with_whom_it_trusts_and_with_nobody_else() {
    in_time(|| {
        let folder = folder();
        certificates(folder.path());
        let path = |name: &str| folder.path().join(name).display().to_string();
        let config = format!(
            "tls {{ cert_file: {:?}, key_file: {:?} }}",
            path("server.pem"),
            path("server.key")
        );
        let server = Server::with(&config);
        let untrusted = Cluster::builder(&server.url())
            .require_tls()
            .connect()
            .unwrap_err();
        assert!(
            matches!(untrusted, ClusterError::Connect { .. }),
            "{untrusted}"
        );
        let trusts = Cluster::builder(&server.url()).root_certificates(path("ca.pem"));
        drop(trusts.require_tls().connect().unwrap());

        let plain = Server::start();
        let refused = Cluster::builder(&plain.url())
            .require_tls()
            .connect()
            .unwrap_err();
        assert!(matches!(refused, ClusterError::Connect { .. }), "{refused}");
        let missing = Cluster::builder(&plain.url())
            .root_certificates("/nowhere/ca.pem")
            .connect();
        assert!(missing.unwrap_err().to_string().contains("/nowhere/ca.pem"));
    });
}

#[test]
fn a_key_that_the_server_knows_is_let_in() {
    in_time(|| {
        // A pair that was made for this test.
        let (seed, public) = (
            "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY",
            "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4",
        );
        let server = Server::with(&format!(
            "authorization {{ users: [{{ nkey: {public} }}] }}"
        ));
        drop(
            Cluster::builder(&server.url())
                .nkey(seed)
                .connect()
                .unwrap(),
        );
        let other = Cluster::connect(&server.url()).unwrap_err();
        assert!(matches!(other, ClusterError::Refused { .. }), "{other}");
    });
}

#[test]
fn an_old_server_is_refused_by_its_version() {
    in_time(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("nats://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                let info = r#"INFO {"server_id":"x","server_name":"x","version":"2.9.10","go":"x","host":"127.0.0.1","port":1,"headers":true,"max_payload":1048576,"proto":1,"jetstream":true}"#;
                let _ = connection.write_all(format!("{info}\r\n").as_bytes());
                // Whatever is said, it is a ping that is to be answered.
                let mut said = [0; 4096];
                while connection.read(&mut said).is_ok_and(|length| length > 0) {
                    let _ = connection.write_all(b"PONG\r\n");
                }
            }
        });
        let refused = Cluster::connect(&url).unwrap_err();
        assert_eq!(
            refused,
            ClusterError::TooOld {
                version: "2.9.10".to_owned()
            }
        );
        assert!(refused.to_string().contains("2.11 or later"));
    });
}
