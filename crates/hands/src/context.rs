//! Values that follow a task into its worker.
//!
//! A thread-local value stays where it is when work moves to another thread. A [`Local`] goes with
//! the work: a thread that starts a thread, or hands a task to a pool, passes on the [`Context`] of
//! the moment, and the work finds it around itself.
//!
//! ```
//! use hands::context::Local;
//! use hands::thread;
//!
//! static USER: Local<String> = Local::new();
//!
//! USER.with("ada".to_owned(), || {
//!     let worker = thread::spawn(|| USER.get().map(|user| user.to_string()));
//!     assert_eq!(worker.join().unwrap().as_deref(), Some("ada"));
//! });
//! assert_eq!(USER.get(), None);
//! ```
//!
//! Into another process go the values of those that are [portable](Local::portable).
//!
//! A context is never changed, only replaced for as long as some function runs; so passing one on
//! is one reference count, and nothing at all where no value has been set. With the feature
//! `tracing` it also carries the `tracing` span of the moment.
#![forbid(unsafe_code)]

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Called before a context is taken: it may still put a value around the caller. Set by the cancel
/// tokens, which are made only when they are asked for.
static BEFORE_CAPTURE: OnceLock<fn()> = OnceLock::new();

/// From now on `prepare` is called before a context is taken.
pub(crate) fn before_capture(prepare: fn()) {
    BEFORE_CAPTURE.get_or_init(|| prepare);
}

/// A value of any type.
pub(crate) type AnyValue = dyn Any + Send + Sync;

/// How a value is written down for another process, and read there. What goes wrong is a sentence.
#[derive(Clone, Copy)]
pub(crate) struct Carry {
    pub(crate) write: fn(&AnyValue, &mut Vec<u8>) -> Result<(), String>,
    pub(crate) read: ReadValue,
}

pub(crate) type ReadValue = fn(&mut &[u8]) -> Result<Arc<AnyValue>, String>;

/// The values around some piece of work.
#[derive(Clone, Default)]
pub struct Context {
    values: Option<Arc<[ContextValue]>>,
    #[cfg(feature = "tracing")]
    span: Option<tracing::Span>,
}

#[derive(Clone)]
struct ContextValue {
    of: u64,
    value: Arc<AnyValue>,
    /// For one that goes to other processes.
    carry: Option<Carry>,
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<[ContextValue]>>> = const { RefCell::new(None) };
}

/// Puts back what was there before, also when unwinding.
struct RestoreContext(Option<Arc<[ContextValue]>>);

impl Drop for RestoreContext {
    fn drop(&mut self) {
        // A thread whose own values are being dropped already has no context to be restored.
        let _ = CURRENT.try_with(|current| current.replace(self.0.take()));
    }
}

fn current_values() -> Option<Arc<[ContextValue]>> {
    CURRENT
        .try_with(|current| current.borrow().clone())
        .unwrap_or_default()
}

fn run_with<R>(values: Option<Arc<[ContextValue]>>, run: impl FnOnce() -> R) -> R {
    let before = CURRENT
        .try_with(|current| current.replace(values))
        .unwrap_or_default();
    let _restore = RestoreContext(before);
    run()
}

impl Context {
    /// The values around the caller.
    pub fn current() -> Context {
        if let Some(prepare) = BEFORE_CAPTURE.get() {
            prepare();
        }
        Context {
            values: current_values(),
            #[cfg(feature = "tracing")]
            span: Some(tracing::Span::current()).filter(|span| !span.is_none()),
        }
    }

    /// One with these values, each under the number of its [`Local`].
    pub(crate) fn of(values: Vec<(u64, Arc<AnyValue>)>) -> Context {
        let value = |(of, value)| ContextValue {
            of,
            value,
            carry: None,
        };
        let values: Vec<ContextValue> = values.into_iter().map(value).collect();
        Context {
            values: (!values.is_empty()).then(|| values.into()),
            #[cfg(feature = "tracing")]
            span: None,
        }
    }

    /// In this span.
    #[cfg(feature = "tracing")]
    pub(crate) fn in_span(self, span: Option<tracing::Span>) -> Context {
        Context { span, ..self }
    }

    #[cfg(feature = "tracing")]
    pub(crate) fn span(&self) -> Option<&tracing::Span> {
        self.span.as_ref()
    }

    /// The values that can go to another process, each with the number of its [`Local`].
    pub(crate) fn carried(&self) -> impl Iterator<Item = (u64, &AnyValue, Carry)> {
        let values = self.values.iter().flat_map(|values| values.iter());
        values.filter_map(|value| Some((value.of, &*value.value, value.carry?)))
    }

    /// Whether nothing is in it.
    pub(crate) fn is_empty(&self) -> bool {
        #[cfg(feature = "tracing")]
        if self.span.is_some() {
            return false;
        }
        self.values.is_none()
    }

    /// Runs a function inside this context; the caller's own is back afterwards.
    pub fn run<R>(&self, run: impl FnOnce() -> R) -> R {
        #[cfg(feature = "tracing")]
        let _entered = self.span.as_ref().map(tracing::Span::enter);
        run_with(self.values.clone(), run)
    }

    /// Runs a coroutine inside this context, on whatever thread it is polled.
    pub async fn attach<F: Future>(self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|context| self.run(|| future.as_mut().poll(context))).await
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.values.as_ref().map_or(0, |values| values.len());
        let mut shown = f.debug_struct("Context");
        shown.field("values", &values).finish_non_exhaustive()
    }
}

/// A value of which each [`Context`] can have its own; made to be a `static`.
pub struct Local<T> {
    /// 0 until it is first used: two statics of no size may share an address.
    id: AtomicU64,
    value: PhantomData<fn() -> T>,
    carry: Option<Carry>,
}

impl<T> Local<T> {
    /// One that no context has a value for.
    pub const fn new() -> Local<T> {
        Local {
            id: AtomicU64::new(0),
            value: PhantomData,
            carry: None,
        }
    }

    /// One whose values go to other processes by `carry`.
    pub(crate) const fn carried_by(carry: Carry) -> Local<T> {
        Local {
            id: AtomicU64::new(0),
            value: PhantomData,
            carry: Some(carry),
        }
    }

    fn id(&self) -> u64 {
        static LAST: AtomicU64 = AtomicU64::new(0);
        if self.carry.is_some() {
            // Known in other processes by where it is; a count never gets that far.
            return std::ptr::from_ref(self).addr() as u64;
        }
        match self.id.load(Ordering::Relaxed) {
            0 => {
                let id = LAST.fetch_add(1, Ordering::Relaxed) + 1;
                let first = self
                    .id
                    .compare_exchange(0, id, Ordering::Relaxed, Ordering::Relaxed);
                first.map_or_else(|other| other, |_| id)
            }
            id => id,
        }
    }
}

impl<T: Send + Sync + 'static> Local<T> {
    /// The value around the caller.
    pub fn get(&self) -> Option<Arc<T>> {
        let id = self.id();
        let values = current_values()?;
        let found = values.iter().find(|value| value.of == id)?;
        Arc::clone(&found.value).downcast().ok()
    }

    /// Runs a function with this value around it, and around all that is started in it.
    pub fn with<R>(&self, value: T, run: impl FnOnce() -> R) -> R {
        run_with(Some(self.and_others(value)), run)
    }
}

impl<T: Send + Sync + 'static> Local<T> {
    /// Puts the value around the caller for as long as the innermost function runs that was given a
    /// context.
    pub(crate) fn overlay(&self, value: T) {
        let values = self.and_others(value);
        // A thread whose own values are being dropped has no context.
        let _ = CURRENT.try_with(|current| current.replace(Some(values)));
    }

    fn and_others(&self, value: T) -> Arc<[ContextValue]> {
        let of = self.id();
        let before = current_values();
        let others = before.iter().flat_map(|values| values.iter());
        let mut values: Vec<ContextValue> =
            others.filter(|value| value.of != of).cloned().collect();
        values.push(ContextValue {
            of,
            value: Arc::new(value),
            carry: self.carry,
        });
        values.into()
    }
}

impl<T> Default for Local<T> {
    fn default() -> Local<T> {
        Local::new()
    }
}

impl<T> fmt::Debug for Local<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").finish_non_exhaustive()
    }
}
