//! One file over several connections.
//!
//! Each takes the next segment that nobody has, and asks for that range alone, with what says that
//! it is still the same file. The first goes on with the answer that said how long the file is.
//! When one fails all are given up, and the next try goes on where each was.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::try_join_all;
use hands::sync::Mutex;
use reqwest::header::{IF_RANGE, RANGE};
use reqwest::{Response, StatusCode, Url};

use super::answer::{content_range, is_same, refused};
use super::list::shown;
use super::part::{Identity, PartFile, Segment};
use super::state::{CameWhole, Trouble};
use super::transfer::{Transfer, TransferSink, host_of};

/// Smaller segments are not worth a request.
const LEAST: u64 = 1 << 20;

/// Divides a file into segments of about the same length; none when one is enough.
pub(super) fn split(length: u64, connections: usize) -> Vec<Segment> {
    let count = (length / LEAST).min(connections as u64);
    if count < 2 {
        return Vec::new();
    }
    let place = |number: u64| {
        // Of numbers that may be large.
        (u128::from(length) * u128::from(number) / u128::from(count)) as u64
    };
    (0..count)
        .map(|number| Segment {
            at: place(number),
            end: place(number + 1),
        })
        .collect()
}

/// What all connections share.
struct SegmentQueue {
    part: Mutex<Box<PartFile>>,
    /// Segments that nobody has taken.
    left: Mutex<VecDeque<usize>>,
    length: u64,
    identity: Identity,
}

impl SegmentQueue {
    fn of(part: Box<PartFile>) -> SegmentQueue {
        let missing = part.segments.iter().enumerate();
        let left = missing
            .filter(|(_, segment)| segment.at < segment.end)
            .map(|(number, _)| number)
            .collect();
        SegmentQueue {
            left: Mutex::new(left),
            length: part.identity().length.unwrap_or(0),
            identity: part.identity().clone(),
            part: Mutex::new(part),
        }
    }
}

impl Transfer<'_> {
    /// Fetches all segments that are not there; the first may go on with an answer about the whole.
    pub(super) async fn segments(
        &mut self,
        source: &Url,
        first: Option<Response>,
    ) -> Result<CameWhole, Trouble> {
        let Some(TransferSink::Part(part)) = self.sink.take() else {
            return Err(Trouble::Final("segments are for files".to_owned()));
        };
        let shared = SegmentQueue::of(part);
        self.running.expect(shared.length);
        let left = shared.left.lock().len();
        let connections = left.min(self.fetcher.flags.transfer.segments.get()).max(1);
        let sources = self.sources_of_one_file(source);
        let mut first = first;
        let fetched = (0..connections).map(|number| {
            let from = &sources[number % sources.len()];
            self.some_segments(number > 0, from, source, &shared, first.take())
        });
        let fetched = try_join_all(fetched).await;
        let part = shared.part.into_inner();
        let is_whole = part.is_whole();
        self.sink = Some(TransferSink::Part(part));
        match fetched {
            Ok(_) if is_whole => Ok(CameWhole::Whole),
            Ok(_) => Err(Trouble::Again("a part of it has not come".to_owned(), None)),
            Err(trouble) => {
                if self.no_ranges.load(Ordering::Relaxed) {
                    self.no_segments = true;
                    self.begin_again()?;
                }
                Err(trouble)
            }
        }
    }

    /// Where parts of the same file may come from: only a checksum tells whether another server's
    /// is the same.
    fn sources_of_one_file(&self, source: &Url) -> Vec<Url> {
        let wanted = &self.job.wanted;
        let others = wanted.sources.iter().filter(|other| *other != source);
        let others = others.filter(|_| wanted.checksum.is_some()).cloned();
        std::iter::once(source.clone()).chain(others).collect()
    }

    /// One connection: takes segments as long as there are any. A `further` one comes only if there
    /// is room for it; the first has that of the whole transfer. What another source does not give,
    /// the `main` one may.
    async fn some_segments(
        &self,
        further: bool,
        mut from: &Url,
        main: &Url,
        shared: &SegmentQueue,
        mut first: Option<Response>,
    ) -> Result<(), Trouble> {
        let free = || self.fetcher.connections.try_permit(&host_of(from));
        let permit = further.then(free);
        if let Some(None) = permit {
            return Ok(());
        }
        loop {
            let next = shared.left.lock().pop_front();
            let Some(segment) = next else {
                return Ok(());
            };
            let is_main = from == main;
            let response = first.take();
            let fetched = self.segment(from, is_main, shared, segment, response).await;
            match fetched {
                Ok(()) => {}
                Err(
                    Trouble::Again(why, _)
                    | Trouble::Busy(why, _)
                    | Trouble::Absent(why)
                    | Trouble::Stale(why)
                    | Trouble::Source(why),
                ) if !is_main => {
                    shared.left.lock().push_front(segment);
                    self.tell_retry(
                        &format!("{why}; it comes from {}", shown(main.as_str())),
                        Duration::ZERO,
                    );
                    from = main;
                }
                Err(trouble) => return Err(trouble),
            }
        }
    }

    async fn segment(
        &self,
        source: &Url,
        is_own: bool,
        shared: &SegmentQueue,
        number: usize,
        first: Option<Response>,
    ) -> Result<(), Trouble> {
        let Segment { at, end } = shared.part.lock().segments[number];
        let mut response = match first {
            Some(response) => response,
            None => {
                let mut request = self.request(source);
                request = request.header(RANGE, format!("bytes={at}-{}", end - 1));
                if let (true, Some(validator)) = (is_own, shared.identity.validator()) {
                    request = request.header(IF_RANGE, validator);
                }
                let sent = self.within_idle(request.send(), "the server does not answer");
                let response = sent.await?;
                let range = content_range(response.headers());
                let is_it = range == Some((at, Some(shared.length)))
                    && (!is_own || is_same(&shared.identity, response.headers()));
                match response.status() {
                    StatusCode::PARTIAL_CONTENT if is_it => {}
                    StatusCode::PARTIAL_CONTENT | StatusCode::OK if !is_own => {
                        let why = "the other source has not the part it was asked for";
                        return Err(Trouble::Again(why.to_owned(), None));
                    }
                    StatusCode::PARTIAL_CONTENT
                    | StatusCode::OK
                    | StatusCode::RANGE_NOT_SATISFIABLE => {
                        // Another file by now, or a server that has promised too much: in one piece
                        // it will come.
                        self.no_ranges.store(true, Ordering::Relaxed);
                        let why = "the server does not send the part it was asked for";
                        return Err(Trouble::Again(why.to_owned(), None));
                    }
                    status => {
                        let more = &self.fetcher.flags.transfer.retry_on_http_error;
                        return Err(refused(status, response.headers(), more));
                    }
                }
                response
            }
        };
        loop {
            let chunk = self.within_idle(response.chunk(), "nothing comes any more");
            let Some(bytes) = chunk.await? else {
                return Err(Trouble::Again("it was cut short".to_owned(), None));
            };
            let (before, after) = {
                let mut part = shared.part.lock();
                let before = part.segments[number].at;
                part.append_to(number, &bytes)?;
                (before, part.segments[number].at)
            };
            self.note(after - before).await;
            if after == end {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_have_all_of_it_and_nothing_twice() {
        for (length, connections, count) in [
            (0, 4, 0),
            (LEAST, 4, 0),
            (2 * LEAST, 4, 2),
            (10 * LEAST + 3, 4, 4),
            (u64::MAX, 7, 7),
        ] {
            let segments = split(length, connections);
            assert_eq!(segments.len(), count);
            let mut at = 0;
            for segment in &segments {
                assert_eq!(segment.at, at);
                assert!(segment.end > at);
                at = segment.end;
            }
            assert!(segments.is_empty() || at == length);
        }
    }
}
