//! What keys do.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use hands_web::{Action, List, Phase, RowOrder, Verb};

use super::feed::{ShownState, WantedRows};

pub(super) const LISTS: [List; 4] = [List::Running, List::Waiting, List::Failed, List::Finished];

/// What lies over the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Over {
    #[default]
    Nothing,
    Keys,
    Detail,
    /// Whether to stop is asked.
    Stop,
}

/// What is chosen.
#[derive(Debug)]
pub(super) struct TopKeys {
    pub(super) list: List,
    pub(super) order: RowOrder,
    /// The row that is chosen, in the whole list, and the first that is on the screen.
    pub(super) chosen: usize,
    pub(super) from: usize,
    /// Rows that fit.
    pub(super) room: usize,
    pub(super) over: Over,
}

impl Default for TopKeys {
    fn default() -> TopKeys {
        TopKeys {
            list: List::Running,
            order: RowOrder::default(),
            chosen: 0,
            from: 0,
            room: 10,
            over: Over::default(),
        }
    }
}

pub(super) enum KeyMeaning {
    Quit,
    Draw,
    Act(Action),
}

pub(super) fn size(shown: &ShownState, list: List) -> usize {
    let lists = &shown.state.frame.lists;
    match list {
        List::Running => lists.running,
        List::Waiting => lists.waiting,
        List::Failed => lists.failed,
        List::Finished => lists.finished,
    }
}

impl TopKeys {
    pub(super) fn wanted(&self) -> WantedRows {
        WantedRows {
            list: self.list,
            order: self.order,
            from: self.from,
            count: self.room.max(1),
        }
    }

    /// Lists become shorter.
    pub(super) fn keep_within(&mut self, shown: &ShownState) {
        let last = size(shown, self.list).saturating_sub(1);
        self.chosen = self.chosen.min(last);
        let room = self.room.max(1);
        self.from = self
            .from
            .min(self.chosen)
            .max((self.chosen + 1).saturating_sub(room));
    }

    fn choose(&mut self, list: List) {
        if self.list != list {
            self.list = list;
            (self.chosen, self.from) = (0, 0);
        }
    }

    fn chosen_id(&self, shown: &ShownState) -> Option<u64> {
        let is_of_this = shown
            .of
            .is_some_and(|of| of.list == self.list && of.order == self.order);
        let at = self
            .chosen
            .checked_sub(shown.rows.from)
            .filter(|_| is_of_this)?;
        shown.rows.rows.get(at).map(|row| row.id)
    }

    pub(super) fn press(&mut self, key: KeyEvent, shown: &ShownState) -> KeyMeaning {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return KeyMeaning::Quit;
        }
        if self.over == Over::Stop {
            self.over = Over::Nothing;
            return match key.code {
                KeyCode::Char('w') => KeyMeaning::Act(Action::Stop { now: false }),
                KeyCode::Char('n') => KeyMeaning::Act(Action::Stop { now: true }),
                _ => KeyMeaning::Draw,
            };
        }
        if self.over != Over::Nothing {
            self.over = Over::Nothing;
            return match key.code {
                KeyCode::Char('q') => KeyMeaning::Quit,
                _ => KeyMeaning::Draw,
            };
        }
        let can = |verb: Verb| shown.state.can.contains(&verb);
        let one = |action: fn(u64) -> Action, id: Option<u64>| {
            id.map_or(KeyMeaning::Draw, |id| KeyMeaning::Act(action(id)))
        };
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return KeyMeaning::Quit,
            KeyCode::Char('p') if can(Verb::Pause) => {
                return KeyMeaning::Act(match shown.state.frame.phase {
                    Phase::Paused => Action::Resume,
                    _ => Action::Pause,
                });
            }
            KeyCode::Char('c') if can(Verb::Cancel) && self.list == List::Running => {
                return one(|id| Action::Cancel { id }, self.chosen_id(shown));
            }
            KeyCode::Char('r') if can(Verb::Retry) && self.list == List::Failed => {
                return one(|id| Action::Retry { id }, self.chosen_id(shown));
            }
            KeyCode::Char('R') if can(Verb::RetryFailed) => {
                return KeyMeaning::Act(Action::RetryFailed);
            }
            KeyCode::Char('S') if can(Verb::Stop) => self.over = Over::Stop,
            KeyCode::Char('?' | 'h') => self.over = Over::Keys,
            KeyCode::Enter if self.chosen_id(shown).is_some() => self.over = Over::Detail,
            KeyCode::Char('s') => {
                self.order = match self.order {
                    RowOrder::Number => RowOrder::Time,
                    RowOrder::Time => RowOrder::Name,
                    RowOrder::Name => RowOrder::Number,
                };
            }
            KeyCode::Char(digit @ '1'..='4') => self.choose(LISTS[digit as usize - '1' as usize]),
            KeyCode::Tab | KeyCode::Right => self.step(1),
            KeyCode::BackTab | KeyCode::Left => self.step(3),
            KeyCode::Down | KeyCode::Char('j') => self.chosen += 1,
            KeyCode::Up | KeyCode::Char('k') => self.chosen = self.chosen.saturating_sub(1),
            KeyCode::PageDown => self.chosen += self.room,
            KeyCode::PageUp => self.chosen = self.chosen.saturating_sub(self.room),
            KeyCode::Home => self.chosen = 0,
            KeyCode::End => self.chosen = usize::MAX / 2,
            _ => {}
        }
        KeyMeaning::Draw
    }

    fn step(&mut self, by: usize) {
        let at = LISTS
            .iter()
            .position(|list| *list == self.list)
            .unwrap_or(0);
        self.choose(LISTS[(at + by) % LISTS.len()]);
    }
}
