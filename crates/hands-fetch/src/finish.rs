//! The end of a transfer: the file is checked, put on the disk, and given its name; or what waited
//! for its turn goes out.

use std::io;
use std::sync::atomic::Ordering;

use super::answer::{date, keep_from};
use super::part::Whole;
use super::state::{FetchState, FetchTarget, STOPPED, failed};
use super::transfer::{Transfer, TransferSink};

impl Transfer<'_> {
    /// Checks it, and gives it its name. `Err`: it is not what it should be; another source may
    /// have that.
    pub(super) async fn finish(&mut self) -> Result<FetchState, String> {
        let part = match self.sink.take() {
            Some(TransferSink::Part(part)) => part,
            sink => return self.finish_stream(sink).await,
        };
        let named = async {
            let whole = part.finish()?;
            if let Err(why) = self.check(&whole).await? {
                let bad = whole.set_aside()?;
                return Ok(Err(format!("{why}; it is kept as `{}`", bad.display())));
            }
            if self.fetcher.flags.files.timestamping {
                date(&whole.file, &self.headers);
                if matches!(self.job.target, FetchTarget::Named { .. }) {
                    keep_from(&whole.file, self.job.wanted.sources[0].as_str());
                }
            }
            let bytes = whole.length;
            if self.is_to_be_named() {
                self.fetcher.disk.name(whole).await?;
                return Ok(Ok(Some(bytes)));
            }
            Ok(Ok(None))
        };
        match named.await {
            Ok(Ok(None)) => Ok(FetchState::Skipped(STOPPED.to_owned())),
            Ok(Ok(Some(bytes))) => {
                self.fetcher.connections.did_file();
                Ok(FetchState::Ok {
                    bytes,
                    received: self.received(),
                })
            }
            Ok(Err(why)) => Err(why),
            Err(error) => Ok(failed(error)),
        }
    }

    /// From here on it is not stopped any more: a file that has its name is told as `ok`. False:
    /// all is being stopped already.
    fn is_to_be_named(&self) -> bool {
        self.fetcher.being_named.fetch_add(1, Ordering::SeqCst);
        self.job.is_being_named.store(true, Ordering::SeqCst);
        !self.fetcher.stop.is_cancelled()
    }

    /// `Err`: what is wrong with it.
    async fn check(&self, whole: &Whole) -> io::Result<Result<(), String>> {
        let expected = self.expected(&whole.name);
        if !expected.is_known() && !self.fetcher.sums.is_empty() {
            let why = format!("`--checksums` has nothing for `{}`", whole.name.display());
            return Ok(Err(why));
        }
        let (path, length) = (whole.part.clone(), whole.length);
        if !expected.is_known() {
            return expected.check(&path, length);
        }
        let checked = self
            .fetcher
            .pool
            .spawn_blocking(move || expected.check(&path, length));
        checked.await.map_err(io::Error::other)?
    }

    /// What has gone out cannot be called back, but it can be told that it was not what it should
    /// be; what has waited stays here.
    async fn finish_stream(&mut self, sink: Option<TransferSink>) -> Result<FetchState, String> {
        let Some(TransferSink::Stream(mut stream)) = sink else {
            return Ok(FetchState::Failed("there was nowhere to put it".to_owned()));
        };
        let bytes = stream.sent;
        let mut wrong = None;
        if let Some(size) = self.job.wanted.size.filter(|size| *size != bytes) {
            wrong = Some(format!("it had {bytes} bytes and not {size}"));
        } else if let Some((wanted, running)) = stream.check.take() {
            let found = running.finish();
            wrong = (found != wanted).then(|| format!("its checksum is {found} and not {wanted}"));
        } else if !self.fetcher.sums.is_empty() {
            wrong = Some("`--checksums` has nothing for it".to_owned());
        }
        if let Some(why) = wrong {
            return Ok(FetchState::Failed(match stream.is_waiting() {
                true => format!("{why}; it was not put out"),
                false => format!("{why}; it has gone out already"),
            }));
        }
        if stream.is_waiting() {
            self.fetcher.going_out.wait(self.job.number).await;
            let went = self.fetcher.pool.spawn_blocking(move || stream.go_out());
            let went = went
                .await
                .unwrap_or_else(|error| Err(io::Error::other(error)));
            if let Err(error) = went {
                return Ok(failed(error));
            }
        }
        Ok(FetchState::Ok {
            bytes,
            received: self.received(),
        })
    }
}
