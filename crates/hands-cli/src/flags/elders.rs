//! What users of curl, wget and aria2 type after `hands fetch`: where it means the same it is
//! taken, else it is refused by its own name, with ours beside it. And the configuration file,
//! whose words stand before those of the command line.
//!
//! The table is in the manual ([`super::manual::FETCH_SECTIONS`]); each line of it is tried by a
//! test.

use std::ffi::OsString;

use clap::FromArgMatches;

use super::RunFlags;
use super::definitions::{Definitions, configured};

/// The command line as our flags know it.
///
/// # Errors
///
/// What means something else here, or nothing; what is wrong with the configuration file.
pub(crate) fn translated(argv: Vec<OsString>) -> Result<ElderWords, String> {
    let mut words = argv;
    let command = words.get(1).and_then(|command| command.to_str());
    match command {
        Some("run") => {
            let own = words.split_off(2);
            let (own, run) = super::parallel::translated(own)?;
            words.extend(own);
            return Ok(ElderWords { argv: words, run });
        }
        Some("fetch") => {}
        _ => return Ok(ElderWords::new(words)),
    }
    let own = words.split_off(2);
    let is_end = |word: &&OsString| word.as_os_str() == "--";
    let options = own.iter().take_while(|word| !is_end(word));
    if !options.clone().any(|word| word == "--no-config") {
        words.extend(configured("fetch.conf")?);
    }
    if options.clone().any(is_special) {
        words.extend(Elders::new().translate(own)?);
    } else {
        words.extend(own);
    }
    Ok(ElderWords::new(words))
}

/// Those that are looked at; the others are ours, or unknown.
fn is_special(word: &OsString) -> bool {
    let Some(word) = word.to_str() else {
        return false;
    };
    let is_cluster = word.starts_with('-') && !word.starts_with("--") && word.len() > 1;
    is_cluster || word.starts_with("--continue-at") || word == "--silent" || word == "--request"
}

/// The command line as our flags know it, and what was made of them to find out.
pub(crate) struct ElderWords {
    pub(crate) argv: Vec<OsString>,
    run: Option<Definitions>,
}

impl ElderWords {
    fn new(argv: Vec<OsString>) -> ElderWords {
        ElderWords { argv, run: None }
    }

    /// The flags of `hands run`, if nothing is wrong with them and no help is asked for. What is
    /// wrong [`Cli`](super::Cli) says, which knows all commands: to build those, too, would take
    /// longer than a short job.
    pub(crate) fn run_flags(&mut self) -> Option<RunFlags> {
        let own = self.argv.get(1..)?;
        if own.first()? != "run" {
            return None;
        }
        let definitions = self.run.take().unwrap_or_else(Definitions::of_run);
        // Never taken to pieces: that would be the last thing before the jobs begin.
        let mut command = std::mem::ManuallyDrop::new(definitions.0);
        let matches = command.try_get_matches_from_mut(own).ok()?;
        RunFlags::from_arg_matches(&matches).ok()
    }
}

struct Elders {
    fetch: Definitions,
}

impl Elders {
    fn new() -> Elders {
        Elders {
            fetch: Definitions::of_fetch(),
        }
    }

    fn translate(&self, own: Vec<OsString>) -> Result<Vec<OsString>, String> {
        let mut words = Vec::with_capacity(own.len());
        let mut rest = own.into_iter();
        while let Some(word) = rest.next() {
            if word == "--" {
                words.push(word);
                words.extend(rest);
                break;
            }
            let Some(text) = word.to_str() else {
                words.push(word);
                continue;
            };
            let value = rest.as_slice().first().and_then(|next| next.to_str());
            match meaning(text, value)? {
                Meaning::Ours if self.fetch.takes_value(text) => {
                    words.push(word);
                    words.extend(rest.next());
                }
                Meaning::Ours => words.push(word),
                Meaning::Words(ours) => words.extend(ours.iter().map(OsString::from)),
                Meaning::WithValue(ours) => {
                    let value = rest.next().unwrap_or_default();
                    for name in ours {
                        words.extend([OsString::from(name), value.clone()]);
                    }
                }
            }
        }
        Ok(words)
    }
}

/// What a word means here.
enum Meaning {
    /// What our flags say.
    Ours,
    /// These words; none: it happens anyway.
    Words(Vec<&'static str>),
    /// These options, each with the word behind; none: the word behind is of no account either.
    WithValue(&'static [&'static str]),
}

fn is_url(text: &str) -> bool {
    text.contains("://")
}

fn is_size(text: &str) -> bool {
    let digits = text.trim_end_matches(['k', 'K', 'm', 'M', 'g', 'G']);
    !digits.is_empty()
        && digits.len() < text.len()
        && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn meaning(word: &str, value: Option<&str>) -> Result<Meaning, String> {
    let is_number = value.is_some_and(|value| value.parse::<f64>().is_ok());
    let behind = value.unwrap_or_default();
    let refuse = |why: &str| Err(format!("`{word} {behind}`: {why}"));
    Ok(match word {
        "-nc" => Meaning::Words(vec!["--no-clobber"]),
        "-nv" => Meaning::Words(vec!["--progress=none"]),
        "-nd" => Meaning::Words(Vec::new()),
        "-C-" | "--continue-at=-" => Meaning::Words(Vec::new()),
        "-C" | "--continue-at" if behind == "-" => Meaning::WithValue(&[]),
        "-C" | "--continue-at" => {
            return refuse(
                "what has come is taken up anyway; for some bytes of a file there is --range",
            );
        }
        "--silent" => Meaning::Words(vec!["--quiet"]),
        // curl's, which keeps the name that the server has: that happens anyway. wget's has a name
        // behind it.
        "-O" if is_url(behind) || value.is_none() || behind.starts_with('-') && behind != "-" => {
            Meaning::Words(Vec::new())
        }
        "-s" if !is_number => Meaning::Words(vec!["--quiet"]),
        "-x" if !is_number => {
            return refuse("-x is the connections of a file, as in aria2; curl's -x is --proxy");
        }
        "-d" if behind.starts_with(['@', '{']) || behind.contains('=') => {
            return refuse("-d is the folder here, as in aria2; curl's -d is --data");
        }
        "-A" if behind.contains('*') || (behind.contains(',') && !behind.contains(' ')) => {
            return refuse(
                "-A is the name that we call ourselves, as in curl; wget's -A chooses among the files of a site, and here the list says which",
            );
        }
        "-i" if is_url(behind) => {
            return refuse(
                "-i is a file of URLs, as in wget and aria2; what curl's -i shows is shown by --head",
            );
        }
        "-k" if is_size(behind) => {
            return refuse(
                "-k trusts any certificate, as in curl; aria2's -k has no counterpart: a segment has 1 MiB or more",
            );
        }
        "-r" if is_url(behind) => {
            return refuse("-r is a range of bytes, as in curl; a whole site is not fetched here");
        }
        "-T" if is_number => Meaning::WithValue(&["--connect-timeout", "--idle-timeout"]),
        "-T" => return refuse("nothing is uploaded here"),
        "-X" | "--request" if behind == "GET" => Meaning::WithValue(&[]),
        "-X" | "--request" => return refuse("GET is what is sent, and POST with --data"),
        _ => cluster(word).map_or(Meaning::Ours, Meaning::Words),
    })
}

/// `-fsSL`, `-LO`, `-sSLJO`: several letters of curl in one word, as its users write them.
fn cluster(word: &str) -> Option<Vec<&'static str>> {
    let letters = word.strip_prefix('-').filter(|letters| letters.len() > 1)?;
    let mut words = Vec::new();
    for (at, letter) in letters.char_indices() {
        match letter {
            // Its value is the next word.
            'o' if at + 1 == letters.len() => words.push("-o"),
            'f' | 'S' | 'L' | 'O' => {}
            's' => words.push("--quiet"),
            'k' => words.push("--insecure"),
            'g' => words.push("--globoff"),
            'I' => words.push("--head"),
            'J' => words.push("--content-disposition"),
            '4' => words.push("--ipv4"),
            '6' => words.push("--ipv6"),
            _ => return None,
        }
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::super::definitions::options;
    use super::*;

    fn translated_words(line: &str) -> Result<String, String> {
        let words = line.split(' ').map(OsString::from).collect();
        let words = Elders::new().translate(words)?;
        let words: Vec<String> = words
            .iter()
            .map(|word| word.display().to_string())
            .collect();
        Ok(words.join(" "))
    }

    #[test]
    fn what_means_the_same_is_taken() {
        for (typed, ours) in [
            ("-O http://a/x http://a/y", "http://a/x http://a/y"),
            ("-O name http://a/x", "-O name http://a/x"),
            ("-O - http://a/x", "-O - http://a/x"),
            ("-fsSL http://a/x", "--quiet http://a/x"),
            ("-LO http://a/x", "http://a/x"),
            ("-sLo out http://a/x", "--quiet -o out http://a/x"),
            (
                "-sLJO http://a/x",
                "--quiet --content-disposition http://a/x",
            ),
            ("-s http://a/x", "--quiet http://a/x"),
            ("-s 4 http://a/x", "-s 4 http://a/x"),
            ("-x16 -s 16 -j 5 x", "-x16 -s 16 -j 5 x"),
            ("-C - x", "x"),
            ("-C- x", "x"),
            ("-nc -nv x", "--no-clobber --progress=none x"),
            ("-T 5 x", "--connect-timeout 5 --idle-timeout 5 x"),
            ("-X GET x", "x"),
            ("-H -nc x", "-H -nc x"),
            ("-- -nc", "-- -nc"),
            ("-d out x", "-d out x"),
        ] {
            assert_eq!(translated_words(typed).as_deref(), Ok(ours), "{typed}");
        }
    }

    #[test]
    fn what_means_something_else_is_refused_by_its_name() {
        for (typed, ours) in [
            ("-d a=b x", "--data"),
            ("-d @file x", "--data"),
            ("-x proxy:3128 x", "--proxy"),
            ("-A *.pdf x", "the list says which"),
            ("-i http://a/x", "--head"),
            ("-k 1M x", "no counterpart"),
            ("-C 100 x", "--range"),
            ("-r http://a/x", "a whole site"),
            ("-T file x", "uploaded"),
            ("-X PUT x", "--data"),
        ] {
            let told = translated_words(typed).expect_err(typed);
            assert!(told.contains(ours), "{typed}: {told}");
        }
    }

    #[test]
    fn a_configuration_has_an_option_a_line() {
        let words = options("# mine\n\n--dir out\n  --user-agent \"a b\"\n--quiet\n--retries=3\n");
        let words = words.map(|words| words.join(" ".as_ref()));
        assert_eq!(
            words,
            Ok("--dir out --user-agent a b --quiet --retries=3".into())
        );
        assert_eq!(options("--quiet\ndir out\n"), Err(2));
    }
}
