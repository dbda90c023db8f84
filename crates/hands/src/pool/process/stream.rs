//! [`Outcomes`]: results of one task as they come.

use std::fmt;
use std::marker::PhantomData;

use crate::process::{Pipe, PipeError, again, pipe};
use crate::task::{Data, Handle, Outcome, Task, TaskError, blocking};

/// The number of items that lie ready to be taken; then the task waits.
const AHEAD: u32 = 16;

/// What comes from a worker: an item, or that there are no more.
type Ours<T> = Pipe<u32, Option<T>>;
type Its<T> = Pipe<Option<T>, u32>;

/// The items that one task of a [`ProcessPool`](super::ProcessPool) makes, one after the other,
/// while it runs: what [`stream`](super::ProcessPool::stream) returns.
///
/// No more than 16 of them lie ready; a task that is faster than the thread that takes them waits.
/// If its worker dies, or it panics, that is the last item, an error. Dropping this cancels the
/// task, whose iterator is dropped when it has made its next item.
#[must_use = "the items are lost with it"]
pub struct Outcomes<T> {
    pipe: Option<Ours<T>>,
    task: Option<Handle<Result<(), String>>>,
    /// Why there is no task.
    failed: Option<TaskError>,
    /// Taken, and not said to be.
    taken: u32,
}

/// Runs in the worker.
pub(super) struct StreamRun<F, I>(PhantomData<fn(F) -> I>);

impl<F, I> StreamRun<F, I> {
    /// The task that sends what the function's iterator gives.
    pub(super) fn task<A, T>((argument, items): (A, Its<T>)) -> Result<(), String>
    where
        F: Task<A, I>,
        A: Data,
        I: IntoIterator<Item = T>,
        T: Data,
    {
        const { F::CAPTURES_NOTHING };
        // SAFETY: `ProcessPool::stream`, which alone names this function, was given one.
        let run = unsafe { again::<F>() };
        let mut room = AHEAD;
        for item in run(argument) {
            while room == 0 {
                match items.recv() {
                    Ok(taken) => room += taken,
                    // Nobody wants more.
                    Err(_) => return Ok(()),
                }
            }
            room -= 1;
            match items.send(Some(item)) {
                Ok(()) => {}
                Err(PipeError::Closed) => return Ok(()),
                Err(error) => return Err(error.to_string()),
            }
        }
        // Nobody may be there to hear it.
        let _ = items.send(None);
        Ok(())
    }
}

impl<T: Data> Outcomes<T> {
    pub(super) fn new(submit: impl FnOnce(Its<T>) -> Handle<Result<(), String>>) -> Outcomes<T> {
        match pipe() {
            Ok((ours, its)) => Outcomes {
                pipe: Some(ours),
                task: Some(submit(its)),
                failed: None,
                taken: 0,
            },
            Err(error) => {
                let message = format!("there is no descriptor for what the task sends: {error}");
                let message = message.into();
                Outcomes {
                    pipe: None,
                    task: None,
                    failed: Some(TaskError::Init { message }),
                    taken: 0,
                }
            }
        }
    }

    /// How the task ended, if that is an error.
    fn end(&mut self) -> Option<Outcome<T>> {
        self.pipe = None;
        if let Some(failed) = self.failed.take() {
            return Some(Err(failed));
        }
        match self.task.take()?.join() {
            Ok(Ok(())) => None,
            Ok(Err(what)) => Some(Err(TaskError::Encode { what })),
            Err(error) => Some(Err(error)),
        }
    }
}

impl<T: Data> Iterator for Outcomes<T> {
    type Item = Outcome<T>;

    fn next(&mut self) -> Option<Outcome<T>> {
        let Some(pipe) = &self.pipe else {
            return self.end();
        };
        let received = blocking::aside(|| pipe.recv());
        match received {
            Ok(Some(item)) => {
                self.taken += 1;
                if self.taken >= AHEAD / 2 {
                    // It may have sent its last.
                    let _ = pipe.send(std::mem::take(&mut self.taken));
                }
                Some(Ok(item))
            }
            Err(PipeError::Decode { what }) => {
                self.taken += 1;
                let what = format!("the result: {what}");
                Some(Err(TaskError::Decode { what }))
            }
            Ok(None) | Err(_) => self.end(),
        }
    }
}

impl<T> Drop for Outcomes<T> {
    fn drop(&mut self) {
        self.pipe = None;
        if let Some(task) = &self.task {
            task.cancel();
        }
    }
}

impl<T> fmt::Debug for Outcomes<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("task", &self.task).finish()
    }
}
