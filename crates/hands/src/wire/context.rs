//! What of a context goes to another process: values that can be written down, and what the rest is
//! known by.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::codec::{self, Failure};
use super::image::{Code, Datum};
use crate::context::{Carry, Context, Local, ReadValue};
use crate::sync::CancelToken;
use crate::task::Data;

/// How a value of this type is written down, and read again.
const fn carry<T: Data + Sync>() -> Carry {
    Carry {
        write: |value, to| match value.downcast_ref::<T>() {
            Some(value) => codec::append(value, to).map_err(what),
            None => Err("a value is of another type".to_owned()),
        },
        read: |from| Ok(Arc::new(codec::take::<T>(from).map_err(what)?)),
    }
}

fn what(failure: Failure) -> String {
    match failure {
        Failure::Encode(what) | Failure::Decode(what) => what,
    }
}

/// A context as it travels.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct WrittenContext {
    /// Whose each is, how it is read, and its bytes.
    values: Vec<(Datum, Code, Vec<u8>)>,
    /// How long there is, from a moment on the clock that all processes have.
    time: Option<(u64, Duration)>,
    /// The name of the `tracing` span, and its number where it is from.
    span: Option<(String, u64)>,
}

impl WrittenContext {
    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty() && self.time.is_none() && self.span.is_none()
    }

    /// By this moment the work is to be done.
    pub(crate) fn limit(&mut self, deadline: Option<Instant>) {
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        self.time = left.map(|left| (now(), left));
    }

    /// Runs work that came from another process in the context that came with it.
    ///
    /// # Safety
    ///
    /// It was made by [`Context::write`] in a process of the same image.
    pub(crate) unsafe fn read(self) -> Result<(Context, Option<CancelToken>), Failure> {
        let mut values = Vec::with_capacity(self.values.len());
        for (of, code, bytes) in self.values {
            let (Some(of), Some(address)) = (of.address(), code.address()) else {
                return Err(Failure::Decode("a value is of another program".to_owned()));
            };
            // SAFETY: the same code is at the same place in the image, as the caller says; there it
            // was a `ReadValue`.
            let read = unsafe { std::mem::transmute::<*const (), ReadValue>(address) };
            let value = read(&mut &bytes[..]).map_err(Failure::Decode)?;
            values.push((of as u64, value));
        }
        let token = self.time.map(|(then, left)| {
            let gone = Duration::from_nanos(now().saturating_sub(then));
            CancelToken::with_timeout(left.saturating_sub(gone))
        });
        let context = Context::of(values);
        #[cfg(feature = "tracing")]
        let context = context.in_span(self.span.map(|(name, number)| {
            tracing::info_span!(
                "task",
                submitted_in = name.as_str(),
                submitted_span = number
            )
        }));
        Ok((context, token))
    }
}

impl Context {
    /// What of it goes to another process.
    pub(crate) fn write(&self) -> Result<WrittenContext, Failure> {
        let mut written = WrittenContext::default();
        for (of, value, carry) in self.carried() {
            let of = usize::try_from(of).ok().and_then(Datum::at);
            let (Some(of), Some(read)) = (of, Code::at(carry.read as usize)) else {
                return Err(Failure::Encode(
                    "a portable `Local` is a `static` of the program itself".to_owned(),
                ));
            };
            let mut bytes = Vec::new();
            (carry.write)(value, &mut bytes).map_err(Failure::Encode)?;
            written.values.push((of, read, bytes));
        }
        #[cfg(feature = "tracing")]
        if let Some(span) = self.span() {
            let name = span.metadata().map_or("", tracing::Metadata::name);
            let number = span.id().map_or(0, |id| id.into_u64());
            written.span = Some((name.to_owned(), number));
        }
        Ok(written)
    }
}

fn now() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

impl<T: Data + Sync> Local<T> {
    /// One whose value goes along to other processes, too: into the workers of a
    /// [`ProcessPool`](crate::pool::ProcessPool). It must be a `static` of the program itself.
    ///
    /// ```
    /// # hands::entry!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let _hands = hands::init();
    /// use hands::context::Local;
    /// use hands::pool::{Pool, ProcessPool};
    ///
    /// static REQUEST: Local<u64> = Local::portable();
    ///
    /// let pool = ProcessPool::with_workers(1)?;
    /// let task = REQUEST.with(42, || pool.submit(|()| *REQUEST.get().unwrap(), ()));
    /// assert_eq!(task.join(), Ok(42));
    /// # Ok(())
    /// # }
    /// ```
    pub const fn portable() -> Local<T> {
        Local::carried_by(carry::<T>())
    }
}
