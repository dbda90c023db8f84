//! Backslash escapes in separators: `\n`, `\t`, `\0`, `\x1f`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::PlanError;

/// The bytes `text` stands for, with C's escapes: `\a \b \f \n \r \t \v \\`, one to three octal
/// digits, `\x` and one or two hexadecimal ones. These are what xargs and GNU parallel take for
/// `-d`.
pub(super) fn unescape(flag: &str, text: &OsStr) -> Result<Vec<u8>, PlanError> {
    let wrong = || {
        PlanError::new(format!(
            "`{flag} {}` has an escape that is not known",
            text.display()
        ))
        .hint("use `\\n`, `\\t`, `\\r`, `\\0`, `\\x1f`, `\\037`, or `\\\\` for a backslash")
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        let (&kind, after) = rest.split_first().ok_or_else(wrong)?;
        let (byte, after) = match kind {
            b'a' => (7, after),
            b'b' => (8, after),
            b't' => (b'\t', after),
            b'n' => (b'\n', after),
            b'v' => (11, after),
            b'f' => (12, after),
            b'r' => (b'\r', after),
            b'\\' => (b'\\', after),
            b'x' => number(after, 16, 2).ok_or_else(wrong)?,
            b'0'..=b'7' => number(rest, 8, 3).ok_or_else(wrong)?,
            _ => return Err(wrong()),
        };
        bytes.push(byte);
        rest = after;
    }
    Ok(bytes)
}

/// A number of one to `most` digits, and what follows it.
fn number(text: &[u8], radix: u32, most: usize) -> Option<(u8, &[u8])> {
    let digit = |byte: &u8| char::from(*byte).to_digit(radix);
    let length = text
        .iter()
        .take(most)
        .take_while(|byte| digit(byte).is_some())
        .count();
    let (digits, after) = text.split_at(length);
    let value = digits
        .iter()
        .filter_map(digit)
        .fold(0, |value, digit| value * radix + digit);
    let byte = u8::try_from(value).ok()?;
    (length > 0).then_some((byte, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Option<Vec<u8>> {
        unescape("-d", OsStr::new(text)).ok()
    }

    #[test]
    fn plain_text_is_itself_whatever_its_bytes() {
        assert_eq!(bytes(",;"), Some(b",;".to_vec()));
        assert_eq!(
            unescape("-d", OsStr::from_bytes(b"\xff\0")),
            Ok(b"\xff\0".to_vec())
        );
        assert_eq!(bytes(""), Some(vec![]));
    }

    #[test]
    fn escapes_stand_for_bytes() {
        assert_eq!(
            bytes(r"\n\t\r\\\a\b\f\v"),
            Some(b"\n\t\r\\\x07\x08\x0c\x0b".to_vec())
        );
        assert_eq!(bytes(r"\0"), Some(vec![0]));
        assert_eq!(bytes(r"\0379"), Some(vec![0o37, b'9']));
        assert_eq!(bytes(r"\x1f\xfg"), Some(vec![0x1f, 0xf, b'g']));
        assert_eq!(bytes(r"\377"), Some(vec![255]));
    }

    #[test]
    fn an_unknown_escape_is_refused() {
        for text in [r"\", r"\q", r"\x", r"\xg", r"\400", r"\8"] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }
}
