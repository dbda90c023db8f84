//! Placeholders that a user defines: `{..}` and the like, as `--rpl` and `--plus` of GNU parallel
//! have them.
//!
//! A definition is a name and what is done to an input: substitutions as Perl and `sed` write them,
//! `s/REGEX/TEXT/` with any delimiter, separated by `;` (each is done) or `||` (the first that
//! matches is done). Perl beyond that is refused. Regular expressions are those of the `regex`
//! crate: no look-around, no back-references.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::OnceLock;

use parking_lot::Mutex;
use regex::bytes::{Regex, RegexBuilder};

/// A placeholder's definition.
///
/// ```
/// use hands_batch::template::{JobArgs, TemplateOptions, Rule, Template};
///
/// let rule = Rule::parse(r"{..} s:\.[^/.]+$::; s:\.[^/.]+$::")?;
/// let options = TemplateOptions { rules: vec![rule], ..TemplateOptions::default() };
/// let template = Template::parse(&["echo {..}"], options)?;
/// let rows = [vec![b"a/b.tar.gz".to_vec()]];
/// assert_eq!(template.argv(&JobArgs { rows: &rows, seq: 1, slot: 1 })?, [&b"echo"[..], b"a/b"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct Rule(&'static Definition);

struct Definition {
    /// What stands between the braces.
    inside: Vec<u8>,
    code: String,
    steps: Vec<Vec<Edit>>,
}

/// Why a definition is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError(String);

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RuleError {}

impl Rule {
    /// Reads `NAME CODE`, such as `{..} s:\.[^/.]+\.[^/.]+$::`.
    ///
    /// Each different definition takes memory until the program ends.
    ///
    /// # Errors
    ///
    /// The name is not in braces, or the code is more than substitutions.
    pub fn parse(text: &str) -> Result<Rule, RuleError> {
        static KNOWN: OnceLock<Mutex<HashMap<String, Rule>>> = OnceLock::new();
        let known = KNOWN.get_or_init(Mutex::default);
        if let Some(rule) = known.lock().get(text) {
            return Ok(*rule);
        }
        let (name, code) = text
            .trim()
            .split_once(char::is_whitespace)
            .unwrap_or((text, ""));
        let inside = name
            .strip_prefix('{')
            .and_then(|name| name.strip_suffix('}'))
            .filter(|inside| !inside.is_empty() && !inside.contains('}'));
        let Some(inside) = inside else {
            return Err(RuleError(format!(
                "`{name}` is no name of a placeholder, which is in braces, such as `{{..}}`"
            )));
        };
        let definition = Definition {
            inside: inside.into(),
            code: code.trim().to_owned(),
            steps: steps(code)?,
        };
        let rule = Rule(Box::leak(Box::new(definition)));
        Ok(*known.lock().entry(text.to_owned()).or_insert(rule))
    }

    /// Those of `--plus`: `{..}` `{...}` without two and three extensions, `{/..}` `{/...}` of the
    /// file name, and the parts that these leave out: `{+/}` the folder, `{+.}` `{+..}` `{+...}`
    /// the extensions.
    ///
    /// Source: `--plus` in the manual of GNU parallel.
    pub fn plus() -> Vec<Rule> {
        let all = [
            r"{+/} s:/[^/]*$:: || s:.*::",
            r"{+.} s:.*\.:: || s:.*::",
            r"{+..} s:.*\.([^/.]+\.[^/.]+)$:$1: || s:.*::",
            r"{+...} s:.*\.([^/.]+\.[^/.]+\.[^/.]+)$:$1: || s:.*::",
            r"{..} s:\.[^/.]+\.[^/.]+$::",
            r"{...} s:\.[^/.]+\.[^/.]+\.[^/.]+$::",
            r"{/..} s:.*/::; s:\.[^/.]+\.[^/.]+$::",
            r"{/...} s:.*/::; s:\.[^/.]+\.[^/.]+\.[^/.]+$::",
        ];
        all.iter()
            .filter_map(|text| Rule::parse(text).ok())
            .collect()
    }

    pub(super) fn inside(&self) -> &'static [u8] {
        &self.0.inside
    }

    pub(super) fn apply(self, value: &[u8]) -> Cow<'_, [u8]> {
        let mut value = Cow::Borrowed(value);
        for alternatives in &self.0.steps {
            let done = alternatives.iter().find(|edit| edit.find.is_match(&value));
            if let Some(edit) = done {
                value = Cow::Owned(edit.apply(&value));
            }
        }
        value
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{{{}}} {}",
            String::from_utf8_lossy(&self.0.inside),
            self.0.code
        )
    }
}

// Equal definitions are one: `parse` keeps them.
impl PartialEq for Rule {
    fn eq(&self, other: &Rule) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for Rule {}

impl Hash for Rule {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::ptr::from_ref(self.0).hash(state);
    }
}

/// One substitution.
struct Edit {
    find: Regex,
    put: Vec<u8>,
    everywhere: bool,
}

impl Edit {
    fn apply(&self, value: &[u8]) -> Vec<u8> {
        let most = if self.everywhere { 0 } else { 1 };
        self.find
            .replacen(value, most, self.put.as_slice())
            .into_owned()
    }
}

fn steps(code: &str) -> Result<Vec<Vec<Edit>>, RuleError> {
    let mut steps = vec![Vec::new()];
    let mut rest = code.trim();
    while !rest.is_empty() {
        let (edit, behind) = edit(rest, code)?;
        if let Some(step) = steps.last_mut() {
            step.push(edit);
        }
        rest = behind.trim_start();
        if let Some(more) = rest.strip_prefix("||") {
            rest = more.trim_start();
        } else if let Some(more) = rest.strip_prefix(';') {
            rest = more.trim_start();
            steps.push(Vec::new());
        } else if !rest.is_empty() {
            return Err(needs_perl(code));
        }
    }
    Ok(steps)
}

fn needs_perl(code: &str) -> RuleError {
    RuleError(format!(
        "`{}` needs Perl; what works are substitutions such as `s:\\.gz$::`, one after the other with `;` between them",
        code.trim()
    ))
}

/// The substitution that `text` starts with, and what stands after it.
fn edit<'a>(text: &'a str, code: &str) -> Result<(Edit, &'a str), RuleError> {
    let inside = text.strip_prefix('s').ok_or_else(|| needs_perl(code))?;
    let delimiter = inside.chars().next().ok_or_else(|| needs_perl(code))?;
    if delimiter.is_alphanumeric() || delimiter.is_whitespace() || "{}()<>[]\\".contains(delimiter)
    {
        return Err(needs_perl(code));
    }
    let inside = &inside[delimiter.len_utf8()..];
    let (find, inside) = until(inside, delimiter).ok_or_else(|| needs_perl(code))?;
    let (put, behind) = until(inside, delimiter).ok_or_else(|| needs_perl(code))?;
    let flags = behind.len()
        - behind
            .trim_start_matches(|flag: char| flag.is_ascii_alphabetic())
            .len();
    let (flags, behind) = behind.split_at(flags);
    if flags.contains(|flag| !"gisx".contains(flag)) {
        return Err(needs_perl(code));
    }
    let find = RegexBuilder::new(&find)
        .case_insensitive(flags.contains('i'))
        .dot_matches_new_line(flags.contains('s'))
        .ignore_whitespace(flags.contains('x'))
        .unicode(true)
        .build()
        .map_err(|error| {
            RuleError(format!(
                "`{find}` is not understood as a regular expression: {error}"
            ))
        })?;
    let edit = Edit {
        find,
        put: replacement(&put),
        everywhere: flags.contains('g'),
    };
    Ok((edit, behind))
}

/// The text up to `delimiter`, in which a backslash keeps one from being the end.
fn until(text: &str, delimiter: char) -> Option<(String, &str)> {
    let mut part = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => {
                let (_, next) = letters.next()?;
                if next != delimiter {
                    part.push('\\');
                }
                part.push(next);
            }
            _ if letter == delimiter => return Some((part, &text[at + letter.len_utf8()..])),
            _ => part.push(letter),
        }
    }
    None
}

/// `$1`, `${1}` and `\1` as the `regex` crate writes them; a backslash makes any other character
/// text.
fn replacement(put: &str) -> Vec<u8> {
    let mut out = String::new();
    let mut letters = put.chars().peekable();
    while let Some(letter) = letters.next() {
        match (letter, letters.peek().copied()) {
            ('$' | '\\', Some(digit)) if digit.is_ascii_digit() => {
                out.push_str(&format!("${{{digit}}}"));
                letters.next();
            }
            ('$', Some('{' | '&')) if letters.peek() == Some(&'&') => {
                out.push_str("${0}");
                letters.next();
            }
            ('$', Some('{')) => out.push('$'),
            ('$', _) => out.push_str("$$"),
            ('\\', Some(next)) => {
                out.push_str(if next == '$' { "$$" } else { "" });
                if next != '$' {
                    out.push(next);
                }
                letters.next();
            }
            (letter, _) => out.push(letter),
        }
    }
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn gives(rule: &str, value: &str, wanted: &str) {
        let rule = Rule::parse(rule).expect(rule);
        assert_eq!(
            String::from_utf8_lossy(&rule.apply(value.as_bytes())),
            wanted,
            "{rule:?} of {value}"
        );
    }

    #[test]
    fn substitutions_are_done_as_perl_does_them() {
        gives(r"{..} s:\.[^/.]+$::;s:\.[^/.]+$::", "a.b.c", "a");
        gives("{o} s/o/0/", "foo", "f0o");
        gives("{O} s/O/0/gi", "foo", "f00");
        gives("{x} s/(.)(.)/$2$1/", "abc", "bac");
        gives("{x1} s/(.)b/${1}1/", "abc", "a1c");
        gives(r"{y} s/(.)/\1\1/", "abc", "aabc");
        gives(r"{p} s/b/\$1/", "abc", "a$1c");
        gives(r"{q} s#/#\\#", "a/b", r"a\b");
        gives(r"{r} s/\//-/g", "a/b/c", "a-b-c");
        gives("{alt} s/x/1/ || s/b/2/", "abc", "a2c");
    }

    #[test]
    fn what_needs_perl_is_refused_by_its_text() {
        for text in [
            "{a} $_ = uc($_)",
            "{a} uc",
            "{a} s/x/y/e",
            "{a} s{x}{y}",
            "{a} s/x",
            "{a} tr/a/b/",
            "{a} s/(?=x)//",
        ] {
            let told = Rule::parse(text).expect_err(text).to_string();
            assert!(told.contains('`'), "{told}");
        }
        assert!(Rule::parse("a s/x/y/").is_err());
        assert!(Rule::parse("{} s/x/y/").is_err());
    }

    #[test]
    fn plus_has_what_gnu_parallel_s_has() {
        let all = Rule::plus();
        let value = |inside: &str, value: &str| {
            let rule = all
                .iter()
                .find(|rule| rule.inside() == inside.as_bytes())
                .expect(inside);
            String::from_utf8_lossy(&rule.apply(value.as_bytes())).into_owned()
        };
        for (inside, wanted) in [
            ("+/", "a/b"),
            ("+.", "gz"),
            ("+..", "tar.gz"),
            ("+...", "y.tar.gz"),
            ("..", "a/b/x.y"),
            ("...", "a/b/x"),
            ("/..", "x.y"),
            ("/...", "x"),
        ] {
            assert_eq!(value(inside, "a/b/x.y.tar.gz"), wanted, "{inside}");
        }
        assert_eq!(value("+/", "x"), "");
        assert_eq!(value("+.", "x"), "");
    }
}
