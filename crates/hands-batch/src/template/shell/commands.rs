//! Commands: words, operators, comments, and as much grammar as it takes to know which `)` closes a
//! `$(`.

use super::heredoc::HereDocument;
use super::item::{QuoteContext, ScriptItems};
use super::reader::ScriptReader;
use crate::template::TemplateError;
use crate::template::line::{is_assignment, name_length};

/// What is open within a list of commands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OpenCommand {
    Bracket,
    Case(Case),
}

/// `case SUBJECT in PATTERNS) BODY ;; PATTERNS) … esac`
#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    Subject,
    Patterns,
    Body,
}

const BRACKET: &str = "a closing bracket";

struct ScriptCommands {
    open: Vec<OpenCommand>,
    /// The next word names a program, or is a word of the grammar.
    at_command: bool,
    /// The last word was `for`, which may have `((` after it.
    after_for: bool,
    here_documents: Vec<HereDocument>,
    ending: Option<&'static str>,
}

impl ScriptReader<'_> {
    /// Reads up to the end, or with `opened`, where a `$(` is, past its `)`. Returns what it ended
    /// with, when a word added there would not be an argument.
    pub(super) fn commands(
        &mut self,
        out: &mut ScriptItems,
        opened: Option<usize>,
    ) -> Result<Option<&'static str>, TemplateError> {
        let mut state = ScriptCommands {
            open: Vec::new(),
            at_command: true,
            after_for: false,
            here_documents: Vec::new(),
            ending: None,
        };
        loop {
            let Some(byte) = self.peek() else {
                return match opened {
                    Some(start) => Err(self.unclosed("$(", start)),
                    None => Ok(state.ending()),
                };
            };
            match byte {
                b' ' | b'\t' => self.copy(out, 1),
                b'\\' if self.starts_with(b"\\\n") => self.copy(out, 2),
                b'\n' => {
                    self.copy(out, 1);
                    state.operator();
                    for here_document in std::mem::take(&mut state.here_documents) {
                        self.here_document(out, here_document)?;
                        state.ending = Some("a here-document");
                    }
                }
                b'#' => {
                    let end = memchr::memchr(b'\n', self.rest()).unwrap_or(self.rest().len());
                    self.copy(out, end);
                    state.ending = Some("a comment");
                }
                b'<' | b'>' => self.redirection(out, &mut state)?,
                b'&' if self.starts_with(b"&>") => {
                    self.copy(out, if self.starts_with(b"&>>") { 3 } else { 2 })
                }
                b';' | b'&' | b'|' => self.separator(out, &mut state),
                b'(' if (state.at_command || state.after_for) && self.is_arithmetic(self.at) => {
                    self.deeper(|reader| reader.arithmetic(out, b"((", b"))"))?;
                    state.at_command = false;
                    state.ending = Some(BRACKET);
                }
                b'(' => {
                    self.copy(out, 1);
                    // The bracket that a pattern may have before it is closed with the pattern.
                    if state.open.last() != Some(&OpenCommand::Case(Case::Patterns)) {
                        state.open.push(OpenCommand::Bracket);
                    }
                    state.operator();
                }
                b')' => {
                    self.copy(out, 1);
                    if state.close_bracket() && opened.is_some() {
                        return Ok(None);
                    }
                }
                _ => {
                    let (word, plain) = self.word(state.at_command)?;
                    state.word(&word, plain.as_deref());
                    out.word(word);
                }
            }
        }
    }

    fn separator(&mut self, out: &mut ScriptItems, state: &mut ScriptCommands) {
        if (self.starts_with(b";;") || self.starts_with(b";&"))
            && let Some(open @ OpenCommand::Case(Case::Body)) = state.open.last_mut()
        {
            *open = OpenCommand::Case(Case::Patterns);
        }
        while matches!(self.peek(), Some(b';' | b'|'))
            || self.peek() == Some(b'&') && !self.starts_with(b"&>")
        {
            self.copy(out, 1);
        }
        state.operator();
    }

    fn redirection(
        &mut self,
        out: &mut ScriptItems,
        state: &mut ScriptCommands,
    ) -> Result<(), TemplateError> {
        state.ending = None;
        if self.starts_with(b"<<<") {
            self.copy(out, 3);
        } else if self.starts_with(b"<<") {
            let here_document = self.here_document_marker(out)?;
            state.here_documents.push(here_document);
        } else {
            let two = matches!(self.line.get(self.at + 1), Some(b'>' | b'&' | b'|'));
            self.copy(out, if two { 2 } else { 1 });
        }
        Ok(())
    }

    /// One word, and its text when it has no quotes or substitutions.
    fn word(&mut self, at_command: bool) -> Result<(ScriptItems, Option<Vec<u8>>), TemplateError> {
        let start = self.at;
        let mut word = ScriptItems::default();
        let mut plain = true;
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')' => break,
                // `\{}` is the text `{}`, since the brace is escaped.
                b'\\' if self.line.len() == self.at + 1 => return Err(self.unclosed("\\", self.at)),
                b'\\' => self.escaped(&mut word),
                b'\'' => self.single(&mut word)?,
                b'"' => self.double(&mut word, QuoteContext::Double)?,
                b'$' => self.dollar(&mut word, QuoteContext::Bare)?,
                b'`' => self.backquotes(&mut word, QuoteContext::Bare)?,
                b'{' if self.placeholder_at(self.at).is_some() => {
                    self.brace(&mut word, QuoteContext::Bare)
                }
                // `x[…]=` evaluates what is in the brackets.
                b'[' if at_command && plain && self.is_element(start) => {
                    self.deeper(|reader| reader.arithmetic(&mut word, b"[", b"]"))?;
                }
                _ => {
                    self.copy(&mut word, 1);
                    continue;
                }
            }
            plain = false;
        }
        Ok((word, plain.then(|| self.line[start..self.at].to_vec())))
    }

    /// Whether the `[` here comes after a variable's name that starts at `start`, and is closed
    /// before an `=`.
    fn is_element(&self, start: usize) -> bool {
        let name = &self.line[start..self.at];
        let rest = self.rest();
        let after = memchr::memchr(b']', rest).map_or(&b""[..], |end| &rest[end + 1..]);
        let closed = after.starts_with(b"=") || after.starts_with(b"+=");
        !name.is_empty() && name_length(name) == name.len() && closed
    }
}

impl ScriptCommands {
    /// An operator: a command begins after it.
    fn operator(&mut self) {
        self.at_command = true;
        self.after_for = false;
        self.ending = None;
    }

    /// Whether this `)` closes the whole list.
    fn close_bracket(&mut self) -> bool {
        if let Some(open @ OpenCommand::Case(Case::Patterns)) = self.open.last_mut() {
            *open = OpenCommand::Case(Case::Body);
            self.operator();
            return false;
        }
        self.at_command = false;
        self.ending = Some(BRACKET);
        // A `case` that is left open is one that was misjudged.
        while let Some(open) = self.open.pop() {
            if open == OpenCommand::Bracket {
                return false;
            }
        }
        true
    }

    fn word(&mut self, word: &ScriptItems, plain: Option<&[u8]>) {
        // `f() {`, `for ((…)) do`
        let after_bracket = self.ending.take() == Some(BRACKET);
        self.after_for = plain == Some(b"for");
        match (self.open.last_mut(), plain) {
            (Some(open @ OpenCommand::Case(Case::Subject)), Some(b"in")) => {
                *open = OpenCommand::Case(Case::Patterns)
            }
            (Some(OpenCommand::Case(Case::Patterns)), Some(b"esac")) => self.end_case(),
            (Some(OpenCommand::Case(Case::Body)), Some(b"esac")) if self.at_command => {
                self.end_case()
            }
            (Some(OpenCommand::Case(Case::Subject | Case::Patterns)), _) => {}
            (_, Some(b"case")) if self.at_command => {
                self.open.push(OpenCommand::Case(Case::Subject));
                self.at_command = false;
            }
            (_, Some(b"{" | b"do" | b"then")) if after_bracket => self.at_command = true,
            (
                _,
                Some(
                    b"if" | b"then" | b"else" | b"elif" | b"do" | b"while" | b"until" | b"!" | b"{"
                    | b"time",
                ),
            ) if self.at_command => {}
            (_, Some(b"fi" | b"done" | b"}")) if self.at_command => {
                self.at_command = false;
                self.ending = Some("a compound command");
            }
            _ => {
                let starts_with_assignment = match word.0.first() {
                    Some(super::item::Item::Text(text)) => {
                        is_assignment(text) || text.contains(&b'[')
                    }
                    _ => false,
                };
                self.at_command &= starts_with_assignment;
            }
        }
    }

    fn end_case(&mut self) {
        self.open.pop();
        self.at_command = false;
        self.ending = Some("a compound command");
    }

    fn ending(&self) -> Option<&'static str> {
        self.ending.or(self
            .at_command
            .then_some("an operator, where a new command would begin"))
    }
}
