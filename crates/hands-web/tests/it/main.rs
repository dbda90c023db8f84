//! The promises of the page, proved by hostile requests and in a real browser.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the error in hand"
)]

#[allow(dead_code, reason = "each crate's tests use a part of it")]
mod browser;
mod hostile;
mod page;
mod pool;
mod scripted;
