//! Threads with names, with daemons among them, and with an end that tells what happened.
//!
//! ```
//! use hands::thread::{Builder, JoinError};
//!
//! let thread = Builder::new().name("adder").spawn(|| 1 + 1)?;
//! assert_eq!(thread.join().unwrap(), 2);
//!
//! let thread = Builder::new().name("careless").spawn(|| { [1, 2, 3][std::hint::black_box(9)] })?;
//! let Err(JoinError::Panicked(panic)) = thread.join() else { unreachable!() };
//! assert!(panic.to_string().starts_with("thread `careless` panicked at "));
//! # std::io::Result::Ok(())
//! ```
//!
//! # What it adds to `std::thread`
//!
//! - **The rule at exit**: [`init`](crate::init)'s guard joins all threads but *daemons* when
//!   `main` ends. A thread is a daemon if it was built so, or else if the thread that started it is
//!   one.
//! - **Every thread has a name**, `thread-1` and so on unless it is given one.
//! - **A panic is kept** with its message and place ([`Panic`]), and joining oneself is an error,
//!   not a deadlock.
//! - **[`Context`](crate::context::Context) values follow** into the new thread.
//! - **A type can be a thread**: [`Run`].
//!
//! # How it works
//!
//! A thread is registered by its creator, before it exists, and struck off by a guard on its own
//! stack, whatever ends it; the exit rule waits until only daemons are on the list. The place of a
//! panic is only known to the panic hook, so the first thread that is started here puts one in
//! front of whatever hook is there; that one still does all it did before.
#![forbid(unsafe_code)]

mod builder;
mod handle;
mod info;
pub(crate) mod panic;
pub(crate) mod registry;
pub(crate) mod room;
mod scope;

pub use builder::{Builder, Run, run, spawn};
pub use handle::{JoinError, JoinHandle};
pub(crate) use info::introduce;
pub use info::{Current, current};
pub use panic::{Panic, PanicPlace};
pub use scope::{Scope, ScopedJoinHandle, scope};
