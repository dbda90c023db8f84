//! An event as the words that lie in a ring, and back.

use std::time::Duration;

use super::ring::Words;
use super::{EventKind, Name, Parting, TaskEnd, WorkEvent};

/// In place of a worker's number where there is none.
const NOBODY: u32 = u32::MAX;
/// In place of a time that is not known.
const UNKNOWN: u64 = u64::MAX;

pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The second word: what it is, a detail, and a worker.
fn head(kind: u8, detail: u8, worker: u32) -> u64 {
    u64::from(kind) << 40 | u64::from(detail) << 32 | u64::from(worker)
}

fn maybe(time: Option<Duration>) -> u64 {
    time.map_or(UNKNOWN, nanos)
}

/// An event, as the ring has it.
#[inline]
pub(super) fn written(at: u64, kind: &EventKind) -> Words {
    match *kind {
        EventKind::Queued { task, name } => [at, head(0, 0, 0), task, name.0.into(), 0, 0],
        EventKind::Started {
            task,
            name,
            worker,
            waited,
        } => [
            at,
            head(1, 0, worker),
            task,
            name.0.into(),
            maybe(waited),
            0,
        ],
        EventKind::Finished {
            task,
            name,
            worker,
            how,
            wall,
            cpu,
        } => {
            let head = head(2, how as u8, worker.unwrap_or(NOBODY));
            [at, head, task, name.0.into(), nanos(wall), maybe(cpu)]
        }
        EventKind::WorkerBorn { worker, pid } => {
            [at, head(3, 0, worker), pid.unwrap_or(0).into(), 0, 0, 0]
        }
        EventKind::WorkerDied { worker, pid, why } => {
            let (detail, number) = match why {
                Parting::Dismissed => (0, 0),
                Parting::Exited(code) => (1, code),
                Parting::Killed(signal) => (2, signal),
            };
            let head = head(4, detail, worker);
            [
                at,
                head,
                pid.unwrap_or(0).into(),
                u64::from(number as u32),
                0,
                0,
            ]
        }
        EventKind::Sized { from, to } => [at, head(5, 0, 0), from.into(), to.into(), 0, 0],
        EventKind::Moved { task, bytes, of } => [at, head(6, 0, 0), task, bytes, of, 0],
    }
}

/// What [`written`] has written.
pub(super) fn read(words: &Words) -> Option<WorkEvent> {
    let [at, head, task, second, third, fourth] = *words;
    let [_, _, tag, detail, ..] = head.to_be_bytes();
    let worker = head as u32;
    let name = Name(second as u32);
    let pid = (task > 0).then_some(task as u32);
    let time = |word: u64| (word != UNKNOWN).then(|| Duration::from_nanos(word));
    let kind = match tag {
        0 => EventKind::Queued { task, name },
        1 => EventKind::Started {
            task,
            name,
            worker,
            waited: time(third),
        },
        2 => EventKind::Finished {
            task,
            name,
            worker: (worker != NOBODY).then_some(worker),
            how: *TaskEnd::ALL.get(usize::from(detail))?,
            wall: Duration::from_nanos(third),
            cpu: time(fourth),
        },
        3 => EventKind::WorkerBorn { worker, pid },
        4 => EventKind::WorkerDied {
            worker,
            pid,
            why: match detail {
                0 => Parting::Dismissed,
                1 => Parting::Exited(second as u32 as i32),
                _ => Parting::Killed(second as u32 as i32),
            },
        },
        5 => EventKind::Sized {
            from: task as u32,
            to: second as u32,
        },
        6 => EventKind::Moved {
            task,
            bytes: second,
            of: third,
        },
        _ => return None,
    };
    Some(WorkEvent {
        at: Duration::from_nanos(at),
        kind,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_read_as_it_was_written() {
        let name = Name::of("f");
        let (task, worker) = (7, 3);
        let time = Duration::from_nanos(12_345);
        let events = [
            EventKind::Queued { task, name },
            EventKind::Started {
                task,
                name,
                worker,
                waited: Some(time),
            },
            EventKind::Started {
                task,
                name,
                worker,
                waited: None,
            },
            EventKind::Finished {
                task,
                name,
                worker: None,
                how: TaskEnd::NotRun,
                wall: time,
                cpu: None,
            },
            EventKind::Finished {
                task,
                name,
                worker: Some(worker),
                how: TaskEnd::Retried,
                wall: time,
                cpu: Some(Duration::ZERO),
            },
            EventKind::WorkerBorn { worker, pid: None },
            EventKind::WorkerBorn {
                worker,
                pid: Some(12),
            },
            EventKind::WorkerDied {
                worker,
                pid: Some(12),
                why: Parting::Killed(9),
            },
            EventKind::WorkerDied {
                worker,
                pid: Some(12),
                why: Parting::Exited(-1),
            },
            EventKind::WorkerDied {
                worker,
                pid: None,
                why: Parting::Dismissed,
            },
            EventKind::Sized { from: 1, to: 9 },
            EventKind::Moved {
                task,
                bytes: 1 << 40,
                of: 0,
            },
        ];
        for (at, how) in TaskEnd::ALL.iter().enumerate() {
            assert_eq!(*how as usize, at);
        }
        for kind in events {
            let event = read(&written(5, &kind));
            let at = Duration::from_nanos(5);
            assert_eq!(event, Some(WorkEvent { at, kind }));
        }
    }
}
