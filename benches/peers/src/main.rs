//! `hands-peers WHAT N`: does something N times by another library, and prints the nanoseconds of one.

use std::time::Instant;

use ipc_channel::ipc::{IpcOneShotServer, IpcReceiver, IpcSender, channel};

type Item = [u64; 8];

/// The child's end of both channels.
type Ends = (IpcReceiver<Item>, IpcSender<u64>);

fn main() {
    // Where its processes begin, and do not return.
    procspawn::init();
    let words: Vec<String> = std::env::args().collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[1..] {
        ["ipc-queue", n] => measure("queue", n.parse().expect("a number")),
        ["ipc-pipe", n] => measure("pipe", n.parse().expect("a number")),
        ["procspawn-spawn", n] => spawn(n.parse().expect("a number")),
        ["pool-ping", n] => pool_ping(n.parse().expect("a number")),
        ["pool-queued", n] => pool_queued(n.parse().expect("a number")),
        ["child", what, server] => child(what, server),
        _ => panic!("hands-peers ipc-queue|ipc-pipe|procspawn-spawn|pool-ping|pool-queued N"),
    }
}

fn measure(what: &str, count: u64) {
    let (server, name) = IpcOneShotServer::<IpcSender<Ends>>::new().expect("a server");
    let own = std::env::current_exe().expect("our path");
    let mut child = std::process::Command::new(own)
        .args(["child", what, &name])
        .spawn()
        .expect("a child");
    let (_, bootstrap) = server.accept().expect("the child");
    let (items, child_items) = channel::<Item>().expect("a channel");
    let (child_answers, answers) = channel::<u64>().expect("a channel");
    bootstrap.send((child_items, child_answers)).expect("sent");
    let start = Instant::now();
    for n in 0..count {
        items.send([n; 8]).expect("sent");
        if what == "pipe" {
            assert_eq!(answers.recv().expect("an answer"), n);
        }
    }
    drop(items);
    let sum = answers.recv().expect("the sum");
    let spent = start.elapsed();
    assert_eq!(sum, count * count.saturating_sub(1) / 2, "no item is lost");
    println!("{}", spent.as_nanos() as f64 / count as f64);
    child.wait().expect("the child");
}

/// The median of starting a process that returns a number, to that number.
fn spawn(count: u64) {
    let mut times = Vec::new();
    for n in 0..count {
        let start = Instant::now();
        let back = procspawn::spawn(n, |n| n).join().expect("a number");
        times.push(start.elapsed().as_nanos() as f64);
        assert_eq!(back, n);
    }
    times.sort_by(f64::total_cmp);
    println!("{}", times[times.len() / 2]);
}

/// The median of a task to a pool with one worker and back.
fn pool_ping(count: u64) {
    let pool = procspawn::Pool::new(1).expect("a pool");
    let ping = |n: u64| {
        let back = pool.spawn(n, |n| n + 1).join().expect("a number");
        assert_eq!(back, n + 1);
    };
    // Its process starts with the first task.
    ping(0);
    let mut times = Vec::new();
    for n in 0..count {
        let start = Instant::now();
        ping(n);
        times.push(start.elapsed().as_nanos() as f64);
    }
    times.sort_by(f64::total_cmp);
    println!("{}", times[times.len() / 2]);
}

/// Tasks submitted to a pool with two workers, and joined. Not all of them at once: each has descriptors.
fn pool_queued(count: u64) {
    let pool = procspawn::Pool::new(2).expect("a pool");
    let add = |n: u64| n + 1;
    for handle in [(); 4].map(|()| pool.spawn(0, add)) {
        handle.join().expect("a number");
    }
    let start = Instant::now();
    let mut handles = std::collections::VecDeque::new();
    let mut sum = 0;
    for n in 0..count {
        handles.push_back(pool.spawn(n, add));
        if handles.len() > 100 {
            sum += handles
                .pop_front()
                .map_or(0, |handle| handle.join().expect("a number"));
        }
    }
    for handle in handles {
        sum += handle.join().expect("a number");
    }
    let spent = start.elapsed();
    assert_eq!(sum, count * (count + 1) / 2, "no task is lost");
    println!("{}", spent.as_nanos() as f64 / count as f64);
}

fn child(what: &str, server: &str) {
    let (sender, receiver) = channel::<Ends>().expect("a channel");
    let bootstrap = IpcSender::connect(server.to_owned()).expect("the parent");
    bootstrap.send(sender).expect("sent");
    let (items, answers) = receiver.recv().expect("the ends");
    let mut sum = 0;
    while let Ok(item) = items.recv() {
        sum += item[0];
        if what == "pipe" {
            answers.send(item[0]).expect("sent");
        }
    }
    answers.send(sum).expect("sent");
}
