//! State that each worker of a pool has for itself, made once, and lent to each task that asks for
//! it: a connection, a model, a cache.

use std::any::{Any, type_name};
use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;

use super::call::{Call, call_by};
use crate::process::{SpawnError, again};
use crate::task::{Data, Task};
use crate::thread::panic::caught;
use crate::wire::answer::Answer;
use crate::wire::codec::{self, Failure, LaidReady};
use crate::wire::image::Code;
use crate::wire::outcome::{write_failed, write_result};

/// What makes it, and of what.
pub(in crate::pool::process) struct StatePlan {
    pub(in crate::pool::process) code: Code,
    pub(in crate::pool::process) argument: Vec<u8>,
    pub(in crate::pool::process) descriptors: Vec<OwnedFd>,
}

impl std::fmt::Debug for StatePlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan").finish_non_exhaustive()
    }
}

impl StatePlan {
    pub(in crate::pool::process) fn new<F, A, S>(
        _make: F,
        argument: &A,
    ) -> Result<StatePlan, SpawnError>
    where
        F: Task<A, S>,
        A: Data,
        S: 'static,
    {
        const { F::CAPTURES_NOTHING };
        let call: Call = make::<F, A, S>;
        let code = Code::at(call as usize).ok_or(SpawnError::NotInExecutable)?;
        let message = codec::encode_value(argument).map_err(|failure| match failure {
            Failure::Encode(what) | Failure::Decode(what) => SpawnError::Encode { what },
        })?;
        Ok(StatePlan {
            code,
            argument: message.bytes,
            descriptors: message.descriptors,
        })
    }
}

thread_local! {
    /// That of this worker: its tasks run on one thread.
    static STATE: RefCell<Option<Box<dyn Any>>> = const { RefCell::new(None) };
    /// A task panicked while it had it.
    static IN_DOUBT: Cell<bool> = const { Cell::new(false) };
}

/// Whether a task panicked while it had the state, since this was asked last: the worker is to be
/// replaced then.
pub(in crate::pool::process) fn is_in_doubt() -> bool {
    IN_DOUBT.take()
}

fn make<F, A, S>(input: &mut &[u8], carried: &mut LaidReady, output: &mut Vec<u8>) -> Vec<OwnedFd>
where
    F: Task<A, S>,
    A: Data,
    S: 'static,
{
    // SAFETY: `Plan::new`, which alone names this function, was given one.
    let run = unsafe { again::<F>() };
    let keep = |argument| {
        let state: Box<dyn Any> = Box::new(run(argument));
        STATE.set(Some(state));
    };
    call_by(keep, (input, carried), output)
}

/// Where the worker finds what it is to call for a task that is lent the state.
pub(in crate::pool::process) fn code_of<F, S, A, R>(_task: F) -> Option<Code>
where
    F: Fn(&mut S, A) -> R + Copy + Send + Sync + 'static,
    S: 'static,
    A: Data,
    R: Data,
{
    const {
        assert!(
            size_of::<F>() == 0,
            "a portable task captures nothing: pass the data as its argument"
        )
    };
    let call: Call = call::<F, S, A, R>;
    Code::at(call as usize)
}

fn call<F, S, A, R>(
    input: &mut &[u8],
    carried: &mut LaidReady,
    output: &mut Vec<u8>,
) -> Vec<OwnedFd>
where
    F: Fn(&mut S, A) -> R + Copy + Send + Sync + 'static,
    S: 'static,
    A: Data,
    R: Data,
{
    let argument = caught(|| codec::lend(carried, || codec::read::<A>(input)));
    let mut lent = STATE.take();
    let failed = match (
        argument,
        lent.as_mut().map(|state| state.downcast_mut::<S>()),
    ) {
        (Ok(Ok(argument)), Some(Some(state))) => {
            // SAFETY: `code_of`, which alone names this function, was given one.
            let run = unsafe { again::<F>() };
            match caught(|| run(state, argument)) {
                Ok(result) => {
                    STATE.set(lent.take());
                    match caught(|| write_result(&result, output)) {
                        Ok(descriptors) => return descriptors,
                        Err(caught) => caught.into(),
                    }
                }
                Err(caught) => {
                    IN_DOUBT.set(true);
                    caught.into()
                }
            }
        }
        (Ok(Ok(_)), other) => {
            let it_has = if other.is_some() {
                "another one"
            } else {
                "none"
            };
            Answer::SetUp(format!(
                "the task wants a state of type `{}`, and the workers have {it_has}; make it with `builder().state(...)`",
                type_name::<S>()
            ))
        }
        (Ok(Err(Failure::Decode(what) | Failure::Encode(what))), _) => Answer::Decode(what),
        (Err(caught), _) => caught.into(),
    };
    if lent.is_some() {
        STATE.set(lent);
    }
    write_failed(&failed, output);
    Vec::new()
}
