//! Coroutines in workers: many tasks in one process at the same time, on one thread.
//!
//! A worker of a pool with [`coroutines`](crate::pool::ProcessPoolBuilder::coroutines) takes
//! requests from its ring as others do, and begins each on a `tokio` runtime of its own instead of
//! running it to its end. So several tasks of it are taken at a time; each is told when it is no
//! longer wanted, and dropped at its next `await`. The pool wakes such a worker through an
//! `eventfd`, which the runtime watches beside the user's sockets.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::os::fd::{AsFd, OwnedFd};
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::task::Poll;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::{AbortHandle, LocalSet, spawn_local, yield_now};

use super::begin::{Begin, Coroutine, InitialReply, runtime};
use crate::context::Context;
use crate::pool::process::child::worker::{
    ChildWorker, Function, Lost, Unreceived, context, overwritten,
};
use crate::pool::process::protocol::control_block::{FOR_WORK, Header, LAST};
use crate::pool::process::protocol::reserved::now;
use crate::pool::process::protocol::wake::NOBODY;
use crate::process::again;
use crate::process::fork::end_if_copy;
use crate::sync::CancelToken;
use crate::task::blocking::in_coroutine;
use crate::task::{AsyncTask, Data};
use crate::thread::panic::caught;
use crate::wire::answer::Answer;
use crate::wire::codec::{self, Failure, LaidReady};
use crate::wire::image::Code;
use crate::wire::outcome::{write_failed, write_result};

/// Where the worker finds what it is to call in the place of a coroutine. `None`: not in the
/// executable.
pub(in crate::pool::process) fn begin_code_of<F, A, R>(_task: F) -> Option<Code>
where
    F: AsyncTask<A, R>,
    A: Data,
    R: Data,
{
    const { F::CAPTURES_NOTHING };
    let begin: Begin = begin::<F, A, R>;
    Code::at(begin as usize)
}

fn begin<F, A, R>(input: &mut &[u8], carried: &mut LaidReady) -> Coroutine
where
    F: AsyncTask<A, R>,
    A: Data,
    R: Data,
{
    let argument = caught(|| codec::lend(carried, || codec::read::<A>(input)));
    Box::pin(async move {
        let argument = match argument {
            Ok(Ok(argument)) => argument,
            Ok(Err(Failure::Decode(what) | Failure::Encode(what))) => {
                return failed(Answer::Decode(what));
            }
            Err(caught) => return failed(caught.into()),
        };
        // SAFETY: `begin_code_of`, which alone names this function, was given one.
        let run = unsafe { again::<F>() };
        let mut coroutine = match caught(|| run.begin(argument)) {
            Ok(coroutine) => pin!(coroutine),
            Err(caught) => return failed(caught.into()),
        };
        let done =
            poll_fn(
                |context| match caught(|| in_coroutine(|| coroutine.as_mut().poll(context))) {
                    Ok(Poll::Pending) => Poll::Pending,
                    Ok(Poll::Ready(result)) => Poll::Ready(Ok(result)),
                    Err(caught) => Poll::Ready(Err(caught)),
                },
            );
        match done.await {
            Ok(result) => {
                let mut bytes = Vec::new();
                let descriptors = write_result(&result, &mut bytes);
                InitialReply { bytes, descriptors }
            }
            Err(caught) => failed(caught.into()),
        }
    })
}

fn failed(answer: Answer) -> InitialReply {
    let mut bytes = Vec::new();
    write_failed(&answer, &mut bytes);
    InitialReply {
        bytes,
        descriptors: Vec::new(),
    }
}

/// How a coroutine ended: its number, when it began, and what it said.
type Report = (u64, u64, InitialReply);

/// Says how one ended, also when it is dropped before that.
struct Reporter {
    number: u64,
    began: u64,
    reports: UnboundedSender<Report>,
    said: Option<InitialReply>,
}

impl Reporter {
    fn report(mut self, said: InitialReply) {
        self.said = Some(said);
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        let said = self
            .said
            .take()
            .unwrap_or_else(|| failed(Answer::Cancelled));
        // The receiver lives as long as the worker.
        let _ = self.reports.send((self.number, self.began, said));
    }
}

struct RunningCoroutine {
    token: CancelToken,
    abort: AbortHandle,
}

/// The rest of a worker's life.
pub(in crate::pool::process) fn serve(
    worker: &mut ChildWorker,
    doorbell: OwnedFd,
) -> Result<(), Lost> {
    let runtime = runtime().map_err(|_| Lost)?;
    LocalSet::new().block_on(&runtime, live(worker, doorbell))
}

async fn live(worker: &mut ChildWorker, doorbell: OwnedFd) -> Result<(), Lost> {
    // SAFETY: the descriptor stays the same, and open, for as long as the `OwnedFd`, which the
    // `AsyncFd` keeps.
    let doorbell = unsafe { AsyncFd::register_with_interest(doorbell, Interest::READABLE) };
    let doorbell = doorbell.map_err(|_| Lost)?;
    let (reporter, mut reports) = unbounded_channel::<Report>();
    let mut running: HashMap<u64, RunningCoroutine> = HashMap::new();
    let mut seen = 0;
    let (mut payload, mut output) = (Vec::new(), Vec::new());
    loop {
        while let Some(header) = worker
            .requests
            .get(&mut payload)
            .map_err(|_| overwritten())?
        {
            let function = worker.function(usize::from(header.kind))?;
            let Function::Begin(begin) = function else {
                // It holds the others up, as anything does that does not await.
                worker.run(header, &mut payload, &mut output)?;
                continue;
            };
            let carried = worker.payload(header, &mut payload)?;
            let began = now();
            if worker.control.take(header.number, began) {
                let reporter = Reporter {
                    number: header.number,
                    began,
                    reports: reporter.clone(),
                    said: None,
                };
                let mut input = &payload[..];
                let read = carried.map_err(|Unreceived(why)| Answer::Decode(why));
                let read = read.and_then(|mut carried| {
                    let around = context(header, &mut input, &mut carried)?;
                    Ok((around, carried))
                });
                match read {
                    Ok((around, mut carried)) => {
                        let coroutine = begin(&mut input, &mut carried);
                        running.insert(header.number, start(coroutine, around, reporter));
                    }
                    Err(why) => reporter.report(failed(why)),
                }
            }
        }
        let cancels = worker.control.cancels().load(Ordering::SeqCst);
        if cancels != seen {
            seen = cancels;
            for (number, task) in &running {
                if worker.control.is_unwanted(*number) {
                    task.token.cancel();
                    task.abort.abort();
                }
            }
        }
        while let Ok((number, began, said)) = reports.try_recv() {
            running.remove(&number);
            worker.say(number, began, said);
        }
        if worker.is_closing() && running.is_empty() && worker.requests.is_empty() {
            return Ok(());
        }
        // The pool looks at this behind its request; we look at the requests behind this.
        worker.control.sleeps().store(FOR_WORK, Ordering::SeqCst);
        let is_called = !worker.requests.is_empty()
            || worker.is_closing() && running.is_empty()
            || worker.control.cancels().load(Ordering::SeqCst) != seen;
        if is_called {
            yield_now().await;
        } else {
            let events = poll_fn(|context| {
                if let Poll::Ready(report) = reports.poll_recv(context) {
                    return Poll::Ready(report);
                }
                match doorbell.poll_read_ready(context) {
                    Poll::Ready(Ok(mut guard)) => {
                        let _ = rustix::io::read(guard.get_inner().as_fd(), &mut [0; 8][..]);
                        guard.clear_ready();
                        Poll::Ready(None)
                    }
                    Poll::Ready(Err(_)) => Poll::Ready(None),
                    Poll::Pending => Poll::Pending,
                }
            });
            if let Some((number, began, said)) = events.await {
                running.remove(&number);
                worker.say(number, began, said);
            }
        }
        worker.control.sleeps().store(NOBODY, Ordering::SeqCst);
    }
}

/// Has it run beside the others.
fn start(
    mut coroutine: Coroutine,
    (around, outer): (Context, Option<CancelToken>),
    reporter: Reporter,
) -> RunningCoroutine {
    let token = outer.map_or_else(CancelToken::new, |outer| outer.child());
    let own = token.clone();
    let task = spawn_local(async move {
        let said = poll_fn(|context| {
            let polled = around.run(|| own.enter(|| coroutine.as_mut().poll(context)));
            end_if_copy();
            polled
        })
        .await;
        // What it keeps is dropped before anybody hears that it has ended.
        around.run(|| own.enter(|| drop(coroutine)));
        reporter.report(said);
    });
    RunningCoroutine {
        token,
        abort: task.abort_handle(),
    }
}

impl ChildWorker {
    fn say(&mut self, number: u64, began: u64, said: InitialReply) {
        let header = Header {
            kind: LAST,
            number,
            count: 1,
            time: now().saturating_sub(began),
            flags: self.weigh(),
            ..Header::default()
        };
        let InitialReply {
            mut bytes,
            descriptors,
        } = said;
        if descriptors.is_empty() {
            self.flush(header, &mut bytes);
        } else {
            self.send_apart(header, bytes, descriptors);
        }
    }
}
