//! What a worker does, in its own process.

use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::net::RecvFlags;

use super::call::{Call, called};
use crate::context::Context;
use crate::machine::Spin;
use crate::pool::process::child::tokens::{Running, Tokens};
use crate::pool::process::protocol::control_block::{
    BAD_START, BY_SOCKET, ControlBlock, FOR_ROOM, FOR_WORK, Header, IN_SLAB, INLINE, LAST,
    MessageRing, WITH_CONTEXT,
};
use crate::pool::process::protocol::core::Mover;
use crate::pool::process::protocol::message::{Kind, SocketMessage, WorkerStart};
use crate::pool::process::protocol::reserved::{JOINER, TIRED, UNWELL, now};
use crate::pool::process::protocol::slab::{LARGEST, Lane, announce};
use crate::pool::process::protocol::wake;
use crate::process::fork::end_if_copy;
use crate::shared::Memory;
use crate::sync::cancel::{CancelToken, Owners};
use crate::task::WorkerId;
use crate::thread::panic::caught;
use crate::wire::answer::Answer;
use crate::wire::codec::{self, Carried, Failure, LaidReady, Message};
use crate::wire::context::WrittenContext;
use crate::wire::image::Code;
use crate::wire::message as wire;
use crate::wire::outcome::write_failed;

/// How often it is looked how much memory a worker has.
const WEIGH: Duration = Duration::from_millis(20);

#[derive(Clone, Copy)]
pub(in crate::pool::process) enum Function {
    Call(Call),
    #[cfg(feature = "async")]
    Begin(super::begin::Begin),
}

pub(in crate::pool::process) struct ChildWorker {
    pub(in crate::pool::process) control: ControlBlock,
    notifier: Memory,
    service: Carried,
    socket: Carried,
    pub(in crate::pool::process) requests: MessageRing,
    replies: MessageRing,
    /// Of large requests and large replies, once there was one.
    lanes: Option<(Lane, Lane)>,
    functions: Vec<Function>,
    /// For a coroutine where there is one at a time.
    #[cfg(feature = "async")]
    runtime: Option<tokio::runtime::Runtime>,
    /// Tasks end out of turn.
    has_many: bool,
    spin: Spin,
    mover: Mover,
    owners: Owners,
    tokens: Arc<Tokens>,
    heavy: Option<u64>,
    weighed: Instant,
}

/// It cannot go on: the pool is gone, or writes what it cannot; or this process cannot receive what
/// it writes, and the pool is told why by the last words of this process.
pub(in crate::pool::process) struct Lost;

/// An argument has come that cannot be received, for this reason.
pub(in crate::pool::process) struct Unreceived(pub(in crate::pool::process) String);

/// What surrounds a task, and a token that has its deadline.
pub(in crate::pool::process) fn context(
    header: Header,
    input: &mut &[u8],
    carried: &mut LaidReady,
) -> Result<(Context, Option<CancelToken>), Answer> {
    if header.flags & WITH_CONTEXT == 0 {
        return Ok(Default::default());
    }
    let read = caught(|| {
        codec::lend(carried, || {
            let written = codec::take::<WrittenContext>(input)?;
            // SAFETY: the pool made it by `Context::write`, in a process of the same image, or we
            // would not have been started.
            unsafe { written.read() }
        })
    });
    match read {
        Ok(Ok(context)) => Ok(context),
        Ok(Err(Failure::Decode(what) | Failure::Encode(what))) => {
            Err(Answer::Decode(format!("its context: {what}")))
        }
        Err(caught) => Err(caught.into()),
    }
}

/// Begins a worker's life. `None`: it cannot work. Beside it, what wakes it if it is to have
/// coroutines.
pub(super) fn begin(start: WorkerStart) -> Option<(ChildWorker, Option<Carried>)> {
    if !start.control.is_whole() {
        return None;
    }
    crate::pool::process::child::capture::have(start.capture);
    let owners = Owners::default();
    owners.adopt();
    let mut worker = ChildWorker {
        requests: start.control.requests(),
        replies: start.control.replies(),
        notifier: start.notifier,
        service: start.service,
        socket: start.socket,
        lanes: None,
        functions: Vec::new(),
        #[cfg(feature = "async")]
        runtime: None,
        has_many: start.doorbell.is_some(),
        spin: Spin::default(),
        mover: Mover::default(),
        owners,
        tokens: Arc::new(Tokens {
            control: start.control.clone(),
            current: Default::default(),
        }),
        control: start.control,
        heavy: start.heavy,
        weighed: Instant::now(),
    };
    WorkerId::become_it(usize::try_from(start.number).unwrap_or(usize::MAX));
    let mut number = Vec::new();
    // A number can always be written down.
    let _ = codec::write(&start.number, &mut number);
    let initializer = start.initializer.map(|code| (code, number, Vec::new()));
    let state = start.state.map(|state| {
        let descriptors = state.descriptors.into_iter().map(|carried| carried.0);
        (state.code, state.argument, descriptors.collect())
    });
    for (code, argument, descriptors) in initializer.into_iter().chain(state) {
        if !worker.make_ready(code, &argument, descriptors) {
            return None;
        }
    }
    // It is ready.
    worker.control.ready_at().store(now(), Ordering::Relaxed);
    Some((worker, start.doorbell))
}

/// The rest of a worker's life, with one task at a time.
pub(super) fn serve(worker: &mut ChildWorker) {
    let mut payload = Vec::new();
    let mut output = Vec::new();
    loop {
        match worker.requests.get(&mut payload) {
            Ok(Some(header)) => {
                if worker.run(header, &mut payload, &mut output).is_err() {
                    return;
                }
            }
            Ok(None) if worker.is_closing() => return,
            Ok(None) => worker.wait(),
            Err(_) => {
                overwritten();
                return;
            }
        }
    }
}

/// The last words of this process, which the pool gives as the reason of its end.
fn say(why: &str) {
    let _ = writeln!(std::io::stderr(), "hands: {why}");
}

/// A task has written over memory that is not its own; what of the others is there still is theirs
/// whom the pool gives it to.
pub(in crate::pool::process) fn overwritten() -> Lost {
    say("a task has written over the memory that its worker has in common with the pool");
    Lost
}

impl ChildWorker {
    /// Calls the initialiser, or what makes the state. False: it failed, and the pool has been
    /// told.
    fn make_ready(&mut self, code: Code, mut argument: &[u8], descriptors: Vec<OwnedFd>) -> bool {
        // SAFETY: the pool made it by `code_of` or `state::Plan::new`, in a process of the same
        // image, or we would not have been started.
        let call = unsafe { called(code) };
        let mut said = Vec::new();
        if let Some(call) = call {
            call(
                &mut argument,
                &mut codec::laid_ready(descriptors),
                &mut said,
            );
        }
        end_if_copy();
        // A result of `()` is all of it.
        let Some(why) = crate::wire::outcome::said(&said) else {
            return true;
        };
        if said.len() > INLINE / 2 {
            let mut why = why.to_string();
            let end = (0..=INLINE / 4).rev().find(|at| why.is_char_boundary(*at));
            why.truncate(end.unwrap_or(0));
            said.clear();
            write_failed(&Answer::SetUp(why + " ..."), &mut said);
        }
        let header = Header {
            kind: BAD_START,
            count: 1,
            ..Header::default()
        };
        self.reply(header, &said);
        false
    }

    pub(in crate::pool::process) fn is_closing(&self) -> bool {
        self.control.closing().load(Ordering::SeqCst) != 0
    }

    /// Waits until there is something to do.
    fn wait(&self) {
        let is_called = || (!self.requests.is_empty() || self.is_closing()).then_some(());
        if self.spin.look(is_called).is_some() {
            return;
        }
        self.mover
            .leave(self.control.core().load(Ordering::Relaxed));
        let is_called = || is_called().is_some();
        wake::sleep_unless(
            self.control.sleeps(),
            FOR_WORK,
            self.control.notifier(),
            is_called,
        );
    }

    fn message(&self) -> Result<Result<(SocketMessage, LaidReady), Unreceived>, Lost> {
        let message = wire::receive(self.socket.as_fd(), RecvFlags::empty());
        let Message { bytes, descriptors } = match message {
            Ok(Some(message)) => message,
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                return Ok(Err(Unreceived(error.to_string())));
            }
            Ok(None) | Err(_) => return Err(Lost),
        };
        let mut carried = codec::laid_ready(descriptors);
        let message = codec::lend(&mut carried, || codec::decode(&bytes));
        Ok(Ok((message.map_err(|_| Lost)?, carried)))
    }

    /// One without which this process is of no use.
    fn needed_message(&self) -> Result<SocketMessage, Lost> {
        match self.message()? {
            Ok((message, _)) => Ok(message),
            Err(Unreceived(why)) => {
                say(&format!("a worker cannot go on: {why}"));
                Err(Lost)
            }
        }
    }

    pub(in crate::pool::process) fn function(&mut self, number: usize) -> Result<Function, Lost> {
        while self.functions.len() <= number {
            let SocketMessage::Function(code, kind) = self.needed_message()? else {
                return Err(Lost);
            };
            let function = match kind {
                // SAFETY: the pool made it by `code_of`, in a process of the same image, or we
                // would not have been started. It came through a socket, which nobody else has.
                Kind::Call => unsafe { called(code) }.map(Function::Call),
                #[cfg(feature = "async")]
                // SAFETY: as above, by `begin_code_of`.
                Kind::Coroutine => unsafe { super::begin::begun(code) }.map(Function::Begin),
            };
            self.functions.push(function.ok_or(Lost)?);
        }
        Ok(self.functions[number])
    }

    /// The payload of a request, wherever it is, and the descriptors that belong to it.
    pub(in crate::pool::process) fn payload(
        &mut self,
        header: Header,
        payload: &mut Vec<u8>,
    ) -> Result<Result<LaidReady, Unreceived>, Lost> {
        if header.flags & IN_SLAB != 0 {
            if self.lanes.is_none() {
                let SocketMessage::Slab(slab) = self.needed_message()? else {
                    return Err(Lost);
                };
                self.lanes = Some(slab.lanes().map_err(|_| Lost)?);
            }
            let announced = Lane::announced(payload).map_err(|_| Lost)?;
            let Some((requests, _)) = &mut self.lanes else {
                return Err(Lost);
            };
            requests
                .get(announced, payload)
                .map_err(|_| overwritten())?;
            return Ok(Ok(Vec::new()));
        }
        if header.flags & BY_SOCKET == 0 {
            return Ok(Ok(Vec::new()));
        }
        let (message, carried) = match self.message()? {
            Ok(received) => received,
            Err(why) => return Ok(Err(why)),
        };
        let SocketMessage::Payload { number, bytes } = message else {
            return Err(Lost);
        };
        if number != header.number {
            return Err(Lost);
        }
        *payload = bytes;
        Ok(Ok(carried))
    }

    /// Runs a function for one argument.
    fn call(
        &mut self,
        function: Function,
        input: &mut &[u8],
        carried: &mut LaidReady,
        output: &mut Vec<u8>,
    ) -> Vec<OwnedFd> {
        match function {
            Function::Call(call) => call(input, carried, output),
            #[cfg(feature = "async")]
            Function::Begin(begin) => {
                let coroutine = begin(input, carried);
                if self.runtime.is_none() {
                    self.runtime = super::begin::runtime().ok();
                }
                let Some(runtime) = &self.runtime else {
                    let why = "the worker has no descriptors left for a runtime".to_owned();
                    write_failed(&Answer::SetUp(why), output);
                    return Vec::new();
                };
                let said = runtime.block_on(coroutine);
                output.extend(said.bytes);
                said.descriptors
            }
        }
    }

    pub(in crate::pool::process) fn run(
        &mut self,
        header: Header,
        payload: &mut Vec<u8>,
        output: &mut Vec<u8>,
    ) -> Result<(), Lost> {
        let function = self.function(usize::from(header.kind))?;
        let carried = self.payload(header, payload)?;
        let start = now();
        if !self.control.take(header.number, start) {
            return Ok(());
        }
        let mut input = &payload[..];
        let read = carried.map_err(|Unreceived(why)| Answer::Decode(why));
        let read = read.and_then(|mut carried| {
            let context = context(header, &mut input, &mut carried)?;
            Ok((context, carried))
        });
        let ((context, outer), mut carried) = match read {
            Ok(read) => read,
            Err(why) => {
                output.clear();
                (0..header.count).for_each(|_| write_failed(&why, output));
                let header = Header {
                    kind: LAST,
                    flags: 0,
                    ..header
                };
                self.flush(header, output);
                return Ok(());
            }
        };
        self.tokens.begin(header.number);
        let owner = Arc::new(Running {
            number: header.number,
            tokens: Arc::clone(&self.tokens),
        });
        let owners = self.owners.clone();
        let run = || {
            owners.run(Some(owner), || {
                self.run_all(function, header, (input, &mut carried), output, start);
            });
        };
        context.run(|| match outer {
            Some(token) => token.enter(run),
            None => run(),
        });
        self.tokens.end();
        Ok(())
    }

    /// Calls the function for each argument. What comes of each is laid ready before the next
    /// begins: so whatever happens to this process then, what has been done is known.
    fn run_all(
        &mut self,
        function: Function,
        header: Header,
        (mut input, carried): (&[u8], &mut LaidReady),
        output: &mut Vec<u8>,
        start: u64,
    ) {
        output.clear();
        let mut ready = 0;
        let reply = |count, is_last: bool| Header {
            kind: if is_last { LAST } else { 0 },
            number: header.number,
            count,
            time: now().saturating_sub(start),
            ..Header::default()
        };
        for n in 1..=header.count {
            let before = output.len();
            let descriptors = self.call(function, &mut input, carried, output);
            end_if_copy();
            let is_last = n == header.count;
            if !descriptors.is_empty() {
                // On their own, as they are counted from 0.
                let own = output.split_off(before);
                self.flush(reply(ready, false), output);
                self.send_apart(reply(1, is_last), own, descriptors);
                ready = 0;
                output.clear();
                continue;
            }
            ready += 1;
            if is_last {
                break;
            }
            // Whose it is that lies ready could not be said where others are begun, too.
            if self.has_many
                || output.len() > INLINE / 2
                || !self.replies.stage(before, &output[before..], ready)
            {
                self.flush(reply(ready, false), output);
                ready = 0;
                output.clear();
            }
        }
        if ready > 0 {
            let mut flags = self.weigh();
            if header.count == 1 && output.first() == Some(&crate::wire::outcome::UNWELL) {
                flags |= UNWELL;
            }
            self.flush(
                Header {
                    flags,
                    ..reply(ready, true)
                },
                output,
            );
        }
    }

    /// [`TIRED`] for one that has grown too large.
    pub(in crate::pool::process) fn weigh(&mut self) -> u16 {
        if crate::pool::process::child::state::is_in_doubt() {
            return TIRED;
        }
        let Some(heavy) = self.heavy else { return 0 };
        if self.weighed.elapsed() < WEIGH {
            return 0;
        }
        self.weighed = Instant::now();
        let pages = std::fs::read_to_string("/proc/self/statm").ok();
        let resident = pages.and_then(|pages| pages.split(' ').nth(1)?.parse::<u64>().ok());
        let bytes = resident.unwrap_or(0) * rustix::param::page_size() as u64;
        if bytes > heavy { TIRED } else { 0 }
    }

    pub(in crate::pool::process) fn flush(&mut self, header: Header, payload: &mut Vec<u8>) {
        if header.count == 0 {
            return;
        }
        if payload.len() > INLINE
            && payload.len() <= LARGEST
            && let Some((_, replies)) = &mut self.lanes
            && matches!(replies.put(payload), Ok(true))
        {
            let header = Header {
                flags: header.flags | IN_SLAB,
                ..header
            };
            self.reply(header, &announce(payload));
        } else if payload.len() > INLINE {
            let bytes = std::mem::take(payload);
            self.send_apart(header, bytes, Vec::new());
        } else {
            self.reply(header, payload);
        }
    }

    pub(in crate::pool::process) fn send_apart(
        &mut self,
        header: Header,
        bytes: Vec<u8>,
        descriptors: Vec<OwnedFd>,
    ) {
        let message = SocketMessage::Payload {
            number: header.number,
            bytes,
        };
        let Ok(message) = codec::encode(&message) else {
            return;
        };
        let message = Message {
            descriptors,
            ..message
        };
        let flags = rustix::net::SendFlags::empty();
        let Err(error) = wire::send_with(self.socket.as_fd(), &message, flags) else {
            let header = Header {
                flags: header.flags | BY_SOCKET,
                ..header
            };
            return self.reply(header, &[]);
        };
        // No memory for it, or no descriptor. (Or the pool is gone, and we with it.)
        let mut failed = Vec::new();
        write_failed(&Answer::Encode(error.to_string()), &mut failed);
        for n in 1..=header.count {
            let kind = if n == header.count { header.kind } else { 0 };
            self.reply(
                Header {
                    kind,
                    count: 1,
                    ..header
                },
                &failed,
            );
        }
    }

    fn await_room(&mut self, payload: usize) {
        let replies = &mut self.replies;
        let is_called = || !matches!(replies.fits(payload), Ok(false));
        wake::sleep_unless(
            self.control.sleeps(),
            FOR_ROOM,
            self.control.notifier(),
            is_called,
        );
    }

    fn reply(&mut self, header: Header, payload: &[u8]) {
        loop {
            match self.replies.put(header, payload) {
                Ok(true) => break,
                // The pool has been told of what is there, and will make room.
                Ok(false) => self.await_room(payload.len()),
                Err(_) => return,
            }
        }
        match wake::take(self.control.watched()) {
            None => {}
            Some(JOINER) => wake::ring(self.notifier.word(0)),
            Some(_) => {
                let _ = rustix::io::write(self.service.as_fd(), &1_u64.to_ne_bytes());
            }
        }
    }
}
