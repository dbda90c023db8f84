//! From the plan's words for inputs to the library's.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use hands_batch::input::{self, Group, Limit, SourceSpec, Spec};
use hands_batch::records::{Boundary, RecordSpec, Records};
use hands_batch::template::{JobArgs, Template};
use rustix::fs::{MemfdFlags, memfd_create};

use super::item::RunItem;
use crate::plan::Plan;
use crate::plan::parts::{ColumnFlags, OutputGrouping, PipePlan, Reads, RecordEnd};

/// Bytes of a folder's name in `--results`; file systems allow 255.
const NAME: usize = 200;

/// Reads the command, given the names of the input's columns.
pub(super) type Parse<'a> = dyn Fn(&[Vec<u8>]) -> Result<Template, String> + 'a;

/// Opens the inputs. `parse` reads the command, to know how much each row adds to it.
pub(super) fn open(
    plan: &Plan,
    listed: Vec<SourceSpec>,
    slots: NonZeroUsize,
    words: &[OsString],
    parse: &Parse<'_>,
) -> Result<input::JobsSpec, String> {
    let inputs = &plan.inputs;
    let mut sources: Vec<SourceSpec> = inputs
        .arg_files
        .iter()
        .map(|path| SourceSpec::file(path))
        .collect();
    sources.extend(listed);
    let room = || {
        let room = hands::command::room_for_arguments();
        plan.inputs
            .most_bytes
            .map_or(room, |most| room.min(most.get()))
    };
    let group = match inputs.grouping {
        OutputGrouping::Rows(rows) if rows.get() > 1 && !words.is_empty() => {
            let template = parse(&[])?;
            let limit = Limit {
                limit: room(),
                fixed: template.fixed_cost(),
                cost: Box::new(move |row| template.row_cost(row)),
            };
            Group::RowsWithin(rows, limit)
        }
        OutputGrouping::Rows(rows) => Group::Rows(rows),
        OutputGrouping::Uninserted => Group::Rows(NonZeroUsize::MIN),
        OutputGrouping::Fill(most) => {
            if words.is_empty() {
                return Err(
                    "`-X` needs a command to put the inputs on\n  hint: name it before `:::`"
                        .into(),
                );
            }
            // The names of columns are not known yet, and `{name}` counts as text: about as long.
            let template = parse(&[])?;
            let most = most.map_or(usize::MAX, NonZeroUsize::get);
            Group::Fill {
                limit: room(),
                fixed: template.fixed_cost(),
                most: most.min(template.max_rows(1)),
                cost: Box::new(move |row| template.row_cost(row)),
                slots,
            }
        }
    };
    let spec = Spec {
        sources,
        delimiter: match &inputs.reads {
            Reads::Lines => b"\n".to_vec(),
            Reads::Delimited(delimiter) => delimiter.clone(),
        },
        columns: match &inputs.columns {
            ColumnFlags::Whole => input::Columns::Whole,
            ColumnFlags::Pattern(pattern) => input::Columns::Pattern(pattern.clone()),
            ColumnFlags::Csv(separator) => input::Columns::Csv(*separator),
        },
        header: inputs.header,
        skip_empty: inputs.skip_empty,
        end: inputs.end.clone(),
        cycles: inputs.cycles,
        group,
    };
    spec.open().map_err(|error| error.to_string())
}

/// Opens stdin for `--pipe`.
pub(super) fn records(pipe: &PipePlan) -> Result<Records, String> {
    let boundary = match &pipe.boundary {
        RecordEnd::Literal { end, start } => Boundary::Literal {
            end: end.clone(),
            start: start.clone(),
        },
        RecordEnd::Pattern { end, start } => Boundary::Pattern {
            end: end.clone(),
            start: start.clone(),
        },
    };
    let spec = RecordSpec {
        block: usize::try_from(pipe.block).unwrap_or(usize::MAX),
        records: pipe.records,
        boundary,
        remove: pipe.remove,
    };
    Records::stdin(spec).map_err(|error| error.to_string())
}

/// Reads stdin to its end, into a file without a name: for `--tee`.
pub(super) fn all_of_stdin(plan: &Plan) -> Result<File, String> {
    let stdin = || io::stdin().as_fd().try_clone_to_owned();
    let kept = || {
        let mut stdin = File::from(stdin()?);
        if stdin.metadata()?.is_file() {
            return Ok(stdin);
        }
        let mut file = match &plan.limits.tmpdir {
            Some(folder) => tempfile::tempfile_in(folder)?,
            None => tempfile::tempfile()?,
        };
        io::copy(&mut stdin, &mut file)?;
        Ok(file)
    };
    kept().map_err(|error: io::Error| format!("stdin cannot be kept for `--tee`: {error}"))
}

/// The file once more, from its start.
pub(super) fn again(file: &File) -> io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    File::open(path).map(OwnedFd::from)
}

/// A block in a file of memory. It has a name for as long as this program holds it.
pub(super) fn as_file(block: &[u8]) -> io::Result<RunItem> {
    let file = File::from(memfd_create("hands-block", MemfdFlags::CLOEXEC)?);
    (&file).write_all(block)?;
    let name = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
    Ok(RunItem::File {
        _held: file.into(),
        name: vec![vec![name.into_bytes()]],
    })
}

/// A job's folder in `--results`: `DIR/1/VALUE/2/VALUE`, with names for the numbers where there are
/// some. A job without inputs gets `DIR/SEQ`.
pub(super) fn results(folder: &Path, names: &[Vec<u8>], args: &JobArgs<'_>) -> PathBuf {
    let mut path = folder.to_owned();
    let mut values = args.rows.iter().flatten().enumerate().peekable();
    if values.peek().is_none() {
        path.push(args.seq.to_string());
    }
    for (place, value) in values {
        match names.get(place) {
            Some(name) => path.push(folder_name(name)),
            None => path.push((place + 1).to_string()),
        }
        path.push(folder_name(value));
    }
    path
}

/// The path, marked as that of another job than the one that has it already.
pub(super) fn told_apart(path: &Path, number: u64) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(r"\~{number}"));
    path.with_file_name(name)
}

/// A value as the name of one folder, never `.`, `..` or empty, and different for different values:
/// `/` becomes `\_` and `\` becomes `\\` as with GNU parallel; a long one is cut and told apart by
/// its length and a hash.
fn folder_name(value: &[u8]) -> OsString {
    let mut name = Vec::with_capacity(value.len());
    for &byte in value {
        match byte {
            b'/' => name.extend_from_slice(br"\_"),
            b'\\' => name.extend_from_slice(br"\\"),
            byte => name.push(byte),
        }
    }
    if name.is_empty() {
        name.extend_from_slice(br"\0");
    }
    if name.iter().all(|&byte| byte == b'.') {
        name = name.iter().flat_map(|_| *br"\.").collect();
    }
    if name.len() > NAME {
        let hash = value.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        name.truncate(NAME - 40);
        name.extend_from_slice(format!(r"\~{}-{hash:016x}", value.len()).as_bytes());
    }
    OsStr::from_bytes(&name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stays_inside_the_results_folder() {
        let name = |value: &[u8]| folder_name(value).into_encoded_bytes();
        assert_eq!(name(b"a/b"), br"a\_b");
        assert_eq!(name(b".."), br"\.\.");
        assert_eq!(name(b"../x"), br"..\_x");
        assert_eq!(name(b""), br"\0");
        assert_eq!(name(br"\"), br"\\");
        assert!(name(&[b'x'; 5000]).len() <= NAME);
        assert_ne!(name(&[b'x'; 5000]), name(&[b'x'; 5001]));
    }
}
