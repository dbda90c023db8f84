//! How values, functions and descriptors travel between processes of one program.
//!
//! | file | what it does |
//! |---|---|
//! | `codec/` | values as bytes, each in a frame; which of two forms is safe for a type |
//! | `image` | a function by its place in the executable, checked against the executable's build id |
//! | `answer`, `outcome` | how a function ended; a task's outcome as a worker writes it |
//! | `message` | bytes and descriptors over a socket that keeps messages whole |
//! | `context` | the values of a [`Context`](crate::context::Context) that are portable |

pub(crate) mod answer;
pub(crate) mod codec;
pub(crate) mod context;
pub(crate) mod image;
pub(crate) mod message;
pub(crate) mod outcome;
