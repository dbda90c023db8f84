//! How many rows one job gets.

use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroUsize;
use std::os::fd::BorrowedFd;

use super::combine::Product;
use super::{InputError, Pull, Row};

/// Bytes of the command line that one more row adds.
pub type Cost = Box<dyn Fn(&Row) -> usize>;

/// How long a command line may get.
pub struct Limit {
    /// Bytes a command line may have.
    pub limit: usize,
    /// Bytes it has without any row.
    pub fixed: usize,
    /// What a row adds.
    pub cost: Cost,
}

impl fmt::Debug for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limit")
            .field("limit", &self.limit)
            .field("fixed", &self.fixed)
            .finish_non_exhaustive()
    }
}

/// How many rows one job gets.
pub enum Group {
    /// Up to this number of rows, as one row with the columns of all.
    Rows(NonZeroUsize),
    /// As [`Rows`](Self::Rows), and no more than a command line holds.
    RowsWithin(NonZeroUsize, Limit),
    /// As many as a command line holds. If the input ends before `slots` command lines are full,
    /// what there is is spread evenly over them.
    Fill {
        /// Bytes a command line may have.
        limit: usize,
        /// Bytes it has without any row.
        fixed: usize,
        /// Rows it may have, whatever their size.
        most: usize,
        /// What a row adds.
        cost: Cost,
        /// Jobs that run at once.
        slots: NonZeroUsize,
    },
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Group::Rows(rows) => f.debug_tuple("Rows").field(rows).finish(),
            Group::RowsWithin(rows, limit) => f
                .debug_tuple("RowsWithin")
                .field(rows)
                .field(limit)
                .finish(),
            Group::Fill { limit, most, .. } => f
                .debug_struct("Fill")
                .field("limit", limit)
                .field("most", most)
                .finish_non_exhaustive(),
        }
    }
}

impl Default for Group {
    fn default() -> Group {
        Group::Rows(NonZeroUsize::MIN)
    }
}

#[derive(Debug)]
pub(super) struct Grouped {
    rows: Product,
    group: Group,
    /// The job that is being gathered, and its rows or bytes.
    gathered: Vec<Row>,
    size: usize,
    /// Bytes that they add, where that is bounded beside their number.
    bytes: usize,
    /// Full jobs. With [`Group::Fill`] the first ones are held until it is known whether to spread
    /// them.
    ready: VecDeque<Vec<Row>>,
    spread: bool,
    ended: bool,
}

impl Grouped {
    pub(super) fn new(rows: Product, group: Group) -> Grouped {
        let spread = matches!(group, Group::Fill { .. });
        Grouped {
            rows,
            group,
            gathered: Vec::new(),
            size: 0,
            bytes: 0,
            ready: VecDeque::new(),
            spread,
            ended: false,
        }
    }

    pub(super) fn header(&mut self) -> Result<Pull<Row>, InputError> {
        self.rows.header()
    }

    pub(super) fn known_jobs(&self) -> Option<u64> {
        match &self.group {
            Group::Rows(rows) => Some(self.rows.known_rows()?.div_ceil(rows.get() as u64)),
            // Those that are too long are split.
            Group::RowsWithin(..) | Group::Fill { .. } => None,
        }
    }

    pub(super) fn ready_fd(&self) -> Option<BorrowedFd<'_>> {
        self.rows.ready_fd()
    }

    pub(super) fn pull(&mut self) -> Result<Pull<Vec<Row>>, InputError> {
        loop {
            if !self.spread
                && let Some(job) = self.ready.pop_front()
            {
                return Ok(Pull::Item(job));
            }
            if self.ended {
                return Ok(match std::mem::take(&mut self.gathered) {
                    job if job.is_empty() => Pull::End,
                    job => Pull::Item(job),
                });
            }
            match self.rows.pull()? {
                Pull::Item(row) => self.add(row),
                Pull::Pending => return Ok(Pull::Pending),
                Pull::End => {
                    self.ended = true;
                    if std::mem::take(&mut self.spread) {
                        self.spread_evenly();
                    }
                }
            }
        }
    }

    fn add(&mut self, row: Row) {
        match &self.group {
            Group::Rows(most) | Group::RowsWithin(most, _) => {
                if let Group::RowsWithin(_, Limit { limit, fixed, cost }) = &self.group {
                    let cost = cost(&row);
                    if self.size > 0 && fixed + self.bytes + cost > *limit {
                        self.ready.push_back(std::mem::take(&mut self.gathered));
                        (self.size, self.bytes) = (0, 0);
                    }
                    self.bytes += cost;
                }
                // Their columns side by side, so that `a{}b` becomes one word, as with GNU
                // parallel.
                match self.gathered.first_mut() {
                    Some(columns) => columns.extend(row),
                    None => self.gathered.push(row),
                }
                self.size += 1;
                if self.size == most.get() {
                    self.ready.push_back(std::mem::take(&mut self.gathered));
                    (self.size, self.bytes) = (0, 0);
                }
            }
            Group::Fill {
                limit,
                fixed,
                most,
                cost,
                slots,
            } => {
                let cost = cost(&row);
                let full = self.gathered.len() >= *most || fixed + self.size + cost > *limit;
                // A row that is too long by itself gets a job of its own, which the system will
                // refuse by name.
                if full && !self.gathered.is_empty() {
                    self.ready.push_back(std::mem::take(&mut self.gathered));
                    self.size = 0;
                    self.spread &= self.ready.len() < slots.get();
                }
                self.size += cost;
                self.gathered.push(row);
            }
        }
    }

    /// As many jobs as there are slots, with as many rows each as can be, and still none longer
    /// than a command line.
    fn spread_evenly(&mut self) {
        let Group::Fill {
            limit,
            fixed,
            most,
            cost,
            slots,
        } = &self.group
        else {
            return;
        };
        let rows: Vec<Row> = self
            .ready
            .drain(..)
            .flatten()
            .chain(self.gathered.drain(..))
            .collect();
        let each = rows.len().div_ceil(slots.get()).clamp(1, (*most).max(1));
        let (mut job, mut size) = (Vec::new(), 0);
        for row in rows {
            let cost = cost(&row);
            // The rows were short enough together in their first order, but not so wherever they
            // are cut now.
            if !job.is_empty() && (job.len() == each || fixed + size + cost > *limit) {
                self.ready.push_back(std::mem::take(&mut job));
                size = 0;
            }
            size += cost;
            job.push(row);
        }
        self.gathered = job;
    }
}

#[cfg(test)]
mod tests;
