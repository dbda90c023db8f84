//! How a copy of the program becomes a worker: [`enter`], behind `hands::init()`.
//!
//! A process that is to work is the program itself, started with the words [`MARK`] and a [`Role`]
//! behind its name, and with a socket for its stdin. So nothing is inherited by what it starts
//! itself, as a variable in the environment would be.

use std::ffi::OsString;
use std::os::fd::OwnedFd;

use rustix::net::sockopt::{socket_peercred, socket_type};

use super::role::{MARK, Role, note_ready, stop};
use super::{worker, zygote};

/// Notes that copies of this program will be workers where they are to be; and does not return in
/// one that is.
///
/// For [`init`](crate::init) and [`entry!`](crate::entry).
#[doc(hidden)]
pub fn enter() {
    note_ready();
    let mut words = std::env::args_os().skip(1);
    if words.next().is_none_or(|word| word != MARK) {
        return;
    }
    let role = words.next();
    let Some(socket) = our_socket() else {
        stop(&format!(
            "`{MARK}` is how this program starts copies of itself; it is not for people"
        ));
    };
    if !is_one_of_us(&socket) {
        stop(
            "this program has more rights than the process that has started this copy of it, which it does not work for",
        );
    }
    match role {
        Some(role) if is(&role, Role::Zygote) => zygote::run(socket),
        Some(role) if is(&role, Role::Worker) => worker::alone(socket),
        _ => stop("a copy of this program was told to be what it cannot be"),
    }
}

fn is(word: &OsString, role: Role) -> bool {
    word == role.word()
}

/// What stdin was; there is nothing to read for a worker, so `/dev/null` takes its place.
fn our_socket() -> Option<OwnedFd> {
    socket_type(std::io::stdin()).ok()?;
    let socket = rustix::io::fcntl_dupfd_cloexec(std::io::stdin(), 3).ok()?;
    let null = std::fs::File::open("/dev/null").ok()?;
    rustix::stdio::dup2_stdin(null).ok()?;
    Some(socket)
}

/// Whether who has made the socket could do anyway what it may ask for: have any code of this
/// program run.
fn is_one_of_us(socket: &OwnedFd) -> bool {
    // SAFETY: looks up a number that the kernel gave this program at its start.
    let is_privileged = unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
    let is_same_user =
        socket_peercred(socket).is_ok_and(|peer| peer.uid == rustix::process::geteuid());
    !is_privileged && is_same_user
}

/// Lets copies of a program be workers where `main` is not yours to begin: under `#[tokio::main]`,
/// in tests, in a library that others' programs use.
///
/// [`init`](crate::init) does that at the beginning of `main`; this, written once in some file of
/// the program, does it before `main` begins. The guard of [`init`](crate::init), which waits at
/// the end of `main`, is not part of it, and can be had beside it.
///
/// ```
/// hands::entry!();
///
/// #[tokio::main(flavor = "current_thread")]
/// async fn main() -> hands::Result<()> {
///     use hands::prelude::*;
///
///     let pool = ProcessPool::with_workers(1)?;
///     assert_eq!(pool.submit(|n: u64| n + 1, 1).await?, 2);
///     pool.shutdown_async(hands::pool::Shutdown::Drain).await;
///     Ok(())
/// }
/// ```
///
/// In tests it stands once in each file under `tests/`, or in `lib.rs` under `#[cfg(test)]`; it
/// works with `cargo test` and with `cargo nextest`. A library that starts processes has it in its
/// `lib.rs`: whatever program uses it need not know.
#[macro_export]
macro_rules! entry {
    () => {
        const _: () = {
            #[used]
            #[unsafe(link_section = ".init_array")]
            static ENTRY: extern "C" fn() = {
                extern "C" fn enter() {
                    $crate::process::enter();
                }
                enter
            };
        };
    };
}
