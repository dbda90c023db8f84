//! What is on the screen. Every word is there without colour, too.

use std::time::Duration;

use hands_fetch::clean;
use hands_web::{Frame as Moment, List, Phase, Row, RowOrder, Verb};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, LineGauge, Paragraph, Sparkline, Wrap};

use super::feed::ShownState;
use super::keys::{LISTS, Over, TopKeys, size};
use crate::ui::time;

/// So long what became of an action is shown.
const SAID: Duration = Duration::from_secs(5);
/// Lines of the chart.
const CHART: u16 = 3;

/// Colours, or none.
struct Look {
    has_colour: bool,
}

impl Look {
    fn of(&self, color: Color) -> Style {
        match self.has_colour {
            true => Style::new().fg(color),
            false => Style::new(),
        }
    }

    fn bold(&self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }
}

pub(super) fn draw(
    frame: &mut Frame<'_>,
    shown: &ShownState,
    keys: &mut TopKeys,
    has_colour: bool,
) {
    let look = Look { has_colour };
    let moment = &shown.state.frame;
    let area = frame.area();
    let lanes = lanes_shown(moment, area.height);
    let [head, whole, figures, why, chart, workers, tabs, list, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(if area.height >= 18 { CHART + 1 } else { 0 }),
        Constraint::Length(lanes),
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(title(shown, &look), head);
    draw_whole(frame, moment, whole, &look);
    frame.render_widget(
        Line::from(figures_of(moment, usize::from(figures.width))),
        figures,
    );
    let note = moment.notes.last().filter(|_| moment.sizing.is_empty());
    let why_text = note.unwrap_or(&moment.sizing);
    frame.render_widget(
        Line::from(clean(why_text)).style(look.of(Color::DarkGray)),
        why,
    );
    draw_chart(frame, moment, chart, &look);
    draw_lanes(frame, moment, workers, &look);
    frame.render_widget(tabs_of(shown, keys, &look), tabs);
    keys.room = usize::from(list.height);
    draw_list(frame, shown, keys, list, &look);
    frame.render_widget(foot_of(shown, keys, &look), foot);
    match keys.over {
        Over::Nothing => {}
        Over::Keys => draw_over(frame, "Keys", KEYS.to_owned()),
        Over::Stop => draw_over(
            frame,
            "Stop?",
            "w  let those that run come to their end\nn  end them now\n   any other key: go on"
                .to_owned(),
        ),
        Over::Detail => draw_over(frame, "Details", detail(shown, keys)),
    }
}

const KEYS: &str = "\
q         quit
p         pause, resume
c         cancel the chosen task
r         retry the chosen task that has failed
R         retry all that failed
S         stop
1-4, Tab  choose a list
↑ ↓       choose a task; PgUp, PgDn, Home, End
s         sort what runs: by number, by time, by name
Enter     details of the chosen task";

fn title<'a>(shown: &ShownState, look: &Look) -> Line<'a> {
    let moment = &shown.state.frame;
    let (phase, color) = match (&shown.lost, moment.phase) {
        (_, Phase::Done) => ("done".to_owned(), Color::Green),
        (Some((since, _)), _) => {
            let silent = since.elapsed().as_secs();
            (format!("no news for {silent} s"), Color::Red)
        }
        (None, Phase::Idle) => ("idle".to_owned(), Color::Gray),
        (None, Phase::Paused) => ("paused".to_owned(), Color::Yellow),
        (None, Phase::Stopping) => ("stopping".to_owned(), Color::Yellow),
        (None, _) => ("running".to_owned(), Color::Cyan),
    };
    Line::from(vec![
        Span::styled(
            format!("[{phase}] "),
            look.of(color).add_modifier(Modifier::BOLD),
        ),
        Span::styled(clean(&moment.title), look.bold()),
    ])
}

fn draw_whole(frame: &mut Frame<'_>, moment: &Moment, area: Rect, look: &Look) {
    let elapsed = time::time(Duration::from_secs_f64(moment.elapsed.max(0.0)));
    let (share, of) = match moment.total {
        Some(0) => (0.0, String::new()),
        Some(total) => (
            moment.finished as f64 / total as f64,
            format!(" of {total}"),
        ),
        None => (
            f64::from(u8::from(moment.phase == Phase::Done)),
            String::new(),
        ),
    };
    let label = format!(
        "{}{of} ended, {} failed, {elapsed}",
        moment.finished, moment.failed
    );
    let gauge = LineGauge::default()
        .ratio(share.clamp(0.0, 1.0))
        .label(label)
        .filled_symbol("█")
        .unfilled_symbol("░")
        .filled_style(look.of(Color::Cyan))
        .unfilled_style(look.of(Color::DarkGray));
    frame.render_widget(gauge, area);
}

/// As many of the figures as there is room for, the first the most important.
fn figures_of(moment: &Moment, width: usize) -> String {
    let mut parts = vec![
        format!("{} of {} at work", moment.busy, moment.workers),
        format!("{} waiting", moment.waiting),
        format!(
            "{}/s, {}/s on average",
            rate(moment.rate[0]),
            rate(moment.rate[1])
        ),
    ];
    if moment.retrying > 0 {
        parts.insert(2, format!("{} to be tried again", moment.retrying));
    }
    if moment.bytes > 0 {
        parts.push(bytes(moment.bytes));
    }
    if let Some([half, most, _]) = moment.ran {
        parts.push(format!("run {}, 90 %: {}", short(half), short(most)));
    }
    if let Some(cpu) = moment.cpu {
        parts.push(format!("{:.0} % CPU", 100.0 * cpu));
    }
    let mut text = String::new();
    for part in parts {
        if !text.is_empty() && columns(&text) + 2 + columns(&part) > width {
            break;
        }
        let gap = if text.is_empty() { "" } else { "  " };
        text += &format!("{gap}{part}");
    }
    text
}

fn draw_chart(frame: &mut Frame<'_>, moment: &Moment, area: Rect, look: &Look) {
    if area.height == 0 {
        return;
    }
    let [name, chart] = Layout::vertical([Constraint::Length(1), Constraint::Min(1)]).areas(area);
    let is_bytes = moment.bytes > 0;
    let points = match is_bytes {
        true => &moment.history.bytes,
        false => &moment.history.rate,
    };
    let from = points.len().saturating_sub(usize::from(chart.width));
    let shown: Vec<u64> = points[from..]
        .iter()
        .map(|point| (point * 10.0) as u64)
        .collect();
    let most = points[from..].iter().copied().fold(0.0, f64::max);
    let text = match is_bytes {
        true => format!("bytes a second, up to {}", bytes(most as u64)),
        false => format!("tasks a second, up to {}", rate(most)),
    };
    frame.render_widget(Line::from(text).style(look.of(Color::DarkGray)), name);
    let line = Sparkline::default().data(shown).style(look.of(Color::Cyan));
    frame.render_widget(line, chart);
}

/// How many lanes there is room for: what is left belongs to the list.
fn lanes_shown(moment: &Moment, height: u16) -> u16 {
    let most = height.saturating_sub(16) / 2;
    u16::try_from(moment.lanes.len())
        .unwrap_or(u16::MAX)
        .min(most)
}

fn draw_lanes(frame: &mut Frame<'_>, moment: &Moment, area: Rect, look: &Look) {
    const STEPS: [char; 10] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█', '█'];
    let rooms = Layout::vertical(vec![Constraint::Length(1); usize::from(area.height)]).split(area);
    let all = moment.lanes.len();
    for (at, room) in rooms.iter().enumerate() {
        let is_last = at + 1 == rooms.len() && all > rooms.len();
        if is_last {
            let more = format!("… and {} more workers", all - at);
            frame.render_widget(Line::from(more).style(look.of(Color::DarkGray)), *room);
            return;
        }
        let (name, cells) = &moment.lanes[at];
        let width = usize::from(room.width).saturating_sub(14);
        let from = cells.chars().count().saturating_sub(width);
        let mut spans = vec![Span::raw(format!("{:>12}  ", cut(&clean(name), 12)))];
        for cell in cells.chars().skip(from) {
            spans.push(match cell.to_digit(10) {
                Some(step) => Span::styled(STEPS[step as usize].to_string(), look.of(Color::Cyan)),
                None => Span::styled("x", look.of(Color::Red)),
            });
        }
        frame.render_widget(Line::from(spans), *room);
    }
}

fn tabs_of<'a>(shown: &ShownState, keys: &TopKeys, look: &Look) -> Line<'a> {
    let mut spans = Vec::new();
    for (list, name) in LISTS
        .into_iter()
        .zip(["Running", "Waiting", "Failed", "Finished"])
    {
        let text = format!("{name} {}", size(shown, list));
        let is_chosen = list == keys.list;
        let style = match is_chosen {
            true => look.bold().add_modifier(Modifier::REVERSED),
            false => Style::new(),
        };
        spans.push(Span::styled(format!(" {text} "), style));
        spans.push(Span::raw(" "));
    }
    if keys.list == List::Running {
        let order = match keys.order {
            RowOrder::Number => "by number",
            RowOrder::Time => "by time",
            RowOrder::Name => "by name",
        };
        spans.push(Span::styled(order, look.of(Color::DarkGray)));
    }
    Line::from(spans)
}

fn draw_list(frame: &mut Frame<'_>, shown: &ShownState, keys: &TopKeys, area: Rect, look: &Look) {
    let is_of_this = shown.of.is_some_and(|of| of.list == keys.list);
    let rows = &shown.rows.rows;
    if !is_of_this || rows.is_empty() {
        let text = match keys.list {
            List::Running => "Nothing runs.",
            List::Waiting => "Nothing waits that could be listed.",
            List::Failed => "Nothing has failed.",
            List::Finished => "Nothing has ended yet.",
        };
        if !is_of_this || size(shown, keys.list) == 0 {
            frame.render_widget(Line::from(text).style(look.of(Color::DarkGray)), area);
        }
        return;
    }
    let lines: Vec<Line<'_>> = rows
        .iter()
        .enumerate()
        .take(usize::from(area.height))
        .map(|(at, row)| {
            let is_chosen = shown.rows.from + at == keys.chosen;
            let text = row_text(row, usize::from(area.width), is_chosen);
            let style = match (is_chosen, keys.list) {
                (true, _) => Style::new().add_modifier(Modifier::REVERSED),
                (false, List::Failed) => look.of(Color::Red),
                (false, _) => Style::new(),
            };
            Line::from(text).style(style)
        })
        .collect();
    frame.render_widget(Paragraph::new(lines), area);
}

fn row_text(row: &Row, width: usize, is_chosen: bool) -> String {
    let mark = if is_chosen { '>' } else { ' ' };
    let number = match &row.place {
        Some(place) => place.clone(),
        None => row.id.to_string(),
    };
    let mut end = String::new();
    if let Some(received) = row.received {
        end += &bytes(received);
        if let Some(expected) = row.expected.filter(|expected| *expected > 0) {
            let share = 100.0 * received as f64 / expected as f64;
            end += &format!(" of {} {share:.0} %", bytes(expected));
        }
        end.push(' ');
    }
    let how = if row.why.is_empty() {
        &row.how
    } else {
        &row.why
    };
    if !how.is_empty() {
        end += &format!("{} ", cut(&clean(how), 40));
    }
    if let Some(time) = row.time {
        end += &short(time);
    }
    let room = width.saturating_sub(number.len() + end.chars().count() + 5);
    let name = clean(&row.name);
    let name = cut(&name, room);
    let used = columns(name);
    format!(
        "{mark}{number} {name}{:fill$}  {end}",
        "",
        fill = room.saturating_sub(used)
    )
}

fn columns(text: &str) -> usize {
    unicode_width::UnicodeWidthStr::width(text)
}

fn foot_of<'a>(shown: &ShownState, keys: &TopKeys, look: &Look) -> Line<'a> {
    if let Some((_, why)) = &shown.lost {
        return Line::from(clean(why)).style(look.of(Color::Red));
    }
    if let Some((said, is_done, at)) = &shown.said
        && at.elapsed() < SAID
    {
        let color = if *is_done { Color::Green } else { Color::Red };
        return Line::from(clean(said)).style(look.of(color));
    }
    let can = |verb| shown.state.can.contains(&verb);
    let mut words = vec!["q quit", "? keys"];
    if can(Verb::Pause) {
        words.push(match shown.state.frame.phase {
            Phase::Paused => "p resume",
            _ => "p pause",
        });
    }
    if can(Verb::Cancel) && keys.list == List::Running {
        words.push("c cancel");
    }
    if can(Verb::Retry) && keys.list == List::Failed {
        words.push("r retry");
    }
    if can(Verb::Stop) {
        words.push("S stop");
    }
    words.extend(["s sort", "Tab lists", "Enter details"]);
    Line::from(words.join("  ")).style(look.of(Color::DarkGray))
}

fn detail(shown: &ShownState, keys: &TopKeys) -> String {
    let at = keys.chosen.checked_sub(shown.rows.from);
    let Some(row) = at.and_then(|at| shown.rows.rows.get(at)) else {
        return "It is gone.".to_owned();
    };
    let mut text = format!("{}\n", clean(&row.name));
    let how = if row.why.is_empty() {
        &row.how
    } else {
        &row.why
    };
    let time = row
        .time
        .map_or_else(String::new, |time| format!(", {}", short(time)));
    text += &format!(
        "\n{}{time}\n",
        if how.is_empty() {
            "it runs".to_owned()
        } else {
            clean(how)
        }
    );
    for line in row.tail.lines() {
        text += &format!("\n{}", clean(line));
    }
    text
}

fn draw_over(frame: &mut Frame<'_>, name: &'static str, text: String) {
    let area = frame.area();
    let high = u16::try_from(text.lines().count())
        .unwrap_or(u16::MAX)
        .saturating_add(2);
    let wide = text.lines().map(columns).max().unwrap_or(0).max(30) + 4;
    let wide = u16::try_from(wide)
        .unwrap_or(u16::MAX)
        .min(area.width.saturating_sub(2));
    // A long line takes several.
    let high = high.saturating_add(4).min(area.height);
    let [_, room, _] = Layout::horizontal([
        Constraint::Fill(1),
        Constraint::Length(wide),
        Constraint::Fill(1),
    ])
    .areas(area);
    let [_, room, _] = Layout::vertical([
        Constraint::Fill(1),
        Constraint::Length(high),
        Constraint::Fill(1),
    ])
    .areas(room);
    frame.render_widget(Clear, room);
    let block = Block::bordered().title(format!(" {name} "));
    frame.render_widget(
        Paragraph::new(text).wrap(Wrap { trim: false }).block(block),
        room,
    );
}

/// The beginning of a text, of no more columns than that.
fn cut(text: &str, most: usize) -> &str {
    crate::ui::bar::cut(text, most)
}

fn rate(rate: f64) -> String {
    match rate {
        100.0.. => format!("{rate:.0}"),
        _ => format!("{rate:.1}"),
    }
}

fn bytes(bytes: u64) -> String {
    crate::fetch::bytes(bytes as f64)
}

/// `12 µs`, `3.4 ms`, `7.1 s`, `3m07s`.
pub(super) fn short(seconds: f64) -> String {
    match seconds {
        ..1e-3 => format!("{:.0} µs", seconds * 1e6),
        ..1.0 => format!("{:.1} ms", seconds * 1e3),
        ..60.0 => format!("{seconds:.1} s"),
        _ => time::time(Duration::from_secs_f64(seconds)),
    }
}
