//! Several sources as one: every combination (`:::` again), or side by side (`:::+`).

use std::os::fd::BorrowedFd;

use super::table::Table;
use super::{InputError, Pull, Row};

/// Sources that advance together; the shortest ends them all, or begins again until the longest has
/// ended.
#[derive(Debug)]
pub(super) struct Linked {
    tables: Vec<Table>,
    /// The rows of this round that are there already; the table behind them is the one that is
    /// waited for.
    partial: Vec<Row>,
    /// What each has given, where those that end begin again; and which have ended.
    cycles: Option<Vec<GivenInputs>>,
    /// A source that has not ended has given a row in this round.
    is_fresh: bool,
}

#[derive(Debug, Default)]
struct GivenInputs {
    rows: Vec<Row>,
    ended: bool,
    next: usize,
}

/// Every combination of its parts, the last varying fastest. The first part is read as it goes; the
/// others are read to their ends first and remembered, since each of their rows is needed again and
/// again.
#[derive(Debug)]
pub(super) struct Product {
    first: Linked,
    rest: Vec<Remembered>,
    outer: Option<Row>,
    /// The part of `rest` that had nothing to give yet when it was last asked; `None` is the first
    /// part.
    waiting: Option<usize>,
}

#[derive(Debug)]
struct Remembered {
    source: Linked,
    rows: Vec<Row>,
    complete: bool,
    at: usize,
}

impl Linked {
    pub(super) fn new(table: Table, cycles: bool) -> Linked {
        Linked {
            tables: vec![table],
            partial: Vec::new(),
            cycles: cycles.then(|| vec![GivenInputs::default()]),
            is_fresh: false,
        }
    }

    pub(super) fn link(&mut self, table: Table) {
        self.tables.push(table);
        if let Some(given) = &mut self.cycles {
            given.push(GivenInputs::default());
        }
    }

    /// As [`pull`](Self::pull), where sources that end begin again.
    fn pull_in_cycles(&mut self) -> Result<Pull<Row>, InputError> {
        let Some(given) = &mut self.cycles else {
            return Ok(Pull::End);
        };
        while let Some(table) = self.tables.get_mut(self.partial.len()) {
            let given = &mut given[self.partial.len()];
            if !given.ended {
                match table.pull()? {
                    Pull::Item(row) => {
                        given.rows.push(row.clone());
                        self.partial.push(row);
                        self.is_fresh = true;
                        continue;
                    }
                    Pull::Pending => return Ok(Pull::Pending),
                    Pull::End => given.ended = true,
                }
            }
            let Some(row) = given.rows.get(given.next % given.rows.len().max(1)) else {
                return Ok(Pull::End);
            };
            self.partial.push(row.clone());
            given.next += 1;
        }
        let row = self.partial.drain(..).flatten().collect();
        match std::mem::take(&mut self.is_fresh) {
            true => Ok(Pull::Item(row)),
            false => Ok(Pull::End),
        }
    }

    pub(super) fn pull(&mut self) -> Result<Pull<Row>, InputError> {
        if self.cycles.is_some() {
            return self.pull_in_cycles();
        }
        while let Some(table) = self.tables.get_mut(self.partial.len()) {
            match table.pull()? {
                Pull::Item(row) => self.partial.push(row),
                Pull::Pending => return Ok(Pull::Pending),
                Pull::End => return Ok(Pull::End),
            }
        }
        Ok(Pull::Item(self.partial.drain(..).flatten().collect()))
    }

    fn ready_fd(&self) -> Option<BorrowedFd<'_>> {
        self.tables.get(self.partial.len())?.ready_fd()
    }

    fn known_rows(&self) -> Option<u64> {
        let rows: Option<Vec<u64>> = self.tables.iter().map(Table::known_rows).collect();
        let rows = rows?.into_iter();
        match self.cycles {
            Some(_) => rows.max(),
            None => rows.min(),
        }
    }
}

impl Product {
    pub(super) fn new(parts: Vec<Linked>) -> Option<Product> {
        let mut parts = parts.into_iter();
        let first = parts.next()?;
        let rest = parts
            .map(|source| Remembered {
                source,
                rows: Vec::new(),
                complete: false,
                at: 0,
            })
            .collect();
        Some(Product {
            first,
            rest,
            outer: None,
            waiting: None,
        })
    }

    /// The first row of each part, one behind the other: the names of the columns.
    pub(super) fn header(&mut self) -> Result<Pull<Row>, InputError> {
        // Only called before anything else: rows that are there already wait in `outer` and `rows`.
        self.waiting = None;
        if self.outer.is_none() {
            match self.first.pull()? {
                Pull::Item(row) => self.outer = Some(row),
                other => return Ok(other),
            }
        }
        for (place, part) in self.rest.iter_mut().enumerate() {
            if !part.rows.is_empty() {
                continue;
            }
            self.waiting = Some(place);
            match part.source.pull()? {
                Pull::Item(row) => part.rows.push(row),
                other => return Ok(other),
            }
        }
        let mut names: Row = self.outer.take().unwrap_or_default();
        names.extend(
            self.rest
                .iter_mut()
                .flat_map(|part| std::mem::take(&mut part.rows))
                .flatten(),
        );
        Ok(Pull::Item(names))
    }

    pub(super) fn pull(&mut self) -> Result<Pull<Row>, InputError> {
        for (place, part) in self.rest.iter_mut().enumerate() {
            while !part.complete {
                self.waiting = Some(place);
                match part.source.pull()? {
                    Pull::Item(row) => part.rows.push(row),
                    Pull::Pending => return Ok(Pull::Pending),
                    Pull::End => part.complete = true,
                }
            }
            if part.rows.is_empty() {
                return Ok(Pull::End);
            }
        }
        self.waiting = None;
        let outer = match self.outer.take() {
            Some(outer) => outer,
            None => match self.first.pull()? {
                Pull::Item(row) => row,
                other => return Ok(other),
            },
        };
        let mut row = outer.clone();
        row.extend(
            self.rest
                .iter()
                .flat_map(|part| part.rows[part.at].iter().cloned()),
        );
        if self.advance() {
            self.outer = Some(outer);
        }
        Ok(Pull::Item(row))
    }

    /// To the next combination of the remembered parts; false when all have been had.
    fn advance(&mut self) -> bool {
        for part in self.rest.iter_mut().rev() {
            part.at += 1;
            if part.at < part.rows.len() {
                return true;
            }
            part.at = 0;
        }
        false
    }

    pub(super) fn ready_fd(&self) -> Option<BorrowedFd<'_>> {
        match self.waiting.and_then(|place| self.rest.get(place)) {
            Some(part) => part.source.ready_fd(),
            None => self.first.ready_fd(),
        }
    }

    /// How many rows there will be, if all is known without reading; asked before the first pull.
    pub(super) fn known_rows(&self) -> Option<u64> {
        let first = self.first.known_rows()?;
        self.rest.iter().try_fold(first, |rows, part| {
            rows.checked_mul(part.source.known_rows()?)
        })
    }
}

#[cfg(test)]
mod tests;
