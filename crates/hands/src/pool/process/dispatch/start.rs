//! How workers come to be: at first, one after the other; in the place of one that has ended, on a
//! thread that may wait, for what starts them may be busy or stopped, and the pool's own thread
//! sees to everybody's time.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use rustix::event::{EventfdFlags, epoll, eventfd};

use crate::event::EventKind;
use crate::pool::process::child;
use crate::pool::process::dispatch::inner::ProcessPoolCore;
use crate::pool::process::dispatch::tail::StderrTail;
use crate::pool::process::dispatch::turns::DeliveryTurn;
use crate::pool::process::dispatch::worker_handle::{Notifier, WorkerHandle};
use crate::pool::process::protocol::capture::Capture;
use crate::pool::process::protocol::control_block::{ControlBlock, MOST};
use crate::pool::process::protocol::message::{StateOf, WorkerStart};
use crate::pool::process::protocol::reserved::SERVICE;
use crate::process::{ProcessBuilder, SpawnError};
use crate::wire::codec::Carried;
use crate::wire::message as wire;

/// Starts the workers of a pool. A clone is the same.
#[derive(Clone)]
pub(in crate::pool::process) struct Starter {
    pool: Arc<ProcessPoolCore>,
    /// What tells the pool's thread that one has ended.
    epoll: Arc<OwnedFd>,
}

impl Starter {
    pub(in crate::pool::process) fn new(pool: &Arc<ProcessPoolCore>) -> io::Result<Starter> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Starter {
            pool: Arc::clone(pool),
            epoll: Arc::new(epoll),
        })
    }

    pub(in crate::pool::process) fn epoll(&self) -> &OwnedFd {
        &self.epoll
    }

    pub(in crate::pool::process) fn watch(&self, fd: impl AsFd, key: u64) -> io::Result<()> {
        let data = epoll::EventData::new_u64(key);
        Ok(epoll::add(&self.epoll, fd, data, epoll::EventFlags::IN)?)
    }

    /// Starts a worker in a place that the caller has noted as
    /// [`starting`](crate::pool::process::dispatch::crew::Crew::starting), and sees to what comes
    /// of it.
    pub(in crate::pool::process) fn start_elsewhere(&self, slot: usize) {
        let starter = self.clone();
        self.pool.elsewhere(move |pool| {
            let started = starter.start(slot);
            if let Err(error) = started {
                let mut crew = pool.crew.lock();
                crew.starting.remove(&slot);
                crew.missing = Some(Instant::now());
                if crew.workers().next().is_none() && crew.starting.is_empty() {
                    crew.broken.get_or_insert_with(|| error.to_string().into());
                }
            }
            pool.refuse_if_broken();
            pool.wake_joiner();
            pool.calmed();
            pool.kick();
        });
    }

    /// What all processes of the pool have in common.
    fn builder(&self, slot: usize) -> ProcessBuilder {
        let plan = &self.pool.plan;
        let mut builder = ProcessBuilder::new()
            .name(format!("{}-{slot}", plan.name))
            .daemon(true)
            .start_timeout(plan.start_timeout)
            .rights(self.pool.crew.lock().rights)
            .start_method(plan.method);
        for (name, value) in &plan.environment {
            builder = builder.env(name, value);
        }
        if let Some(limit) = plan.memory_limit {
            builder = builder.memory_limit(limit);
        }
        if let Some(limit) = plan.cpu_limit {
            builder = builder.cpu_limit(limit);
        }
        builder
    }

    /// Starts a worker.
    pub(in crate::pool::process) fn start(&self, slot: usize) -> Result<(), SpawnError> {
        let system = SpawnError::system("make what a worker needs");
        let plan = &self.pool.plan;
        let control = ControlBlock::new().map_err(&system)?;
        let (socket, its) = wire::pair().map_err(&system)?;
        let service = self.pool.service.try_clone().map_err(&system)?;
        let mut builder = self.builder(slot);
        let tail = match &self.pool.forwarder {
            None => Arc::new(StderrTail::default()),
            Some(forwarder) => {
                let (tail, stderr) = StderrTail::new().map_err(&system)?;
                builder = builder.stderr(stderr);
                forwarder.add(Arc::clone(&tail));
                tail
            }
        };
        let doorbell = match plan.coroutines {
            None => None,
            Some(_) => {
                let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
                let door = eventfd(0, flags).map_err(|error| system(error.into()))?;
                Some(Arc::new(door))
            }
        };
        let its_door = doorbell.as_ref().map(|door| door.try_clone());
        let (capture, its_capture) = Capture::new().map_err(&system)?;
        let start = WorkerStart {
            capture: its_capture,
            doorbell: its_door.transpose().map_err(&system)?.map(Carried::from),
            control: control.clone(),
            notifier: self.pool.notifier.clone(),
            service: Carried::from(service),
            socket: Carried::from(its),
            initializer: plan.initializer,
            number: slot as u64,
            heavy: plan.heavy,
            state: match &plan.state {
                None => None,
                Some(state) => Some(StateOf {
                    code: state.code,
                    argument: state.argument.clone(),
                    descriptors: copies(&state.descriptors).map_err(&system)?,
                }),
            },
        };
        let process = builder.spawn(child::serve, start)?;
        let worker = WorkerHandle {
            requests: control.requests(),
            replies: control.replies(),
            control,
            lanes: None,
            socket,
            doorbell,
            capture,
            is_killed: Cell::new(false),
            sent: Default::default(),
            numbers: (1..=MOST).collect(),
            learned: 0,
            given: 0,
            finished: 0,
            back: Vec::new(),
            is_retiring: false,
            is_closing: false,
            is_damaged: false,
            bad_start: None,
            slot,
            is_too_large: false,
            born: Instant::now(),
            was_ready: false,
            tail,
            process,
            events: self.pool.events.clone(),
        };
        worker.events.tell(EventKind::WorkerBorn {
            worker: worker.number(),
            pid: Some(worker.process.pid()),
        });
        self.watch(worker.process.events(), slot as u64)
            .map_err(&system)?;
        self.place(slot, worker);
        Ok(())
    }

    /// A worker is there, in its place, and may be given tasks.
    fn place(&self, slot: usize, worker: WorkerHandle) {
        let (mut events, mut wake) = (Vec::new(), Vec::new());
        {
            let mut crew = self.pool.crew.lock();
            crew.starting.remove(&slot);
            if crew.slots.len() <= slot {
                // There are fewer by now; this one goes at once.
                crew.slots.resize_with(slot + 1, || None);
            }
            if self.pool.is_over.load(Ordering::SeqCst) {
                // Nobody has waited for it, or sees to it now.
                drop(crew);
                worker.kill();
                worker.process.wait();
                return;
            }
            worker.control.watched().store(SERVICE, Ordering::SeqCst);
            crew.slots[slot] = Some(worker);
            crew.dismiss();
            if crew.is_ending {
                crew.workers_mut().for_each(WorkerHandle::close);
            }
            crew.dispatch(&mut events, &mut wake);
        }
        wake.iter().for_each(Notifier::ring);
        self.pool.tell_elsewhere(events, DeliveryTurn::ANY);
    }
}

fn copies(descriptors: &[OwnedFd]) -> io::Result<Vec<Carried>> {
    let copies = descriptors
        .iter()
        .map(|fd| fd.try_clone().map(Carried::from));
    copies.collect()
}
