//! What the tests of this module share.

use std::io::{Seek, Write};
use std::os::fd::OwnedFd;

use super::table::{FieldSplit, Table};
use super::{InputError, Pull, Reader, Row};

/// A file with these bytes.
pub(super) fn file(bytes: &[u8]) -> OwnedFd {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(bytes).expect("write");
    file.rewind().expect("rewind");
    file.into()
}

/// Rows of one column each.
pub(super) fn values(values: &[&str]) -> Table {
    let values = values.iter().map(|value| value.as_bytes().to_vec());
    Table::values(values.collect(), FieldSplit::Whole, false)
}

/// The lines that come from a descriptor.
pub(super) fn lines(fd: OwnedFd) -> Table {
    table(fd, b"\n", FieldSplit::Whole)
}

pub(super) fn table(fd: OwnedFd, delimiter: &[u8], split: FieldSplit) -> Table {
    let reader = Reader::new(fd).expect("a reader");
    Table::file(reader, "it".into(), delimiter.to_vec(), split, false)
}

/// Everything there is, from something that never has to be waited for.
pub(super) fn all<T>(
    mut pull: impl FnMut() -> Result<Pull<T>, InputError>,
) -> Result<Vec<T>, InputError> {
    let mut items = Vec::new();
    loop {
        match pull()? {
            Pull::Item(item) => items.push(item),
            Pull::Pending => panic!("it is all there"),
            Pull::End => return Ok(items),
        }
    }
}

/// A row for comparing: its columns joined by `|`.
pub(super) fn shown(row: &Row) -> String {
    String::from_utf8_lossy(&row.join(&b'|')).into_owned()
}
