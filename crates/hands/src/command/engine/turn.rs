//! One turn of the loop: wait, then read, write and reap what is ready, then ring what is due.

use std::cmp::Reverse;
use std::io;
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process_group};

use super::child::{Cause, ChildEnd, EngineChild, Key, OutputStream};
use super::token::{TokenPart, from_token, token};
use super::{
    ASK_AGAIN, Engine, EngineAlarm, EngineEvent, Flow, GIVE_UP, LEFTOVERS, LOOK_FOR_STOPPED, READS,
    Receiver, WATCH_AFTER, find,
};
use crate::command::sys::wait;

impl Engine {
    /// Waits for the next events, not beyond `until`, and hands on what they bring. May return with
    /// none.
    pub fn turn(
        &mut self,
        until: Option<Instant>,
        receive: Receiver<'_>,
        events: &mut Vec<EngineEvent>,
    ) -> io::Result<()> {
        let alarm = self.alarms.peek().map(|Reverse((at, ..))| *at);
        let look = self.look_at.filter(|_| self.running > 0);
        let wake = [until, alarm, self.watch_at, look]
            .into_iter()
            .flatten()
            .min();
        let timeout = wake.map(|at| in_milliseconds(at.saturating_duration_since(Instant::now())));
        let mut ready = [const { std::mem::MaybeUninit::<epoll::Event>::uninit() }; 64];
        let (ready, _) = match epoll::wait(&self.epoll, &mut ready, timeout.as_ref()) {
            Ok(ready) => ready,
            Err(Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for event in ready.iter() {
            let (key, part) = from_token({ event.data }.u64());
            if key.index == u32::MAX {
                events.push(EngineEvent::Ready(key.generation));
                continue;
            }
            match part {
                TokenPart::Pidfd => self.reap(key, receive),
                TokenPart::Stdout => self.read(key, OutputStream::Stdout, receive),
                TokenPart::Stderr => self.read(key, OutputStream::Stderr, receive),
                TokenPart::Stdin => self.feed(key),
            }
            self.finish_if_over(key, events);
        }
        if wake.is_some() {
            let now = Instant::now();
            self.ring(now, events);
            self.find_stopped(now, events);
        }
        Ok(())
    }

    /// Reads on from a pipe whose receiver had said [`Flow::Pause`].
    pub fn resume(&mut self, key: Key) {
        if let Some(child) = self.child_mut(key) {
            for pipe in child.pipes.iter_mut().flatten() {
                pipe.paused = false;
            }
        }
        self.watch_pipes(key);
    }

    /// The pidfd is readable: the child has ended.
    fn reap(&mut self, key: Key, receive: Receiver<'_>) {
        let Some(child) = find(&mut self.children, key) else {
            return;
        };
        let Some(pidfd) = child.pidfd.as_ref() else {
            return;
        };
        if let Some(watchdog) = &self.watchdog {
            watchdog.release(key.index as usize);
        }
        // A child that has ended tells until it is reaped.
        let delay = self
            .notes_delays
            .then(|| run_queue_delay(child.pid))
            .flatten();
        let ended = match wait::try_reap(pidfd) {
            // A debugger that traces it has not let it go yet: ask again later, and not all the
            // time.
            Ok(None) => {
                let _ = epoll::delete(&self.epoll, pidfd);
                if let Some(watchdog) = &self.watchdog {
                    watchdog.guard(key.index as usize, child.pid);
                }
                self.set_alarm(Instant::now(), ASK_AGAIN, key, EngineAlarm::Reap);
                return;
            }
            Ok(Some((status, usage))) => (Some(status), usage),
            // Reaped behind our back; that it ended is all there is to know.
            Err(_) => Default::default(),
        };
        let _ = epoll::delete(&self.epoll, pidfd);
        child.wall = child.started.elapsed();
        child.ended = Some(ended);
        child.delay = delay;
        child.pidfd = None;
        for stream in OutputStream::BOTH {
            self.read(key, stream, receive);
        }
        // What is left open is held by a grandchild, or was more than one turn's reading.
        self.watch_pipes(key);
        if let Some(child) = self.child(key)
            && let Some(linger) = child.linger
            && !child.is_over()
        {
            self.set_alarm(Instant::now(), linger, key, EngineAlarm::Linger);
        }
    }

    /// Reads what there is, up to a bound, and closes the pipe at its end.
    fn read(&mut self, key: Key, stream: OutputStream, receive: Receiver<'_>) {
        let Some(child) = find(&mut self.children, key) else {
            return;
        };
        let slot = &mut child.pipes[stream as usize];
        let Some(pipe) = slot.as_mut().filter(|pipe| !pipe.paused) else {
            return;
        };
        for _ in 0..READS {
            self.buffer.clear();
            match rustix::io::read(&pipe.fd, rustix::buffer::spare_capacity(&mut self.buffer)) {
                Ok(0) => {}
                Ok(got) => {
                    if receive(key, stream, &self.buffer[..got]) == Flow::Pause {
                        pipe.paused = true;
                        if std::mem::take(&mut pipe.watched) {
                            let _ = epoll::delete(&self.epoll, &pipe.fd);
                        }
                        return;
                    }
                    continue;
                }
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return,
                // A pipe has no other error; treat one as its end.
                Err(_) => {}
            }
            if pipe.watched {
                let _ = epoll::delete(&self.epoll, &pipe.fd);
            }
            *slot = None;
            return;
        }
    }

    /// Writes what the child's stdin takes, and closes it behind the last byte.
    pub(super) fn feed(&mut self, key: Key) {
        let Some(child) = find(&mut self.children, key) else {
            return;
        };
        let Some(feed) = child.feed.as_mut() else {
            return;
        };
        while feed.sent < feed.bytes.len() {
            match rustix::io::write(&feed.fd, &feed.bytes[feed.sent..]) {
                Ok(sent) => feed.sent += sent,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    if !feed.watched {
                        let flags = epoll::EventFlags::OUT;
                        feed.watched =
                            epoll::add(&self.epoll, &feed.fd, token(key, TokenPart::Stdin), flags)
                                .is_ok();
                    }
                    return;
                }
                // It has closed its stdin: it wants no more, which is its right (`head`).
                Err(_) => break,
            }
        }
        if feed.watched {
            let _ = epoll::delete(&self.epoll, &feed.fd);
        }
        child.feed = None;
    }

    fn watch_pipes(&mut self, key: Key) {
        let Some(child) = find(&mut self.children, key) else {
            return;
        };
        for (pipe, part) in child
            .pipes
            .iter_mut()
            .zip([TokenPart::Stdout, TokenPart::Stderr])
        {
            if let Some(pipe) = pipe
                && !pipe.watched
                && !pipe.paused
            {
                pipe.watched = epoll::add(
                    &self.epoll,
                    &pipe.fd,
                    token(key, part),
                    epoll::EventFlags::IN,
                )
                .is_ok();
                // Short of memory in the kernel: a job must not wait for ever because of that.
                if !pipe.watched {
                    self.watch_at.get_or_insert(Instant::now() + ASK_AGAIN);
                }
            }
        }
    }

    /// Watches for the end of a child once more.
    fn ask_again(&mut self, key: Key, now: Instant) {
        let Some(pidfd) = self.child(key).and_then(|child| child.pidfd.as_ref()) else {
            return;
        };
        let token = token(key, TokenPart::Pidfd);
        if epoll::add(&self.epoll, pidfd, token, epoll::EventFlags::IN).is_err() {
            self.set_alarm(now, ASK_AGAIN, key, EngineAlarm::Reap);
        }
    }

    /// Everything that was due at `now`.
    fn ring(&mut self, now: Instant, events: &mut Vec<EngineEvent>) {
        if self.watch_at.is_some_and(|at| at <= now) {
            self.watch_at = None;
            for key in self.keys() {
                let Some(child) = self.child(key) else {
                    continue;
                };
                if child
                    .pipes
                    .iter()
                    .flatten()
                    .all(|pipe| pipe.watched || pipe.paused)
                {
                    continue;
                }
                if child.started + WATCH_AFTER <= now {
                    self.watch_pipes(key);
                } else {
                    self.watch_at = Some(now + WATCH_AFTER);
                }
            }
        }
        while let Some(&Reverse((at, key, alarm))) = self.alarms.peek() {
            if at > now {
                break;
            }
            self.alarms.pop();
            let Some(child) = self.child_mut(key) else {
                continue;
            };
            match alarm {
                // It is over but for a reader of ours that has yet to make room for the rest of its
                // output.
                EngineAlarm::TimeOut if child.waits_for_us() => {}
                EngineAlarm::TimeOut if child.cause.is_none() => {
                    self.terminate(key, Cause::TimedOut);
                }
                EngineAlarm::TimeOut => {}
                EngineAlarm::Kill if !child.killed => {
                    self.kill(key);
                    self.finish_if_over(key, events);
                }
                EngineAlarm::Kill => {}
                EngineAlarm::Look => self.finish_if_over(key, events),
                EngineAlarm::Reap => self.ask_again(key, now),
                // Its own output that we have not taken is not what others hold.
                EngineAlarm::Linger if child.pipes.iter().flatten().any(|pipe| pipe.paused) => {
                    self.alarms
                        .push(Reverse((now + ASK_AGAIN, key, EngineAlarm::Linger)));
                }
                EngineAlarm::Linger if child.ended.is_some() && !child.is_over() => {
                    child.is_held = true;
                    self.cut_off(key);
                    self.finish_if_over(key, events);
                }
                EngineAlarm::Linger => {}
                EngineAlarm::GiveUp if child.waits_for_us() => {
                    self.alarms
                        .push(Reverse((now + GIVE_UP, key, EngineAlarm::GiveUp)))
                }
                EngineAlarm::GiveUp if child.ended.is_some() => {
                    child.cut_off = true;
                    self.cut_off(key);
                    self.finish_if_over(key, events);
                }
                // Killed, but the kernel has not let it go yet (a stuck disk): its pidfd will tell.
                EngineAlarm::GiveUp => {
                    self.alarms
                        .push(Reverse((now + GIVE_UP, key, EngineAlarm::GiveUp)))
                }
            }
        }
    }

    /// Leaves its pipes to other processes that hold them.
    fn cut_off(&mut self, key: Key) {
        let Some(child) = find(&mut self.children, key) else {
            return;
        };
        let pipes = std::mem::take(&mut child.pipes);
        for pipe in pipes.iter().flatten().filter(|pipe| pipe.watched) {
            let _ = epoll::delete(&self.epoll, &pipe.fd);
        }
    }

    /// Children that the system has stopped, each as long as it is: looked for now and then.
    fn find_stopped(&mut self, now: Instant, events: &mut Vec<EngineEvent>) {
        let Some(at) = self.look_at.filter(|at| *at <= now) else {
            return;
        };
        self.look_at = Some(at.max(now) + LOOK_FOR_STOPPED);
        for key in self.keys() {
            let Some(child) = self.child(key) else {
                continue;
            };
            if let Some(pidfd) = &child.pidfd
                && child.started + LOOK_FOR_STOPPED <= now
                && let Some(signal) = wait::stopped(pidfd)
            {
                events.push(EngineEvent::Stopped(key, signal));
            }
        }
    }

    fn finish_if_over(&mut self, key: Key, events: &mut Vec<EngineEvent>) {
        if !self.child(key).is_some_and(EngineChild::is_over) || self.has_kin_to_wait_for(key) {
            return;
        }
        let Some(child) = self.child_mut(key) else {
            return;
        };
        let (status, usage) = child.ended.unwrap_or_default();
        let (wall, cause, cut_off, pid) = (child.wall, child.cause, child.cut_off, child.pid);
        let (delay, is_held) = (child.delay, child.is_held);
        // A grandchild might have read on, but nobody is left who would tell of it.
        if let Some(feed) = child.feed.take()
            && feed.watched
        {
            let _ = epoll::delete(&self.epoll, &feed.fd);
        }
        if test_kill_process_group(pid).is_ok() {
            if self.leftovers.len() >= LEFTOVERS {
                self.leftovers
                    .retain(|&group| test_kill_process_group(group).is_ok());
            }
            self.leftovers.push(pid);
        }
        events.push(EngineEvent::Finished(
            key,
            ChildEnd {
                status,
                usage,
                delay,
                wall,
                cause,
                cut_off,
                is_held,
            },
        ));
        self.retire(key.index);
    }
}

/// How long a process's first thread was ready to run without a CPU (`/proc/PID/schedstat`, the
/// second number, in nanoseconds); where the kernel counts that.
fn run_queue_delay(pid: Pid) -> Option<Duration> {
    let path = format!("/proc/{}/schedstat", pid.as_raw_nonzero());
    let text = std::fs::read_to_string(path).ok()?;
    let delay = text.split_whitespace().nth(1)?;
    Some(Duration::from_nanos(delay.parse().ok()?))
}

/// Rounded up: waking just before an alarm would mean waking again at once.
fn in_milliseconds(duration: Duration) -> Timespec {
    let millis = i64::try_from(duration.as_nanos().div_ceil(1_000_000))
        .unwrap_or(i64::MAX)
        .min(i64::from(i32::MAX));
    Timespec {
        tv_sec: millis / 1000,
        tv_nsec: millis % 1000 * 1_000_000,
    }
}
