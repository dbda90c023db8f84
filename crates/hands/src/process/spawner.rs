//! The program's side: one zygote, started when the first process is wanted, and started again if
//! somebody killed it. If the program's rights have changed since, another one is started; the old
//! one stays for the processes that it has made. So does one that does not answer in time.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::net::SendFlags;
use rustix::process::{Pid, Signal, getpid};

use super::error::SpawnError;
use super::loader;
use super::order::next;
use super::order::{Hello, Loaded, Made, Request, SpawnOrder, Welcome};
use super::rights::Rights;
use super::role::{self, MARK, Role};
use crate::wire::codec::{self, Message};
use crate::wire::image::Code;
use crate::wire::message as wire;

use crate::command::environ::Environment;
use crate::command::sys::spawn::{ArgBlock, Launch, Launcher, Setting};
use crate::command::sys::wait;

/// A copy of the program comes to `hands::init()` within this time, or never.
const HELLO: Duration = Duration::from_secs(10);
/// So long may a process take to start, unless it is given another time: what was to be loaded
/// before is read meanwhile.
pub(crate) const START: Duration = Duration::from_secs(60);
/// A zygote that has not answered for so long may have been stopped, and is sent on its way.
const NUDGE: Duration = Duration::from_millis(100);

/// Locked for as long as it takes to look, never while somebody waits for one of them.
static ZYGOTES: Mutex<Vec<Arc<ZygoteHandle>>> = Mutex::new(Vec::new());
/// Of who starts one.
static STARTING: Mutex<()> = Mutex::new(());
static PRELOAD: Mutex<Option<Code>> = Mutex::new(None);

struct ZygoteHandle {
    socket: OwnedFd,
    pidfd: OwnedFd,
    /// Whose child it is: a copy of this process by `fork` needs one of its own.
    owner: Pid,
    /// The program's, when it was started.
    rights: Rights,
    /// Of who waits for its answer.
    asking: Mutex<()>,
    /// It has not answered in time. It is kept for the processes that it has made, and not asked
    /// again.
    is_given_up: AtomicBool,
}

/// What came of asking a zygote.
enum AskedFor {
    Made(Pid),
    /// It, or the system, would not.
    Refused(SpawnError),
    /// It has ended.
    Gone,
    /// Somebody else has given it up meanwhile.
    GivenUp,
    Late,
}

/// Has a function run once in the process that all later ones are copies of, before the first of
/// them: to load, say, a model that all of them share without having copied it.
///
/// What it writes to memory they find there, each for itself. It captures nothing, and must leave
/// no thread running.
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
/// When the function lies in a shared library, or a process has been started already. What it does
/// wrong itself, a panic, say, is an error of the thread that starts the first process.
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

/// Makes sure that processes can be made that have these rights, which are the calling thread's;
/// other threads may have other ones, and start them.
pub(crate) fn prepare(rights: Rights, within: Duration) -> Result<(), SpawnError> {
    let deadline = Instant::now().checked_add(within);
    ZygoteHandle::fitting(rights, deadline, within).map(drop)
}

/// Has a process made, within this time, with the calling thread's rights or those that another one
/// has [prepared](prepare) for. The descriptors are those that [`Request::Make`] names.
pub(super) fn make(
    order: SpawnOrder,
    descriptors: Vec<OwnedFd>,
    within: Duration,
    rights: Option<Rights>,
) -> Result<Pid, SpawnError> {
    let deadline = Instant::now().checked_add(within);
    let request = codec::encode(&Request::Make(order));
    let request = request.map_err(|failure| SpawnError::Encode {
        what: format!("{failure:?}"),
    })?;
    let request = Message {
        descriptors,
        ..request
    };
    let rights = rights.unwrap_or_else(Rights::now);
    let mut again = true;
    loop {
        let zygote = ZygoteHandle::fitting(rights, deadline, within)?;
        match zygote.ask(&request, deadline) {
            AskedFor::Made(pid) => return Ok(pid),
            AskedFor::Refused(error) => return Err(error),
            AskedFor::GivenUp => {}
            AskedFor::Late => {
                // Should it go on later, the process finds that nobody waits for it.
                zygote.is_given_up.store(true, Ordering::Relaxed);
                return Err(SpawnError::TimedOut { after: within });
            }
            // Somebody has killed it.
            AskedFor::Gone => {
                ZYGOTES.lock().retain(|other| !Arc::ptr_eq(other, &zygote));
                let status = zygote.end();
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
    // Each knows its own; one that is gone has taken its processes along. One that is busy keeps
    // nobody waiting, one that was stopped goes on.
    for zygote in ZYGOTES.lock().iter() {
        if zygote.owner == getpid() {
            let _ = wire::send_with(&zygote.socket, &message, SendFlags::DONTWAIT);
            zygote.nudge();
        }
    }
}

impl ZygoteHandle {
    /// One that has these rights, started if there is none.
    fn fitting(
        rights: Rights,
        deadline: Option<Instant>,
        within: Duration,
    ) -> Result<Arc<ZygoteHandle>, SpawnError> {
        let known = || {
            let mut zygotes = ZYGOTES.lock();
            zygotes.retain(|zygote| zygote.owner == getpid());
            let fits = |zygote: &&Arc<ZygoteHandle>| {
                zygote.rights == rights && !zygote.is_given_up.load(Ordering::Relaxed)
            };
            zygotes.iter().find(fits).map(Arc::clone)
        };
        if let Some(known) = known() {
            return Ok(known);
        }
        let starting = match deadline {
            Some(deadline) => STARTING.try_lock_until(deadline),
            None => Some(STARTING.lock()),
        };
        let Some(_starting) = starting else {
            return Err(SpawnError::TimedOut { after: within });
        };
        // Somebody else may just have started it.
        if let Some(known) = known() {
            return Ok(known);
        }
        if rights != Rights::now() {
            let told = "what had the rights that the program has kept was ended, and this thread has others; start it again where they were given up";
            return Err(SpawnError::system("start a process")(io::Error::other(
                told,
            )));
        }
        let zygote = Arc::new(ZygoteHandle::start(rights, deadline, within)?);
        ZYGOTES.lock().push(Arc::clone(&zygote));
        Ok(zygote)
    }

    /// Sends it on its way, if somebody has stopped it.
    fn nudge(&self) {
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::CONT);
    }

    fn ask(&self, request: &Message, deadline: Option<Instant>) -> AskedFor {
        let asking = match deadline {
            Some(deadline) => self.asking.try_lock_until(deadline),
            None => Some(self.asking.lock()),
        };
        let Some(_asking) = asking else {
            return AskedFor::Late;
        };
        if self.is_given_up.load(Ordering::Relaxed) {
            return AskedFor::GivenUp;
        }
        let is_late = || deadline.is_some_and(|deadline| deadline <= Instant::now());
        loop {
            match wire::send_with(&self.socket, request, SendFlags::DONTWAIT) {
                Ok(()) => break,
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return AskedFor::Gone,
                // It has been stopped for so long that nothing more has room.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.nudge();
                    std::thread::park_timeout(Duration::from_millis(1));
                }
                // What it cannot send, another could not either.
                Err(error) => {
                    let failed = SpawnError::system("send what the process needs");
                    return AskedFor::Refused(failed(error));
                }
            }
            if is_late() {
                return AskedFor::Late;
            }
        }
        while !super::await_readable(&self.socket, sooner(deadline, NUDGE)) {
            if is_late() {
                return AskedFor::Late;
            }
            self.nudge();
        }
        match next::<Made>(&self.socket) {
            Ok(Some((Made::Process { pid }, _))) => match Pid::from_raw(pid) {
                Some(pid) => AskedFor::Made(pid),
                None => AskedFor::Refused(SpawnError::OtherProgram),
            },
            Ok(Some((Made::Refused { errno }, _))) => {
                let error = io::Error::from_raw_os_error(errno);
                AskedFor::Refused(SpawnError::system("start a process")(error))
            }
            Ok(None) | Err(_) => AskedFor::Gone,
        }
    }

    fn start(
        rights: Rights,
        deadline: Option<Instant>,
        within: Duration,
    ) -> Result<ZygoteHandle, SpawnError> {
        if !role::is_ready() {
            return Err(SpawnError::NoInit);
        }
        let system = SpawnError::system("start a copy of this program");
        let (socket, its) = wire::pair().map_err(&system)?;
        let pidfd = launch(&its).map_err(&system)?;
        drop(its);
        let zygote = ZygoteHandle {
            socket,
            pidfd,
            owner: getpid(),
            rights,
            asking: Mutex::new(()),
            is_given_up: AtomicBool::new(false),
        };
        match zygote.greet(deadline, within) {
            Ok(()) => Ok(zygote),
            Err(SpawnError::NoHello { .. }) => Err(SpawnError::NoHello {
                status: zygote.end(),
            }),
            Err(error) => {
                // It may be busy with what was to be loaded before.
                let _ = rustix::process::pidfd_send_signal(&zygote.pidfd, Signal::KILL);
                zygote.end();
                Err(error)
            }
        }
    }

    fn greet(&self, deadline: Option<Instant>, within: Duration) -> Result<(), SpawnError> {
        if !super::await_readable(&self.socket, sooner(deadline, HELLO)) {
            let after = HELLO.min(within);
            return Err(SpawnError::HelloTimedOut { after });
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
        if !super::await_readable(&self.socket, deadline) {
            let what = format!(
                "what was to be loaded before has not been within {within:?}; allow it longer with `start_timeout`"
            );
            return Err(SpawnError::Preload { what });
        }
        match next::<Loaded>(&self.socket) {
            Ok(Some((Loaded(None), _))) => Ok(()),
            Ok(Some((Loaded(Some(what)), _))) => Err(SpawnError::Preload { what }),
            Ok(None) | Err(_) => Err(SpawnError::Preload {
                what: "the process ended meanwhile".to_owned(),
            }),
        }
    }

    /// Makes sure that it has ended, and says how.
    fn end(&self) -> Option<ExitStatus> {
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

/// The deadline, or so long from now.
fn sooner(deadline: Option<Instant>, after: Duration) -> Option<Instant> {
    let then = Instant::now().checked_add(after);
    [deadline, then].into_iter().flatten().min()
}

fn launch(socket: &OwnedFd) -> io::Result<OwnedFd> {
    let own_name = std::env::args_os().next().unwrap_or_else(|| "hands".into());
    let words = [own_name.into_vec(), MARK.into(), Role::Zygote.word().into()];
    let environment = Environment::new(&Default::default(), &[]);
    let pointers = environment.pointers(&[]);
    if !std::path::Path::new("/proc/self/exe").exists() {
        let told = "there is no `/proc` here, by which a program finds its own file";
        return Err(io::Error::new(io::ErrorKind::NotFound, told));
    }
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
