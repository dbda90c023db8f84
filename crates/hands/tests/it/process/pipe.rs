//! Pipes: values whole and in order, both ways, and an end that is an end.

use std::future::Future;
use std::task::Poll;
use std::time::Duration;

use futures_lite::future::block_on;
use hands::process::{self, Pipe, PipeError, pipe};

use crate::support::in_time;

#[test]
fn values_go_both_ways_in_order() {
    let (ours, its) = pipe::<u32, String>().unwrap();
    let process = process::spawn(
        |end: Pipe<String, u32>| {
            while let Ok(n) = end.recv() {
                end.send(format!("{n}!")).unwrap();
            }
        },
        its,
    );
    for n in 0..100 {
        ours.send(n).unwrap();
        assert_eq!(ours.recv().unwrap(), format!("{n}!"));
    }
    drop(ours);
    process.unwrap().join().unwrap();
}

#[test]
fn large_values_cross_at_the_same_time() {
    in_time(|| {
        let (ours, its) = pipe::<Vec<u8>, Vec<u8>>().unwrap();
        let process = process::spawn(
            |end: Pipe<Vec<u8>, Vec<u8>>| {
                end.send(vec![2; 10_000_000]).unwrap();
                end.recv().unwrap().len()
            },
            its,
        );
        ours.send(vec![1; 10_000_000]).unwrap();
        assert_eq!(ours.recv().unwrap().len(), 10_000_000);
        assert_eq!(process.unwrap().join(), Ok(10_000_000));
    });
}

#[test]
fn an_end_that_is_gone_is_told_after_what_it_sent() {
    let (ours, its) = pipe::<u8, u8>().unwrap();
    let process = process::spawn(
        |end: Pipe<u8, u8>| {
            end.send(1).unwrap();
            end.send(2).unwrap();
            std::process::abort()
        },
        its,
    );
    let process: process::Process<()> = process.unwrap();
    process.wait();
    assert_eq!([ours.recv().unwrap(), ours.recv().unwrap()], [1, 2]);
    assert!(matches!(ours.recv(), Err(PipeError::Closed)));
    assert!(matches!(ours.try_recv(), Err(PipeError::Closed)));
    assert!(matches!(ours.send(1), Err(PipeError::Closed)));
}

#[test]
fn nothing_there_and_no_room_are_told() {
    let (one, other) = pipe::<u64, u64>().unwrap();
    assert!(matches!(one.try_recv(), Err(PipeError::TimedOut)));
    let timed = one.recv_timeout(Duration::from_millis(5));
    assert!(matches!(timed, Err(PipeError::TimedOut)));
    let mut sent = 0;
    let refused = loop {
        match one.try_send(sent) {
            Ok(()) => sent += 1,
            Err(refused) => break refused,
        }
    };
    assert!(matches!(refused, (PipeError::TimedOut, Some(back)) if back == sent));
    assert!(sent > 100, "{sent}");
    for n in 0..sent {
        assert_eq!(other.recv().unwrap(), n);
    }
    one.try_send(7).unwrap();
    assert_eq!(other.recv_timeout(Duration::from_secs(60)).unwrap(), 7);
}

#[test]
fn coroutines_wait_and_lose_nothing() {
    in_time(|| {
        let (one, other) = pipe::<u64, u64>().unwrap();
        block_on(async {
            let mut waiting = Box::pin(other.recv_async());
            let polled =
                std::future::poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx).is_pending()));
            assert!(polled.await);
            // Dropped while it waits.
            drop(waiting);
            one.send_async(1).await.unwrap();
            assert_eq!(other.recv_async().await.unwrap(), 1);
        });
        let sender = std::thread::spawn(move || {
            block_on(async {
                for n in 0..5000 {
                    one.send_async(n).await.unwrap();
                }
            });
        });
        block_on(async {
            for n in 0..5000 {
                assert_eq!(other.recv_async().await.unwrap(), n);
            }
            assert!(matches!(other.recv_async().await, Err(PipeError::Closed)));
        });
        sender.join().unwrap();
    });
}

#[test]
fn an_end_goes_through_another_pipe() {
    let (ours, its) = pipe::<Pipe<String, ()>, ()>().unwrap();
    let process = process::spawn(
        |end: Pipe<(), Pipe<String, ()>>| {
            let more = end.recv().unwrap();
            more.send("hello".to_owned()).unwrap();
        },
        its,
    );
    let (one, other) = pipe::<String, ()>().unwrap();
    ours.send(one).unwrap();
    assert_eq!(other.recv().unwrap(), "hello");
    process.unwrap().join().unwrap();
    assert!(matches!(other.recv(), Err(PipeError::Closed)));
}

#[test]
fn an_end_comes_back_as_a_result() {
    let process = process::spawn(
        |()| {
            let (one, other) = pipe::<u8, u8>().unwrap();
            one.send(5).unwrap();
            other
        },
        (),
    );
    let other = process.unwrap().join().unwrap();
    assert_eq!(other.recv().unwrap(), 5);
}

#[test]
fn what_cannot_be_read_is_an_error_and_the_next_is_not() {
    /// Written as one byte, read as what it says.
    #[derive(Debug, PartialEq, serde::Serialize)]
    struct Small(u8);
    impl<'de> serde::Deserialize<'de> for Small {
        fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Small, D::Error> {
            match u8::deserialize(from)? {
                small if small < 10 => Ok(Small(small)),
                _ => Err(serde::de::Error::custom("not small")),
            }
        }
    }
    let (one, other) = pipe::<Small, ()>().unwrap();
    one.send(Small(200)).unwrap();
    one.send(Small(1)).unwrap();
    assert!(matches!(other.recv(), Err(PipeError::Decode { .. })));
    assert_eq!(other.recv().unwrap(), Small(1));
}
