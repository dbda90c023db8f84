//! Letters by which a text shows other than what it says.

/// Whether a terminal may obey it, or it turns the text around it, or is not seen: `cod.exe` may
/// look like `exe.doc`. Not the two that join letters, which Persian and emoji need.
pub fn is_deceptive(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::is_deceptive;

    #[test]
    fn words_and_families_are_what_they_seem() {
        for text in ["naïve — 日本", "👩\u{200d}👧", "می\u{200c}خواهم", "שלום"]
        {
            assert!(!text.contains(is_deceptive), "{text:?}");
        }
        for text in [
            "\u{1b}[2J",
            "\u{9b}31m",
            "exe\u{202e}cod",
            "a\u{2066}",
            "\u{feff}",
            "\0",
        ] {
            assert!(text.contains(is_deceptive), "{text:?}");
        }
    }
}
