//! Literal quoting: text that a shell reads back as exactly these bytes.

use hands::text::is_deceptive;

/// Words of the shell's grammar, which are quoted so that they are not taken for it.
const KEYWORDS: &[&[u8]] = &[
    b"case",
    b"coproc",
    b"do",
    b"done",
    b"elif",
    b"else",
    b"esac",
    b"fi",
    b"for",
    b"function",
    b"if",
    b"in",
    b"select",
    b"then",
    b"time",
    b"until",
    b"while",
];

/// Whether `word` is read as itself anywhere in a command.
pub(super) fn is_plain(word: &[u8]) -> bool {
    !word.is_empty() && word.iter().all(|&byte| is_plain_byte(byte)) && !word.starts_with(b"=")
}

fn is_plain_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(&byte)
}

/// Whether `word` is plain even where a command begins, where there are assignments and a grammar.
pub(super) fn is_plain_command(word: &[u8]) -> bool {
    is_plain(word) && !word.contains(&b'=') && !KEYWORDS.contains(&word)
}

/// Whether a terminal shows `text` as it is: valid UTF-8 without letters that deceive.
pub(super) fn is_printable(text: &[u8]) -> bool {
    str::from_utf8(text).is_ok_and(|text| !text.contains(is_deceptive))
}

/// Appends `word` for a script: in single quotes, its bytes as they are. Every POSIX shell reads
/// this.
pub(super) fn single(out: &mut Vec<u8>, word: &[u8]) {
    out.push(b'\'');
    for &byte in word {
        match byte {
            b'\'' => out.extend_from_slice(b"'\\''"),
            _ => out.push(byte),
        }
    }
    out.push(b'\'');
}

/// Appends `word` in quotes for a person to copy: on one line, and visible, with `$'…'` as bash,
/// zsh and ksh read it where it holds letters that deceive or is not UTF-8.
pub(super) fn visible(out: &mut Vec<u8>, word: &[u8]) {
    if is_printable(word) {
        return single(out, word);
    }
    out.extend_from_slice(b"$'");
    for chunk in word.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '\n' => out.extend_from_slice(b"\\n"),
                '\t' => out.extend_from_slice(b"\\t"),
                '\r' => out.extend_from_slice(b"\\r"),
                '\'' => out.extend_from_slice(b"\\'"),
                '\\' => out.extend_from_slice(b"\\\\"),
                _ => {
                    let mut buffer = [0; 4];
                    let bytes = letter.encode_utf8(&mut buffer).as_bytes();
                    if is_deceptive(letter) {
                        bytes.iter().for_each(|&byte| octal(out, byte))
                    } else {
                        out.extend(bytes)
                    }
                }
            }
        }
        chunk.invalid().iter().for_each(|&byte| octal(out, byte));
    }
    out.push(b'\'');
}

/// Three digits, always: what follows may be a digit. (`\x` takes any number of them in some
/// shells.)
fn octal(out: &mut Vec<u8>, byte: u8) {
    out.push(b'\\');
    for shift in [6, 3, 0] {
        out.push(b'0' + (byte >> shift & 7));
    }
}

/// One line that a shell reads as exactly these arguments.
pub(super) fn command(argv: &[Vec<u8>]) -> Vec<u8> {
    let mut line = Vec::with_capacity(argv.iter().map(|word| word.len() + 3).sum());
    for (place, word) in argv.iter().enumerate() {
        if place > 0 {
            line.push(b' ');
        }
        let plain = if place == 0 {
            is_plain_command(word)
        } else {
            is_plain(word)
        };
        if plain {
            line.extend_from_slice(word)
        } else {
            visible(&mut line, word)
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(argv: &[&[u8]]) -> String {
        let argv: Vec<Vec<u8>> = argv.iter().map(|word| word.to_vec()).collect();
        String::from_utf8(command(&argv)).expect("a printable line")
    }

    #[test]
    fn only_what_needs_quotes_gets_them() {
        assert_eq!(
            line(&[b"gzip", b"-k", b"a/b-c_1.txt", b"x=y"]),
            "gzip -k a/b-c_1.txt x=y"
        );
        assert_eq!(
            line(&[b"a", b"", b"b c", b"it's", b"$x", b"!", b"{a,b}"]),
            r"a '' 'b c' 'it'\''s' '$x' '!' '{a,b}'"
        );
        assert_eq!(line(&[b"if", b"if"]), "'if' if");
        assert_eq!(line(&[b"A=b", b"A=b"]), "'A=b' A=b");
        assert_eq!(line(&["é".as_bytes()]), "'é'");
    }

    #[test]
    fn what_a_terminal_would_not_show_is_spelled_out() {
        assert_eq!(line(&[b"a", b"x\ny'z\\1"]), r"a $'x\ny\'z\\1'");
        assert_eq!(line(&[b"a", b"\x01\x7f\xff1"]), r"a $'\001\177\3771'");
        // U+009B is an escape sequence's start to a terminal.
        assert_eq!(line(&[b"a", "é\u{9b}".as_bytes()]), r"a $'é\302\233'");
        // What turns text around could show another command than the one that is pasted.
        assert_eq!(
            line(&[b"rm", "\u{202e}x".as_bytes()]),
            r"rm $'\342\200\256x'"
        );
    }
}
