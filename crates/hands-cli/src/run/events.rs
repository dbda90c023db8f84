//! `--json`: one object a line on stdout, for programs.
//!
//! | event | when | fields beside `event` and `seq` |
//! |---|---|---|
//! | `start` | a job starts | `attempt`, `slot`, `pid`, `time`, `command` |
//! | `output` | it has written something | `stream`, and `text` or, where it is not UTF-8, `base64` |
//! | `end` | it has ended | `attempt`, `outcome`, `exit`, `signal`, `time`, `wall`, `cpu_user`, `cpu_system`, `max_rss`, `sent`, `received`, `command`, and where they apply `host`, `error`, `retry_in` |
//! | `summary` | all is over (no `seq`) | `succeeded`, `failed`, `ended`, `exhausted`, `exit_code`, and with `-j auto` `jobs` at once at the end and `why` |
//!
//! Times are seconds, those named `time` since 1970; sizes are bytes. `outcome` is `success`,
//! `failure`, `timeout` or `ended` (the batch was told to stop). Output comes in pieces as it was
//! written; a character that was cut between two pieces is put together again, so that `base64`
//! means that a job did write something that is no UTF-8.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use hands::command::OutputStream;
use hands_batch::{Finished, Outcome, Started, Summary};
use serde::Serialize;

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum JsonEvent<'a> {
    Start {
        seq: u64,
        attempt: u32,
        slot: usize,
        pid: i32,
        time: f64,
        command: &'a str,
    },
    Output {
        seq: u64,
        stream: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        base64: Option<String>,
    },
    End {
        seq: u64,
        attempt: u32,
        outcome: &'static str,
        exit: i32,
        signal: i32,
        time: f64,
        wall: f64,
        cpu_user: f64,
        cpu_system: f64,
        max_rss: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        host: Option<&'a str>,
        sent: u64,
        received: u64,
        command: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_in: Option<f64>,
    },
    Summary {
        succeeded: u64,
        failed: u64,
        ended: u64,
        exhausted: bool,
        exit_code: u8,
        #[serde(skip_serializing_if = "Option::is_none")]
        jobs: Option<usize>,
        #[serde(skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
}

pub(super) fn start(job: &Started<'_>, out: &mut Vec<u8>) {
    let command = String::from_utf8_lossy(job.display);
    line(
        &JsonEvent::Start {
            seq: job.place.number,
            attempt: job.place.attempt,
            slot: job.place.slot,
            pid: job.pid,
            time: since_1970(job.at),
            command: &command,
        },
        out,
    );
}

/// The beginnings of characters whose other bytes have not come yet, by job and stream; at most
/// three bytes each.
#[derive(Debug, Default)]
pub(super) struct Halves(HashMap<(u64, &'static str), Vec<u8>>);

impl Halves {
    /// A job has written something.
    pub(super) fn output(
        &mut self,
        seq: u64,
        stream: OutputStream,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) {
        let joined;
        let bytes = match self.0.remove(&(seq, stream.name())) {
            None => bytes,
            Some(mut half) => {
                half.extend_from_slice(bytes);
                joined = half;
                &joined
            }
        };
        let (whole, half) = bytes.split_at(bytes.len() - cut(bytes));
        if !half.is_empty() {
            self.0.insert((seq, stream.name()), half.to_vec());
        }
        if !whole.is_empty() {
            piece(seq, stream, whole, out);
        }
    }

    /// A job has ended: what is left of it is no character.
    pub(super) fn end(&mut self, seq: u64, out: &mut Vec<u8>) {
        for stream in [OutputStream::Stdout, OutputStream::Stderr] {
            if let Some(half) = self.0.remove(&(seq, stream.name())) {
                piece(seq, stream, &half, out);
            }
        }
    }
}

/// How many bytes at the end begin a character that goes on behind them.
fn cut(bytes: &[u8]) -> usize {
    (1..=bytes.len().min(3))
        .find(|&count| {
            let last = &bytes[bytes.len() - count..];
            // No length: more bytes might make it right.
            std::str::from_utf8(last)
                .is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
        })
        .unwrap_or(0)
}

fn piece(seq: u64, stream: OutputStream, bytes: &[u8], out: &mut Vec<u8>) {
    let text = std::str::from_utf8(bytes).ok();
    let event = JsonEvent::Output {
        seq,
        stream: stream.name(),
        text,
        base64: text.is_none().then(|| base64(bytes)),
    };
    line(&event, out);
}

pub(super) fn end(job: &Finished<'_>, out: &mut Vec<u8>) {
    let (outcome, retry) = match job.outcome {
        Outcome::Success => ("success", None),
        Outcome::Failure { retry } => ("failure", retry),
        Outcome::TimedOut { retry, .. } => ("timeout", retry),
        Outcome::Ended => ("ended", None),
    };
    let command = String::from_utf8_lossy(job.display);
    line(
        &JsonEvent::End {
            seq: job.place.number,
            attempt: job.place.attempt,
            outcome,
            exit: job.exit(),
            signal: job.signal(),
            time: since_1970(job.at),
            wall: job.wall.as_secs_f64(),
            cpu_user: job.cpu_user.as_secs_f64(),
            cpu_system: job.cpu_system.as_secs_f64(),
            max_rss: job.max_rss,
            host: job.host,
            sent: job.sent,
            received: job.received,
            command: &command,
            error: job.error.map(ToString::to_string),
            retry_in: retry.as_ref().map(Duration::as_secs_f64),
        },
        out,
    );
}

pub(super) fn summary(summary: &Summary, exit_code: u8, out: &mut Vec<u8>) {
    line(
        &JsonEvent::Summary {
            succeeded: summary.succeeded,
            failed: summary.failed,
            ended: summary.ended,
            exhausted: summary.exhausted,
            exit_code,
            jobs: summary.sizing.map(|decision| decision.size),
            why: summary.sizing.map(|decision| decision.to_string()),
        },
        out,
    );
}

fn line(event: &JsonEvent<'_>, out: &mut Vec<u8>) {
    // Writing numbers and strings to memory cannot fail; a line cut short would show as bad JSON.
    let _ = serde_json::to_writer(&mut *out, event);
    out.push(b'\n');
}

fn since_1970(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let number = three
            .iter()
            .fold(0_u32, |number, &byte| number << 8 | u32::from(byte))
            << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = DIGITS[(number >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= three.len() {
                char::from(digit)
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_beginning_of_a_character_is_held_back() {
        for (bytes, held) in [
            (&b""[..], 0),
            (b"a", 0),
            ("\u{20ac}".as_bytes(), 0),
            (b"a\xe2", 1),
            (b"a\xe2\x82", 2),
            (b"\xf0\x9f\x98", 3),
            (b"a\xff", 0),
            (b"\x82\x82\x82", 0),
            (b"\xe2\x41", 0),
        ] {
            assert_eq!(cut(bytes), held, "{bytes:?}");
        }
    }

    #[test]
    fn base64_is_that_of_the_rfc() {
        let cases = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, coded) in cases {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
