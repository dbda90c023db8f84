//! A worker, as the pool knows it: what it was given, what it says, how it is woken.
//!
//! All of this is under the pool's lock.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, SendFlags};

use super::job::{LastReply, ProcessJob, TaskEvent};
use super::plan::StateFunction;
use crate::event::{Begun, Events, PLACES, TaskEnd};
use crate::pool::process::dispatch::tail::StderrTail;
use crate::pool::process::protocol::capture::Capture;
use crate::pool::process::protocol::control_block::{
    BAD_START, BY_SOCKET, ControlBlock, Damaged, FOR_ROOM, Header, IN_SLAB, INLINE, LAST, MOST,
    MessageRing, WITH_CONTEXT,
};
use crate::pool::process::protocol::message::{Kind, SocketMessage};
use crate::pool::process::protocol::reserved::{TIRED, UNWELL, now};
use crate::pool::process::protocol::slab::{LARGEST, Lane, Slab, announce};
use crate::pool::process::protocol::wake;
use crate::process::Process;
use crate::shared::wait;
use crate::task::WorkerId;
use crate::wire::codec;
use crate::wire::image::Code;
use crate::wire::message::{self as wire, Letter};

/// The number of replies of one worker that are taken in at a time: others wait for
/// the lock.
const LOOKS: u32 = 4096;
/// Nanoseconds from which on it is looked whether a worker's figure can be.
const LONG: u64 = 1_000_000_000;

/// A task that a worker has.
pub(in crate::pool::process) struct SentTask {
    pub(in crate::pool::process) number: u64,
    pub(in crate::pool::process) at: Instant,
    pub(in crate::pool::process) job: ProcessJob,
    /// How many of its calls have an outcome when the worker is done with it.
    pub(in crate::pool::process) goal: u64,
    /// It is no longer wanted, and the worker ends with it from then on.
    pub(in crate::pool::process) until: Option<Instant>,
    /// It is then to be begun again.
    pub(in crate::pool::process) is_again: bool,
    /// Why it is no longer wanted.
    pub(in crate::pool::process) given_up: Option<TaskEnd>,
    /// When it was begun, as far as the pool knows.
    pub(in crate::pool::process) begun: Begun,
    /// When it was first seen to have begun.
    pub(in crate::pool::process) seen: Cell<Option<Instant>>,
}

/// What came of handing a task over.
pub(in crate::pool::process) enum Handed {
    Done,
    /// There is no room for now.
    NoRoom,
    /// The program has not what it takes: descriptors, or memory.
    Short(io::Error),
}

/// A process, as the pool knows it.
pub(in crate::pool::process) struct WorkerHandle {
    pub(in crate::pool::process) process: Process<()>,
    /// The pool's.
    pub(in crate::pool::process) events: Events,
    pub(in crate::pool::process) control: ControlBlock,
    pub(in crate::pool::process) requests: MessageRing,
    pub(in crate::pool::process) replies: MessageRing,
    /// Of large requests and large replies, once there was one.
    pub(in crate::pool::process) lanes: Option<(Lane, Lane)>,
    pub(in crate::pool::process) socket: OwnedFd,
    /// Of one that has coroutines.
    pub(in crate::pool::process) doorbell: Option<Arc<OwnedFd>>,
    /// In the order in which they were handed over, which is that in which they are begun.
    pub(in crate::pool::process) sent: VecDeque<SentTask>,
    /// Those that tasks can have: of all that are the same modulo [`MOST`], one at a time.
    pub(in crate::pool::process) numbers: VecDeque<u64>,
    /// How many functions it has been told of.
    pub(in crate::pool::process) learned: usize,
    /// Calls that it was given, and that it has finished.
    pub(in crate::pool::process) given: u64,
    pub(in crate::pool::process) finished: u64,
    /// What it was given in part, and is done with.
    pub(in crate::pool::process) back: Vec<ProcessJob>,
    /// Its place in the pool.
    pub(in crate::pool::process) slot: usize,
    /// It has more in memory than it may.
    pub(in crate::pool::process) is_too_large: bool,
    /// It takes no more, and ends when it has finished what it has.
    pub(in crate::pool::process) is_retiring: bool,
    /// It was told to end.
    pub(in crate::pool::process) is_closing: bool,
    /// It writes what it cannot, and has been killed.
    pub(in crate::pool::process) is_damaged: bool,
    /// When it was started.
    pub(in crate::pool::process) born: Instant,
    /// It has been seen to be ready: what it says about that now is of no consequence.
    pub(in crate::pool::process) was_ready: bool,
    /// Why it could not be made ready.
    pub(in crate::pool::process) bad_start: Option<String>,
    pub(in crate::pool::process) tail: Arc<StderrTail>,
    /// What a task writes that is captured.
    pub(in crate::pool::process) capture: Capture,
    /// By us, or at our behest.
    pub(in crate::pool::process) is_killed: Cell<bool>,
}

impl WorkerHandle {
    /// Writes a task where the worker will find it.
    pub(in crate::pool::process) fn hand_over(
        &mut self,
        job: &ProcessJob,
        functions: &[(Code, Kind)],
        most: Option<u64>,
    ) -> Result<Handed, Damaged> {
        while self.learned <= usize::from(job.function) {
            let Some(&(code, kind)) = functions.get(self.learned) else {
                return Err(Damaged);
            };
            let sent = self.send(&SocketMessage::Function(code, kind), &[])?;
            if !matches!(sent, Handed::Done) {
                return Ok(sent);
            }
            self.learned += 1;
        }
        let Some(&number) = self.numbers.front() else {
            return Ok(Handed::NoRoom);
        };
        let rest = job.rest();
        let mut header = Header {
            kind: job.function,
            number,
            count: self.share(job, most),
            ..Header::default()
        };
        if job.context > 0 {
            header.flags = WITH_CONTEXT;
        }
        if rest.len() > INLINE && rest.len() <= LARGEST && job.descriptors.is_empty() {
            let announced = announce(&rest);
            if !self.requests.fits(announced.len())? {
                return Ok(Handed::NoRoom);
            }
            if self.put_in_slab(&rest)? {
                header.flags |= IN_SLAB;
                self.control.offer(number);
                return self.put(header, &announced);
            }
        }
        let is_apart = rest.len() > INLINE || !job.descriptors.is_empty();
        if !self.requests.fits(if is_apart { 0 } else { rest.len() })? {
            return Ok(Handed::NoRoom);
        }
        if is_apart {
            let message = SocketMessage::Payload {
                number,
                bytes: rest.into_owned(),
            };
            let sent = self.send(&message, &job.descriptors)?;
            if !matches!(sent, Handed::Done) {
                return Ok(sent);
            }
            header.flags |= BY_SOCKET;
            self.control.offer(number);
            return self.put(header, &[]);
        }
        self.control.offer(number);
        self.put(header, &rest)
    }

    fn put(&mut self, header: Header, payload: &[u8]) -> Result<Handed, Damaged> {
        let is_put = self.requests.put(header, payload)?;
        Ok(if is_put { Handed::Done } else { Handed::NoRoom })
    }

    /// False: there is no room, or no slab is to be had.
    fn put_in_slab(&mut self, bytes: &[u8]) -> Result<bool, Damaged> {
        if self.lanes.is_none() {
            let Ok(slab) = Slab::new() else {
                return Ok(false);
            };
            let lanes = slab.lanes()?;
            if !matches!(self.send(&SocketMessage::Slab(slab), &[])?, Handed::Done) {
                return Ok(false);
            }
            self.lanes = Some(lanes);
        }
        match &mut self.lanes {
            Some((requests, _)) => requests.put(bytes),
            None => Ok(false),
        }
    }

    /// Not done: the socket is full for now; or nobody is there any more, and then it is retired;
    /// or the system is short of something.
    fn send(
        &mut self,
        message: &SocketMessage,
        descriptors: &[OwnedFd],
    ) -> Result<Handed, Damaged> {
        let Ok(message) = codec::encode(message) else {
            return Ok(Handed::NoRoom);
        };
        let socket = self.socket.as_fd();
        match wire::send_beside(socket, &message, descriptors, SendFlags::DONTWAIT) {
            Ok(()) => Ok(Handed::Done),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Handed::NoRoom),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.is_retiring = true;
                Ok(Handed::NoRoom)
            }
            Err(error) => Ok(Handed::Short(error)),
        }
    }

    /// Whether it has come to where it takes tasks.
    pub(in crate::pool::process) fn is_ready(&mut self) -> bool {
        self.was_ready = self.was_ready || self.control.ready_at().load(Ordering::Relaxed) != 0;
        self.was_ready
    }

    /// It has not become ready in time, and is ended.
    pub(in crate::pool::process) fn is_late(&mut self, plan: &StateFunction) {
        if self.is_killed.get() {
            return;
        }
        if plan.initializer.is_some() {
            let limit = plan.start_timeout;
            self.bad_start = Some(format!(
                "it has not ended within {limit:?}; allow it longer with `start_timeout`"
            ));
        }
        self.kill();
    }

    pub(in crate::pool::process) fn kill(&self) {
        self.is_killed.set(true);
        self.process.kill();
    }

    /// How many of a task's calls it may be given, of those that it may have in its life.
    pub(in crate::pool::process) fn share(&self, job: &ProcessJob, most: Option<u64>) -> u64 {
        let left = most.map_or(u64::MAX, |most| most.saturating_sub(self.given));
        left.min(job.count - job.done)
    }

    /// One that has been revoked.
    pub(in crate::pool::process) fn take_back(&mut self, at: usize) -> Option<ProcessJob> {
        let sent = self.sent.remove(at)?;
        self.numbers.push_back(sent.number + MOST);
        self.given -= sent.goal - sent.job.done;
        self.tell_ended(&sent, TaskEnd::Retried);
        Some(sent.job)
    }

    /// Its number among the events.
    pub(in crate::pool::process) fn number(&self) -> u32 {
        u32::try_from(self.slot).unwrap_or(u32::MAX)
    }

    /// What the events call the worker of a task: of one with coroutines, the place of one of them.
    fn track(&self, task: u64) -> u32 {
        match self.doorbell {
            None => self.number(),
            Some(_) => {
                let places = u64::from(self.number()) * MOST;
                PLACES | u32::try_from(places + task % MOST).unwrap_or(0)
            }
        }
    }

    /// Tells how a task has ended, if it was told that it had begun.
    pub(in crate::pool::process) fn tell_ended(&self, sent: &SentTask, how: TaskEnd) {
        let class = sent.job.remote.class();
        self.events
            .finished(sent.begun, class, self.track(sent.number), how);
    }

    /// The first of those that it has is taken to have begun when it is the first; where there are
    /// coroutines, each when it is handed over.
    pub(in crate::pool::process) fn tell_begun(&mut self) {
        if !self.events.is_watched() {
            return;
        }
        let at = match self.doorbell {
            None => 0,
            Some(_) => self.sent.len().saturating_sub(1),
        };
        let number = self.sent.get(at).map(|sent| self.track(sent.number));
        if let (Some(sent), Some(worker)) = (self.sent.get_mut(at), number)
            && sent.begun == Begun::default()
        {
            let class = sent.job.remote.class();
            sent.begun = self.events.started(sent.job.number, class, worker);
        }
    }

    /// The task of a reply: with one at a time the first, or the worker makes it up.
    fn find(&self, number: u64) -> Option<(usize, &SentTask)> {
        let mut begun = self.begun().enumerate();
        begun.find(|(_, sent)| sent.number == number)
    }

    /// Those that may have begun.
    pub(in crate::pool::process) fn begun(&self) -> impl Iterator<Item = &SentTask> {
        let most = if self.doorbell.is_some() {
            usize::MAX
        } else {
            1
        };
        self.sent.iter().take(most)
    }

    pub(in crate::pool::process) fn id(&self) -> WorkerId {
        WorkerId::new(self.slot, self.process.pid())
    }

    pub(in crate::pool::process) fn notifier(&self) -> Notifier {
        match &self.doorbell {
            None => Notifier::ControlBlock(self.control.clone()),
            Some(door) => Notifier::Door(Arc::clone(door)),
        }
    }

    /// Whether it sleeps for this; then the caller wakes it, and nobody else does.
    pub(in crate::pool::process) fn is_asleep(&self, what_for: u32) -> bool {
        wake::take_if(self.control.sleeps(), what_for)
    }

    pub(in crate::pool::process) fn collect(
        &mut self,
        events: &mut Vec<TaskEvent>,
        pace: &mut f64,
    ) -> Result<(), Damaged> {
        let before = events.len();
        self.take_in(events, pace)?;
        if events.len() > before && self.is_asleep(FOR_ROOM) {
            Notifier::ControlBlock(self.control.clone()).ring();
        }
        Ok(())
    }

    fn take_in(&mut self, events: &mut Vec<TaskEvent>, pace: &mut f64) -> Result<(), Damaged> {
        let mut payload = Vec::new();
        for _ in 0..LOOKS {
            let Some(header) = self.replies.get(&mut payload)? else {
                break;
            };
            if header.kind == BAD_START {
                self.take_bad_start(&payload)?;
                continue;
            }
            let Some((at, sent)) = self.find(header.number) else {
                return Err(Damaged);
            };
            let left = sent.goal - sent.job.done;
            let is_last = header.kind == LAST;
            if header.count == 0 || header.count > left || is_last != (header.count == left) {
                return Err(Damaged);
            }
            // An `Err` that is to be tried again, or what came when its time was up.
            let is_again = is_last
                && sent.job.retries > 0
                && (header.flags & UNWELL != 0 && sent.job.count == 1 || sent.is_again);
            let is_all = header.count == sent.job.count - sent.job.done;
            // The task's own bytes are not needed any more where this is all of its outcome.
            let is_spent = is_all && !is_again;
            let payload = std::mem::take(&mut payload);
            let (bytes, letter) = self.take_bytes(&header, payload, is_spent.then_some(at))?;
            let Some(sent) = self.sent.get_mut(at) else {
                return Err(Damaged);
            };
            let first = sent.job.done;
            if is_again {
                sent.job.retries -= 1;
            } else {
                sent.job.done += header.count;
            }
            self.was_ready = true;
            self.finished += header.count;
            let remote = Arc::clone(&sent.job.remote);
            remote.runs_on(WorkerId::new(self.slot, self.process.pid()));
            let is_whole = sent.job.done == sent.job.count;
            let last = match is_last {
                true => self.conclude(at, &header, is_again, is_whole, pace),
                false => None,
            };
            if is_again {
                events.push(TaskEvent::Again);
                continue;
            }
            events.push(match letter {
                None => TaskEvent::Came {
                    remote,
                    payload: bytes,
                    first,
                    count: header.count,
                    last: last.filter(|_| is_whole),
                },
                Some(letter) => TaskEvent::CameApart {
                    remote,
                    letter,
                    number: header.number,
                    first,
                    count: header.count,
                    last: last.filter(|_| is_whole),
                },
            });
        }
        Ok(())
    }

    /// Its initialiser failed.
    fn take_bad_start(&mut self, payload: &[u8]) -> Result<(), Damaged> {
        if self.bad_start.is_some() || self.is_ready() {
            return Err(Damaged);
        }
        let why = match crate::wire::outcome::said(payload) {
            Some(error) => error.to_string(),
            None => "it said nothing".to_owned(),
        };
        self.bad_start = Some(why);
        Ok(())
    }

    /// The outcomes of a reply: from its ring, from the slab, or a letter by the socket. A task
    /// that is `spent` lends its own bytes, which are likely to be as many.
    fn take_bytes(
        &mut self,
        header: &Header,
        payload: Vec<u8>,
        spent: Option<usize>,
    ) -> Result<(Vec<u8>, Option<io::Result<Letter>>), Damaged> {
        if header.flags & IN_SLAB != 0 {
            let (_, replies) = self.lanes.as_mut().ok_or(Damaged)?;
            let announced = Lane::announced(&payload)?;
            let lent = spent.and_then(|at| self.sent.get_mut(at));
            let mut bytes = lent.map_or(payload, |sent| std::mem::take(&mut sent.job.payload));
            replies.get(announced, &mut bytes)?;
            return Ok((bytes, None));
        }
        let is_letter = header.flags & BY_SOCKET != 0;
        let letter = is_letter.then(|| self.letter()).transpose()?;
        Ok((payload, letter))
    }

    /// A worker is done with a task, for now or for good. Returned is what its outcome is told
    /// with.
    fn conclude(
        &mut self,
        at: usize,
        header: &Header,
        is_again: bool,
        is_whole: bool,
        pace: &mut f64,
    ) -> Option<LastReply> {
        let sent_at = self.sent.get(at)?.at;
        // A chunk counts as the one task that it is for a worker; and nothing takes longer than it
        // was there.
        let whole = match header.time {
            0..LONG => header.time as f64,
            long => (long as f64).min(sent_at.elapsed().as_nanos() as f64),
        };
        *pace = if *pace == 0.0 {
            whole
        } else {
            0.9 * *pace + 0.1 * whole
        };
        self.is_retiring |= header.flags & TIRED != 0;
        let sent = self.sent.remove(at)?;
        self.numbers.push_back(header.number + MOST);
        if is_again || !is_whole {
            self.tell_ended(&sent, TaskEnd::Retried);
        }
        let last = LastReply {
            ending: self.events.ending(sent.begun),
            worker: self.track(header.number),
            given_up: sent.given_up,
        };
        self.tell_begun();
        if !is_whole {
            self.back.push(sent.job);
        }
        Some(last)
    }

    /// What belongs to a reply, or why it cannot be received by us, which the worker is not to
    /// blame for.
    fn letter(&self) -> Result<io::Result<Letter>, Damaged> {
        match wire::receive_letter(self.socket.as_fd(), RecvFlags::DONTWAIT) {
            Ok(Some(letter)) => Ok(Ok(letter)),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Err(error)),
            Ok(None) | Err(_) => Err(Damaged),
        }
    }

    /// Has it end when it has nothing more to do.
    pub(in crate::pool::process) fn close(&mut self) {
        if !self.is_closing {
            self.is_closing = true;
            self.is_retiring = true;
            self.control.closing().store(1, Ordering::SeqCst);
            self.notifier().ring();
        }
    }

    /// Tells the task that it is no longer wanted, and ends the worker with it when it does not
    /// listen.
    pub(in crate::pool::process) fn give_up(&mut self, at: usize, grace: Duration, why: TaskEnd) {
        let Some(sent) = self.sent.get_mut(at) else {
            return;
        };
        if sent.until.is_none() {
            sent.until = Instant::now().checked_add(grace);
            sent.given_up = Some(why);
            self.control.request_cancel(sent.number);
            wait::wake(self.control.cancels(), wait::ALL);
            if self.doorbell.is_some() {
                self.notifier().ring();
            }
        }
    }

    /// As [`give_up`](Self::give_up), for a task that is to be begun again.
    pub(in crate::pool::process) fn retry(&mut self, at: usize, grace: Duration) {
        if let Some(sent) = self.sent.get_mut(at)
            && sent.until.is_none()
        {
            sent.is_again = true;
            self.give_up(at, grace, TaskEnd::Retried);
        }
    }

    /// It is ready, and has not begun what it was given so long ago: it was stopped, or waits for
    /// what never comes.
    pub(in crate::pool::process) fn is_stuck(&self, now: Instant, after: Duration) -> bool {
        // Large arguments take their time to be received.
        let allowed = |sent: &SentTask| {
            let megabytes = u32::try_from(sent.job.payload.len() >> 20).unwrap_or(u32::MAX);
            after + Duration::from_millis(20) * megabytes
        };
        let is_late = |sent: &SentTask| now.saturating_duration_since(sent.at) > allowed(sent);
        let waits = |sent: &SentTask| is_late(sent) && !self.control.is_taken(sent.number);
        self.was_ready && self.sent.front().is_some_and(waits)
    }

    /// How long one of its tasks has been running. `None`: it has not begun.
    pub(in crate::pool::process) fn running_for(&self, sent: &SentTask) -> Option<Duration> {
        if !self.control.is_taken(sent.number) {
            return None;
        }
        let since = self.control.began_at(sent.number).load(Ordering::Relaxed);
        let seen = sent.seen.get().unwrap_or_else(Instant::now);
        sent.seen.set(Some(seen));
        // The worker may say what it likes of when it began, but not that it began later.
        let said = Duration::from_nanos(now().saturating_sub(since));
        Some(said.max(seen.elapsed()))
    }
}

/// What wakes a worker.
pub(in crate::pool::process) enum Notifier {
    ControlBlock(ControlBlock),
    Door(Arc<OwnedFd>),
}

impl Notifier {
    pub(in crate::pool::process) fn ring(&self) {
        match self {
            Notifier::ControlBlock(control) => wake::ring(control.notifier()),
            Notifier::Door(door) => {
                let _ = rustix::io::write(door, &1_u64.to_ne_bytes());
            }
        }
    }
}
