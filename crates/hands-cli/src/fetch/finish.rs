//! The end of a transfer: the file is checked, put on the disk, and given its name.

use std::io;

use super::answer::date;
use super::state::{State, Trouble};
use super::transfer::{Sink, Transfer};

impl Transfer<'_> {
    /// Checks it, and gives it its name. `Err`: it is not what it should be; another source may have that.
    pub(super) async fn finish(&mut self) -> Result<State, String> {
        let part = match self.sink.take() {
            Some(Sink::Part(part)) => part,
            sink => return self.finish_stream(sink),
        };
        let named = async {
            let whole = part.finish()?;
            let expected = self.job.wanted.size.filter(|&size| size != whole.length);
            if let Some(size) = expected {
                let bad = whole.set_aside()?;
                return Ok(Err(format!(
                    "it has {} bytes and not {size}; it is kept as `{}`",
                    whole.length,
                    bad.display()
                )));
            }
            let checksum = self.job.wanted.checksum.clone();
            let checksum = checksum.or_else(|| self.fetcher.checksum_of(&whole.name));
            if checksum.is_none()
                && self.job.wanted.pieces.is_none()
                && !self.fetcher.sums.is_empty()
            {
                let bad = whole.set_aside()?;
                return Ok(Err(format!(
                    "`--checksums` has nothing for `{}`; it is kept as `{}`",
                    whole.name.display(),
                    bad.display()
                )));
            }
            if let Some(pieces) = self.job.wanted.pieces.clone() {
                let path = whole.part.clone();
                let checked = self
                    .fetcher
                    .pool
                    .spawn_blocking(move || pieces.check(&path));
                match checked.await {
                    Ok(Ok(Ok(()))) => {}
                    Ok(Ok(Err(number))) => {
                        let bad = whole.set_aside()?;
                        return Ok(Err(format!(
                            "piece {number} of it has another checksum than it should; it is kept as `{}`",
                            bad.display()
                        )));
                    }
                    Ok(Err(error)) => return Err(error),
                    Err(error) => return Err(io::Error::other(error)),
                }
            }
            if let Some(checksum) = checksum {
                let path = whole.part.clone();
                let wanted = checksum.clone();
                let checked = self
                    .fetcher
                    .pool
                    .spawn_blocking(move || checksum.check(&path));
                match checked.await {
                    Ok(Ok(Ok(()))) => {}
                    Ok(Ok(Err(found))) => {
                        let bad = whole.set_aside()?;
                        return Ok(Err(format!(
                            "its checksum is {found} and not {wanted}; it is kept as `{}`",
                            bad.display()
                        )));
                    }
                    Ok(Err(error)) => return Err(error),
                    Err(error) => return Err(io::Error::other(error)),
                }
            }
            if self.fetcher.flags.files.timestamping {
                date(&whole.file, &self.headers);
            }
            let bytes = whole.length;
            self.fetcher.disk.name(whole).await?;
            Ok(Ok(bytes))
        };
        match named.await {
            Ok(Ok(bytes)) => {
                self.fetcher.connections.did_file();
                Ok(State::Ok {
                    bytes,
                    received: self.received(),
                })
            }
            Ok(Err(why)) => Err(why),
            Err(error) => Ok(match Trouble::from(error) {
                Trouble::Again(why, _)
                | Trouble::Source(why)
                | Trouble::Final(why)
                | Trouble::Skip(why) => State::Failed(why),
            }),
        }
    }

    /// What has gone out cannot be called back, but it can be told that it was not what it should be.
    fn finish_stream(&mut self, sink: Option<Sink>) -> Result<State, String> {
        let Some(Sink::Stream(stream)) = sink else {
            return Ok(State::Failed("there was nowhere to put it".to_owned()));
        };
        let bytes = stream.sent;
        if let Some(size) = self.job.wanted.size.filter(|size| *size != bytes) {
            let why = format!("it had {bytes} bytes and not {size}; they have gone out already");
            return Ok(State::Failed(why));
        }
        if let Some((wanted, running)) = stream.check {
            let found = running.finish();
            if found != wanted {
                let why =
                    format!("its checksum is {found} and not {wanted}; it has gone out already");
                return Ok(State::Failed(why));
            }
        } else if !self.fetcher.sums.is_empty() {
            let why = "`--checksums` has nothing for it; it has gone out already";
            return Ok(State::Failed(why.to_owned()));
        }
        Ok(State::Ok {
            bytes,
            received: self.received(),
        })
    }
}
