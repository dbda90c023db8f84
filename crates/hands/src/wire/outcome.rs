//! The outcome of a task as a worker writes it, and its pool reads it.

use std::os::fd::OwnedFd;

use super::answer::Answer;
use super::codec::{self, Failure};
use super::message as wire;
use crate::task::{Data, Outcome, TaskError};
use crate::thread::panic::caught;

/// What precedes an outcome: a result, or an [`Answer`] that is none.
pub(crate) const RESULT: u8 = 0;
const FAILED: u8 = 1;
/// A result that is an `Err`, of a task that is begun again then.
pub(crate) const UNWELL: u8 = 2;

/// Appends a result, or why it cannot be written down.
pub(crate) fn write_result<R: Data>(result: &R, output: &mut Vec<u8>) -> Vec<OwnedFd> {
    let before = output.len();
    output.push(RESULT);
    let (written, descriptors) = codec::collecting(|| codec::write(result, output));
    match written {
        Ok(()) if descriptors.len() > wire::MOST_SHARED => {
            output.truncate(before);
            write_failed(&Answer::Encode(wire::too_many(descriptors.len())), output);
            Vec::new()
        }
        Ok(()) => descriptors,
        Err(Failure::Decode(what) | Failure::Encode(what)) => {
            output.truncate(before);
            write_failed(&Answer::Encode(what), output);
            Vec::new()
        }
    }
}

pub(crate) fn write_failed(failed: &Answer, output: &mut Vec<u8>) {
    output.push(FAILED);
    // Strings and numbers can always be written down.
    let _ = codec::append(failed, output);
}

/// Reads one outcome of those there.
pub(crate) fn read<R: Data>(bytes: &mut &[u8]) -> Outcome<R> {
    let unreadable = |what: String| TaskError::Decode {
        what: format!("the result: {what}"),
    };
    let read = match bytes.split_first() {
        Some((&(RESULT | UNWELL), rest)) => {
            *bytes = rest;
            caught(|| codec::read::<R>(bytes))
        }
        Some((&FAILED, rest)) => {
            *bytes = rest;
            let answer = codec::take::<Answer>(bytes);
            return Err(match answer {
                Ok(answer) => answer.error(),
                Err(_) => unreadable("it is no outcome".to_owned()),
            });
        }
        _ => return Err(unreadable("it is missing".to_owned())),
    };
    match read {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(Failure::Decode(what) | Failure::Encode(what))) => Err(unreadable(what)),
        Err(caught) => Err(caught.into()),
    }
}

/// The error that an outcome is, for one without a result.
pub(crate) fn said(mut bytes: &[u8]) -> Option<TaskError> {
    read::<()>(&mut bytes).err()
}
