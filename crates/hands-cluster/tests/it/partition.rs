//! What a network does that has parted: nothing arrives, and nobody is told.
//!
//! Between the two stands a relay that holds back what it has heard while it is cut, as a network
//! does whose senders send again; no connection ends by that.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use hands::pool::Pool;
use hands_cluster::Cluster;

use crate::faults::{HOLD, Killed, begun, mark, pool};
use crate::server::Server;
use crate::support::{fifo, folder, in_time};

/// A way to a server that can be cut.
struct Relay {
    port: u16,
    is_cut: Arc<(Mutex<bool>, Condvar)>,
}

impl Relay {
    fn to(server: &Server) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let is_cut = Arc::<(Mutex<bool>, Condvar)>::default();
        let (to, cut) = (server.port, Arc::clone(&is_cut));
        // Ends with the tests' process, as nobody connects any more.
        thread::spawn(move || {
            for here in listener.incoming() {
                let here = here.unwrap();
                let Ok(there) = TcpStream::connect(("127.0.0.1", to)) else {
                    continue;
                };
                let ways = [
                    (here.try_clone().unwrap(), there.try_clone().unwrap()),
                    (there, here),
                ];
                for (from, to) in ways {
                    let cut = Arc::clone(&cut);
                    thread::spawn(move || carry(from, to, &cut));
                }
            }
        });
        Relay { port, is_cut }
    }

    fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    fn cut(&self) {
        *self.is_cut.0.lock().unwrap() = true;
    }

    fn mend(&self) {
        *self.is_cut.0.lock().unwrap() = false;
        self.is_cut.1.notify_all();
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, cut: &(Mutex<bool>, Condvar)) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        let is_cut = cut.0.lock().unwrap();
        drop(cut.1.wait_while(is_cut, |is_cut| *is_cut).unwrap());
        if to.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

/// The first time it says that it has come, and does not end by itself.
#[hands::task]
fn stays_once((folder, gate): (PathBuf, PathBuf)) -> u64 {
    mark(&folder, 3);
    if begun(&folder, 3) == 1 {
        std::fs::write(gate, "").unwrap();
        loop {
            thread::park();
        }
    }
    3
}

#[test]
fn a_worker_that_is_cut_off_loses_its_task_and_works_again_when_it_is_back() {
    in_time(|| {
        let server = Server::start();
        let relay = Relay::to(&server);
        let pool = pool(&server);
        let (folder, gate) = (folder(), folder());
        let gate = fifo(gate.path(), "gate");
        let vars = [("SERVER", relay.url())];
        let cut_off = Killed::with("a_worker", &vars);
        let input = (folder.path().to_owned(), gate.clone());
        let (id, handle) = pool.submit_named(stays_once, input.clone());
        std::fs::read(&gate).unwrap();
        relay.cut();
        let other = Killed::new("a_worker", &server);
        assert_eq!(handle.join(), Ok(3));
        drop(other);
        relay.mend();
        // It has one slot, which what it was at has left.
        assert_eq!(pool.submit(stays_once, input).join(), Ok(3));
        assert_eq!(begun(folder.path(), 3), 3);
        assert_eq!(pool.handle::<u64>(&id).join(), Ok(3));
        drop(cut_off);
    });
}

#[test]
fn who_is_cut_off_hears_of_each_outcome_when_it_is_back() {
    in_time(|| {
        let server = Server::start();
        let relay = Relay::to(&server);
        let builder = Cluster::builder(&relay.url()).hold(HOLD);
        let pool = builder.connect().unwrap();
        let folder = folder();
        let gate = fifo(folder.path(), "gate");
        let input = (folder.path().to_owned(), gate.clone());
        let handles: Vec<_> = (0..20)
            .map(|_| pool.submit(stays_once, input.clone()))
            .collect();
        // While it is cut off, all of them run but the first, which its worker loses.
        let first = Killed::new("a_worker", &server);
        std::fs::read(&gate).unwrap();
        relay.cut();
        drop(first);
        let _second = Killed::new("a_worker", &server);
        server.await_kept("HANDS_default_TASKS", 0);
        relay.mend();
        for handle in handles {
            assert_eq!(handle.join(), Ok(3));
        }
    });
}
