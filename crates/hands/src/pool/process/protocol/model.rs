//! The memory of a worker, in every order of the worker and its pool: with `--cfg hands_loom`,
//! whose words take the place of those in the memory. What goes through it is real: rings, claims,
//! what is laid ready, the lanes, and who sleeps for what.

use loom::thread;

use crate::pool::process::protocol::control_block::{
    ControlBlock, Damaged, FOR_ROOM, FOR_WORK, Header,
};
use crate::pool::process::protocol::slab::{Lane, Slab, announce};
use crate::pool::process::protocol::wake;
use crate::primitive::Ordering;

fn explore(body: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.max_branches = 100_000;
    model.check(body);
}

fn header(number: u64) -> Header {
    Header {
        number,
        count: 1,
        ..Header::default()
    }
}

fn control() -> ControlBlock {
    ControlBlock::new().expect("memory")
}

#[test]
fn a_request_arrives_whole_and_is_not_slept_through() {
    explore(|| {
        let control = control();
        let worker = thread::spawn({
            let control = control.clone();
            move || {
                let (mut requests, mut payload) = (control.requests(), Vec::new());
                loop {
                    if let Some(got) = requests.get(&mut payload).expect("no damage") {
                        return (got.number, payload);
                    }
                    let is_called = || !requests.is_empty();
                    wake::sleep_unless(control.sleeps(), FOR_WORK, control.notifier(), is_called);
                }
            }
        });
        let mut requests = control.requests();
        assert_eq!(requests.put(header(5), b"abc"), Ok(true));
        if wake::take_if(control.sleeps(), FOR_WORK) {
            wake::ring(control.notifier());
        }
        let got = worker.join().expect("no panic");
        assert_eq!(got, (5, b"abc".to_vec()));
    });
}

#[test]
fn room_for_a_reply_is_not_slept_through() {
    explore(|| {
        let control = control();
        let worker = thread::spawn({
            let control = control.clone();
            move || {
                let mut replies = control.replies();
                for number in 0..2 {
                    // A ring has room for one of these at a time.
                    while !replies.put(header(number), &[7; 24]).expect("no damage") {
                        let is_called = || !matches!(replies.fits(24), Ok(false));
                        wake::sleep_unless(
                            control.sleeps(),
                            FOR_ROOM,
                            control.notifier(),
                            is_called,
                        );
                    }
                }
            }
        });
        let (mut replies, mut payload) = (control.replies(), Vec::new());
        for number in 0..2 {
            let got = loop {
                match replies.get(&mut payload).expect("no damage") {
                    Some(got) => break got,
                    None => thread::yield_now(),
                }
            };
            assert_eq!((got.number, payload.as_slice()), (number, &[7; 24][..]));
            if wake::take_if(control.sleeps(), FOR_ROOM) {
                wake::ring(control.notifier());
            }
        }
        worker.join().expect("no panic");
    });
}

#[test]
fn a_task_is_run_or_taken_back_and_never_both() {
    explore(|| {
        let control = control();
        control.offer(1);
        let worker = thread::spawn({
            let control = control.clone();
            move || control.take(1, 77)
        });
        let is_back = control.revoke(1);
        let is_run = worker.join().expect("no panic");
        assert!(is_run != is_back);
        assert_eq!(control.is_taken(1), is_run);
        if is_run {
            assert_eq!(control.began_at(1).load(Ordering::Relaxed), 77);
        }
    });
}

#[test]
fn what_is_laid_ready_is_had_as_it_was_or_not_at_all_whenever_its_writer_stops() {
    explore(|| {
        let control = control();
        let worker = thread::spawn({
            let control = control.clone();
            move || {
                let mut replies = control.replies();
                assert!(replies.stage(0, b"a", 1));
                assert!(replies.stage(1, b"b", 2));
            }
        });
        // As if it had been killed here, wherever that is.
        let mut payload = Vec::new();
        match control.replies().left(&mut payload) {
            Ok(0) | Err(Damaged) => {}
            Ok(count) => assert_eq!(payload, b"ab"[..count as usize]),
        }
        worker.join().expect("no panic");
        assert_eq!(control.replies().left(&mut payload), Ok(2));
        assert_eq!(payload, b"ab");
    });
}

#[test]
fn what_goes_through_a_lane_is_there_when_its_message_is() {
    explore(|| {
        let (control, slab) = (control(), Slab::new().expect("memory"));
        let worker = thread::spawn({
            let (control, slab) = (control.clone(), slab.clone());
            move || {
                let (mut requests, mut message) = (control.requests(), Vec::new());
                let (mut lane, _) = slab.lanes().expect("whole");
                while requests.get(&mut message).expect("no damage").is_none() {
                    thread::yield_now();
                }
                let mut got = Vec::new();
                let announced = Lane::announced(&message).expect("no damage");
                assert_eq!(lane.get(announced, &mut got), Ok(()));
                got
            }
        });
        let (mut lane, _) = slab.lanes().expect("whole");
        let bytes = [9; 12];
        assert_eq!(lane.put(&bytes), Ok(true));
        let mut requests = control.requests();
        assert_eq!(requests.put(header(1), &announce(&bytes)), Ok(true));
        assert_eq!(worker.join().expect("no panic"), bytes);
    });
}
