//! Names, flags, values, panics.

use std::sync::mpsc::channel;
use std::time::Duration;

use hands::thread::{self, Builder, JoinError, JoinHandle, Panic, Run};

fn panic_of<T: std::fmt::Debug>(result: Result<T, JoinError>) -> Panic {
    match result {
        Err(JoinError::Panicked(panic)) => panic,
        other => panic!("{other:?} is no panic"),
    }
}

#[test]
fn a_thread_has_the_name_it_was_given_or_a_number() {
    let named = Builder::new().name("worker").spawn(|| {
        assert_eq!(std::thread::current().name(), Some("worker"));
        thread::current().name().to_owned()
    });
    let named = named.unwrap();
    assert_eq!(named.name(), "worker");
    assert_eq!(named.join().unwrap(), "worker");
    let (first, second) = (thread::spawn(thread::current), thread::spawn(|| ()));
    assert_ne!(first.name(), second.name());
    let name = first.name().to_owned();
    let number = name.strip_prefix("thread-").unwrap();
    assert!(number.parse::<u64>().is_ok(), "{name}");
    let id = first.id();
    let own = first.join().unwrap();
    assert_eq!((own.name(), own.id()), (name.as_str(), id));
}

#[test]
fn a_foreign_thread_knows_itself_too() {
    let foreign = std::thread::Builder::new().name("theirs".to_owned());
    let current = foreign.spawn(thread::current).unwrap().join().unwrap();
    assert_eq!(current.name(), "theirs");
    assert!(!current.is_daemon());
}

#[test]
fn a_name_with_a_nul_is_refused() {
    let error = Builder::new().name("a\0b").spawn(|| ()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    assert_eq!(
        error.to_string(),
        "the thread's name `a\\0b` has a NUL in it"
    );
}

#[test]
fn a_thread_that_cannot_be_had_is_an_error() {
    let error = Builder::new().stack_size(1 << 60).spawn(|| ());
    error.unwrap_err();
}

#[test]
fn a_thread_inherits_its_creators_daemon_flag_unless_it_is_told() {
    let daemon = |daemon| Builder::new().daemon(daemon);
    let heir = daemon(true).spawn(|| thread::spawn(thread::current).join().unwrap());
    assert!(heir.unwrap().join().unwrap().is_daemon());
    let told = daemon(true).spawn(move || daemon(false).spawn(thread::current).unwrap().join());
    assert!(!told.unwrap().join().unwrap().unwrap().is_daemon());
    assert!(!thread::spawn(|| ()).is_daemon());
}

#[test]
fn a_type_can_be_a_thread() {
    struct Word(String);
    impl Run for Word {
        type Output = usize;
        fn run(self) -> usize {
            self.0.len()
        }
    }
    assert_eq!(thread::run(Word("four".to_owned())).join().unwrap(), 4);
    let named = Builder::new().name("five").run(Word("fives".to_owned()));
    assert_eq!(named.unwrap().join().unwrap(), 5);
}

#[test]
fn a_panic_is_kept_with_its_message_and_place() {
    let careless = Builder::new().name("careless");
    let what = "way".to_owned();
    let handle = careless.spawn(move || panic!("no {what}")).unwrap();
    let line = line!() - 1;
    let panic = panic_of::<()>(handle.join());
    assert_eq!(panic.message(), "no way");
    assert_eq!(panic.thread(), "careless");
    let place = panic.place().unwrap();
    assert!(place.file.ends_with("end.rs"), "{place}");
    assert_eq!(place.line, line);
    assert_eq!(
        panic.to_string(),
        format!("thread `careless` panicked at {place}: no way")
    );
    let payload = panic.into_payload();
    assert_eq!(payload.downcast_ref::<String>().unwrap(), "no way");
}

#[test]
fn a_payload_that_is_no_text_has_a_message_all_the_same() {
    let handle = thread::spawn(|| std::panic::panic_any(7_u8));
    let panic = panic_of::<()>(handle.join());
    assert_eq!(panic.message(), "(a payload that is no text)");
    assert!(panic.place().is_some());
    assert_eq!(panic.into_payload().downcast_ref(), Some(&7_u8));
}

#[test]
fn the_place_of_a_panic_that_was_caught_is_not_that_of_the_next() {
    let handle = thread::spawn(|| {
        let _ = std::panic::catch_unwind(|| panic!("caught"));
        std::panic::resume_unwind(Box::new("thrown"))
    });
    let panic = panic_of::<()>(handle.join());
    assert_eq!((panic.message(), panic.place()), ("thrown", None));
}

#[test]
fn a_panic_can_go_on_where_it_is_joined() {
    let outer = thread::spawn(|| panic_of::<()>(thread::spawn(|| panic!("inner")).join()).resume());
    assert_eq!(panic_of::<()>(outer.join()).message(), "inner");
}

#[test]
fn joining_oneself_is_an_error() {
    let (give, take) = channel::<JoinHandle<String>>();
    let (tell, hear) = channel();
    let handle = thread::spawn(move || {
        let own = take.recv().unwrap();
        let own = own.join_timeout(Duration::MAX);
        tell.send(own.unwrap().unwrap_err().to_string()).unwrap();
        String::new()
    });
    give.send(handle).unwrap();
    assert_eq!(
        hear.recv().unwrap(),
        "a thread cannot join itself: it would never end"
    );
}

#[test]
fn a_join_that_runs_out_of_time_gives_the_handle_back() {
    let (open, gate) = channel::<()>();
    let handle = thread::spawn(move || gate.recv().is_ok());
    let handle = handle.join_timeout(Duration::ZERO).unwrap_err();
    let handle = handle.join_timeout(Duration::from_millis(1)).unwrap_err();
    assert!(!handle.is_finished());
    open.send(()).unwrap();
    assert!(handle.join_timeout(Duration::MAX).unwrap().unwrap());
}

#[test]
fn scoped_threads_borrow_and_tell_how_they_ended() {
    let numbers = [1, 2, 3];
    let sum = thread::scope(|scope| {
        let named = Builder::new().name("sum");
        let sum = named
            .spawn_scoped(scope, || numbers.iter().sum::<i32>())
            .unwrap();
        assert_eq!(sum.name(), "sum");
        let nested = scope.spawn(move || scope.spawn(|| 4).join().unwrap());
        let careless = scope.spawn(|| panic!("in a scope"));
        let panic = panic_of::<()>(careless.join());
        assert_eq!(panic.message(), "in a scope");
        assert!(panic.place().is_some());
        sum.join().unwrap() + nested.join().unwrap()
    });
    assert_eq!(sum, 10);
}

#[test]
fn a_panic_that_nobody_joins_in_a_scope_is_the_scopes_own() {
    let scope = std::panic::catch_unwind(|| {
        thread::scope(|scope| {
            scope.spawn(|| panic!("overlooked"));
        });
    });
    assert!(scope.is_err());
}

/// Send and Sync, as they must be.
#[test]
fn handles_and_what_they_say_may_move() {
    fn moves<T: Send + Sync>() {}
    fn sent<T: Send>() {}
    moves::<JoinHandle<u8>>();
    moves::<thread::ScopedJoinHandle<'_, u8>>();
    moves::<thread::Current>();
    moves::<Builder>();
    moves::<hands::context::Context>();
    moves::<hands::context::Local<std::cell::Cell<u8>>>();
    moves::<hands::sync::CancelToken>();
    moves::<hands::sync::Semaphore>();
    moves::<hands::sync::Permit<'_>>();
    moves::<hands::sync::Event>();
    moves::<hands::sync::Barrier>();
    moves::<hands::sync::Condvar>();
    moves::<hands::sync::Mutex<std::cell::Cell<u8>>>();
    moves::<hands::sync::OwnedPermit>();
    moves::<hands::sync::DropGuard>();
    moves::<hands::pool::ThreadPool>();
    moves::<hands::pool::ProcessPool>();
    moves::<hands::task::Handle<u8>>();
    // Errors go into `Box<dyn Error + Send + Sync>`.
    moves::<JoinError>();
    moves::<hands::task::TaskError>();
    moves::<hands::process::SpawnError>();
    moves::<hands::queue::PutError<u8>>();
    moves::<hands::queue::GetError>();
    moves::<hands::command::CommandError>();
    sent::<hands::sync::Permit<'_>>();
}

/// What a panic cannot leave half changed may be used after one.
#[test]
fn pools_queues_and_locks_may_be_used_after_a_panic() {
    use std::panic::{RefUnwindSafe, UnwindSafe};
    fn safe<T: UnwindSafe + RefUnwindSafe>() {}
    safe::<hands::pool::ThreadPool>();
    safe::<hands::pool::ProcessPool>();
    safe::<hands::task::Handle<u8>>();
    safe::<hands::queue::Queue<u8>>();
    safe::<hands::queue::PriorityQueue<u8>>();
    safe::<hands::sync::Semaphore>();
    safe::<hands::sync::Event>();
    safe::<hands::sync::Barrier>();
    safe::<hands::sync::Condvar>();
    safe::<hands::sync::CancelToken>();
    #[cfg(feature = "async")]
    safe::<hands::pool::AsyncPool>();
}
