//! [`Child`]: a command that runs while its caller speaks to it.
//!
//! A thread of its own runs the command as [`output`](super::Command::output) would, with
//! time-outs, limits and all it takes to end everything that was started; the caller has the other
//! ends of its stdin and stdout. What the command writes to stderr the thread takes in, so that
//! nobody has to read it for the command to go on, and keeps the last of it.

mod life;

use std::fmt;
use std::future::poll_fn;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::mem::take;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use self::life::{ChildEnds, ChildPhase, ChildState, KILL, TERMINATE, prepare, start};
use crate::command::engine::above_stdio;
use crate::command::error::CommandError;
use crate::command::{Command, Output, Stdin};

/// While its end is waited for, it is looked that often whether it has come though somebody holds
/// the pipe.
const LOOK: Duration = Duration::from_millis(50);

/// A running command: what [`Command::spawn`] returns.
///
/// ```
/// use hands::command::Command;
///
/// let mut calculator = Command::shell("while read -r line; do echo $(($line)); done").spawn()?;
/// calculator.write_line("6 * 7")?;
/// assert_eq!(calculator.read_line()?.as_deref(), Some("42"));
/// calculator.write_line("2 + 2")?;
/// assert_eq!(calculator.read_line()?.as_deref(), Some("4"));
/// assert!(calculator.wait()?.success()); // it reads the end, and ends
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Dropping this ends the command, with everything it has started, if it has not ended.
pub struct Child {
    shared: Arc<ChildState>,
    pid: u32,
    limit: usize,
    program: Box<[u8]>,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    /// What has been read of stdout for the output.
    rest: Vec<u8>,
}

/// Writes to a command's stdin. Dropping it is the end of what the command reads.
#[derive(Debug)]
pub struct ChildStdin(io::PipeWriter);

/// Reads a command's stdout, in pieces or line by line.
#[derive(Debug)]
pub struct ChildStdout(BufReader<io::PipeReader>);

impl Write for ChildStdin {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl AsFd for ChildStdin {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Read for ChildStdout {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes)
    }
}

impl BufRead for ChildStdout {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.0.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.0.consume(amount);
    }
}

impl AsFd for ChildStdout {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_ref().as_fd()
    }
}

impl Command {
    /// Starts it, and returns while it runs. Its stdin and stdout are pipes whose other ends the
    /// caller has (its stdin is not, if it was [given](Self::stdin) one); of what it writes to
    /// stderr the last 64 KiB are kept for its [`Output`]. Its time-out and its limits hold.
    ///
    /// Where both sides wait for each other to write or to read first, both wait for ever: that is
    /// up to what they speak.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn spawn(&self) -> Result<Child, CommandError> {
        let pipe = || {
            let (read, write) = io::pipe()?;
            let above = |fd: OwnedFd| above_stdio(fd).map_err(io::Error::from);
            io::Result::Ok((above(read.into())?, above(write.into())?))
        };
        let pipe = || pipe().map_err(CommandError::system("make a pipe"));
        let (its_stdin, stdin) = match self.stdin {
            Stdin::Null => {
                let (its, ours) = pipe()?;
                (Some(its), Some(ChildStdin(ours.into())))
            }
            _ => (None, None),
        };
        let (stdout, its_stdout) = pipe()?;
        let ends = ChildEnds {
            stdin: its_stdin,
            stdout: Some(its_stdout),
        };
        let (shared, pid) = start(self, ends)?;
        Ok(Child {
            shared,
            pid,
            limit: self.capture_limit,
            program: self.name().into(),
            stdin,
            stdout: Some(ChildStdout(BufReader::new(stdout.into()))),
            rest: Vec::new(),
        })
    }

    /// As [`output`](Self::output), for coroutines of any runtime.
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// use hands::command::Command;
    ///
    /// let out = Command::new("printf").arg("%s").arg("many").output_async().await?;
    /// assert_eq!(out.stdout, b"many");
    /// # Ok::<(), hands::command::CommandError>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done, it ends the command, with everything that has started.
    ///
    /// # Errors
    ///
    /// As [`output`](Self::output).
    pub async fn output_async(&self) -> Result<Output, CommandError> {
        let (shared, pid) = start(self, ChildEnds::default())?;
        let child = Child {
            shared,
            pid,
            limit: self.capture_limit,
            program: self.name().into(),
            stdin: None,
            stdout: None,
            rest: Vec::new(),
        };
        child.ended().await
    }

    /// As [`output`](Self::output), where anything but success is an error.
    ///
    /// ```
    /// use hands::command::Command;
    ///
    /// let failed = Command::shell("echo no such user >&2; exit 3").check().unwrap_err();
    /// assert_eq!(failed.to_string(), "`/bin/sh` failed (exit status: 3): no such user");
    /// ```
    ///
    /// # Errors
    ///
    /// As [`output`](Self::output); and [`CommandError::Failed`], with the end of its stderr, when
    /// it exits with a code other than 0 or is killed by a signal.
    pub fn check(&self) -> Result<Output, CommandError> {
        checked(self.name(), self.output()?)
    }

    /// [`check`](Self::check) for coroutines of any runtime.
    ///
    /// # Cancel safety
    ///
    /// As that of [`output_async`](Self::output_async).
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check).
    pub async fn check_async(&self) -> Result<Output, CommandError> {
        checked(self.name(), self.output_async().await?)
    }
}

fn checked(program: &[u8], output: Output) -> Result<Output, CommandError> {
    match output.success() {
        true => Ok(output),
        false => Err(CommandError::Failed {
            program: program.into(),
            output: Box::new(output),
        }),
    }
}

impl Child {
    /// Its number, 0 if it ended at once. It may be another's when this one has ended.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Asks it to end, and everything it has started: `SIGTERM`, and after its
    /// [grace](Command::grace) `SIGKILL`. It may have ended already.
    pub fn terminate(&self) {
        self.shared.ask(TERMINATE);
    }

    /// Ends it, and everything it has started: `SIGKILL`. It may have ended already.
    pub fn kill(&self) {
        self.shared.ask(KILL);
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.shared.has_ended()
    }

    /// What writes to its stdin. `None`: it has been closed or taken, or the command was given
    /// another stdin.
    pub fn stdin(&mut self) -> Option<&mut ChildStdin> {
        self.stdin.as_mut()
    }

    /// As [`stdin`](Self::stdin), for another thread, say.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.stdin.take()
    }

    /// Closes its stdin: it reads the end.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// What reads its stdout. `None`: it has been taken.
    pub fn stdout(&mut self) -> Option<&mut ChildStdout> {
        self.stdout.as_mut()
    }

    /// As [`stdout`](Self::stdout), for another thread, say.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.stdout.take()
    }

    /// Writes a line to its stdin.
    ///
    /// # Errors
    ///
    /// `BrokenPipe` when nobody reads it any more, or it has been closed.
    pub fn write_line(&mut self, line: impl AsRef<[u8]>) -> io::Result<()> {
        let stdin = self.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        // In one piece: the command may answer to half a line otherwise.
        stdin.write_all(&[line.as_ref(), b"\n"].concat())
    }

    /// Reads a line from its stdout, and waits for it; without its end. `None`: there are no more.
    ///
    /// # Errors
    ///
    /// When it is no text.
    pub fn read_line(&mut self) -> io::Result<Option<String>> {
        let Some(stdout) = &mut self.stdout else {
            return Ok(None);
        };
        let mut line = String::new();
        if stdout.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        if line.ends_with('\n') {
            line.pop();
        }
        Ok(Some(line))
    }

    /// Closes its stdin, waits for its end, and returns how it ended, with what nobody has read of
    /// its stdout.
    ///
    /// # Errors
    ///
    /// As [`Command::output`].
    pub fn wait(mut self) -> Result<Output, CommandError> {
        self.stdin = None;
        match self.wait_until(None) {
            Some(ended) => ended,
            None => unreachable!("there was no deadline"),
        }
    }

    /// As [`wait`](Self::wait), but gives it back when it has not ended in time; its stdin stays
    /// open.
    ///
    /// # Errors
    ///
    /// Itself.
    pub fn wait_timeout(
        mut self,
        timeout: Duration,
    ) -> Result<Result<Output, CommandError>, Child> {
        self.wait_until(Instant::now().checked_add(timeout))
            .ok_or(self)
    }

    fn wait_until(&mut self, deadline: Option<Instant>) -> Option<Result<Output, CommandError>> {
        loop {
            let is_over = self.shared.has_ended();
            let is_at_end = match self.stdout {
                None => true,
                Some(_) => self.read_on(deadline, is_over),
            };
            if is_over {
                return self.end();
            }
            if is_at_end {
                let mut phase = self.shared.phase.lock();
                if let ChildPhase::Running { .. } = *phase {
                    match deadline {
                        None => self.shared.changed.wait(&mut phase),
                        Some(deadline) => {
                            let _ = self.shared.changed.wait_until(&mut phase, deadline);
                        }
                    }
                }
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return self.end();
            }
        }
    }

    /// Its end, if it has come, with what has been read.
    fn end(&mut self) -> Option<Result<Output, CommandError>> {
        let mut ended = self.shared.end()?;
        let rest = take(&mut self.rest);
        if rest.len() > self.limit {
            let mut output = Box::new(ended.unwrap_or_default());
            output.stdout = rest;
            output.stdout.truncate(self.limit);
            return Some(Err(CommandError::TooMuchOutput {
                program: take(&mut self.program),
                limit: self.limit,
                output,
            }));
        }
        match &mut ended {
            Ok(output) if !rest.is_empty() => output.stdout = rest,
            Err(CommandError::TimedOut { output, .. }) if !rest.is_empty() => output.stdout = rest,
            _ => {}
        }
        Some(ended)
    }

    /// Reads what is there of its stdout, or waits for it a little. True: that was the end.
    fn read_on(&mut self, deadline: Option<Instant>, is_over: bool) -> bool {
        let Some(stdout) = &mut self.stdout else {
            return true;
        };
        let buffered = stdout.0.buffer();
        self.rest.extend_from_slice(buffered);
        let length = buffered.len();
        stdout.consume(length);
        let wait = match (is_over, deadline) {
            (true, _) => Duration::ZERO,
            (false, None) => LOOK,
            (false, Some(at)) => at.saturating_duration_since(Instant::now()).min(LOOK),
        };
        let wait = Timespec {
            tv_sec: 0,
            tv_nsec: wait.subsec_nanos().into(),
        };
        loop {
            let mut polled = [PollFd::new(&*stdout, PollFlags::IN)];
            if !matches!(poll(&mut polled, Some(&wait)), Ok(1)) {
                return false;
            }
            let mut buffer = [0; 16 * 1024];
            match stdout.0.get_mut().read(&mut buffer) {
                Ok(0) | Err(_) => {
                    self.stdout = None;
                    return true;
                }
                Ok(length) => self.rest.extend_from_slice(&buffer[..length]),
            }
            if self.rest.len() > self.limit {
                self.shared.ask(KILL);
                self.stdout = None;
                return true;
            }
            if !is_over {
                return false;
            }
        }
    }

    /// As [`wait`](Self::wait), for coroutines of any runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done, it ends the command, with everything that has started.
    ///
    /// # Errors
    ///
    /// As [`Command::output`]; and when no thread can be had to read what it still writes.
    pub async fn wait_async(mut self) -> Result<Output, CommandError> {
        self.stdin = None;
        if self.stdout.is_none() {
            return self.ended().await;
        }
        // A thread that drops this ends the command, which ends the thread.
        let ends = EndsWithIt(Arc::clone(&self.shared));
        let shared = Arc::clone(&self.shared);
        let (told, own) = (Arc::new(Mutex::new(None)), Arc::clone(&self.shared));
        let slot = Arc::clone(&told);
        let thread = std::thread::Builder::new().name("hands-command".to_owned());
        let waits = thread.spawn(move || {
            let ended = self.wait();
            *slot.lock() = Some(ended);
            own.wake();
        });
        waits.map_err(prepare)?;
        let ended = poll_fn(|context| {
            shared.wakes(context);
            told.lock().take().map_or(Poll::Pending, Poll::Ready)
        });
        let ended = ended.await;
        drop(ends);
        ended
    }

    async fn ended(mut self) -> Result<Output, CommandError> {
        poll_fn(move |context| {
            if let Some(ended) = self.end() {
                return Poll::Ready(ended);
            }
            self.shared.wakes(context);
            // It may have come before that.
            self.end().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

struct EndsWithIt(Arc<ChildState>);

impl Drop for EndsWithIt {
    fn drop(&mut self) {
        if !self.0.has_ended() {
            self.0.ask(KILL);
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.shared.has_ended() {
            self.kill();
        }
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child")
            .field("pid", &self.pid)
            .field("is_finished", &self.is_finished())
            .finish()
    }
}
