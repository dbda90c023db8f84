//! `hands top`: the page of a run, in a terminal.
//!
//! It follows the run's page over the loopback, as a browser does, and shows the same: threads
//! follow and ask, another draws, so that keys answer at once however slow the run is.

mod client;
mod feed;
mod keys;
mod once;
mod view;

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossterm::event::{self, Event};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use self::client::TopClient;
use self::feed::TopFeed;
use self::keys::{KeyMeaning, TopKeys};
use crate::flags::{ColourWhen, TopFlags};
use crate::ui::page::links;
use crate::ui::usage;

/// How soon it is seen that there is something new.
const LOOK: Duration = Duration::from_millis(100);

pub(crate) fn main(flags: TopFlags) -> ExitCode {
    match top(&flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => usage::fail(&message),
    }
}

fn top(flags: &TopFlags) -> Result<(), String> {
    let link = match &flags.run {
        Some(run) => link_of(run)?,
        None => the_only_link()?,
    };
    let client = TopClient::open(&link)?;
    // So that what is wrong is said here, and not on a screen of its own.
    let first = client.state()?;
    if !io::stdout().is_terminal() {
        return once::print(&first);
    }
    if !io::stdin().is_terminal() {
        return Err("`hands top` takes keys from stdin, which is no terminal".to_owned());
    }
    let has_colour = match flags.color {
        ColourWhen::Always => true,
        ColourWhen::Never => false,
        ColourWhen::Auto => std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    };
    let ending = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        let caught = signal_hook::flag::register(signal, Arc::clone(&ending));
        caught.map_err(|error| format!("cannot set up signals: {error}"))?;
    }
    let follows = TopClient::open(&link)?;
    let feed = TopFeed::start([follows, client], first)
        .map_err(|error| format!("cannot start a thread: {error}"))?;
    let watched = Arc::clone(&ending);
    let thread = std::thread::Builder::new().name("hands-top-end".to_owned());
    let thread = thread.spawn(move || leave_with_the_terminal(&watched));
    drop(thread.map_err(|error| format!("cannot start a thread: {error}"))?);
    let mut terminal = ratatui::try_init().map_err(|error| format!("the terminal: {error}"))?;
    let ended = show(&mut terminal, &feed, has_colour, &ending);
    // Whatever came: the terminal is as it was.
    ratatui::restore();
    ended.map_err(|error| format!("the terminal: {error}"))
}

fn show(
    terminal: &mut ratatui::DefaultTerminal,
    feed: &TopFeed,
    has_colour: bool,
    ending: &AtomicBool,
) -> io::Result<()> {
    let mut keys = TopKeys::default();
    loop {
        let shown = feed.shown();
        keys.keep_within(&shown);
        terminal.draw(|frame| view::draw(frame, &shown, &mut keys, has_colour))?;
        feed.wants(keys.wanted());
        if ending.load(Ordering::Relaxed) {
            return Ok(());
        }
        if !event::poll(LOOK)? {
            continue;
        }
        if let Event::Key(key) = event::read()?
            && key.is_press()
        {
            match keys.press(key, &shown) {
                KeyMeaning::Quit => return Ok(()),
                KeyMeaning::Act(action) => feed.act(action),
                KeyMeaning::Draw => {}
            }
        }
    }
}

/// Ends the program if the terminal is gone, or a signal is not heard: whoever reads keys from a
/// terminal that has hung up may not come back from that.
fn leave_with_the_terminal(ending: &AtomicBool) {
    let moment = Timespec {
        tv_sec: 0,
        tv_nsec: 200_000_000,
    };
    loop {
        let stdin = io::stdin();
        // Hanging up is told without being asked for.
        let mut fds = [PollFd::new(&stdin, PollFlags::empty())];
        let polled = poll(&mut fds, Some(&moment));
        let is_gone = polled.is_ok() && !fds[0].revents().is_empty();
        if is_gone || ending.load(Ordering::Relaxed) {
            ending.store(true, Ordering::Relaxed);
            break;
        }
    }
    // The usual way, if that is open.
    std::thread::park_timeout(5 * LOOK);
    ratatui::restore();
    std::process::exit(0);
}

/// The link of a process of this user.
fn link_of(run: &str) -> Result<String, String> {
    if run.contains("://") {
        return Ok(run.to_owned());
    }
    let Ok(pid) = run.parse::<u32>() else {
        return Err(format!(
            "`{run}` is neither a link nor the number of a process\n  hint: a run with `--web` prints its link"
        ));
    };
    let file = links().map(|folder| folder.join(pid.to_string()));
    let link = file.and_then(|file| std::fs::read_to_string(file).ok());
    link.ok_or_else(|| {
        format!(
            "process {pid} has no page\n  hint: `hands run --web` and `hands fetch --web` have one"
        )
    })
}

fn the_only_link() -> Result<String, String> {
    let folder = links();
    let found = folder
        .as_ref()
        .and_then(|folder| std::fs::read_dir(folder).ok());
    let mut pids: Vec<u32> = found
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| std::path::Path::new(&format!("/proc/{pid}")).exists())
        .collect();
    pids.sort_unstable();
    match pids[..] {
        [] => Err("no run of yours has a page\n  hint: start one with `hands run --web`, or name its link".to_owned()),
        [pid] => link_of(&pid.to_string()),
        _ => {
            let all: Vec<String> = pids.iter().map(u32::to_string).collect();
            Err(format!("several runs have a page: {}\n  hint: name one of them", all.join(", ")))
        }
    }
}
