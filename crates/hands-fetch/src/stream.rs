//! What goes out as it comes: to stdout, a device, a pipe. Where several go to stdout each waits,
//! in a file without a name, for those before it.

use std::env;
use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::{Mode, OFlags};

use super::checksum::{self, Checksum};

pub(super) struct FetchStream {
    out: Out,
    pub(super) sent: u64,
    /// What it should be, and what it is so far.
    pub(super) check: Option<(Checksum, checksum::RunningSum)>,
}

/// Where it goes.
#[derive(Debug)]
pub(super) enum Out {
    Stdout,
    File(File),
    /// It waits here for its turn.
    Waiting(File),
}

impl FetchStream {
    pub(super) fn new(out: Out, wanted: Option<Checksum>) -> FetchStream {
        let mut stream = FetchStream {
            out,
            sent: 0,
            check: None,
        };
        stream.expect(wanted);
        stream
    }

    fn expect(&mut self, wanted: Option<Checksum>) {
        self.check = wanted.map(|wanted| {
            let running = checksum::RunningSum::new(&wanted);
            (wanted, running)
        });
    }

    /// Nothing of it has gone out, or it could not be begun again. True: nothing has come of it,
    /// now.
    pub(super) fn begin_again(&mut self) -> io::Result<bool> {
        if self.sent == 0 {
            return Ok(true);
        }
        let Out::Waiting(file) = &mut self.out else {
            return Ok(false);
        };
        file.set_len(0)?;
        file.rewind()?;
        self.sent = 0;
        let wanted = self.check.take().map(|(wanted, _)| wanted);
        self.expect(wanted);
        Ok(true)
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.out {
            Out::Stdout => io::stdout().lock().write_all(bytes)?,
            Out::File(file) | Out::Waiting(file) => file.write_all(bytes)?,
        }
        if let Some((_, running)) = &mut self.check {
            running.write_all(bytes)?;
        }
        self.sent += bytes.len() as u64;
        Ok(())
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        match &self.out {
            Out::Stdout => io::stdout().lock().flush(),
            _ => Ok(()),
        }
    }

    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.out, Out::Waiting(_))
    }

    /// Its turn has come: all of it goes to stdout.
    pub(super) fn go_out(&mut self) -> io::Result<()> {
        if let Out::Waiting(file) = &mut self.out {
            file.rewind()?;
            let mut stdout = io::stdout().lock();
            io::copy(file, &mut stdout)?;
            stdout.flush()?;
        }
        Ok(())
    }
}

/// A file without a name, which goes with the process that has it open.
pub(super) fn nameless() -> io::Result<File> {
    let folder = env::temp_dir();
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    match rustix::fs::open(&folder, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => Ok(file.into()),
        // Not all file systems have such; memory does.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR | rustix::io::Errno::INVAL) => {
            let file = rustix::fs::memfd_create("hands", rustix::fs::MemfdFlags::CLOEXEC)?;
            Ok(file.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether this is another name of stdout: `-`, `/dev/stdout` and its kin.
pub fn is_stdout(path: &std::path::Path) -> bool {
    let names = ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];
    names.iter().any(|name| path.as_os_str() == *name)
}

/// Opens a device or a pipe. `None`: it is a pipe that nobody reads yet.
pub(super) fn open(path: &std::path::Path) -> io::Result<Option<Out>> {
    let nonblock = OFlags::NONBLOCK.bits().cast_signed();
    let opened = fs::OpenOptions::new()
        .write(true)
        .custom_flags(nonblock)
        .open(path);
    let file = match opened {
        Err(error) if rustix::io::Errno::from_io_error(&error) == Some(rustix::io::Errno::NXIO) => {
            return Ok(None);
        }
        opened => opened?,
    };
    let flags = rustix::fs::fcntl_getfl(&file)?;
    rustix::fs::fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
    Ok(Some(Out::File(file)))
}
