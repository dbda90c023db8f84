//! Text from a list or a server, as it may be shown.

/// The text with nothing in it that a terminal would obey, and no characters that turn it around or
/// are not seen.
pub fn clean(text: &str) -> String {
    let odd = |c: char| c.is_control() || is_deceptive(c);
    text.chars().map(|c| if odd(c) { '?' } else { c }).collect()
}

/// Characters that turn text around, or are not seen: `cod.exe` may look like `exe.doc`.
pub(crate) fn is_deceptive(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{61c}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_not_shown() {
        for (text, shown) in [
            ("naïve — 日本", "naïve — 日本"),
            ("a\x1b[2J\u{9b}31m\u{85}b", "a?[2J?31m?b"),
            ("exe\u{202e}cod\u{2066}\u{feff}", "exe?cod??"),
        ] {
            assert_eq!(clean(text), shown);
        }
    }
}
