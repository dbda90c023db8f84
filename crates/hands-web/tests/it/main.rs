//! The promises of the page, proved by hostile requests and in a real browser.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the error in hand"
)]

mod browser;
mod hostile;
mod page;
mod pool;
mod scripted;
