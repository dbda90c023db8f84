//! One source: values, or a text taken apart into rows of columns.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};

use csv_core::ReadRecordResult;
use memchr::memmem;
use regex::bytes::Regex;

use super::{Fill, InputError, Pull, Reader, Row};

/// A source of rows.
#[derive(Debug)]
pub(super) struct Table {
    text: TableText,
    columns: FieldSplit,
    /// Empty inputs are left out.
    skip_empty: bool,
    /// What ends it.
    end: Option<Vec<u8>>,
}

#[derive(Debug)]
enum TableText {
    Values(VecDeque<Vec<u8>>),
    File(LineStream),
}

/// How a value becomes columns.
#[derive(Debug)]
pub(super) enum FieldSplit {
    Whole,
    Pattern(Regex),
    Csv(Box<csv_core::Reader>),
}

#[derive(Debug)]
struct LineStream {
    reader: Reader,
    name: String,
    delimiter: Vec<u8>,
    /// Unused bytes that have been searched for a delimiter in vain.
    searched: usize,
    ended: bool,
    count: u64,
    /// The record that CSV is in the middle of.
    fields: Fields,
}

#[derive(Debug, Default)]
struct Fields {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Table {
    pub(super) fn values(values: Vec<Vec<u8>>, columns: FieldSplit, skip_empty: bool) -> Table {
        Table {
            text: TableText::Values(values.into()),
            columns,
            skip_empty,
            end: None,
        }
    }

    pub(super) fn file(
        reader: Reader,
        name: String,
        delimiter: Vec<u8>,
        columns: FieldSplit,
        skip_empty: bool,
    ) -> Table {
        let stream = LineStream {
            reader,
            name,
            delimiter,
            searched: 0,
            ended: false,
            count: 0,
            fields: Fields::default(),
        };
        Table {
            text: TableText::File(stream),
            columns,
            skip_empty,
            end: None,
        }
    }

    /// It ends before an input that is this.
    pub(super) fn until(self, end: Option<Vec<u8>>) -> Table {
        Table { end, ..self }
    }

    pub(super) fn pull(&mut self) -> Result<Pull<Row>, InputError> {
        loop {
            let row = match (&mut self.text, &mut self.columns) {
                (TableText::File(stream), FieldSplit::Csv(csv)) => stream.record(csv)?,
                (TableText::File(stream), _) => stream.value()?.map(|value| vec![value]),
                (TableText::Values(values), _) => match values.pop_front() {
                    Some(value) => Pull::Item(vec![value]),
                    None => Pull::End,
                },
            };
            let Pull::Item(row) = row else { return Ok(row) };
            if let (Some(end), [value]) = (&self.end, row.as_slice())
                && value == end
            {
                self.text = TableText::Values(VecDeque::new());
                return Ok(Pull::End);
            }
            if self.skip_empty && row.iter().all(Vec::is_empty) {
                continue;
            }
            return Ok(Pull::Item(match (&self.columns, row.as_slice()) {
                (FieldSplit::Pattern(pattern), [value]) => {
                    pattern.split(value).map(<[u8]>::to_vec).collect()
                }
                _ => row,
            }));
        }
    }

    pub(super) fn ready_fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.text {
            TableText::Values(_) => None,
            TableText::File(stream) => Some(stream.reader.as_fd()),
        }
    }

    /// How many rows are left, if that can be known without reading.
    pub(super) fn known_rows(&self) -> Option<u64> {
        match &self.text {
            TableText::Values(values) if self.skip_empty => {
                Some(values.iter().filter(|value| !value.is_empty()).count() as u64)
            }
            TableText::Values(values) => Some(values.len() as u64),
            TableText::File(_) => None,
        }
    }
}

impl<T> Pull<T> {
    fn map<U>(self, convert: impl FnOnce(T) -> U) -> Pull<U> {
        match self {
            Pull::Item(item) => Pull::Item(convert(item)),
            Pull::Pending => Pull::Pending,
            Pull::End => Pull::End,
        }
    }
}

impl LineStream {
    /// The next value up to its delimiter, or up to the end of the text.
    fn value(&mut self) -> Result<Pull<Vec<u8>>, InputError> {
        loop {
            let bytes = self.reader.bytes();
            // A delimiter of several bytes may have begun in what was searched.
            let from = self.searched.saturating_sub(self.delimiter.len() - 1);
            if let Some(found) = memmem::find(&bytes[from..], &self.delimiter) {
                let value = self.reader.take(from + found);
                self.reader.consume(self.delimiter.len());
                self.searched = 0;
                return self.checked(value).map(Pull::Item);
            }
            self.searched = bytes.len();
            if self.ended {
                if bytes.is_empty() {
                    return Ok(Pull::End);
                }
                let value = self.reader.take(self.searched);
                self.searched = 0;
                return self.checked(value).map(Pull::Item);
            }
            if !self.fill()? {
                return Ok(Pull::Pending);
            }
        }
    }

    fn checked(&mut self, value: Vec<u8>) -> Result<Vec<u8>, InputError> {
        self.count += 1;
        if value.contains(&0) {
            return Err(InputError::Nul {
                name: self.name.clone(),
                line: self.count,
            });
        }
        Ok(value)
    }

    /// False when there is nothing to read now.
    fn fill(&mut self) -> Result<bool, InputError> {
        let filled = self.reader.fill();
        let filled = filled.map_err(|error| InputError::Read {
            name: self.name.clone(),
            error,
        })?;
        self.ended |= filled == Fill::End;
        Ok(filled != Fill::Pending)
    }

    /// The next record of a CSV text.
    fn record(&mut self, csv: &mut csv_core::Reader) -> Result<Pull<Row>, InputError> {
        /// Room for what one call may write.
        const ROOM: usize = 4096;
        let fields = &mut self.fields;
        let (mut written, mut ended) = (fields.bytes.len(), fields.ends.len());
        loop {
            if self.reader.bytes().is_empty() && !self.ended {
                fields.bytes.truncate(written);
                fields.ends.truncate(ended);
                let filled = self.reader.fill();
                match filled.map_err(|error| InputError::Read {
                    name: self.name.clone(),
                    error,
                })? {
                    Fill::Pending => return Ok(Pull::Pending),
                    Fill::More => {}
                    Fill::End => self.ended = true,
                }
            }
            fields.bytes.resize(written + ROOM, 0);
            fields.ends.resize(ended + ROOM / 8, 0);
            // An empty input tells the reader that the text has ended.
            let (result, read, wrote, ends) = csv.read_record(
                self.reader.bytes(),
                &mut fields.bytes[written..],
                &mut fields.ends[ended..],
            );
            self.reader.consume(read);
            written += wrote;
            ended += ends;
            match result {
                ReadRecordResult::InputEmpty
                | ReadRecordResult::OutputFull
                | ReadRecordResult::OutputEndsFull => {}
                ReadRecordResult::Record => {
                    let mut start = 0;
                    let row = fields.ends[..ended]
                        .iter()
                        .map(|&end| fields.bytes[std::mem::replace(&mut start, end)..end].to_vec())
                        .collect();
                    fields.bytes.clear();
                    fields.ends.clear();
                    return self.checked_row(row).map(Pull::Item);
                }
                ReadRecordResult::End => {
                    fields.bytes.clear();
                    fields.ends.clear();
                    return Ok(Pull::End);
                }
            }
        }
    }

    fn checked_row(&mut self, row: Row) -> Result<Row, InputError> {
        self.count += 1;
        if row.iter().any(|field| field.contains(&0)) {
            return Err(InputError::Nul {
                name: self.name.clone(),
                line: self.count,
            });
        }
        Ok(row)
    }
}

#[cfg(test)]
mod tests;
