//! What a pool on other machines is built on: tasks whose functions run elsewhere, and the list of
//! functions that may.
//!
//! A function marked with `#[hands::task]` is on the list of its program, with its
//! full name and a hash of its signature. A worker, which is another program or another copy of
//! this one, is told name, hash and the argument's bytes, finds the function on its own list, and
//! answers with the outcome's bytes. What is not on the list is not run.

use std::any::type_name;
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};

use crate::task::remote::Read;
use crate::task::{AsyncTask, Data, Handle, Outcome, Task, TaskError};
use crate::thread::panic::caught;
use crate::wire::answer::Answer;
use crate::wire::codec::{self, Failure};
use crate::wire::outcome;

pub use crate::task::remote::{Chunk, Remote, RemotePool, Single};
pub use linkme;

/// The coroutine of a function that is one.
pub type Running = Pin<Box<dyn Future<Output = Vec<u8>> + Send>>;

/// How a function is called with bytes.
#[derive(Clone, Copy)]
pub enum RegisteredRun {
    /// With the bytes of this number of arguments; it returns those of as many outcomes.
    Function(fn(&[u8], u64) -> Vec<u8>),
    /// The same, as a coroutine.
    Coroutine(fn(Vec<u8>, u64) -> Running),
}

/// A function that may run on other machines.
pub struct Registered {
    /// Its full name.
    pub name: fn() -> &'static str,
    /// The hash of its name and signature.
    pub hash: fn() -> u64,
    /// How it is called.
    pub run: RegisteredRun,
}

/// The list, which the linker puts together: it is there before anything runs, also in a copy of
/// the program that becomes a worker before `main`.
#[linkme::distributed_slice]
pub static TASKS: [Registered];

/// All functions of this program that may run on other machines.
pub fn registered() -> impl Iterator<Item = &'static Registered> {
    TASKS.iter()
}

/// The one with this hash.
pub fn find(hash: u64) -> Option<&'static Registered> {
    static BY_HASH: LazyLock<HashMap<u64, &Registered>> = LazyLock::new(|| {
        registered()
            .map(|function| ((function.hash)(), function))
            .collect()
    });
    BY_HASH.get(&hash).copied()
}

/// A function's full name, and the hash of that, of the types of its argument and its result, and
/// of how they are written down. Programs that agree in it call the same function the same way.
pub fn signature<F, A, R>() -> (&'static str, u64) {
    // FNV-1a: <http://www.isthe.com/chongo/tech/comp/fnv/>. It need not withstand an adversary, who
    // could send the right hash with wrong bytes as well.
    let name = type_name::<F>();
    let parts = [name, type_name::<A>(), type_name::<R>(), "hands 1"];
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (name, hash)
}

/// [`signature`] of a function that is given, not named.
pub fn signature_of<F, A, R>(_: F) -> (&'static str, u64)
where
    F: Task<A, R>,
    A: Data,
    R: Data,
{
    signature::<F, A, R>()
}

/// [`signature_of`] a coroutine.
pub fn async_signature_of<F, A, R>(_: F) -> (&'static str, u64)
where
    F: AsyncTask<A, R>,
    A: Data,
    R: Data,
{
    signature::<F, A, R>()
}

/// The bytes of arguments, one behind the other.
///
/// # Errors
///
/// When one cannot be written down, or shares descriptors, which no network carries.
pub fn write_arguments<'a, A: Data + 'a>(
    arguments: impl Iterator<Item = &'a A>,
) -> Result<Vec<u8>, TaskError> {
    let mut bytes = Vec::new();
    let encode = |what: String| TaskError::Encode {
        what: format!("the argument: {what}"),
    };
    let written = caught(|| {
        codec::collecting(|| {
            let mut arguments = arguments;
            arguments.try_for_each(|argument| codec::write(argument, &mut bytes))
        })
    });
    match written {
        Ok((Ok(()), descriptors)) if descriptors.is_empty() => Ok(bytes),
        Ok((Ok(()), _)) => Err(encode(
            "it shares memory or a file with this process, which other machines cannot have".into(),
        )),
        Ok((Err(Failure::Encode(what) | Failure::Decode(what)), _)) => Err(encode(what)),
        Err(caught) => Err(caught.into()),
    }
}

/// The bytes of one value.
///
/// # Errors
///
/// As [`write_arguments`].
pub fn write_value<T: Data>(value: &T) -> Result<Vec<u8>, TaskError> {
    write_arguments(std::iter::once(value))
}

/// The value of some bytes, all of them.
///
/// # Errors
///
/// When they are not those of such a value.
pub fn read_value<T: Data>(bytes: &[u8]) -> Result<T, TaskError> {
    match caught(|| codec::decode_value(bytes)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(Failure::Encode(what) | Failure::Decode(what))) => Err(TaskError::Decode { what }),
        Err(caught) => Err(caught.into()),
    }
}

/// How an outcome is read.
pub fn reads<R: Data>() -> Read<R> {
    outcome::read::<R>
}

/// The bytes of an outcome that is an error.
pub fn write_error(error: &TaskError, output: &mut Vec<u8>) {
    outcome::write_failed(&Answer::from(error), output);
}

/// The error that an outcome is, if it is one.
pub fn error_of(bytes: &[u8]) -> Option<TaskError> {
    match bytes.first() {
        Some(&outcome::RESULT | &outcome::UNWELL) => None,
        _ => outcome::said(bytes),
    }
}

/// The handle of one call.
pub fn handle<R: Data>(task: &Arc<Single<R>>) -> Handle<R> {
    Handle::new(Arc::clone(task) as _)
}

/// The handle of several.
pub fn chunk_handle<R: Data>(task: &Arc<Chunk<R>>) -> Handle<Vec<Outcome<R>>> {
    Handle::new(Arc::clone(task) as _)
}

/// Calls a function for each argument; each has an outcome of its own.
pub fn call<F, A, R>(function: F, mut bytes: &[u8], count: u64) -> Vec<u8>
where
    F: Task<A, R>,
    A: Data,
    R: Data,
{
    let mut output = Vec::new();
    for _ in 0..count {
        let before = output.len();
        let done = caught(|| match codec::read::<A>(&mut bytes) {
            Ok(argument) => {
                write_own(&function(argument), &mut output);
                Ok(())
            }
            Err(Failure::Decode(what) | Failure::Encode(what)) => Err(Answer::Decode(what)),
        });
        close(done, before, &mut output);
    }
    output
}

/// Runs a coroutine for each argument, one after the other.
pub fn call_async<F, A, R>(function: F, bytes: Vec<u8>, count: u64) -> Running
where
    F: AsyncTask<A, R, Running: Send>,
    A: Data,
    R: Data,
{
    Box::pin(async move {
        let (mut output, mut at) = (Vec::new(), 0);
        for _ in 0..count {
            let before = output.len();
            let mut rest = &bytes[at..];
            let read = caught(|| codec::read::<A>(&mut rest));
            at = bytes.len() - rest.len();
            let done = match read {
                Ok(Ok(argument)) => {
                    // A panic of it is the pool's to catch: it is this coroutine's.
                    let result = function.begin(argument).await;
                    caught(|| {
                        write_own(&result, &mut output);
                        Ok(())
                    })
                }
                Ok(Err(Failure::Decode(what) | Failure::Encode(what))) => {
                    Ok(Err(Answer::Decode(what)))
                }
                Err(caught) => Err(caught),
            };
            close(done, before, &mut output);
        }
        output
    })
}

/// Writes a result, which may share nothing.
fn write_own<R: Data>(result: &R, output: &mut Vec<u8>) {
    let before = output.len();
    if !outcome::write_result(result, output).is_empty() {
        output.truncate(before);
        let what = "it shares memory or a file with its process, which other machines cannot have";
        outcome::write_failed(&Answer::Encode(what.to_owned()), output);
    }
}

fn close(
    done: Result<Result<(), Answer>, crate::thread::panic::Caught>,
    before: usize,
    output: &mut Vec<u8>,
) {
    let failed = match done {
        Ok(Ok(())) => return,
        Ok(Err(answer)) => answer,
        Err(caught) => caught.into(),
    };
    output.truncate(before);
    outcome::write_failed(&failed, output);
}

/// Puts a function on the list. What `#[hands::task]` writes.
#[doc(hidden)]
#[macro_export]
macro_rules! register_task {
    (fn $function:ident) => {
        const _: () = {
            #[$crate::remote::linkme::distributed_slice($crate::remote::TASKS)]
            #[linkme(crate = $crate::remote::linkme)]
            static TASK: $crate::remote::Registered = $crate::remote::Registered {
                name: || $crate::remote::signature_of($function).0,
                hash: || $crate::remote::signature_of($function).1,
                run: $crate::remote::RegisteredRun::Function(|bytes, count| {
                    $crate::remote::call($function, bytes, count)
                }),
            };
        };
    };
    (async fn $function:ident) => {
        const _: () = {
            #[$crate::remote::linkme::distributed_slice($crate::remote::TASKS)]
            #[linkme(crate = $crate::remote::linkme)]
            static TASK: $crate::remote::Registered = $crate::remote::Registered {
                name: || $crate::remote::async_signature_of($function).0,
                hash: || $crate::remote::async_signature_of($function).1,
                run: $crate::remote::RegisteredRun::Coroutine(|bytes, count| {
                    $crate::remote::call_async($function, bytes, count)
                }),
            };
        };
    };
}
