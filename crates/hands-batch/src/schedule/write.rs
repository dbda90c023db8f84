//! From the holds to the sinks to the world.

use super::{STDERR, STDOUT, Scheduler};
use crate::control::Stop;
use crate::error::BatchError;
use crate::observer::Notice;
use crate::work::Work;
use hands::command::CommandError;
use hands::command::OutputStream;

impl<W: Work> Scheduler<'_, W> {
    /// Moves output to the sinks and from there to the world, as far as both will take it.
    pub(super) fn write(&mut self) -> Result<(), BatchError> {
        let sole = self.sole();
        let mut resume = Vec::new();
        loop {
            if let Some(collator) = &mut self.collator {
                collator
                    .pump(&mut self.sinks, sole, &mut resume)
                    .map_err(BatchError::Output)?;
                if let Some((error, folder)) = collator.take_spill_error() {
                    let notice = Notice::SpillFull {
                        folder: folder.to_owned(),
                        reason: error.to_string(),
                    };
                    self.observer.notice(&notice);
                }
            }
            if self.sinks.stdout.queued() == 0 && self.sinks.stderr.queued() == 0 {
                break;
            }
            let sinks = &mut self.sinks;
            let mut result = (Ok(true), Ok(true));
            self.observer
                .writing(&mut || result = (sinks.stdout.flush(), sinks.stderr.flush()));
            let done = [
                result.0.map_err(output_error)?,
                result.1.map_err(output_error)?,
            ];
            self.watch_sinks(done)?;
            // Full sinks that were emptied make room for more.
            if done != [true; 2] || self.collator.is_none() {
                break;
            }
        }
        if !self.sinks.are_full() {
            resume.append(&mut self.raw_paused);
        }
        for key in resume {
            self.go_on(key);
        }
        Ok(())
    }

    pub(super) fn watch_sinks(&mut self, done: [bool; 2]) -> Result<(), BatchError> {
        for (stream, id) in [
            (OutputStream::Stdout, STDOUT),
            (OutputStream::Stderr, STDERR),
        ] {
            let watch = !done[stream as usize];
            if watch == self.watched[stream as usize] {
                continue;
            }
            let sink = self.sinks.of(stream);
            let Some(fd) = sink.waitable() else { continue };
            if watch {
                self.engine
                    .watch(fd, id, true)
                    .map_err(CommandError::system("wait for the output's reader"))?;
            } else {
                self.engine.unwatch(fd);
            }
            self.watched[stream as usize] = watch;
        }
        Ok(())
    }

    /// The job whose output may stream although it has not ended: it runs alone, and no other can
    /// overtake it.
    pub(super) fn sole(&self) -> Option<u64> {
        // One that is begun anew elsewhere writes anew.
        let alone =
            !self.is_elsewhere() && self.running.len() == 1 && (self.jobs == 1 || self.no_more());
        alone
            .then(|| self.running.values().next().map(|job| job.place.number))
            .flatten()
    }

    pub(super) fn all_written(&self) -> bool {
        // Told to kill, we do not wait for a reader that does not read.
        self.stop >= Stop::Kill
            || (self.sinks.stdout.queued() == 0
                && self.sinks.stderr.queued() == 0
                && self
                    .collator
                    .as_ref()
                    .is_none_or(|collator| collator.len() == 0))
    }
}

fn output_error(error: std::io::Error) -> BatchError {
    if error.kind() == std::io::ErrorKind::BrokenPipe {
        BatchError::OutputClosed
    } else {
        BatchError::Output(error)
    }
}
