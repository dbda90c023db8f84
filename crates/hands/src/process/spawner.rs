//! The program's side: one zygote, started when the first process is wanted, and started again if somebody killed it. If the program's rights have
//! changed since, another one is started; the old one stays for the processes that it has made.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::net::SendFlags;
use rustix::process::{Pid, Signal, getpid};

use super::codec::{self, Message};
use super::entry::{self, MARK, Role};
use super::error::SpawnError;
use super::image::Code;
use super::order::{Hello, Loaded, Made, Order, Request, Welcome};
use super::rights::Rights;
use super::zygote::next;
use super::{loader, wire};
use crate::command::environ::Environment;
use crate::command::sys::spawn::{ArgBlock, Launch, Launcher, Setting};
use crate::command::sys::wait;

/// A copy of the program comes to `hands::init()` within this time, or never.
const HELLO: Duration = Duration::from_secs(10);

static ZYGOTES: Mutex<Vec<Zygote>> = Mutex::new(Vec::new());
static PRELOAD: Mutex<Option<Code>> = Mutex::new(None);

struct Zygote {
    socket: OwnedFd,
    pidfd: OwnedFd,
    /// Whose child it is: a copy of this process by `fork` needs one of its own.
    owner: Pid,
    /// The program's, when it was started.
    rights: Rights,
}

/// Has a function run once in the process that all later ones are copies of, before the first of them: to load, say, a model
/// that all of them share without having copied it.
///
/// What it writes to memory they find there, each for itself. It captures nothing, and must leave no thread running.
///
/// ```no_run
/// use std::sync::OnceLock;
///
/// static WORDS: OnceLock<Vec<String>> = OnceLock::new();
///
/// fn load() {
///     let text = std::fs::read_to_string("/usr/share/dict/words").unwrap();
///     let _ = WORDS.set(text.lines().map(str::to_owned).collect());
/// }
///
/// let _hands = hands::init();
/// hands::process::preload(load)?;
/// let count = hands::process::spawn(|()| WORDS.get().map_or(0, Vec::len), ())?;
/// println!("{} words", count.join()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// When the function lies in a shared library, or a process has been started already. What it does wrong itself, a panic, say, is an
/// error of whoever starts the first process.
pub fn preload<F>(load: F) -> Result<(), SpawnError>
where
    F: Fn() + Copy + Send + Sync + 'static,
{
    let code = loader(load).ok_or(SpawnError::NotInExecutable)?;
    if !ZYGOTES.lock().is_empty() {
        return Err(SpawnError::Preload {
            what: "a process has been started already; say it before the first".to_owned(),
        });
    }
    *PRELOAD.lock() = Some(code);
    Ok(())
}

/// Has a process made. The descriptors are those that [`Request::Make`] names.
pub(super) fn make(order: Order, descriptors: Vec<OwnedFd>) -> Result<Pid, SpawnError> {
    let request = codec::encode(&Request::Make(order));
    let request = request.map_err(|failure| SpawnError::Encode {
        what: format!("{failure:?}"),
    })?;
    let request = Message {
        descriptors,
        ..request
    };
    let rights = Rights::now();
    let mut zygotes = ZYGOTES.lock();
    zygotes.retain(|zygote| zygote.owner == getpid());
    let mut again = true;
    loop {
        let fitting = zygotes.iter().position(|zygote| zygote.rights == rights);
        let own = match fitting {
            Some(at) => zygotes.swap_remove(at),
            None => Zygote::start(rights)?,
        };
        let sent = wire::send(&own.socket, &request);
        let made = match sent {
            Ok(()) => next::<Made>(&own.socket),
            // What it cannot send, another could not either.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                zygotes.push(own);
                return Err(SpawnError::system("send what the process needs")(error));
            }
            Err(_) => Ok(None),
        };
        match made {
            Ok(Some((Made::Process { pid }, _))) => {
                zygotes.push(own);
                return Pid::from_raw(pid).ok_or(SpawnError::OtherProgram);
            }
            Ok(Some((Made::Refused { errno }, _))) => {
                zygotes.push(own);
                let error = io::Error::from_raw_os_error(errno);
                return Err(SpawnError::system("start a process")(error));
            }
            // Somebody has killed it.
            Ok(None) | Err(_) => {
                let status = own.end();
                if !std::mem::take(&mut again) {
                    return Err(SpawnError::NoHello { status });
                }
            }
        }
    }
}

/// Has a signal sent to a process that was made here, if it has not ended.
pub(super) fn signal(pid: Pid, signal: Signal, group: bool) {
    let request = Request::Signal {
        pid: pid.as_raw_nonzero().get(),
        signal: signal.as_raw(),
        group,
    };
    let Ok(message) = codec::encode(&request) else {
        return;
    };
    // Each knows its own; one that is gone has taken its processes along. One that is stopped, or busy, keeps nobody waiting.
    for zygote in ZYGOTES.lock().iter() {
        if zygote.owner == getpid() {
            let _ = wire::send_with(&zygote.socket, &message, SendFlags::DONTWAIT);
        }
    }
}

impl Zygote {
    fn start(rights: Rights) -> Result<Zygote, SpawnError> {
        if !entry::is_ready() {
            return Err(SpawnError::NoInit);
        }
        let system = SpawnError::system("start a copy of this program");
        let (socket, its) = wire::pair().map_err(&system)?;
        let pidfd = launch(&its).map_err(&system)?;
        drop(its);
        let zygote = Zygote {
            socket,
            pidfd,
            owner: getpid(),
            rights,
        };
        match zygote.greet() {
            Ok(()) => Ok(zygote),
            Err(SpawnError::NoHello { .. }) => Err(SpawnError::NoHello {
                status: zygote.end(),
            }),
            Err(error) => {
                zygote.end();
                Err(error)
            }
        }
    }

    fn greet(&self) -> Result<(), SpawnError> {
        if !super::await_readable(&self.socket, Instant::now().checked_add(HELLO)) {
            return Err(SpawnError::HelloTimedOut { after: HELLO });
        }
        match next::<Hello>(&self.socket) {
            Ok(Some((hello, _))) if hello == Hello::new() => {}
            Ok(Some(_)) => return Err(SpawnError::OtherProgram),
            Ok(None) | Err(_) => return Err(SpawnError::NoHello { status: None }),
        }
        let welcome = Welcome {
            preload: *PRELOAD.lock(),
        };
        let welcome = codec::encode(&welcome).unwrap_or_default();
        let sent = wire::send(&self.socket, &welcome);
        sent.map_err(SpawnError::system("greet a copy of this program"))?;
        match next::<Loaded>(&self.socket) {
            Ok(Some((Loaded(None), _))) => Ok(()),
            Ok(Some((Loaded(Some(what)), _))) => Err(SpawnError::Preload { what }),
            Ok(None) | Err(_) => Err(SpawnError::Preload {
                what: "the process ended meanwhile".to_owned(),
            }),
        }
    }

    /// Makes sure that it has ended, and says how.
    fn end(self) -> Option<ExitStatus> {
        // One that has closed its end is about to end by itself, and tells more then.
        let ends = super::await_readable(
            &self.pidfd,
            Instant::now().checked_add(Duration::from_secs(1)),
        );
        if !ends {
            let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
            super::await_readable(&self.pidfd, None);
        }
        wait::try_reap(&self.pidfd)
            .ok()
            .flatten()
            .map(|(status, _)| status)
    }
}

fn launch(socket: &OwnedFd) -> io::Result<OwnedFd> {
    let own_name = std::env::args_os().next().unwrap_or_else(|| "hands".into());
    let words = [own_name.into_vec(), MARK.into(), Role::Zygote.word().into()];
    let environment = Environment::new(&Default::default(), &[]);
    let pointers = environment.pointers(&[]);
    let null = std::fs::File::open("/dev/null")?;
    let or_null = |fd: std::os::fd::BorrowedFd<'_>| match rustix::io::fcntl_getfd(fd) {
        Ok(_) => fd.as_raw_fd(),
        Err(_) => null.as_raw_fd(),
    };
    let setting = Setting {
        close_others: true,
        ..Setting::default()
    };
    let program: CString = c"/proc/self/exe".into();
    let launch = Launch {
        program: &program,
        argv: &mut ArgBlock::new(&words),
        environ: &pointers,
        stdio: [
            socket.as_raw_fd(),
            or_null(io::stdout().as_fd()),
            or_null(io::stderr().as_fd()),
        ],
        setting: &setting,
    };
    let started = Launcher::new()?.start(launch);
    started
        .map(|started| started.pidfd)
        .map_err(|failed| failed.error)
}
