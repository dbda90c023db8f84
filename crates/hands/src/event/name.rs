//! The names of functions, as numbers: an event has no room for text.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

use parking_lot::RwLock;

/// The name of a task's function. It is a number, so it is compared and copied at once;
/// [`as_str`](Name::as_str) gives the text.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Name(pub(super) u32);

/// All names that there have been. There are no more of them than functions in the program.
static NAMES: LazyLock<RwLock<Names>> = LazyLock::new(RwLock::default);

#[derive(Default)]
struct Names {
    numbers: HashMap<&'static str, u32>,
    /// The first has the number 1; 0 stands for no name.
    texts: Vec<&'static str>,
}

thread_local! {
    /// The last name that this thread asked for: it often asks for the same again.
    static LAST: Cell<(&'static str, u32)> = const { Cell::new(("", 0)) };
}

impl Name {
    /// No name.
    pub const NONE: Name = Name(0);

    /// The name of this text.
    pub fn of(text: &'static str) -> Name {
        let (last, number) = LAST.get();
        if std::ptr::eq(last, text) {
            return Name(number);
        }
        let known = NAMES.read().numbers.get(text).copied();
        let number = known.unwrap_or_else(|| {
            let mut names = NAMES.write();
            let next = u32::try_from(names.texts.len() + 1).unwrap_or(0);
            let number = *names.numbers.entry(text).or_insert(next);
            if number == next && next != 0 {
                names.texts.push(text);
            }
            number
        });
        LAST.set((text, number));
        Name(number)
    }

    /// The text; empty if there is none.
    pub fn as_str(self) -> &'static str {
        let at = (self.0 as usize).wrapping_sub(1);
        NAMES.read().texts.get(at).copied().unwrap_or_default()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({:?})", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_has_one_name_on_all_threads() {
        let here = [Name::of("a name"), Name::of("another"), Name::of("a name")];
        let there = std::thread::spawn(|| Name::of("a name")).join();
        assert_eq!(here[0], here[2]);
        assert_ne!(here[0], here[1]);
        assert_eq!(there.expect("a name"), here[0]);
        assert_eq!(here[1].as_str(), "another");
        assert_eq!(Name::NONE.as_str(), "");
    }
}
