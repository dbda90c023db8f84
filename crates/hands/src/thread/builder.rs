//! Starting threads.

use std::io;
use std::sync::Arc;

use super::handle::{JoinHandle, ThreadShared};
use super::info::{self, Current};
use super::panic;
use super::registry::RegistryEntry;
use super::scope::{Scope, ScopedJoinHandle};
use crate::context::Context;

/// A type that is a thread: its fields are what the thread works on.
///
/// ```
/// use hands::thread::{self, Run};
///
/// struct Sum { numbers: Vec<u64> }
///
/// impl Run for Sum {
///     type Output = u64;
///     fn run(self) -> u64 { self.numbers.iter().sum() }
/// }
///
/// let thread = thread::run(Sum { numbers: vec![1, 2, 3] });
/// assert_eq!(thread.join().unwrap(), 6);
/// ```
pub trait Run {
    /// What it leaves behind.
    type Output;

    /// What the thread does.
    fn run(self) -> Self::Output;
}

/// How a thread is to be started.
///
/// ```
/// use hands::thread::Builder;
///
/// let thread = Builder::new().name("clock").daemon(true).stack_size(64 * 1024).spawn(|| {})?;
/// assert_eq!(thread.name(), "clock");
/// assert!(thread.is_daemon());
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "nothing is started before `spawn`"]
pub struct Builder {
    name: Option<Arc<str>>,
    stack_size: Option<usize>,
    daemon: Option<bool>,
}

impl Builder {
    /// A thread as [`spawn`] starts it.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Its name, in messages and tools; Linux shows the first 15 bytes. `thread-N` unless set.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Builder {
        self.name = Some(name.into());
        self
    }

    /// Bytes of its stack; 2 MiB unless set here or by `RUST_MIN_STACK`. The system may need more,
    /// and then takes more.
    pub fn stack_size(mut self, bytes: usize) -> Builder {
        self.stack_size = Some(bytes);
        self
    }

    /// Whether the program may end without it; as its creator is, unless set.
    pub fn daemon(mut self, daemon: bool) -> Builder {
        self.daemon = Some(daemon);
        self
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// When the system refuses another thread, or the name has a NUL in it.
    pub fn spawn<T, F>(self, run: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let Start {
            builder,
            name,
            daemon,
            shared,
            body,
        } = self.prepare(run)?;
        let thread = builder.spawn(body)?;
        let id = thread.thread().id();
        Ok(JoinHandle {
            thread,
            shared,
            info: Current { name, id, daemon },
        })
    }

    /// Starts a thread that is a type.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn).
    pub fn run<R>(self, task: R) -> io::Result<JoinHandle<R::Output>>
    where
        R: Run + Send + 'static,
        R::Output: Send + 'static,
    {
        self.spawn(move || task.run())
    }

    /// Starts a thread that ends before `scope` does, and so may borrow from around it.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn).
    pub fn spawn_scoped<'scope, T, F>(
        self,
        scope: Scope<'scope, '_>,
        run: F,
    ) -> io::Result<ScopedJoinHandle<'scope, T>>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let Start {
            builder,
            name,
            daemon,
            shared,
            body,
        } = self.prepare(run)?;
        let thread = builder.spawn_scoped(scope.0, body)?;
        let id = thread.thread().id();
        Ok(ScopedJoinHandle {
            thread,
            shared,
            info: Current { name, id, daemon },
        })
    }

    fn prepare<T, F: FnOnce() -> T>(
        self,
        run: F,
    ) -> io::Result<Start<impl FnOnce() -> T + use<T, F>>> {
        let name = self.name.unwrap_or_else(info::next_name);
        if name.contains('\0') {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "the thread's name `{}` has a NUL in it",
                    name.escape_debug()
                ),
            ));
        }
        panic::watch_places();
        let daemon = self.daemon.unwrap_or_else(|| info::current().daemon);
        let mut builder = std::thread::Builder::new().name(name.to_string());
        if let Some(bytes) = self.stack_size {
            builder = builder.stack_size(bytes);
        }
        let shared = Arc::new(ThreadShared::default());
        // On the list before it exists: the program's end cannot come in between.
        let ending = ThreadEnding {
            shared: Arc::clone(&shared),
            entry: (!daemon).then(RegistryEntry::new),
        };
        let context = Context::current();
        let own_name = Arc::clone(&name);
        let noted = Arc::clone(&shared);
        let body = move || {
            info::introduce(own_name, daemon, ending);
            panic::watched(
                || context.run(run),
                |place| {
                    let _ = noted.place.set(place);
                },
            )
        };
        Ok(Start {
            builder,
            name,
            daemon,
            shared,
            body,
        })
    }
}

/// All that starting takes, whether scoped or not.
struct Start<B> {
    builder: std::thread::Builder,
    name: Arc<str>,
    daemon: bool,
    shared: Arc<ThreadShared>,
    body: B,
}

/// Dropped at the end of the thread, whatever ends it, after its thread-local values.
struct ThreadEnding {
    shared: Arc<ThreadShared>,
    entry: Option<RegistryEntry>,
}

impl Drop for ThreadEnding {
    fn drop(&mut self) {
        self.shared.ended.set();
        drop(self.entry.take());
    }
}

/// Starts a thread.
///
/// ```
/// let thread = hands::thread::spawn(|| (1..=10).sum::<u32>());
/// assert_eq!(thread.join().unwrap(), 55);
/// ```
///
/// What it uses must be its own; [`scope`](super::scope) starts threads that borrow:
///
/// ```compile_fail,E0373
/// let numbers = vec![1, 2, 3];
/// hands::thread::spawn(|| numbers.len());
/// drop(numbers);
/// ```
///
/// # Panics
///
/// When the system refuses another thread; [`Builder::spawn`] returns an error instead.
pub fn spawn<T, F>(run: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    match Builder::new().spawn(run) {
        Ok(handle) => handle,
        Err(error) => panic!("cannot start a thread: {error}"),
    }
}

/// Starts a thread that is a type. See [`Run`].
///
/// # Panics
///
/// When the system refuses another thread; [`Builder::run`] returns an error instead.
pub fn run<R>(task: R) -> JoinHandle<R::Output>
where
    R: Run + Send + 'static,
    R::Output: Send + 'static,
{
    spawn(move || task.run())
}

impl<'scope> Scope<'scope, '_> {
    /// Starts a thread; [`Builder::spawn_scoped`] gives it a name.
    ///
    /// # Panics
    ///
    /// When the system refuses another thread.
    pub fn spawn<T, F>(self, run: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        match Builder::new().spawn_scoped(self, run) {
            Ok(handle) => handle,
            Err(error) => panic!("cannot start a thread: {error}"),
        }
    }
}
