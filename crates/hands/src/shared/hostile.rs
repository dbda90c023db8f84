//! Whatever another process writes into what is shared, everybody gets an answer: no panic, and no
//! wait beyond its time.
//!
//! Every header field gets random bytes, or numbers near those that mean something, and then
//! everything that can be done is done.

use crate::process::identity;
use std::os::fd::OwnedFd;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::queue::Shutdown;
use crate::wire::codec::{self, Message};

const SOON: Duration = Duration::from_millis(1);

/// The memory behind a handle, as another process would have it.
fn memory_of(handle: &impl serde::Serialize) -> Vec<Memory> {
    let Ok(message) = codec::encode(handle) else {
        panic!("a handle can be sent");
    };
    let memories = message
        .descriptors
        .into_iter()
        .map(|descriptor| Memory::of(descriptor.into()));
    match memories.collect() {
        Ok(memories) => memories,
        Err(error) => panic!("it is memory: {error}"),
    }
}

/// What is written over the header: words at places.
fn scribbles() -> impl Strategy<Value = Vec<(usize, u32)>> {
    let own = identity::own();
    let near = prop_oneof![
        any::<u32>(),
        0..4_u32,
        Just(u32::MAX),
        Just(i32::MAX as u32),
        Just(own),
        Just(own | identity::FREE_BIT),
    ];
    proptest::collection::vec((0..40_usize, near), 1..20)
}

fn scribble(memories: &[Memory], words: &[(usize, u32)]) {
    for (at, word) in words {
        for memory in memories {
            // The first words of each of the first lines, where the numbers are.
            let at = (at / 4) * 64 + (at % 4) * 4;
            if at + 4 <= memory.len() {
                memory.write(at, &word.to_ne_bytes());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_scribbled_mutex_answers(words in scribbles()) {
        let mutex = Mutex::new([1_u32; 40])?;
        scribble(&memory_of(&mutex), &words);
        for _ in 0..3 {
            drop(mutex.try_lock());
            drop(mutex.lock_timeout(SOON));
        }
        let reentrant = ReentrantMutex::new()?;
        scribble(&memory_of(&reentrant), &words);
        for _ in 0..3 {
            let first = reentrant.try_lock();
            drop(reentrant.lock_timeout(SOON));
            drop(first);
        }
    }

    #[test]
    fn a_scribbled_value_is_some_value(words in scribbles()) {
        let value = Value::new([1_u64; 9])?;
        let not_the_lock: Vec<_> = words.into_iter().filter(|(at, _)| *at != 0).collect();
        scribble(&memory_of(&value), &not_the_lock);
        value.set([2; 9]);
        prop_assert_eq!(value.get(), [2; 9]);
    }

    #[test]
    fn scribbled_signals_answer(words in scribbles()) {
        let (event, permits) = (Event::new()?, Semaphore::new(1)?);
        scribble(&memory_of(&event), &words);
        scribble(&memory_of(&permits), &words);
        for _ in 0..3 {
            let _ = (event.is_set(), event.wait_timeout(SOON));
            event.set();
            event.clear();
            let _ = (permits.permits(), permits.try_acquire(), permits.acquire_timeout(SOON));
            permits.release();
        }
        let (mutex, changed) = (Mutex::new(0_u32)?, Condvar::new()?);
        scribble(&memory_of(&changed), &words);
        changed.notify_one();
        if let Ok(guard) = mutex.lock() {
            drop(changed.wait_timeout(guard, SOON));
        }
        changed.notify_all();
    }

    #[test]
    fn a_scribbled_barrier_answers(words in scribbles()) {
        let barrier = Barrier::new(2)?;
        // But for its locks, which somebody may have for as long as they like.
        let not_the_lock: Vec<_> = words.into_iter().filter(|(at, _)| *at > 1).collect();
        scribble(&memory_of(&barrier), &not_the_lock);
        for _ in 0..3 {
            let _ = barrier.wait_timeout(SOON);
            let _ = (barrier.parties(), barrier.waiting(), barrier.is_broken());
        }
    }

    #[test]
    fn a_scribbled_queue_answers(words in scribbles(), item in any::<Vec<u8>>()) {
        let queue = Queue::<String>::sized(4, 32)?;
        let memories = memory_of(&queue);
        queue.put("an item".to_owned()).unwrap_or_default();
        // But for its locks, as above.
        let not_the_locks: Vec<_> = words
            .into_iter()
            .filter(|(at, _)| *at != 0 && *at != 16)
            .collect();
        scribble(&memories, &not_the_locks);
        // And over the items, whose text need then be none.
        let places = memories[0].len() - 4 * 40;
        memories[0].write(places, &item[..item.len().min(160)]);
        for _ in 0..6 {
            let _ = queue.try_put("another".to_owned());
            let _ = queue.put_timeout("another".to_owned(), SOON);
            let _ = (queue.try_get(), queue.get_timeout(SOON));
            let _ = (queue.len(), queue.is_full(), queue.unfinished(), queue.task_done());
            let _ = queue.join_timeout(SOON);
        }
        queue.shutdown(Shutdown::Now);
        prop_assert!(queue.try_get().is_err());
    }

    /// Random bytes, with descriptors of all kinds beside them, in the place of a handle.
    #[test]
    fn what_is_no_handle_is_refused(bytes in any::<Vec<u8>>(), kinds in proptest::collection::vec(0..4_u8, 0..4)) {
        let descriptors = |kinds: &[u8]| -> std::io::Result<Vec<OwnedFd>> {
            let one = |kind: &u8| match kind {
                0 => Ok(std::fs::File::open("/dev/null")?.into()),
                // Memory that anybody can cut off.
                1 => memory::reserve(4096),
                2 => match codec::encode(&Memory::new(64)?) {
                    Ok(mut message) => Ok(message.descriptors.remove(0)),
                    Err(_) => panic!("memory can be sent"),
                },
                _ => Ok(std::io::pipe()?.0.into()),
            };
            kinds.iter().map(one).collect()
        };
        fn read<T: serde::de::DeserializeOwned>(message: Message) -> Option<T> {
            codec::with_descriptors(message.descriptors, || codec::decode(&message.bytes)).ok()
        }
        let message = || -> std::io::Result<Message> {
            Ok(Message { bytes: bytes.clone(), descriptors: descriptors(&kinds)? })
        };
        if let Some(memory) = read::<Memory>(message()?) {
            prop_assert_eq!(memory.len(), 64, "only what is sealed");
        }
        let held = read::<Bytes>(message()?).is_some_and(|bytes| !bytes.is_empty());
        prop_assert!(!held, "only what nobody can change");
        prop_assert!(read::<Queue<u8>>(message()?).is_none(), "not within 64 bytes");
        prop_assert!(read::<Value<u64>>(message()?).is_none(), "not within 64 bytes");
        prop_assert!(read::<Barrier>(message()?).is_none(), "not within 64 bytes");
        let _ = read::<Mutex<u64>>(message()?);
        let _ = read::<Slice<u64>>(message()?);
        let _ = read::<Event>(message()?);
        let _ = read::<(Vec<Memory>, Option<Slice<u8>>)>(message()?);
    }
}
