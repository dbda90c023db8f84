//! The least that any program for batches of commands has to do: start two, and another one for
//! each that ends.
//!
//! No input is read, nothing is captured, nobody is told anything. It is part of this process, so
//! it does not even have to start.

use std::env;
use std::ffi::{CStr, CString};
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::ptr;

use libc::{c_char, c_int, pid_t};

const PROGRAM: &CStr = c"/bin/true";

/// Runs `jobs` times `/bin/true NUMBER`, two at a time.
///
/// It waits for any child of this process; there must be no others.
pub(crate) fn run(jobs: u64) -> io::Result<()> {
    let environment = environment();
    let (mut started, mut running) = (0, 0);
    while started < jobs || running > 0 {
        if started < jobs && running < 2 {
            started += 1;
            running += 1;
            spawn(
                &CString::new(started.to_string()).expect("digits hold no NUL"),
                &environment,
            )?;
        } else {
            wait_for_any()?;
            running -= 1;
        }
    }
    Ok(())
}

/// `NAME=value` strings and, after them, the null that ends the list.
struct Environment {
    /// What the pointers point into.
    _strings: Vec<CString>,
    pointers: Vec<*mut c_char>,
}

fn environment() -> Environment {
    let strings: Vec<CString> = env::vars_os()
        .filter_map(|(name, value)| {
            CString::new([name.into_vec(), value.into_vec()].join(&b'=')).ok()
        })
        .collect();
    let pointers = strings
        .iter()
        .map(|string| string.as_ptr().cast_mut())
        .chain([ptr::null_mut()])
        .collect();
    Environment {
        _strings: strings,
        pointers,
    }
}

fn spawn(number: &CStr, environment: &Environment) -> io::Result<pid_t> {
    let arguments = [
        PROGRAM.as_ptr().cast_mut(),
        number.as_ptr().cast_mut(),
        ptr::null_mut(),
    ];
    let mut pid = 0;
    // SAFETY: `pid` is a place for a pid. `PROGRAM`, the strings in `arguments` and those in
    // `environment` end in NUL and outlive the call; both lists end in a null pointer.
    // `posix_spawn` only reads them, although its types, which are older than `const`, do not say
    // so. No file actions and no attributes are allowed.
    let error = unsafe {
        libc::posix_spawn(
            &mut pid,
            PROGRAM.as_ptr(),
            ptr::null(),
            ptr::null(),
            arguments.as_ptr(),
            environment.pointers.as_ptr(),
        )
    };
    // It returns the error instead of setting `errno`.
    if error == 0 {
        Ok(pid)
    } else {
        Err(io::Error::from_raw_os_error(error))
    }
}

fn wait_for_any() -> io::Result<()> {
    let mut status: c_int = 0;
    // SAFETY: `status` is a place for a status, and the call keeps no pointer to it.
    let pid = unsafe { libc::waitpid(-1, &mut status, 0) };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::other(format!(
            "`/bin/true` ended with status {status}"
        )))
    }
}
