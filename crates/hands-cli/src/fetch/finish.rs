//! The end of a transfer: the file is checked, put on the disk, and given its name.

use std::io;

use super::answer::date;
use super::state::{State, Trouble};
use super::transfer::{Sink, Transfer};

impl Transfer<'_> {
    /// Checks it, and gives it its name.
    pub(super) async fn finish(&mut self) -> State {
        let part = match self.sink.take() {
            Some(Sink::Part(part)) => part,
            _ => {
                let received = self.received();
                return State::Ok {
                    bytes: received,
                    received,
                };
            }
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
                State::Ok {
                    bytes,
                    received: self.received(),
                }
            }
            Ok(Err(why)) => State::Failed(why),
            Err(error) => match Trouble::from(error) {
                Trouble::Again(why, _) | Trouble::Source(why) | Trouble::Final(why) => {
                    State::Failed(why)
                }
            },
        }
    }
}
