//! A command line given as one word: split it as a shell would, or find that it takes a shell.

use super::TemplateError;
use super::direct::Word;
use super::parts::{TemplatePart, push_byte};
use super::placeholder::{InputNames, scan};

/// What a command line turned out to be.
#[derive(Debug)]
pub(super) enum CommandTemplate {
    /// Nothing in it needs a shell: its words.
    Words(Vec<Word>),
    /// Only a shell can run it.
    NeedsShell,
}

/// Words that mean something to a shell where a command begins: its grammar, and builtins that have
/// no program of the same name or act on the shell itself. `test`, `[`, `echo`, `printf`, `true`,
/// `false`, `kill`, `pwd` and `sleep` are missing on purpose: their programs do the same. `time` is
/// here since a shell has the better one.
const SHELL_WORDS: &[&str] = &[
    "!",
    ".",
    ":",
    "[[",
    "alias",
    "bg",
    "bind",
    "break",
    "builtin",
    "caller",
    "case",
    "cd",
    "chdir",
    "command",
    "compgen",
    "complete",
    "compopt",
    "continue",
    "coproc",
    "declare",
    "dirs",
    "disown",
    "do",
    "done",
    "elif",
    "else",
    "enable",
    "esac",
    "eval",
    "exec",
    "exit",
    "export",
    "fc",
    "fg",
    "fi",
    "for",
    "function",
    "getopts",
    "hash",
    "help",
    "history",
    "if",
    "jobs",
    "let",
    "local",
    "logout",
    "mapfile",
    "popd",
    "pushd",
    "read",
    "readarray",
    "readonly",
    "return",
    "select",
    "set",
    "shift",
    "shopt",
    "source",
    "suspend",
    "then",
    "time",
    "times",
    "trap",
    "type",
    "typeset",
    "ulimit",
    "umask",
    "unalias",
    "unset",
    "until",
    "wait",
    "while",
    "{",
    "}",
];

/// Whether a shell would read `word` as something else than a program at the start of a command.
pub(super) fn is_shell_word(word: &[u8]) -> bool {
    str::from_utf8(word).is_ok_and(|word| SHELL_WORDS.contains(&word))
}

/// Whether `text` starts with `NAME=`, as a variable's assignment does.
pub(super) fn is_assignment(text: &[u8]) -> bool {
    let length = name_length(text);
    let rest = &text[length..];
    length > 0 && (rest.starts_with(b"=") || rest.starts_with(b"+="))
}

/// The length of the variable name that `text` starts with.
pub(super) fn name_length(text: &[u8]) -> usize {
    match text.first() {
        Some(first) if first.is_ascii_alphabetic() || *first == b'_' => text
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_')
            .count(),
        _ => 0,
    }
}

/// Splits `line` by the word rules of POSIX shells.
///
/// # Errors
///
/// A quote that is never closed, or a backslash at the end.
pub(super) fn split(line: &[u8], names: &InputNames) -> Result<CommandTemplate, TemplateError> {
    let mut splitter = Splitter {
        line,
        names,
        at: 0,
        word: None,
        words: Vec::new(),
    };
    while let Some(&byte) = line.get(splitter.at) {
        if !splitter.step(byte)? {
            return Ok(CommandTemplate::NeedsShell);
        }
    }
    splitter.end_word();
    Ok(splitter.finish())
}

/// A word being read.
#[derive(Default)]
struct Open {
    parts: Vec<TemplatePart>,
    quoted: bool,
}

struct Splitter<'a> {
    line: &'a [u8],
    names: &'a InputNames,
    at: usize,
    word: Option<Open>,
    words: Vec<Open>,
}

impl Splitter<'_> {
    /// Takes what is at `self.at`; `false` when it needs a shell.
    fn step(&mut self, byte: u8) -> Result<bool, TemplateError> {
        match byte {
            b' ' | b'\t' => {
                self.end_word();
                self.at += 1;
            }
            b'\'' => self.single()?,
            b'"' => return self.double(),
            b'\\' => match self.line.get(self.at + 1) {
                None => return Err(TemplateError::unbalanced("\\", self.line, self.at)),
                Some(b'\n') => self.at += 2,
                Some(&next) => {
                    self.open().quoted = true;
                    self.push(next);
                    self.at += 2;
                }
            },
            b'{' => self.brace(),
            b'[' if self.word.is_none() && self.word_ends_at(self.at + 1) => {
                self.push(byte);
                self.at += 1;
            }
            b'#' | b'~' if self.word.is_some() => {
                self.push(byte);
                self.at += 1;
            }
            b'|' | b'&' | b';' | b'<' | b'>' | b'(' | b')' | b'$' | b'`' | b'*' | b'?' | b'['
            | b'#' | b'~' | b'\n' => return Ok(false),
            _ => {
                self.push(byte);
                self.at += 1;
            }
        }
        Ok(true)
    }

    fn single(&mut self) -> Result<(), TemplateError> {
        let start = self.at;
        self.open().quoted = true;
        self.at += 1;
        loop {
            match self.line.get(self.at) {
                None => return Err(TemplateError::unbalanced("'", self.line, start)),
                Some(b'\'') => break,
                Some(b'{') => self.brace(),
                Some(&byte) => {
                    self.push(byte);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        Ok(())
    }

    fn double(&mut self) -> Result<bool, TemplateError> {
        let start = self.at;
        self.open().quoted = true;
        self.at += 1;
        loop {
            match self.line.get(self.at) {
                None => return Err(TemplateError::unbalanced("\"", self.line, start)),
                Some(b'"') => break,
                Some(b'$' | b'`') => return Ok(false),
                Some(b'{') => self.brace(),
                Some(b'\\') => match self.line.get(self.at + 1) {
                    Some(b'\n') => self.at += 2,
                    Some(&next @ (b'$' | b'`' | b'"' | b'\\')) => {
                        self.push(next);
                        self.at += 2;
                    }
                    _ => {
                        self.push(b'\\');
                        self.at += 1;
                    }
                },
                Some(&byte) => {
                    self.push(byte);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        Ok(true)
    }

    /// A placeholder, or the text `{`.
    fn brace(&mut self) {
        match scan(&self.line[self.at..], self.names) {
            Some((placeholder, length)) => {
                self.open().parts.push(TemplatePart::Value(placeholder));
                self.at += length;
            }
            None => {
                self.push(b'{');
                self.at += 1;
            }
        }
    }

    fn open(&mut self) -> &mut Open {
        self.word.get_or_insert_default()
    }

    fn push(&mut self, byte: u8) {
        push_byte(&mut self.open().parts, byte);
    }

    fn end_word(&mut self) {
        self.words.extend(self.word.take());
    }

    fn word_ends_at(&self, at: usize) -> bool {
        matches!(self.line.get(at), None | Some(b' ' | b'\t'))
    }

    fn finish(self) -> CommandTemplate {
        if let Some(Open { parts, .. }) = self.words.first()
            && let Some(TemplatePart::Literal(text)) = parts.first()
            && (is_assignment(text) || parts.len() == 1 && is_shell_word(text))
        {
            // A quoted `"cd"` is still the builtin, and a quoted `"A=b"` is for the shell to
            // refuse.
            return CommandTemplate::NeedsShell;
        }
        CommandTemplate::Words(
            self.words
                .into_iter()
                .map(|word| Word::new(word.parts, word.quoted))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::JobArgs;

    fn words(line: &str) -> Option<Vec<String>> {
        let rows = [vec![b"IN".to_vec()]];
        match split(line.as_bytes(), &InputNames::default()).expect("a balanced line") {
            CommandTemplate::NeedsShell => None,
            CommandTemplate::Words(words) => {
                let mut out = Vec::new();
                for word in words {
                    word.expand(
                        &JobArgs {
                            rows: &rows,
                            seq: 1,
                            slot: 1,
                        },
                        &mut out,
                    );
                }
                Some(
                    out.iter()
                        .map(|word| String::from_utf8_lossy(word).into_owned())
                        .collect(),
                )
            }
        }
    }

    #[test]
    fn plain_lines_are_split_by_the_shells_word_rules() {
        let cases: &[(&str, &[&str])] = &[
            ("a  b\tc ", &["a", "b", "c"]),
            (r#"a 'b  c'"d  e" f\ g"#, &["a", "b  cd  e", "f g"]),
            (r#"'' "" a"#, &["", "", "a"]),
            (r#"a "\$ \` \" \\ \n" '\n'"#, &["a", r#"$ ` " \ \n"#, r"\n"]),
            ("a b\\\nc \\\n d", &["a", "bc", "d"]),
            ("awk '{print $1}' {}", &["awk", "{print $1}", "IN"]),
            (
                "a {a,b} {1..3} x#y x~y [ b ] {",
                &["a", "{a,b}", "{1..3}", "x#y", "x~y", "[", "b", "]", "{"],
            ),
            ("[ -f {} ]", &["[", "-f", "IN", "]"]),
            (
                "echo '{}' \"{}\" x{}y \\{} \"\\{}\"",
                &["echo", "IN", "IN", "xINy", "{}", "\\IN"],
            ),
            ("cp {} {}=x", &["cp", "IN", "IN=x"]),
            ("echo \\$x \\; a\\|b", &["echo", "$x", ";", "a|b"]),
        ];
        for (line, expected) in cases {
            assert_eq!(
                words(line).as_deref(),
                Some(&expected.map_to_strings()[..]),
                "{line}"
            );
        }
    }

    trait MapToStrings {
        fn map_to_strings(&self) -> Vec<String>;
    }

    impl MapToStrings for &[&str] {
        fn map_to_strings(&self) -> Vec<String> {
            self.iter().map(|text| (*text).to_owned()).collect()
        }
    }

    #[test]
    fn shell_syntax_is_noticed() {
        for line in [
            "a | b",
            "a & b",
            "a; b",
            "a <b",
            "a >b",
            "(a)",
            "a $x",
            "a `b`",
            "a *",
            "a x?",
            "a [x]",
            "a x[",
            "a # b",
            "a ~/b",
            "a\nb",
            "a \"$x\"",
            "a \"`b`\"",
            "A=b c",
            "a_1=",
            "! a",
            "{ a",
            "} a",
            "cd {}",
            "if a",
            "exit 3",
            ". a",
            ": a",
            "[[ a",
            "while a",
            "time a",
            "ulimit 3",
            "\"cd\" x",
            "# a",
            "~/a",
        ] {
            assert_eq!(words(line), None, "{line}");
        }
    }

    #[test]
    fn an_open_quote_is_an_error_that_shows_where() {
        let at = |line: &str| match split(line.as_bytes(), &InputNames::default()) {
            Err(TemplateError::Unbalanced { opened, at, .. }) => (opened, at),
            other => panic!("{other:?}"),
        };
        assert_eq!(at("a 'b"), ("'", 2));
        assert_eq!(at("a b \"c\\\""), ("\"", 4));
        assert_eq!(at("a\\"), ("\\", 1));
    }
}
