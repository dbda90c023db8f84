//! Inputs that stand inside a word which another shell will read as a script: there no quoting of
//! ours reaches.
//!
//! `bash -c "echo {}"` becomes `bash -c "echo a; reboot"` for the input `a; reboot`. Found by the
//! command's words: a shell with `-c`, `eval`, `su -c`, `ssh HOST`. A word that is the placeholder
//! and nothing else (`bash -c {}`) means that the input is the script.

use std::ffi::OsString;

const SHELLS: [&str; 9] = [
    "sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "fish", "busybox",
];

/// Words behind which a new command begins.
const OPERATORS: &str = "|&;()\n";

/// A word, and whether its text is one placeholder and nothing else.
#[derive(Debug, Default)]
struct NestedWord {
    text: String,
}

impl NestedWord {
    fn has_input(&self) -> bool {
        let mut rest = self.text.as_str();
        while let Some(at) = rest.find('{') {
            rest = &rest[at + 1..];
            let Some(end) = rest.find('}') else {
                return false;
            };
            if is_placeholder(&rest[..end]) {
                return true;
            }
        }
        false
    }

    fn is_input(&self) -> bool {
        let inside = self
            .text
            .strip_prefix('{')
            .and_then(|text| text.strip_suffix('}'));
        inside.is_some_and(is_placeholder)
    }

    fn base(&self) -> &str {
        self.text.rsplit('/').next().unwrap_or_default()
    }
}

/// Of an input: `{#}` and `{%}` are numbers.
fn is_placeholder(inside: &str) -> bool {
    let name = inside.trim_end_matches(['.', '/']);
    let is_number = name
        .trim_start_matches('-')
        .bytes()
        .all(|byte| byte.is_ascii_digit());
    let is_name = name.chars().all(|c| c.is_alphanumeric() || c == '_');
    (is_number || is_name) && !inside.contains(',')
}

/// The commands of a line, each as its words with the quotes off; or the words as they are, if
/// there are several.
fn commands(words: &[OsString]) -> Vec<Vec<NestedWord>> {
    if let [line] = words {
        return split(&line.to_string_lossy());
    }
    let word = |word: &OsString| NestedWord {
        text: word.to_string_lossy().into_owned(),
    };
    vec![words.iter().map(word).collect()]
}

fn split(line: &str) -> Vec<Vec<NestedWord>> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<NestedWord> = None;
    let mut quote = None;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), letter) if open == letter => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => {
                word.get_or_insert_default().text.extend(letters.next());
            }
            (None, letter) if letter.is_whitespace() || OPERATORS.contains(letter) => {
                if let (Some(word), Some(command)) = (word.take(), commands.last_mut()) {
                    command.push(word);
                }
                if OPERATORS.contains(letter) {
                    commands.push(Vec::new());
                }
            }
            (_, letter) => word.get_or_insert_default().text.push(letter),
        }
    }
    if let (Some(word), Some(command)) = (word, commands.last_mut()) {
        command.push(word);
    }
    commands
}

/// Where an input stands like that, and how to write it instead.
pub(super) fn found(words: &[OsString]) -> Option<String> {
    commands(words)
        .iter()
        .find_map(|command| in_command(command))
}

fn in_command(words: &[NestedWord]) -> Option<String> {
    for (at, word) in words.iter().enumerate() {
        let rest = &words[at + 1..];
        let name = word.base();
        if SHELLS.contains(&name) || name == "su" {
            let is_flag = |word: &NestedWord| {
                let letters = word
                    .text
                    .strip_prefix('-')
                    .filter(|rest| !rest.starts_with('-'));
                letters.is_some_and(|letters| letters.contains('c'))
            };
            let flag = rest.iter().position(is_flag);
            let script = flag.and_then(|flag| rest.get(flag + 1));
            if script.is_some_and(|script| script.has_input() && !script.is_input()) {
                return Some(format!(
                    "an input stands inside a word that `{name} -c` reads as a script, where what is in it may run as a command\n  hint: give it as an argument: {name} -c '... \"$1\" ...' _ {{}}"
                ));
            }
        }
        if name == "eval" && rest.iter().any(|word| word.has_input() && !word.is_input()) {
            return Some("an input stands inside what `eval` reads as a script, where what is in it may run as a command\n  hint: leave `eval` out".to_owned());
        }
        if name == "ssh" {
            let host = rest.iter().position(|word| !word.text.starts_with('-'));
            let script = host.map_or(&[][..], |host| &rest[host + 1..]);
            if script.iter().any(NestedWord::has_input) {
                return Some("an input stands among what `ssh` has a shell over there read, where what is in it may run as a command\n  hint: send it through stdin, or see that no input has anything but letters and digits".to_owned());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_found(line: &str) -> bool {
        found(&[line.into()]).is_some()
    }

    #[test]
    fn inputs_that_another_shell_reads_are_found() {
        for line in [
            "bash -c \"echo {}\"",
            "bash -c 'echo {}'",
            "/bin/sh -ec 'cp {} {.}.bak'",
            "sudo -u me bash -lc \"cat {1}\"",
            "find . -exec sh -c 'grep {} \"$1\"' _ \\;",
            "cd x && zsh -c \"a {name}\"",
            "eval \"echo {}\"",
            "eval echo x{}",
            "su me -c 'ls {}'",
            "ssh host ls {}",
            "ssh -p 22 host \"ls {}\"",
            "true | bash -c \"echo {//}\"",
        ] {
            assert!(is_found(line), "{line}");
        }
        let words = ["bash", "-c", "echo {}"].map(OsString::from);
        assert!(found(&words).is_some());
    }

    #[test]
    fn what_is_safe_is_not() {
        for line in [
            "bash -c 'echo \"$1\"' _ {}",
            "bash -c {}",
            "sh script {}",
            "echo bash -c x {}",
            "eval {}",
            "bash -c 'echo {#} {%} {a,b} {1..3} {print $1}' _ {}",
            "ssh {} uptime",
            "tar -c {}",
            "echo {}",
        ] {
            assert!(!is_found(line), "{line}");
        }
    }
}
