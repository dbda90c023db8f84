//! Runs one command, or a pipeline of them, to the end on the calling thread.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;

use super::engine::{
    Cause, ChildEnd, Engine, EngineEvent, Flow, JobStart, Key, OutputTarget, StdinSource,
    above_stdio,
};
use super::environ::Environment;
use super::error::{CommandError, SpawnReason};
use super::mark::RunMark;
use super::resolve::Resolver;
use super::sys::spawn::{ArgBlock, Setting};
use super::sys::watchdog::COOKIE;
use super::{Command, Output, OutputStream, Stdin};

/// A command with everything looked up.
pub(super) struct PipelineStage {
    pub(super) program: CString,
    pub(super) argv: ArgBlock,
    pub(super) environment: Environment,
    pub(super) setting: Setting,
}

impl Command {
    /// Runs it to its end and returns what it wrote. Feeding stdin and reading both outputs go on
    /// at the same time, so no amount of data can deadlock it.
    ///
    /// # Errors
    ///
    /// When it cannot be started, runs past its time-out, or writes more than its capture limit. An
    /// exit code other than 0 is not an error.
    pub fn output(&self) -> Result<Output, CommandError> {
        capture(std::slice::from_ref(self)).map(|mut outputs| outputs.pop().unwrap_or_default())
    }

    /// Runs it to its end and hands on what it writes as it comes, at most 64 KiB at a time: memory
    /// stays bounded whatever it writes. The returned [`Output`] has empty `stdout` and `stderr`.
    ///
    /// ```
    /// # use hands::command::Command;
    /// let mut bytes = 0;
    /// Command::new("head").args(["-c", "5000000", "/dev/zero"]).stream(|_, piece| {
    ///     bytes += piece.len();
    ///     Ok(())
    /// })?;
    /// assert_eq!(bytes, 5_000_000);
    /// # Ok::<(), hands::command::CommandError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`output`](Self::output). An error of `receive` ends the command and is returned as
    /// [`CommandError::Stream`].
    pub fn stream(
        &self,
        mut receive: impl FnMut(OutputStream, &[u8]) -> std::io::Result<()>,
    ) -> Result<Output, CommandError> {
        stream(self, &mut receive)
    }

    /// Runs it with the program's own stdout and stderr.
    ///
    /// # Errors
    ///
    /// When it cannot be started or runs past its time-out.
    pub fn status(&self) -> Result<Output, CommandError> {
        inherit(self)
    }

    /// Everything the engine needs, resolved and checked.
    pub(super) fn prepare(&self) -> Result<PipelineStage, CommandError> {
        let words: Vec<&[u8]> = std::iter::once(self.name())
            .chain(self.args.iter().map(|arg| arg.as_bytes()))
            .collect();
        if words.iter().any(|word| word.contains(&0)) {
            return Err(CommandError::spawn(self.name(), SpawnReason::NulByte));
        }
        (self.conditions.environment.check())
            .map_err(|reason| CommandError::spawn(self.name(), reason))?;
        let environment = Environment::new(&self.conditions.environment, &[COOKIE]);
        let program = Resolver::new(
            environment.get("PATH"),
            self.conditions.directory.as_deref(),
        )
        .resolve(self.name())?
        .clone();
        let setting = self.conditions.setting(self.name())?;
        Ok(PipelineStage {
            program,
            argv: ArgBlock::new(&words),
            environment,
            setting,
        })
    }
}

/// Receives what the command number so and so has written.
type Receive<'a> = &'a mut dyn FnMut(usize, OutputStream, &[u8]) -> std::io::Result<()>;

/// Runs the commands, each one's stdout piped to the next one's stdin, and keeps what the last one
/// writes to stdout and all write to stderr.
pub(super) fn capture(commands: &[Command]) -> Result<Vec<Output>, CommandError> {
    let mut kept: Vec<[Vec<u8>; 2]> = commands.iter().map(|_| Default::default()).collect();
    let mut over = None;
    let result = drive(
        commands,
        OutputTarget::Capture,
        &mut |index, stream, bytes| {
            let buffer = &mut kept[index][stream as usize];
            let room = commands[index].capture_limit - buffer.len();
            buffer.extend_from_slice(&bytes[..bytes.len().min(room)]);
            if bytes.len() > room {
                over = Some(index);
                return Err(std::io::ErrorKind::FileTooLarge.into());
            }
            Ok(())
        },
    );
    let (ended, failure) = result?;
    let mut outputs: Vec<Output> = ended
        .iter()
        .zip(kept)
        .map(|(ended, [stdout, stderr])| Output::new(ended, stdout, stderr))
        .collect();
    if let Some(index) = over {
        let command = &commands[index];
        let output = Box::new(outputs.swap_remove(index));
        return Err(CommandError::TooMuchOutput {
            program: command.name().into(),
            limit: command.capture_limit,
            output,
        });
    }
    if let Some(failure) = failure {
        return Err(failure.into_error(commands));
    }
    judge(commands, &ended, &mut outputs)?;
    Ok(outputs)
}

pub(super) fn stream(
    command: &Command,
    receive: &mut dyn FnMut(OutputStream, &[u8]) -> std::io::Result<()>,
) -> Result<Output, CommandError> {
    finish(
        command,
        drive(
            std::slice::from_ref(command),
            OutputTarget::Capture,
            &mut |_, stream, bytes| receive(stream, bytes),
        ),
    )
}

pub(super) fn inherit(command: &Command) -> Result<Output, CommandError> {
    finish(
        command,
        drive(
            std::slice::from_ref(command),
            OutputTarget::Fd(1),
            &mut |_, _, _| Ok(()),
        ),
    )
}

fn finish(command: &Command, driven: Driven) -> Result<Output, CommandError> {
    let commands = std::slice::from_ref(command);
    let (ended, failure) = driven?;
    if let Some(failure) = failure {
        return Err(failure.into_error(commands));
    }
    let mut outputs: Vec<Output> = ended
        .iter()
        .map(|ended| Output::new(ended, Vec::new(), Vec::new()))
        .collect();
    judge(commands, &ended, &mut outputs)?;
    Ok(outputs.pop().unwrap_or_default())
}

/// Which ends are errors: of a command whose time was up, or of which nobody knows how it ended.
pub(super) fn judge(
    commands: &[Command],
    ended: &[ChildEnd],
    outputs: &mut Vec<Output>,
) -> Result<(), CommandError> {
    let Some(index) = ended
        .iter()
        .position(|ended| ended.cause == Some(Cause::TimedOut))
    else {
        let lost = ended.iter().position(|ended| ended.status.is_none());
        return lost.map_or(Ok(()), |index| {
            Err(CommandError::StatusLost {
                program: commands[index].name().into(),
            })
        });
    };
    let output = Box::new(outputs.swap_remove(index));
    let after = commands[index].timeout.unwrap_or_default();
    Err(CommandError::TimedOut {
        program: commands[index].name().into(),
        after,
        output,
    })
}

type Driven = Result<(Vec<ChildEnd>, Option<RunFailure>), CommandError>;

/// A receiver's error, and whose output it was.
struct RunFailure {
    index: usize,
    stream: OutputStream,
    error: std::io::Error,
}

impl RunFailure {
    fn into_error(self, commands: &[Command]) -> CommandError {
        let program = commands[self.index].name().into();
        CommandError::Stream {
            program,
            stream: self.stream.name(),
            error: self.error,
        }
    }
}

/// Starts all, waits for all. If one cannot be started, or the receiver fails, the others are
/// killed.
fn drive(commands: &[Command], last_stdout: OutputTarget, receive: Receive<'_>) -> Driven {
    let mut engine = Engine::new().map_err(CommandError::system("prepare to run a command"))?;
    let run = RunMark::new();
    let mut keys = Vec::with_capacity(commands.len());
    let mut upstream: Option<OwnedFd> = None;
    for (index, command) in commands.iter().enumerate() {
        let last = index + 1 == commands.len();
        let (read, write) = if last {
            (None, None)
        } else {
            let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
                .and_then(|(read, write)| Ok((above_stdio(read)?, above_stdio(write)?)))
                .map_err(|error| CommandError::system("make a pipe")(error.into()))?;
            (Some(read), Some(write))
        };
        let stdout = write
            .as_ref()
            .map_or(last_stdout, |write| OutputTarget::Fd(write.as_raw_fd()));
        let input = upstream.take();
        let key = start(
            &mut engine,
            &run,
            index,
            command,
            input.as_ref().map(OwnedFd::as_raw_fd),
            stdout,
            last_stdout,
        )?;
        keys.push(key);
        upstream = read;
    }
    wait(&mut engine, &keys, receive)
}

pub(super) fn start(
    engine: &mut Engine,
    run: &RunMark,
    index: usize,
    command: &Command,
    upstream: Option<RawFd>,
    stdout: OutputTarget,
    last_stdout: OutputTarget,
) -> Result<Key, CommandError> {
    let mut stage = command.prepare()?;
    let mark = run.job(index as u64);
    let null;
    let mut given;
    let stdin = match (upstream, &command.stdin) {
        (Some(fd), _) => StdinSource::Fd(fd),
        (None, Stdin::Bytes(bytes)) => {
            given = bytes.clone();
            StdinSource::Bytes(&mut given)
        }
        (None, stdin) => match stdin.raw() {
            Some(fd) => StdinSource::Fd(fd),
            None => {
                null = open_null()?;
                StdinSource::Fd(null.as_raw_fd())
            }
        },
    };
    let stderr = match (command.merge, last_stdout) {
        (true, _) => OutputTarget::Stdout,
        (false, OutputTarget::Capture) => OutputTarget::Capture,
        (false, _) => OutputTarget::Fd(2),
    };
    let more = [mark];
    let environ = stage.environment.pointers(&more);
    let size = stage.argv.size();
    let start = JobStart {
        program: &stage.program,
        argv: &mut stage.argv,
        environ: &environ,
        setting: &stage.setting,
        stdin,
        stdout,
        stderr,
        timeout: command.timeout,
        grace: command.grace,
        linger: None,
        mark: &more[0],
    };
    engine.start(start).map_err(|failed| {
        let path = stage.setting.seen_from_there(&stage.program);
        CommandError::from_failed(failed, command.name(), &path, size)
    })
}

fn wait(engine: &mut Engine, keys: &[Key], receive: Receive<'_>) -> Driven {
    let place = |key: Key| keys.iter().position(|&known| known == key);
    let mut ended: Vec<Option<ChildEnd>> = vec![None; keys.len()];
    let mut failure: Option<RunFailure> = None;
    let mut killed = false;
    let mut events = Vec::new();
    while engine.running() > 0 {
        let mut on_output = |key: Key, stream: OutputStream, bytes: &[u8]| {
            if let Some(index) = place(key)
                && failure.is_none()
                && let Err(error) = receive(index, stream, bytes)
            {
                failure = Some(RunFailure {
                    index,
                    stream,
                    error,
                });
            }
            Flow::Continue
        };
        engine
            .turn(None, &mut on_output, &mut events)
            .map_err(CommandError::system("wait for a command"))?;
        if failure.is_some() && !std::mem::replace(&mut killed, true) {
            engine.kill_all(keys);
        }
        for event in events.drain(..) {
            if let EngineEvent::Finished(key, how) = event
                && let Some(index) = place(key)
            {
                ended[index] = Some(how);
                // What the others would still say is lost with the pipeline.
                if how.cause == Some(Cause::TimedOut) {
                    engine.terminate_all(Cause::Asked);
                }
            }
        }
    }
    Ok((ended.into_iter().flatten().collect(), failure))
}

/// `/dev/null`, for reading, at a number above the standard ones.
pub fn open_null() -> Result<OwnedFd, CommandError> {
    let file = File::open("/dev/null").map_err(CommandError::system("open `/dev/null`"))?;
    above_stdio(file.into()).map_err(|error| CommandError::system("open `/dev/null`")(error.into()))
}
