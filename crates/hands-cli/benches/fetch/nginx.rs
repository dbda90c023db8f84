//! The server: nginx, with its files in memory.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::sizes::Sizes;

/// It serves until it is dropped.
pub(crate) struct Nginx {
    process: Child,
    port: u16,
    folder: PathBuf,
}

impl Nginx {
    pub(crate) fn start(sizes: &Sizes) -> Result<Nginx, String> {
        let wrong = |error: std::io::Error| format!("nginx: {error}");
        let folder = PathBuf::from(format!("/dev/shm/hands-bench-{}", std::process::id()));
        let files = folder.join("www");
        fs::create_dir_all(&files).map_err(wrong)?;
        for (name, count, bytes) in sizes.files() {
            for number in 0..count {
                let mut file =
                    fs::File::create(files.join(format!("{name}{number}"))).map_err(wrong)?;
                write(&mut file, bytes, number).map_err(wrong)?;
            }
        }
        let listener = TcpListener::bind("127.0.0.1:0").map_err(wrong)?;
        let port = listener.local_addr().map_err(wrong)?.port();
        drop(listener);
        let here = folder.display();
        let text = format!(
            "daemon off; worker_processes auto; pid {here}/pid; error_log stderr crit;
            events {{ worker_connections 4096; }}
            http {{
              access_log off; sendfile on; keepalive_requests 1000000; open_file_cache max=10000;
              client_body_temp_path {here}/t1; proxy_temp_path {here}/t2; fastcgi_temp_path {here}/t3;
              uwsgi_temp_path {here}/t4; scgi_temp_path {here}/t5;
              server {{ listen 127.0.0.1:{port} backlog=4096; root {here}/www; }}
            }}"
        );
        fs::write(folder.join("nginx.conf"), text).map_err(wrong)?;
        let process = Command::new("nginx")
            .arg("-c")
            .arg(folder.join("nginx.conf"))
            .args(["-e", "stderr"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(wrong)?;
        let mut server = Nginx {
            process,
            port,
            folder,
        };
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Ok(Some(status)) = server.process.try_wait() {
                return Err(format!("nginx ended at once: {status}"));
            }
            std::thread::yield_now();
        }
        Ok(server)
    }

    pub(crate) fn url(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}/{name}", self.port)
    }

    /// Where what is fetched into memory goes.
    pub(crate) fn memory(&self) -> PathBuf {
        self.folder.join("out")
    }

    pub(crate) fn lists(&self) -> &Path {
        &self.folder
    }
}

fn write(file: &mut fs::File, bytes: u64, seed: u64) -> std::io::Result<()> {
    let mut state = 2 * seed + 1;
    let mut left = usize::try_from(bytes).unwrap_or(usize::MAX);
    let mut buffer = vec![0; left.min(1 << 20)];
    while left > 0 {
        for eight in buffer.chunks_mut(8) {
            // Knuth's MMIX generator.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let random = state.to_le_bytes();
            eight.copy_from_slice(&random[..eight.len()]);
        }
        let part = left.min(buffer.len());
        file.write_all(&buffer[..part])?;
        left -= part;
    }
    Ok(())
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master ends its workers with itself, but not when it is killed.
        if let Some(pid) = rustix::process::Pid::from_raw(self.process.id().cast_signed()) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
