//! Values that follow a task into its worker.

use std::future::Future;
use std::pin::pin;
use std::task::{Context as TaskContext, Poll, Waker};

use hands::context::{Context, Local};
use hands::sync::CancelToken;
use hands::thread;

static USER: Local<String> = Local::new();
static DEPTH: Local<u32> = Local::new();

fn user() -> Option<String> {
    USER.get().map(|user| String::clone(&user))
}

#[test]
fn a_value_is_there_as_long_as_the_function_runs() {
    assert_eq!(user(), None);
    USER.with("ada".to_owned(), || {
        assert_eq!(user().as_deref(), Some("ada"));
        USER.with("bob".to_owned(), || {
            assert_eq!(user().as_deref(), Some("bob"));
        });
        DEPTH.with(1, || assert_eq!(user().as_deref(), Some("ada")));
        assert_eq!(user().as_deref(), Some("ada"));
        assert_eq!(DEPTH.get(), None);
    });
    assert_eq!(user(), None);
}

#[test]
fn it_is_put_back_after_a_panic() {
    let panicked = std::panic::catch_unwind(|| {
        USER.with("ada".to_owned(), || {
            std::panic::resume_unwind(Box::new(()));
        })
    });
    assert!(panicked.is_err());
    assert_eq!(user(), None);
}

#[test]
fn it_follows_into_threads_of_all_kinds_and_their_threads() {
    USER.with("ada".to_owned(), || {
        let grandchild = thread::spawn(|| thread::spawn(user).join().unwrap());
        assert_eq!(grandchild.join().unwrap().as_deref(), Some("ada"));
        let scoped = thread::scope(|scope| scope.spawn(user).join().unwrap());
        assert_eq!(scoped.as_deref(), Some("ada"));
    });
}

#[test]
fn a_thread_keeps_the_values_of_its_start() {
    let (say, hear) = std::sync::mpsc::channel::<()>();
    let late = USER.with("ada".to_owned(), || {
        thread::spawn(move || {
            hear.recv().unwrap();
            user()
        })
    });
    say.send(()).unwrap();
    assert_eq!(late.join().unwrap().as_deref(), Some("ada"));
}

#[test]
fn it_follows_a_coroutine_to_whatever_thread_polls_it() {
    let task = USER.with("ada".to_owned(), || {
        Context::current().attach(async {
            let first = user();
            std::future::poll_fn({
                let mut polls = 0;
                move |context| {
                    polls += 1;
                    context.waker().wake_by_ref();
                    if polls == 2 {
                        Poll::Ready(())
                    } else {
                        Poll::Pending
                    }
                }
            })
            .await;
            (first, user())
        })
    });
    let mut task = Box::pin(task);
    assert!(
        task.as_mut()
            .poll(&mut TaskContext::from_waker(Waker::noop()))
            .is_pending()
    );
    assert_eq!(user(), None);
    let elsewhere = thread::scope(|scope| {
        let poll = scope.spawn(|| {
            let mut task = pin!(task);
            task.as_mut()
                .poll(&mut TaskContext::from_waker(Waker::noop()))
        });
        poll.join().unwrap()
    });
    let ada = Some("ada".to_owned());
    assert_eq!(elsewhere, Poll::Ready((ada.clone(), ada)));
}

#[test]
fn the_token_of_a_task_is_found_by_what_it_starts() {
    let token = CancelToken::new();
    let worker = token.enter(|| thread::spawn(|| CancelToken::current().unwrap().wait()));
    token.cancel();
    worker.join().unwrap();
}

#[cfg(feature = "tracing")]
#[test]
fn without_a_subscriber_spans_do_no_harm() {
    let span = tracing::info_span!("request");
    let _entered = span.enter();
    assert_eq!(thread::spawn(|| 1).join().unwrap(), 1);
}
