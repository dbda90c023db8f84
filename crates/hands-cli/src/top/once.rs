//! The state as text, for those who read it from a file or a pipe.

use std::io::{self, Write};

use hands_fetch::clean;
use hands_web::State;

use super::view::short;

pub(super) fn print(state: &State) -> Result<(), String> {
    let frame = &state.frame;
    let total = frame
        .total
        .map_or_else(String::new, |total| format!(" of {total}"));
    let phase = serde_json::to_string(&frame.phase).unwrap_or_default();
    let mut text = format!("{}\n", clean(&frame.title));
    text += &format!("state     {}\n", phase.trim_matches('"'));
    text += &format!("ended     {}{total}\n", frame.finished);
    text += &format!("failed    {}\n", frame.failed);
    text += &format!("running   {} of {}\n", frame.running, frame.workers);
    text += &format!("waiting   {}\n", frame.waiting);
    text += &format!(
        "rate      {:.1}/s, {:.1}/s on average\n",
        frame.rate[0], frame.rate[1]
    );
    if let Some([half, most, all]) = frame.ran {
        text += &format!(
            "run time  {}, 90 %: {}, 99 %: {}\n",
            short(half),
            short(most),
            short(all)
        );
    }
    if let Some(cpu) = frame.cpu {
        text += &format!("CPU       {:.0} %\n", 100.0 * cpu);
    }
    if !frame.sizing.is_empty() {
        text += &format!("workers   {}\n", clean(&frame.sizing));
    }
    for note in &frame.notes {
        text += &format!("note      {}\n", clean(note));
    }
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("stdout cannot be written: {error}"))
        }
        _ => Ok(()),
    }
}
