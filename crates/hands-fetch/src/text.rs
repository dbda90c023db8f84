//! Text from a list or a server, as it may be shown.

use hands::text::is_deceptive;

/// The text with nothing in it that a terminal would obey, and no characters that turn it around or
/// are not seen.
pub fn clean(text: &str) -> String {
    text.chars()
        .map(|letter| if is_deceptive(letter) { '?' } else { letter })
        .collect()
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
