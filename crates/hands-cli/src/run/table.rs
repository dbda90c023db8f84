//! `--results FILE.csv` and `FILE.tsv`: a row for each job that has ended, with what it wrote.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use hands::command::OutputStream;
use hands::sync::Mutex;
use hands_batch::Finished;

/// The inputs of jobs that run, from the code that makes them to the code that writes the rows.
pub(crate) type Inputs = Arc<Mutex<HashMap<u64, Vec<Vec<u8>>>>>;

/// The file, and what has come of the jobs that run; that is kept in memory.
#[derive(Debug)]
pub(super) struct ShownTable {
    file: File,
    separator: u8,
    written: HashMap<u64, [Vec<u8>; 2]>,
    inputs: Inputs,
    /// How many inputs the first job had: the table has that number of columns for them.
    columns: Option<usize>,
}

impl ShownTable {
    pub(super) fn create(path: &Path, separator: u8, inputs: Inputs) -> io::Result<ShownTable> {
        Ok(ShownTable {
            file: File::create(path)?,
            separator,
            written: HashMap::new(),
            inputs,
            columns: None,
        })
    }

    pub(super) fn output(&mut self, number: u64, stream: OutputStream, bytes: &[u8]) {
        let written = self.written.entry(number).or_default();
        written[stream as usize].extend_from_slice(bytes);
    }

    /// What it wrote does not count: it is tried again.
    pub(super) fn forget(&mut self, number: u64) {
        self.written.remove(&number);
    }

    pub(super) fn end(&mut self, job: &Finished<'_>) -> io::Result<()> {
        let number = job.place.number;
        let inputs = self.inputs.lock().remove(&number).unwrap_or_default();
        let mut text = Vec::new();
        if self.columns.is_none() {
            let fixed = "Seq Host Starttime JobRuntime Send Receive Exitval Signal Command";
            let mut head: Vec<Vec<u8>> = fixed.split(' ').map(|name| name.into()).collect();
            head.extend((1..=inputs.len()).map(|number| format!("V{number}").into_bytes()));
            head.extend([b"Stdout".to_vec(), b"Stderr".to_vec()]);
            self.row(&head, &mut text);
        }
        let columns = *self.columns.get_or_insert(inputs.len());
        let start = job.at.duration_since(std::time::UNIX_EPOCH);
        let mut row: Vec<Vec<u8>> = [
            number.to_string(),
            job.host.unwrap_or(":").to_owned(),
            format!("{:.3}", start.unwrap_or_default().as_secs_f64()),
            format!("{:.3}", job.wall.as_secs_f64()),
            job.sent.to_string(),
            job.received.to_string(),
            job.exit().to_string(),
            job.signal().to_string(),
        ]
        .map(String::into_bytes)
        .into();
        row.push(job.display.to_vec());
        row.extend((0..columns).map(|at| inputs.get(at).cloned().unwrap_or_default()));
        row.extend(self.written.remove(&number).unwrap_or_default());
        self.row(&row, &mut text);
        self.file.write_all(&text)
    }

    /// RFC 4180: quotes where they are needed.
    fn row(&self, fields: &[Vec<u8>], text: &mut Vec<u8>) {
        for (at, field) in fields.iter().enumerate() {
            if at > 0 {
                text.push(self.separator);
            }
            let is_odd = |byte: &u8| [self.separator, b'"', b'\n', b'\r'].contains(byte);
            if !field.iter().any(is_odd) {
                text.extend_from_slice(field);
                continue;
            }
            text.push(b'"');
            for &byte in field {
                if byte == b'"' {
                    text.push(b'"');
                }
                text.push(byte);
            }
            text.push(b'"');
        }
        text.push(b'\n');
    }
}
