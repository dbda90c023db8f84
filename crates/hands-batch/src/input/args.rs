//! `COMMAND ::: a b :::: FILE`: where the command ends and what its sources are.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use super::{InputKind, SourceSpec};

/// Takes the tail of a command line apart. `:::` begins values, `::::` files (each a source of its
/// own, `-` is stdin); with a `+` the source is linked to the one before. The first of these words
/// ends the command.
pub fn split_args(words: Vec<OsString>) -> (Vec<OsString>, Vec<SourceSpec>) {
    let mut command = Vec::new();
    let mut sources: Vec<SourceSpec> = Vec::new();
    let mut files = false;
    let mut link_next = false;
    for word in words {
        let (opens, opens_files, linked) = match word.as_encoded_bytes() {
            b":::" => (true, false, false),
            b":::+" => (true, false, true),
            b"::::" => (true, true, false),
            b"::::+" => (true, true, true),
            _ => (false, false, false),
        };
        if opens {
            files = opens_files;
            link_next = linked;
            if !files {
                sources.push(SourceSpec {
                    kind: InputKind::Values(Vec::new()),
                    linked,
                });
            }
            continue;
        }
        match sources.last_mut() {
            _ if files => {
                let linked = link_next;
                sources.push(SourceSpec {
                    linked,
                    ..SourceSpec::file(Path::new(&word))
                });
            }
            Some(SourceSpec {
                kind: InputKind::Values(values),
                ..
            }) => values.push(word.into_vec()),
            _ => command.push(word),
        }
    }
    (command, sources)
}

#[cfg(test)]
mod tests;
