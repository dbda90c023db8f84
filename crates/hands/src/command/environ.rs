//! The environment of children, built once for many of them.

use std::ffi::{CString, OsStr, OsString};
use std::marker::PhantomData;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::ptr;

use super::SpawnReason;
use super::sys::spawn::Pointers;

/// `NAME=value` strings, fixed for a batch, to which each child adds a few of its own.
#[derive(Debug)]
pub struct Environment {
    entries: Vec<CString>,
}

/// Changes to the environment that a child would inherit.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Nothing is inherited.
    pub clear: bool,
    /// Later entries win; `None` removes.
    pub set: Vec<(OsString, Option<OsString>)>,
}

impl Changes {
    /// What no environment can hold: a NUL byte, or a name that is empty or has a `=` in it, which
    /// would be another variable.
    pub fn check(&self) -> Result<(), SpawnReason> {
        for (name, value) in &self.set {
            let texts = [Some(name), value.as_ref()];
            if texts
                .into_iter()
                .flatten()
                .any(|text| text.as_bytes().contains(&0))
            {
                return Err(SpawnReason::NulByte);
            }
            if name.is_empty() || name.as_bytes().contains(&b'=') {
                return Err(SpawnReason::Variable(name.clone()));
            }
        }
        Ok(())
    }
}

impl Environment {
    /// The program's own environment with `changes`, without the names in `reserved`, which the
    /// children get later.
    pub fn new(changes: &Changes, reserved: &[&str]) -> Environment {
        let mut pairs: Vec<(OsString, OsString)> = if changes.clear {
            Vec::new()
        } else {
            std::env::vars_os().collect()
        };
        for (name, value) in &changes.set {
            pairs.retain(|(known, _)| known != name);
            if let Some(value) = value {
                pairs.push((name.clone(), value.clone()));
            }
        }
        pairs.retain(|(name, _)| !reserved.iter().any(|&taken| name == OsStr::new(taken)));
        let entries = pairs
            .into_iter()
            .filter_map(|(name, value)| entry(name, &value))
            .collect();
        Environment { entries }
    }

    /// The array for `execve`: the fixed entries, then `more`.
    pub fn pointers<'a>(&'a self, more: &'a [CString]) -> Pointers<'a> {
        let mut array = Vec::with_capacity(self.entries.len() + more.len() + 1);
        array.extend(self.entries.iter().chain(more).map(|entry| entry.as_ptr()));
        array.push(ptr::null());
        Pointers {
            array,
            entries: PhantomData,
        }
    }

    /// The value that children will see for `name`.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.entries.iter().find_map(|entry| {
            let value = entry
                .as_bytes()
                .strip_prefix(name.as_bytes())?
                .strip_prefix(b"=")?;
            Some(OsStr::from_bytes(value))
        })
    }
}

/// `None` for what no environment can hold: a NUL byte. [`Changes::check`] has told of it.
fn entry(name: OsString, value: &OsStr) -> Option<CString> {
    let mut bytes = name.into_vec();
    bytes.push(b'=');
    bytes.extend_from_slice(value.as_bytes());
    CString::new(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_change_of_a_name_wins_and_reserved_names_are_left_out() {
        let set =
            |name: &str, value: Option<&str>| (OsString::from(name), value.map(OsString::from));
        let changes = Changes {
            clear: true,
            set: vec![
                set("A", Some("1")),
                set("A", Some("2")),
                set("B", Some("3")),
                set("B", None),
                set("X", Some("9")),
            ],
        };
        let environment = Environment::new(&changes, &["X"]);
        assert_eq!(environment.get("A"), Some(OsStr::new("2")));
        assert_eq!(environment.get("B"), None);
        assert_eq!(environment.get("X"), None);
        assert_eq!(environment.pointers(&[]).array.len(), 2);
    }
}
