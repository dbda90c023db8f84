//! What a worker calls in the place of a task's function: it reads the argument, calls, and writes
//! the outcome.

use std::cell::Cell;
use std::os::fd::OwnedFd;

use crate::process::again;
use crate::task::{Data, Task};
use crate::thread::panic::caught;
use crate::wire::answer::Answer;
use crate::wire::codec::{self, Failure, LaidReady};
use crate::wire::image::Code;
use crate::wire::outcome::{RESULT, UNWELL, write_failed, write_result};

/// What is called in the worker: it takes one argument from what is to be read, and appends one
/// outcome. Returned are the descriptors that belong to that. (What the function itself writes down
/// must not see the argument's descriptors.)
pub(in crate::pool::process) type Call =
    fn(&mut &[u8], &mut LaidReady, &mut Vec<u8>) -> Vec<OwnedFd>;

/// Where the worker finds what it is to call in the place of a function. `None`: not in the
/// executable.
pub(in crate::pool::process) fn code_of<F, A, R>(_task: F) -> Option<Code>
where
    F: Task<A, R>,
    A: Data,
    R: Data,
{
    const { F::CAPTURES_NOTHING };
    let call: Call = call::<F, A, R>;
    Code::at(call as usize)
}

/// # Safety
///
/// The code was made by [`code_of`] in a process of the same image.
pub(in crate::pool::process) unsafe fn called(code: Code) -> Option<Call> {
    let address = code.address()?;
    // SAFETY: the same code is at the same place in the image, as the caller says; there it was a
    // `Call`.
    Some(unsafe { std::mem::transmute::<*const (), Call>(address) })
}

fn call<F, A, R>(input: &mut &[u8], carried: &mut LaidReady, output: &mut Vec<u8>) -> Vec<OwnedFd>
where
    F: Task<A, R>,
    A: Data,
    R: Data,
{
    // SAFETY: `code_of`, which alone names this function, was given one.
    let run = unsafe { again::<F>() };
    call_by(run, (input, carried), output)
}

/// Reads the argument, calls, and appends what comes of it.
pub(in crate::pool::process) fn call_by<A, R>(
    run: impl FnOnce(A) -> R,
    (input, carried): (&mut &[u8], &mut LaidReady),
    output: &mut Vec<u8>,
) -> Vec<OwnedFd>
where
    A: Data,
    R: Data,
{
    let before = output.len();
    let done = caught(|| {
        let argument = match codec::lend(carried, || codec::read::<A>(input)) {
            Ok(argument) => argument,
            Err(Failure::Decode(what) | Failure::Encode(what)) => {
                return Err(Answer::Decode(what));
            }
        };
        let result = run(argument);
        Ok(write_result(&result, output))
    });
    let failed = match done {
        Ok(Ok(descriptors)) => return descriptors,
        Ok(Err(answer)) => answer,
        Err(caught) => caught.into(),
    };
    output.truncate(before);
    write_failed(&failed, output);
    Vec::new()
}

/// As [`code_of`], for a task that is begun again when its result is an `Err`.
pub(in crate::pool::process) fn until_ok_code_of<F, A, T, E>(_task: F) -> Option<Code>
where
    F: Task<A, Result<T, E>>,
    A: Data,
    Result<T, E>: Data,
{
    const { F::CAPTURES_NOTHING };
    let call: Call = call_until_ok::<F, A, T, E>;
    Code::at(call as usize)
}

fn call_until_ok<F, A, T, E>(
    input: &mut &[u8],
    carried: &mut LaidReady,
    output: &mut Vec<u8>,
) -> Vec<OwnedFd>
where
    F: Task<A, Result<T, E>>,
    A: Data,
    Result<T, E>: Data,
{
    thread_local! {
        static IS_ERR: Cell<bool> = const { Cell::new(false) };
    }
    fn noting<F, A, T, E>(argument: A) -> Result<T, E>
    where
        F: Task<A, Result<T, E>>,
    {
        // SAFETY: `until_ok_code_of`, which alone leads here, was given one.
        let result = unsafe { again::<F>() }(argument);
        IS_ERR.set(result.is_err());
        result
    }
    let before = output.len();
    let descriptors = call_by(noting::<F, A, T, E>, (input, carried), output);
    if IS_ERR.take() && output.get(before) == Some(&RESULT) {
        output[before] = UNWELL;
    }
    descriptors
}
