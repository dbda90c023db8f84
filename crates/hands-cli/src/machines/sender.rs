//! The jobs of a run, on their way to other machines and back: what the batch sees as
//! [`Elsewhere`].
//!
//! # How it works
//!
//! Each task of the cluster carries some jobs, one after the other in one slot: as many as take
//! some milliseconds by what jobs took lately, so that a message costs little beside them, and one
//! where they take longer. There are twice as many jobs under way as there are slots, so that no
//! machine waits for the next.
//!
//! A job's end comes with its output, if that is short; what is long, or wanted at once, comes by a
//! feed, and the end is told when all of it is here.

use std::collections::{HashMap, HashSet, VecDeque};
use std::os::fd::BorrowedFd;
use std::os::unix::process::ExitStatusExt;
use std::pin::Pin;
use std::process::ExitStatus;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use hands::command::OutputStream;
use hands::task::{Handle, TaskError};
use hands_batch::{Elsewhere, ElsewhereEnd, ElsewhereError, ElsewhereEvent, ElsewhereJob};
use hands_cluster::{Cluster, FeedPiece, FeedReader, RunFiles};

use super::attach::{Journal, SentJob, SentNote};
use super::bell::{Canceller, MachineBell};
use super::job::{JobBatch, JobConditions, JobEnd};
use super::task::run_jobs;
use super::travel;

/// Jobs are sent together that take so long in all.
const TOGETHER: Duration = Duration::from_millis(40);
const MOST_TOGETHER: usize = 64;
/// Bytes of input that go in one message.
const MOST_BYTES: usize = 256 * 1024;
/// How often it is looked how many slots there are.
const LOOK: Duration = Duration::from_millis(200);
/// After this time it is said that no worker has answered.
const ALONE: Duration = Duration::from_secs(2);
/// Pieces of output that are told of before anything else is looked at.
const PIECES: usize = 64;

/// The jobs of one run.
pub(crate) struct MachineJobs {
    cluster: Arc<Cluster>,
    feeds: FeedReader,
    files: RunFiles,
    journal: Journal,
    conditions: JobConditions,
    bell: Arc<MachineBell>,
    /// No more at once than this, if that was said.
    most: Option<usize>,
    slots: usize,
    looked: Option<Instant>,
    since: Instant,
    is_told_of_none: bool,
    /// What a job took lately.
    usual: Option<Duration>,
    pending: Vec<ElsewhereJob>,
    next_batch: u64,
    batches: HashMap<u64, SentBatch>,
    places: HashMap<u64, (u64, usize)>,
    /// Jobs of an earlier program of this run that are under way, by their numbers.
    under_way: HashMap<u64, (u64, usize)>,
    events: VecDeque<ElsewhereEvent>,
    held_up: HashSet<u64>,
    /// Pieces for those that are held up.
    kept: HashMap<u64, VecDeque<FeedPiece>>,
    /// The tasks of jobs whose ends were told, and how many of each task's jobs have nothing left
    /// to be written.
    tasks: HashMap<u64, (u64, bool)>,
    unwritten: HashMap<u64, usize>,
    written: Vec<(u64, bool)>,
    canceller: Canceller,
    is_abandoned: bool,
}

/// What was sent in one task.
struct SentBatch {
    handle: Option<Handle<Vec<JobEnd>>>,
    jobs: Vec<SentPlace>,
}

/// One of its jobs.
struct SentPlace {
    number: u64,
    ticket: Option<u64>,
    /// For a task that is lost, to be sent again.
    job: Option<ElsewhereJob>,
    /// The feed that it writes to, and how much of it has come.
    feed: Option<(String, u64)>,
    end: Option<JobEnd>,
    was_asked: bool,
    is_told: bool,
}

impl MachineJobs {
    pub(crate) fn new(
        cluster: Arc<Cluster>,
        journal: Journal,
        conditions: JobConditions,
        most: Option<usize>,
    ) -> Result<MachineJobs, String> {
        let bell = MachineBell::new()?;
        let feeds = cluster.feeds().map_err(|error| error.to_string())?;
        let rings = Arc::clone(&bell);
        feeds.on_piece(move || rings.ring());
        let since = super::job::now();
        Ok(MachineJobs {
            files: cluster.files(),
            feeds,
            journal,
            conditions,
            bell,
            most,
            slots: 0,
            looked: None,
            since: Instant::now(),
            is_told_of_none: false,
            usual: None,
            pending: Vec::new(),
            // Those of an earlier program of this run have other numbers.
            next_batch: u64::try_from(since.as_micros()).unwrap_or(1),
            batches: HashMap::new(),
            places: HashMap::new(),
            under_way: HashMap::new(),
            events: VecDeque::new(),
            held_up: HashSet::new(),
            kept: HashMap::new(),
            tasks: HashMap::new(),
            unwritten: HashMap::new(),
            written: Vec::new(),
            canceller: Canceller::start()?,
            is_abandoned: false,
            cluster,
        })
    }

    /// Takes up what an earlier program of this run has sent, and not heard of.
    pub(crate) fn take_up(&mut self, sent: Vec<SentNote>, ended: &HashSet<u64>) {
        for note in sent {
            let handle = self.cluster.handle::<Vec<JobEnd>>(&note.task);
            let jobs = note.jobs.iter().map(|job| SentPlace {
                is_told: ended.contains(&job.number),
                ..SentPlace::of(job.number, None)
            });
            let batch = SentBatch {
                handle: Some(handle),
                jobs: jobs.collect(),
            };
            let open = note.jobs.iter().enumerate();
            for (index, job) in open.filter(|(_, job)| !ended.contains(&job.number)) {
                self.under_way.insert(job.number, (note.batch, index));
            }
            self.batches.insert(note.batch, batch);
            self.hear_of(note.batch);
        }
    }

    /// How many jobs go in one message.
    fn together(&self) -> usize {
        let Some(usual) = self.usual else { return 1 };
        if self.conditions.apart || self.most.is_some_and(|most| most < 2 * self.slots) {
            return 1;
        }
        let times = TOGETHER.as_nanos() / usual.as_nanos().max(1);
        usize::try_from(times).unwrap_or(1).clamp(1, MOST_TOGETHER)
    }

    fn send(&mut self, jobs: Vec<ElsewhereJob>) {
        self.next_batch += 1;
        let number = self.next_batch;
        let mut specs = Vec::with_capacity(jobs.len());
        let mut places = Vec::with_capacity(jobs.len());
        for job in jobs {
            let ticket = job.ticket;
            match travel::spec(&job, &self.files, self.cluster.run_id()) {
                Ok(spec) => {
                    self.places.insert(ticket, (number, places.len()));
                    let mut place = SentPlace::of(job.place.number, Some(ticket));
                    place.job = Some(job);
                    specs.push(spec);
                    places.push(place);
                }
                Err(why) => self.tell(ticket, &JobEnd::refused(why, 126), false),
            }
        }
        if specs.is_empty() {
            return;
        }
        let batch = JobBatch {
            run: self.cluster.run_id().to_owned(),
            batch: number,
            conditions: self.conditions.clone(),
            jobs: specs,
        };
        let task = self.cluster.new_name(run_jobs);
        let jobs = places.iter().map(|place| SentJob {
            number: place.number,
        });
        self.journal.sent(&SentNote {
            task: task.clone(),
            batch: number,
            jobs: jobs.collect(),
        });
        let handle = self.cluster.submit_as(&task, run_jobs, batch);
        let sent = SentBatch {
            handle: Some(handle),
            jobs: places,
        };
        self.batches.insert(number, sent);
        self.hear_of(number);
    }

    /// Looks whether a task has its outcome; if not, the bell rings when it has.
    fn hear_of(&mut self, number: u64) {
        let Some(batch) = self.batches.get_mut(&number) else {
            return;
        };
        let Some(handle) = &mut batch.handle else {
            return;
        };
        let waker = self.bell.waker(number);
        let Poll::Ready(outcome) = Pin::new(handle).poll(&mut Context::from_waker(&waker)) else {
            return;
        };
        batch.handle = None;
        let count = batch.jobs.len();
        let ends = match outcome {
            Ok(ends) if ends.len() == count => ends,
            // Which end is whose cannot be told.
            Ok(_) => {
                let why = "its worker did not tell how each of its jobs ended";
                vec![JobEnd::refused(why, 126); count]
            }
            Err(TaskError::Lost) => return self.send_again(number),
            Err(why) => vec![MachineJobs::refusal(why); count],
        };
        for (place, end) in batch.jobs.iter_mut().zip(ends) {
            let usual = self.usual.unwrap_or(end.wall);
            self.usual = Some((usual * 7 + end.wall) / 8);
            place.end = Some(end);
        }
        for index in 0..count {
            self.finish(number, index);
        }
    }

    /// The server does not have it, nor any worker: what was not ended is sent once more.
    fn send_again(&mut self, number: u64) {
        let Some(batch) = self.batches.remove(&number) else {
            return;
        };
        for place in batch.jobs {
            self.under_way.remove(&place.number);
            if let (Some(ticket), Some(job)) = (place.ticket, place.job) {
                self.places.remove(&ticket);
                self.pending.push(job);
            }
        }
        self.flush();
    }

    fn refusal(why: TaskError) -> JobEnd {
        match why {
            TaskError::Cancelled => JobEnd {
                was_asked: true,
                at: super::job::now(),
                ..JobEnd::default()
            },
            TaskError::NoWorker { .. } => JobEnd::refused(
                "no worker takes it\n  hint: `hands worker URL --allow …` starts one; with `--label` it has to have that label",
                126,
            ),
            TaskError::Poisoned { starts } => JobEnd::refused(
                format!("its worker ended each of the {starts} times that it was begun"),
                126,
            ),
            other => JobEnd::refused(other.to_string(), 126),
        }
    }

    /// Tells how a job ended, if all that it wrote is here and somebody asked for it.
    fn finish(&mut self, batch: u64, index: usize) {
        let Some(sent) = self.batches.get_mut(&batch) else {
            return;
        };
        let place = &mut sent.jobs[index];
        let (Some(ticket), Some(end)) = (place.ticket, &place.end) else {
            return;
        };
        if place.is_told || self.kept.contains_key(&ticket) {
            return;
        }
        if let Some((feed, length)) = &end.feed {
            let has_come = place
                .feed
                .as_ref()
                .is_some_and(|(name, come)| feed.ends_with(name.as_str()) && come >= length);
            if !has_come && !place.was_asked && !end.was_asked {
                return;
            }
        }
        place.is_told = true;
        let (end, was_asked) = (end.clone(), place.was_asked);
        self.tell(ticket, &end, was_asked);
        let all_told = sent_all(&self.batches, batch);
        if all_told {
            self.batches.remove(&batch);
        }
    }

    fn tell(&mut self, ticket: u64, end: &JobEnd, was_asked: bool) {
        if let Some((batch, index)) = self.places.remove(&ticket)
            && let Some(sent) = self.batches.get(&batch)
        {
            let is_well = end.status == Some(0) && end.why.is_none();
            self.tasks.insert(sent.jobs[index].number, (batch, is_well));
            let jobs = sent.jobs.len();
            self.unwritten.entry(batch).or_insert(jobs);
        }
        if let ([.., before, last], None) = (end.hosts.as_slice(), &end.feed) {
            // What it writes comes now, all of it of the run that counts.
            let why = format!("the worker {before} has gone, or was cut off; {last} has run it");
            self.events.push_back(ElsewhereEvent::Anew { ticket, why });
        }
        for (number, bytes) in &end.output {
            self.events.push_back(ElsewhereEvent::Output {
                ticket,
                stream: stream(*number),
                bytes: bytes.clone(),
            });
        }
        let mut why = end.why.clone();
        if let Err(error) = travel::fetch(&end.made, &self.files) {
            why = Some((error, 126));
        }
        let status = match &why {
            Some(_) => None,
            None => end.status.map(ExitStatus::from_raw),
        };
        let end = ElsewhereEnd {
            status,
            why: why.map(|(why, code)| ElsewhereError { why, code }),
            timed_out: end.timed_out,
            was_asked: was_asked || end.was_asked,
            host: match end.hosts.as_slice() {
                [] => "?".to_owned(),
                hosts => hosts.join(","),
            },
            at: SystemTime::UNIX_EPOCH + end.at,
            wall: end.wall,
            cpu_user: end.cpu_user,
            cpu_system: end.cpu_system,
            max_rss: end.max_rss,
        };
        self.events
            .push_back(ElsewhereEvent::Finished { ticket, end });
        self.bell.ring();
    }

    /// Takes in what has come by feeds.
    fn take_pieces(&mut self) {
        for _ in 0..PIECES {
            let Some(piece) = self.feeds.try_next() else {
                return;
            };
            let words: Vec<&str> = piece.feed.splitn(3, '.').collect();
            let [batch, index, _] = words[..] else {
                continue;
            };
            let (Ok(batch), Ok(index)) = (batch.parse::<u64>(), index.parse::<usize>()) else {
                continue;
            };
            let place = self.batches.get_mut(&batch);
            let Some(place) = place.and_then(|batch| batch.jobs.get_mut(index)) else {
                // Its job has been told of, and somebody may wait for room.
                self.feeds.took(&piece);
                continue;
            };
            match place.ticket {
                Some(ticket)
                    if self.held_up.contains(&ticket) || self.kept.contains_key(&ticket) =>
                {
                    self.kept.entry(ticket).or_default().push_back(piece);
                }
                Some(_) => self.take(batch, index, piece),
                // Nobody has asked for it yet: it is taken up in a moment.
                None => {
                    let number = place.number;
                    self.kept
                        .entry(u64::MAX - number)
                        .or_default()
                        .push_back(piece);
                }
            }
        }
        // There may be more.
        self.bell.ring();
    }

    fn take(&mut self, batch: u64, index: usize, piece: FeedPiece) {
        self.feeds.took(&piece);
        let Some(sent) = self.batches.get_mut(&batch) else {
            return;
        };
        let place = &mut sent.jobs[index];
        let Some(ticket) = place.ticket else { return };
        let length = piece.bytes.len() as u64;
        match &mut place.feed {
            Some((name, come)) if *name == piece.feed => *come += length,
            other => {
                if other.is_some() {
                    let why = "its worker has gone, or was cut off".to_owned();
                    self.events.push_back(ElsewhereEvent::Anew { ticket, why });
                }
                *other = Some((piece.feed.clone(), length));
            }
        }
        if let Some((&number, bytes)) = piece.bytes.split_first() {
            self.events.push_back(ElsewhereEvent::Output {
                ticket,
                stream: stream(number),
                bytes: bytes.to_vec(),
            });
        }
        self.finish(batch, index);
    }

    fn look(&mut self) {
        if self.looked.is_some_and(|at| at.elapsed() < LOOK) {
            return;
        }
        self.looked = Some(Instant::now());
        let statuses = self.cluster.statuses();
        let at_work = statuses.iter().filter(|status| !status.is_draining);
        self.slots = at_work.map(|status| status.slots).sum();
        if self.slots == 0 && !self.is_told_of_none && self.since.elapsed() > ALONE {
            self.is_told_of_none = true;
            super::say(
                "hands: no worker has answered yet, and jobs wait for one\n  hint: `hands worker URL --allow PROGRAM` lends a machine; `hands cluster status URL` lists those there are",
            );
        }
    }
}

impl SentPlace {
    fn of(number: u64, ticket: Option<u64>) -> SentPlace {
        SentPlace {
            number,
            ticket,
            job: None,
            feed: None,
            end: None,
            was_asked: false,
            is_told: false,
        }
    }
}

fn sent_all(batches: &HashMap<u64, SentBatch>, batch: u64) -> bool {
    let sent = batches.get(&batch);
    sent.is_some_and(|sent| sent.jobs.iter().all(|place| place.is_told))
}

fn stream(number: u8) -> OutputStream {
    match number {
        1 => OutputStream::Stdout,
        _ => OutputStream::Stderr,
    }
}

impl Elsewhere for MachineJobs {
    fn most(&mut self) -> usize {
        self.look();
        let under_way = 2 * self.slots.max(1) * self.together();
        self.most.map_or(under_way, |most| most.min(under_way))
    }

    fn start(&mut self, job: ElsewhereJob) {
        let number = job.place.number;
        let Some((batch, index)) = self.under_way.remove(&number) else {
            self.pending.push(job);
            return;
        };
        // An earlier program of this run has sent it.
        let Some(sent) = self.batches.get_mut(&batch) else {
            self.pending.push(job);
            return;
        };
        let ticket = job.ticket;
        sent.jobs[index].ticket = Some(ticket);
        sent.jobs[index].job = Some(job);
        self.places.insert(ticket, (batch, index));
        for piece in self.kept.remove(&(u64::MAX - number)).unwrap_or_default() {
            self.take(batch, index, piece);
        }
        self.finish(batch, index);
        self.bell.ring();
    }

    fn flush(&mut self) {
        if !self.written.is_empty() {
            self.journal.ended(&std::mem::take(&mut self.written));
        }
        if self.pending.is_empty() {
            return;
        }
        let pending = std::mem::take(&mut self.pending);
        let mut size = self.together();
        if self.batches.len() < self.slots {
            // Each slot gets some.
            size = size.min(pending.len().div_ceil(self.slots.max(1)));
        }
        let (mut together, mut bytes) = (Vec::new(), 0);
        for job in pending {
            bytes += job.argv.iter().map(Vec::len).sum::<usize>();
            bytes += job.stdin.as_ref().map_or(0, Vec::len);
            together.push(job);
            if together.len() >= size || bytes > MOST_BYTES {
                self.send(std::mem::take(&mut together));
                bytes = 0;
            }
        }
        if !together.is_empty() {
            self.send(together);
        }
    }

    fn ready_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    fn next(&mut self) -> Option<ElsewhereEvent> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        for batch in self.bell.take() {
            self.hear_of(batch);
        }
        self.take_pieces();
        self.events.pop_front()
    }

    fn hold_up(&mut self, ticket: u64) {
        self.held_up.insert(ticket);
    }

    fn go_on(&mut self, ticket: u64) {
        self.held_up.remove(&ticket);
        let Some(pieces) = self.kept.remove(&ticket) else {
            return;
        };
        if let Some(&(batch, index)) = self.places.get(&ticket) {
            for piece in pieces {
                self.take(batch, index, piece);
            }
            self.finish(batch, index);
        }
        self.bell.ring();
    }

    fn end(&mut self, ticket: u64) {
        let Some(&(batch, _)) = self.places.get(&ticket) else {
            return;
        };
        let Some(sent) = self.batches.get_mut(&batch) else {
            return;
        };
        let is_first = sent.jobs.iter().all(|place| !place.was_asked);
        for place in &mut sent.jobs {
            place.was_asked = true;
        }
        if !is_first {
            return;
        }
        if let Some(handle) = sent.handle.take() {
            // It asks the server, and its worker, and waits for their answers.
            self.canceller.cancel(handle);
        }
        for index in 0..sent.jobs.len() {
            let place = &mut sent.jobs[index];
            if place.end.is_none() {
                place.end = Some(JobEnd {
                    was_asked: true,
                    at: super::job::now(),
                    ..JobEnd::default()
                });
            }
        }
        let count = sent.jobs.len();
        for index in 0..count {
            self.finish(batch, index);
        }
    }

    fn told(&mut self, number: u64) {
        let Some((batch, is_well)) = self.tasks.remove(&number) else {
            return;
        };
        self.written.push((number, is_well));
        if let Some(left) = self.unwritten.get_mut(&batch) {
            *left -= 1;
            if *left == 0 {
                self.unwritten.remove(&batch);
                self.feeds.done(&batch.to_string());
            }
        }
    }

    fn abandon(&mut self) {
        if std::mem::replace(&mut self.is_abandoned, true) {
            return;
        }
        let tickets: Vec<u64> = self.places.keys().copied().collect();
        for ticket in tickets {
            self.end(ticket);
        }
    }
}
