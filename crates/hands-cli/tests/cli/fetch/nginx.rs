//! A real web server: nginx, with TLS and HTTP/2, names and passwords, and limits.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::files;
use super::server::noise;
use crate::stage::Stage;

/// It runs until the test ends.
struct Nginx {
    process: Child,
    plain: u16,
    tls: u16,
}

fn port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}

fn run(folder: &Path, program: &str, words: &[&str]) {
    let output = Command::new(program)
        .args(words)
        .current_dir(folder)
        .output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(
        output.status.success(),
        "{program} {words:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

impl Nginx {
    /// Serves `www`, and makes certificates: that of an authority in `ca.pem`, that of a client in
    /// `client.pem`.
    fn new(stage: &Stage) -> Nginx {
        let folder = stage.folder();
        fs::create_dir_all(folder.join("www")).expect("a folder");
        for name in ["ca", "server", "client"] {
            run(
                folder,
                "openssl",
                &[
                    "ecparam",
                    "-name",
                    "prime256v1",
                    "-genkey",
                    "-noout",
                    "-out",
                    &format!("{name}.key"),
                ],
            );
        }
        let request = [
            "req", "-x509", "-new", "-key", "ca.key", "-subj", "/CN=test", "-days", "30", "-out",
            "ca.pem",
        ];
        run(folder, "openssl", &request);
        stage.write(
            "san",
            "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n",
        );
        for name in ["server", "client"] {
            let (key, csr, pem) = (
                format!("{name}.key"),
                format!("{name}.csr"),
                format!("{name}.crt"),
            );
            run(
                folder,
                "openssl",
                &[
                    "req",
                    "-new",
                    "-key",
                    &key,
                    "-subj",
                    "/CN=localhost",
                    "-out",
                    &csr,
                ],
            );
            run(
                folder,
                "openssl",
                &[
                    "x509",
                    "-req",
                    "-in",
                    &csr,
                    "-CA",
                    "ca.pem",
                    "-CAkey",
                    "ca.key",
                    "-CAcreateserial",
                    "-days",
                    "30",
                    "-extfile",
                    "san",
                    "-out",
                    &pem,
                ],
            );
        }
        run(
            folder,
            "openssl",
            &[
                "pkcs8",
                "-topk8",
                "-nocrypt",
                "-in",
                "client.key",
                "-out",
                "client.pem",
            ],
        );
        let pem = format!("{}{}", stage.text("client.crt"), stage.text("client.pem"));
        stage.write("client.pem", pem);
        stage.write("users", "me:{PLAIN}secret\n");
        let (plain, tls) = (port(), port());
        let here = folder.display();
        stage.write(
            "nginx.conf",
            format!(
                "daemon off; worker_processes 1; pid {here}/pid; error_log stderr crit;
                events {{ worker_connections 512; }}
                http {{
                  access_log {here}/access.log;
                  client_body_temp_path {here}/t1; proxy_temp_path {here}/t2; fastcgi_temp_path {here}/t3;
                  uwsgi_temp_path {here}/t4; scgi_temp_path {here}/t5;
                  limit_req_zone $server_name zone=few:64k rate=20r/s;
                  gzip on; gzip_types *; gzip_min_length 100;
                  server {{
                    listen 127.0.0.1:{plain}; root {here}/www;
                    location /secret/ {{ alias {here}/www/; auth_basic x; auth_basic_user_file {here}/users; }}
                    location /few/ {{ alias {here}/www/; limit_req zone=few; }}
                    location /slow/ {{ alias {here}/www/; limit_rate 2m; }}
                  }}
                  server {{
                    listen 127.0.0.1:{tls} ssl http2; root {here}/www; ssl_certificate {here}/server.crt; ssl_certificate_key {here}/server.key;
                    ssl_client_certificate {here}/ca.pem; ssl_verify_client optional;
                    location /known/ {{ alias {here}/www/; if ($ssl_client_verify != SUCCESS) {{ return 403; }} }}
                  }}
                }}"
            ),
        );
        let mut command = Command::new("nginx");
        command
            .arg("-c")
            .arg(folder.join("nginx.conf"))
            .arg("-e")
            .arg("stderr");
        let process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let nginx = Nginx {
            process: process.expect("nginx"),
            plain,
            tls,
        };
        while std::net::TcpStream::connect(("127.0.0.1", tls)).is_err() {
            std::thread::yield_now();
        }
        nginx
    }

    fn plain(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.plain)
    }

    fn tls(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.tls)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master ends its worker with itself, but not when it is killed.
        if let Some(pid) = rustix::process::Pid::from_raw(self.process.id().cast_signed()) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.process.wait();
    }
}

#[test]
fn over_tls_it_speaks_http_2_and_trusts_whom_it_is_told_to() {
    let stage = Stage::new();
    let nginx = Nginx::new(&stage);
    for n in 0..50 {
        stage.write(&format!("www/{n}"), noise(1000 + n, n as u64));
    }
    let list: String = (0..50)
        .map(|n| nginx.tls(&format!("/{n}")) + "\n")
        .collect();
    stage.write("urls", list);
    stage
        .fetch(&["-i", "urls", "-d", "out", "--cacert", "ca.pem"])
        .end()
        .with_code(0);
    assert!((0..50).all(|n| stage.bytes(&format!("out/{n}")) == noise(1000 + n, n as u64)));
    assert!(
        stage
            .text("access.log")
            .lines()
            .all(|line| line.contains("HTTP/2.0"))
    );
    stage
        .fetch(&[&nginx.tls("/1"), "--retries", "1"])
        .end()
        .with_code(1)
        .says("certificate");
    stage
        .fetch(&[&nginx.tls("/1"), "--insecure", "--http1.1", "-o", "x"])
        .end()
        .with_code(0);
    stage
        .fetch(&[&nginx.tls("/known/1"), "--cacert", "ca.pem"])
        .end()
        .with_code(1)
        .says("403");
    stage
        .fetch(&[
            &nginx.tls("/known/1"),
            "--cacert",
            "ca.pem",
            "--cert",
            "client.pem",
            "-o",
            "y",
        ])
        .end()
        .with_code(0);
    assert_eq!(stage.bytes("y"), noise(1001, 1));
}

#[test]
fn names_passwords_limits_ranges_and_compression() {
    let stage = Stage::new();
    let nginx = Nginx::new(&stage);
    stage.write("www/text", "text ".repeat(20_000));
    stage.write("www/big", noise(6 << 20, 1));
    stage
        .fetch(&[&nginx.plain("/secret/text"), "-q"])
        .end()
        .with_code(1)
        .says("401");
    stage
        .fetch(&[&nginx.plain("/secret/text"), "-u", "me:secret", "-o", "a"])
        .end()
        .with_code(0);
    assert_eq!(stage.text("a").len(), 100_000);
    let ended = stage
        .fetch(&[&nginx.plain("/text"), "--compressed", "-o", "b"])
        .end()
        .with_code(0);
    assert_eq!(stage.text("b").len(), 100_000);
    ended.says("97.7 KiB");
    // It allows 20 a second, and says 503 to the others.
    let list: String = (0..12)
        .map(|n| {
            format!(
                "{}\n  out=few/{n}\n",
                nginx.plain(&format!("/few/text?{n}"))
            )
        })
        .collect();
    stage.write("urls", list);
    stage
        .fetch(&["-i", "urls", "--retry-delay", "0.1", "--retries", "0"])
        .end()
        .with_code(0);
    assert_eq!(files(&stage.path("few")).len(), 12);
    stage
        .fetch(&[&nginx.plain("/big"), "--segments", "4", "-o", "c"])
        .end()
        .with_code(0);
    assert!(stage.bytes("c") == noise(6 << 20, 1));
    assert_eq!(
        stage
            .text("access.log")
            .lines()
            .filter(|line| line.contains("/big ") && line.contains(" 206 "))
            .count(),
        3
    );
    stage
        .fetch(&[&nginx.plain("/text"), "-N", "-d", "dated"])
        .end()
        .with_code(0)
        .says("1 ok");
    stage
        .fetch(&[&nginx.plain("/text"), "-N", "-d", "dated"])
        .end()
        .with_code(0)
        .says("1 unchanged");
}

#[test]
fn killed_in_the_middle_of_a_batch_only_the_rest_is_fetched() {
    let stage = Stage::new();
    let nginx = Nginx::new(&stage);
    for n in 0..6 {
        stage.write(&format!("www/{n}"), noise(1 << 20, n));
    }
    let list: String = (0..6)
        .map(|n| nginx.plain(&format!("/slow/{n}")) + "\n")
        .collect();
    stage.write("urls", list);
    let playing = stage.fetch(&["-i", "urls", "-d", "out"]).start();
    let come =
        |n: u64| fs::metadata(stage.path(&format!("out/{n}.part"))).map_or(0, |part| part.len());
    while (0..6).map(come).sum::<u64>() < 3 << 20 {
        std::thread::yield_now();
    }
    playing.signal(rustix::process::Signal::KILL);
    playing.end();
    let had: u64 = (0..6).map(come).sum();
    // The server writes down what it has sent to one that is gone when it notices that.
    while stage.text("access.log").lines().count() < 6 {
        std::thread::yield_now();
    }
    fs::write(stage.path("access.log"), "").expect("room");
    stage
        .fetch(&["-i", "urls", "-d", "out", "--no-clobber"])
        .end()
        .with_code(0);
    assert!((0..6).all(|n| stage.bytes(&format!("out/{n}")) == noise(1 << 20, n)));
    let whole = (0..6).filter(|&n| come(n) == 0).count();
    assert_eq!(whole, 6, "no part is left");
    // The tenth word of a line is how many bytes of the body were sent.
    let sent: u64 = stage
        .text("access.log")
        .lines()
        .filter_map(|line| line.split(' ').nth(9)?.parse::<u64>().ok())
        .sum();
    assert_eq!(sent, (6 << 20) - had);
}
