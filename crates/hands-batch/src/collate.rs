//! Whose output is written when, so that no two jobs' outputs mix.
//!
//! ```text
//! job 3 ──► hold ┐
//! job 4 ──► hold ├─ front: the one job whose hold is drained ──► tag ──► sink (stdout, stderr)
//! job 5 ──► hold ┘
//! ```
//!
//! At any time at most one job is the *front*: what it has written, and what it goes on writing, is
//! moved to the sinks. The others wait in their [holds](super::hold). When the front is complete
//! and drained, the next takes its place: the lowest number when the order is kept, else the one
//! that was completed first. A job that is still running becomes the front when it is its turn, or
//! when no other job is there, so that a single job's output streams.
//!
//! **Memory and disk are bounded by flow, not by hope:** the front is paused while the reader is
//! behind. When the disk for waiting output is full, the jobs that would need it are paused, and
//! one of them is made the front, which frees room as it ends: a full disk makes a batch slower,
//! and loses nothing.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;

use super::hold::{Hold, Spill};
use super::sink::Sink;
use hands::command::OutputStream;
use hands::command::engine::{Flow, Key};

/// Bytes of the front's output that may wait for the sinks in memory before the front is paused.
const FRONT_AHEAD: usize = 128 * 1024;

/// Bytes that a piece of output may have with a tag before each of its bytes.
const PIECE_WITH_TAGS: usize = 1024 * 1024;

/// What is never mixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CollatedGroup {
    /// A job's whole output, in the order of the jobs or as they end.
    Jobs { in_order: bool },
    /// Lines.
    Lines,
}

/// Both sinks of a batch.
#[derive(Debug)]
pub(super) struct Sinks {
    pub(super) stdout: Sink,
    pub(super) stderr: Sink,
}

impl Sinks {
    pub(super) fn of(&mut self, stream: OutputStream) -> &mut Sink {
        match stream {
            OutputStream::Stdout => &mut self.stdout,
            OutputStream::Stderr => &mut self.stderr,
        }
    }

    pub(super) fn are_full(&self) -> bool {
        self.stdout.is_full() || self.stderr.is_full()
    }
}

#[derive(Debug, Default)]
struct Entry {
    holds: [Hold; 2],
    /// Prefixes each line when not empty.
    tag: Vec<u8>,
    /// Whether the next byte of a stream begins a line.
    mid_line: [bool; 2],
    /// With [`CollatedGroup::Lines`]: the number of waiting bytes that are whole lines, or are to
    /// be written as if they were.
    whole: [u64; 2],
    /// There is no room on the disk for a line of it that has not ended: it is written as it comes,
    /// and nobody else is, until it ends.
    forced: bool,
    complete: bool,
    key: Option<Key>,
    paused: bool,
}

#[derive(Debug)]
pub(super) struct Collator {
    grouping: CollatedGroup,
    /// Jobs may be tried again: their output counts only once they are complete.
    whole_only: bool,
    entries: BTreeMap<u64, Entry>,
    completed: VecDeque<u64>,
    front: Option<u64>,
    spill: Spill,
    buffer: Vec<u8>,
    /// The disk's answer when output could not be spilled.
    spill_error: Option<io::Error>,
    spill_error_told: bool,
    paused: usize,
}

impl Collator {
    pub(super) fn new(grouping: CollatedGroup, whole_only: bool, folder: &Path) -> Collator {
        Collator {
            grouping,
            whole_only,
            entries: BTreeMap::new(),
            completed: VecDeque::new(),
            front: None,
            spill: Spill::new(folder),
            buffer: vec![0; 32 * 1024],
            spill_error: None,
            spill_error_told: false,
            paused: 0,
        }
    }

    /// A job starts, for the first time or again.
    pub(super) fn begin(&mut self, number: u64, key: Key, tag: Vec<u8>) {
        let entry = self.entries.entry(number).or_default();
        entry.key = Some(key);
        entry.tag = tag;
        entry.paused = false;
    }

    /// A job has written something.
    pub(super) fn data(
        &mut self,
        number: u64,
        stream: OutputStream,
        bytes: &[u8],
        sinks: &mut Sinks,
    ) -> Flow {
        let streams_lines = self.streams_lines();
        let Some(entry) = self.entries.get_mut(&number) else {
            return Flow::Continue;
        };
        let hold = &mut entry.holds[stream as usize];
        let pause = if streams_lines {
            let is_free = self.front.is_none() && !sinks.are_full();
            let kept = pass_lines(entry, stream, bytes, is_free, sinks, &mut self.spill);
            let kept = kept.map_err(|error| self.spill_error.get_or_insert(error).kind());
            kept.is_err() || sinks.are_full()
        } else if self.front == Some(number) {
            hold.keep(bytes, &mut self.spill);
            hold.in_memory() > FRONT_AHEAD
        } else {
            hold.push(bytes, &mut self.spill)
                .map_err(|error| self.spill_error.get_or_insert(error).kind())
                .is_err()
        };
        if !pause {
            return Flow::Continue;
        }
        if !std::mem::replace(&mut entry.paused, true) {
            self.paused += 1;
        }
        Flow::Pause
    }

    /// The job is over and will not be tried again.
    pub(super) fn complete(&mut self, number: u64) {
        let Some(entry) = self.entries.get_mut(&number) else {
            return;
        };
        entry.complete = true;
        entry.key = None;
        if self.grouping != (CollatedGroup::Jobs { in_order: true }) {
            self.completed.push_back(number);
        }
        self.unpause(number);
    }

    /// The job will be tried again: what it has written does not count.
    pub(super) fn discard(&mut self, number: u64) {
        let Some(entry) = self.entries.get_mut(&number) else {
            return;
        };
        entry.key = None;
        for hold in &mut entry.holds {
            hold.clear(&mut self.spill);
        }
        self.unpause(number);
        if self.front == Some(number) {
            self.front = None;
        }
    }

    /// A job that is complete is to be tried again. False: what it has written is being passed on.
    pub(super) fn reopen(&mut self, number: u64) -> bool {
        if self.front == Some(number) {
            return false;
        }
        self.discard(number);
        if let Some(entry) = self.entries.get_mut(&number) {
            entry.complete = false;
        }
        self.completed.retain(|completed| *completed != number);
        true
    }

    /// The job is begun anew, while it still counts as running.
    pub(super) fn restart(&mut self, number: u64, key: Key) {
        self.discard(number);
        if let Some(entry) = self.entries.get_mut(&number) {
            entry.key = Some(key);
        }
    }

    fn unpause(&mut self, number: u64) -> Option<Key> {
        let entry = self.entries.get_mut(&number)?;
        if !std::mem::replace(&mut entry.paused, false) {
            return None;
        }
        self.paused -= 1;
        entry.key
    }

    /// Moves what may be written now into the sinks, until they are full. `sole`: the job that runs
    /// alone with none to follow soon, if so. Children to be read again are added to `resume`.
    pub(super) fn pump(
        &mut self,
        sinks: &mut Sinks,
        sole: Option<u64>,
        resume: &mut Vec<Key>,
    ) -> io::Result<()> {
        let streams_lines = self.streams_lines();
        while !sinks.are_full() {
            if self.front.is_none() {
                self.front = self.next_front(sole);
            }
            let Some(number) = self.front else { break };
            let Some(entry) = self.entries.get_mut(&number) else {
                self.front = None;
                continue;
            };
            let mut moved = false;
            let by_lines = streams_lines && !entry.complete;
            // However many lines there are in a piece, with their tags they fit.
            let piece_size = (PIECE_WITH_TAGS / (entry.tag.len() + 1)).clamp(1, self.buffer.len());
            for stream in OutputStream::BOTH {
                let hold = &mut entry.holds[stream as usize];
                while !sinks.are_full() {
                    let mut size = piece_size;
                    if by_lines {
                        let whole = usize::try_from(entry.whole[stream as usize]);
                        size = size.min(whole.unwrap_or(usize::MAX));
                    }
                    let piece = hold.pop(&mut self.buffer[..size], &mut self.spill)?;
                    if piece.is_empty() {
                        break;
                    }
                    moved = true;
                    if by_lines {
                        entry.whole[stream as usize] -= piece.len() as u64;
                    }
                    tagged(
                        sinks.of(stream).queue(),
                        &entry.tag,
                        &mut entry.mid_line[stream as usize],
                        piece,
                    );
                }
                // Its stderr comes behind its stdout, unless it is seen as it is written.
                if entry.complete && !hold.is_empty() {
                    break;
                }
            }
            let drained = entry.holds.iter().all(Hold::is_empty);
            if entry.complete && drained {
                if !entry.tag.is_empty() || self.grouping == CollatedGroup::Lines {
                    end_lines(entry, sinks);
                }
                self.entries.remove(&number);
                self.front = None;
                // What it took on the disk is free now.
                self.resume_all(resume);
            } else if by_lines && entry.whole == [0; 2] && !entry.is_in_a_forced_line() {
                entry.forced = false;
                self.front = None;
                self.resume_all(resume);
            } else if drained {
                resume.extend(self.unpause(number));
                break;
            } else if !moved {
                break;
            }
        }
        if streams_lines && self.front.is_none() && !sinks.are_full() {
            self.resume_all(resume);
        }
        Ok(())
    }

    fn resume_all(&mut self, resume: &mut Vec<Key>) {
        if self.paused == 0 {
            return;
        }
        let paused: Vec<u64> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.paused)
            .map(|(&number, _)| number)
            .collect();
        resume.extend(paused.into_iter().filter_map(|number| self.unpause(number)));
    }

    /// Whether lines are passed on as they come.
    fn streams_lines(&self) -> bool {
        self.grouping == CollatedGroup::Lines && !self.whole_only
    }

    fn next_front(&mut self, sole: Option<u64>) -> Option<u64> {
        let in_order = matches!(self.grouping, CollatedGroup::Jobs { in_order: true });
        let next = if in_order {
            self.entries
                .first_key_value()
                .map(|(&number, entry)| (number, entry.complete))
        } else {
            let sole = sole.filter(|number| {
                self.grouping != CollatedGroup::Lines && self.entries.contains_key(number)
            });
            self.completed
                .pop_front()
                .map(|number| (number, true))
                .or_else(|| sole.map(|number| (number, false)))
        };
        if self.streams_lines() && next.is_none() {
            return self.next_with_lines();
        }
        match next {
            Some((number, complete)) if complete || !self.whole_only => Some(number),
            _ if self.paused == 0 => None,
            // Nobody can go on for want of disk: let one through, even if it might be tried again.
            Some((number, _)) if in_order => Some(number),
            _ => self
                .entries
                .iter()
                .find(|(_, entry)| entry.paused)
                .map(|(&number, _)| number),
        }
    }

    /// One that has whole lines waiting; or, where there is no room on the disk for lines that have
    /// not ended, one of those.
    fn next_with_lines(&mut self) -> Option<u64> {
        let mut entries = self.entries.iter_mut();
        let has_lines = entries.find(|(_, entry)| entry.whole != [0; 2]);
        if let Some((&number, _)) = has_lines {
            return Some(number);
        }
        if self.spill_error.is_none() && !self.spill_error_told {
            return None;
        }
        let is_held_up = |entry: &Entry| entry.paused && !entry.holds.iter().all(Hold::is_empty);
        let (&number, entry) = self
            .entries
            .iter_mut()
            .find(|(_, entry)| is_held_up(entry))?;
        entry.forced = true;
        for stream in OutputStream::BOTH {
            entry.whole[stream as usize] = entry.holds[stream as usize].len();
        }
        Some(number)
    }

    /// Whether all the jobs that run are held back for want of disk, while the one whose turn it is
    /// has yet to start again.
    pub(super) fn is_stuck(&self, running: usize) -> bool {
        let front = self.front.and_then(|number| self.entries.get(&number));
        running > 0
            && self.paused >= running
            && front.is_some_and(|front| !front.complete && front.key.is_none())
    }

    /// Whether this job runs, or its output waits.
    pub(super) fn has(&self, number: u64) -> bool {
        self.entries.contains_key(&number)
    }

    /// Jobs that run or whose output waits.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Why output could not be put on the disk, and which folder it was: once.
    pub(super) fn take_spill_error(&mut self) -> Option<(io::Error, &Path)> {
        let error = self.spill_error.take()?;
        if std::mem::replace(&mut self.spill_error_told, true) {
            return None;
        }
        Some((error, self.spill.folder()))
    }
}

impl Entry {
    /// What was written of it has not ended its line.
    fn is_in_a_forced_line(&self) -> bool {
        self.forced && self.mid_line != [false; 2]
    }
}

/// Passes on the lines that `bytes` completes, and keeps the rest for later, in memory or on the
/// disk. If `is_free` is false, or older lines wait, these wait as well. An error: there is no room
/// on the disk, and no more may come until what waits has been read.
fn pass_lines(
    entry: &mut Entry,
    stream: OutputStream,
    bytes: &[u8],
    is_free: bool,
    sinks: &mut Sinks,
    spill: &mut Spill,
) -> io::Result<()> {
    let hold = &mut entry.holds[stream as usize];
    let complete = memchr::memrchr(b'\n', bytes).map_or(0, |last| last + 1);
    // A line that has begun elsewhere than in memory is long: it is moved as others are, piece by
    // piece.
    if is_free && !entry.forced && hold.len() <= SHORT_LINE {
        let (lines, rest) = bytes.split_at(complete);
        if !lines.is_empty() {
            let mid_line = &mut entry.mid_line[stream as usize];
            let sink = sinks.of(stream).queue();
            drain(hold, spill, sink, &entry.tag, mid_line);
            tagged(sink, &entry.tag, mid_line, lines);
            entry.whole[stream as usize] = 0;
        }
        return hold.push(rest, spill);
    }
    let before = hold.len();
    let kept = hold.push(bytes, spill);
    if entry.forced {
        entry.whole[stream as usize] = hold.len();
    } else if complete > 0 {
        entry.whole[stream as usize] = before + complete as u64;
    }
    kept
}

/// The beginning of a line that is put out at once when the line ends.
const SHORT_LINE: u64 = 64 * 1024;

fn drain(hold: &mut Hold, spill: &mut Spill, out: &mut Vec<u8>, tag: &[u8], mid_line: &mut bool) {
    let mut buffer = [0; 4096];
    // What cannot be read back from our own open file is beyond help; the disk is failing.
    while let Ok(piece) = hold.pop(&mut buffer, spill)
        && !piece.is_empty()
    {
        tagged(out, tag, mid_line, piece);
    }
}

/// Copies `bytes`, with `tag` before each line.
fn tagged(out: &mut Vec<u8>, tag: &[u8], mid_line: &mut bool, bytes: &[u8]) {
    if tag.is_empty() {
        out.extend_from_slice(bytes);
        *mid_line = bytes.last().map_or(*mid_line, |&last| last != b'\n');
        return;
    }
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        if !*mid_line {
            out.extend_from_slice(tag);
        }
        out.extend_from_slice(line);
        *mid_line = line.last() != Some(&b'\n');
    }
}

/// A last line without its newline would run into the next job's line.
fn end_lines(entry: &Entry, sinks: &mut Sinks) {
    for stream in OutputStream::BOTH {
        if entry.mid_line[stream as usize] {
            sinks.of(stream).queue().push(b'\n');
        }
    }
}
