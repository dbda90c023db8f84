//! What users of GNU parallel type after `hands run`: what means the same and is written otherwise,
//! what needs no saying here, and what does not exist, which is refused by its own name with what
//! to use instead.
//!
//! Options that are the same are ours (`super::run`). `$PARALLEL` and the configuration stand
//! before the command line.

use std::ffi::OsString;
use std::path::Path;

use hands_batch::joblog::commands_to_retry;

use super::definitions::{Definitions, configured};

/// The command line as our flags know it.
///
/// # Errors
///
/// What does not exist here, by its name.
pub(super) fn translated(
    own: Vec<OsString>,
) -> Result<(Vec<OsString>, Option<Definitions>), String> {
    let mut words = Vec::new();
    let is_plain = own.iter().any(|word| word == "--no-config");
    if !is_plain {
        words.extend(configured("run.conf")?);
        words.extend(of_environment()?);
    }
    words.extend(own);
    if !words.iter().any(is_special) {
        return Ok((words, None));
    }
    let mut walk = ElderWalk::new();
    Ok((walk.translate(words)?, Some(walk.run)))
}

/// The options in `$PARALLEL`, split at white space.
fn of_environment() -> Result<Vec<OsString>, String> {
    let options = std::env::var("PARALLEL").unwrap_or_default();
    if options.contains(['\'', '"', '\\']) {
        return Err("`$PARALLEL` has quotes, which are not read here; put the options into the configuration file, one a line".to_owned());
    }
    Ok(options.split_whitespace().map(OsString::from).collect())
}

fn is_special(word: &OsString) -> bool {
    let bytes = word.as_encoded_bytes();
    bytes.starts_with(b"-") && bytes.len() > 1
}

/// An option of GNU parallel that is not one of ours.
enum Elder {
    /// It needs no saying here.
    Happens,
    /// The same, with its value.
    HappensWithValue,
    /// Other words.
    Words(&'static [&'static str]),
    /// It does not exist here; what to use instead.
    Missing(&'static str),
}

fn elder(name: &str) -> Option<Elder> {
    use Elder::{Happens, HappensWithValue, Missing, Words};
    Some(match name {
        "--will-cite" | "--no-notice" | "--gnu" | "--plain" | "--noswap" | "--no-keep-order"
        | "--ungrouped" => Happens,
        "--citation" | "--bibtex" => Missing("nothing is to be cited here; leave it out"),
        "--min-version"
        | "--minversion"
        | "--tempdir"
        | "--max-line-length-allowed"
        | "--compress-program"
        | "--decompress-program" => HappensWithValue,
        "--compress" => Happens,
        "--link-input" => Words(&["--link"]),
        "-l" => Words(&["-n", "1"]),
        "-i" => Words(&[]),
        "-S" | "--sshlogin" | "--slf" | "--sshloginfile" | "--hostgroups" | "--hgrp"
        | "--controlmaster" | "-M" | "--sshdelay" | "--ssh" | "--filter-hosts" => Missing(
            "other machines take part by themselves: start `hands worker URL --allow PROGRAM` on each, and say `hands run --cluster URL` here; `hands cluster dev` starts a server to try it with",
        ),
        "--onall" | "--nonall" => Missing(
            "each job runs on one machine; for a command on all of them: hands run ssh {} COMMAND ::: HOST...",
        ),
        "--transfer" | "--transferfile" | "--tf" | "--basefile" | "--bf" => {
            Missing("`--send FILE` sends a file with each job: `--cluster URL --send {}`")
        }
        "--trc" => Missing("`--send {} --return FILE`; what was sent is removed by itself"),
        "--cleanup" => Missing("what was sent with `--send` is removed by itself; leave it out"),
        "--limit" => Missing("`--load` and `--memfree` hold jobs back"),
        "--semaphore" => Missing("`hands sem` does that"),
        "--fg" | "--bg" | "--id" | "--semaphorename" | "--semaphoretimeout" | "--wait" => {
            Missing("it is for `hands sem`")
        }
        "--files0" => Missing(
            "`--files` prints a name a line; `--results DIR` keeps outputs in files whose names are known",
        ),
        "--parens" | "--extensionreplace" | "--er" | "--basenamereplace" | "--bnr"
        | "--dirnamereplace" | "--dnr" | "--seqreplace" | "--slotreplace" | "-U" => {
            Missing("placeholders keep their names here; `--rpl` defines more")
        }
        "--tmux" | "--tmuxpane" => {
            Missing("the progress display shows what runs; `--results` keeps what each has written")
        }
        "--memsuspend" => Missing("`--memfree` starts no more jobs while memory is short"),
        "--shellquote" | "--shell-quote" => {
            Missing("`--dry-run` prints commands that can be pasted")
        }
        "--sql" | "--sqlmaster" | "--sqlworker" | "--sqlandworker" => {
            Missing("`--joblog` and `--results FILE.csv` are files that databases read")
        }
        "--record-env" | "--session" | "--env_" => {
            Missing("jobs have the environment that is exported")
        }
        "--embed"
        | "--parset"
        | "--filter"
        | "--group-by"
        | "--groupby"
        | "--bin"
        | "--shard"
        | "--combineexec"
        | "--ctag"
        | "--ctagstring"
        | "--color-failed"
        | "--colour-failed"
        | "--hostgroup"
        | "--number-of-sockets"
        | "--recordend"
        | "--pipe-part" => Missing("it has no counterpart here"),
        "--number-of-cpus" | "--number-of-cores" | "--number-of-threads" | "--show-limits" => {
            Missing("`nproc` and `getconf ARG_MAX` tell that")
        }
        _ => return None,
    })
}

struct ElderWalk {
    run: Definitions,
    replaced: Option<String>,
    retries_failed: bool,
    joblog: Option<OsString>,
}

impl ElderWalk {
    fn new() -> ElderWalk {
        ElderWalk {
            run: Definitions::of_run(),
            replaced: None,
            retries_failed: false,
            joblog: None,
        }
    }

    fn translate(&mut self, given: Vec<OsString>) -> Result<Vec<OsString>, String> {
        let mut words = Vec::with_capacity(given.len());
        let mut rest = given.into_iter();
        while let Some(word) = rest.next() {
            let is_option = is_special(&word) && word != "--";
            let text = word.to_str().filter(|_| is_option).map(str::to_owned);
            let Some(text) = text else {
                // The command begins.
                let mut command: Vec<OsString> = std::iter::once(word).chain(rest).collect();
                if let Some(replaced) = &self.replaced {
                    put_in_place(&mut command, replaced);
                }
                words.extend(command);
                return self.with_failed(words);
            };
            let (name, attached) = match text.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value)),
                _ => (text.as_str(), None),
            };
            let next = rest.as_slice().first().cloned();
            match name {
                "-I" | "--replace" => {
                    let value = attached.map(OsString::from).or_else(|| rest.next());
                    let value = value.unwrap_or_default().to_string_lossy().into_owned();
                    self.replaced = Some(value).filter(|value| value != "{}" && !value.is_empty());
                }
                _ if name.starts_with("-I") && !name.starts_with("--") => {
                    self.replaced = Some(name[2..].to_owned()).filter(|value| value != "{}");
                }
                "--retry-failed" => self.retries_failed = true,
                "--joblog" => {
                    self.joblog = attached.map(OsString::from).or_else(|| next.clone());
                    words.push(word);
                    if attached.is_none() {
                        words.extend(rest.next());
                    }
                }
                // With nothing behind it, as GNU parallel has it.
                "--progress" if attached.is_none() => {
                    let kinds = ["auto", "bar", "plain", "none"];
                    let is_kind = next.is_some_and(|next| kinds.iter().any(|kind| next == *kind));
                    match (is_kind, rest.as_slice().first()) {
                        (true, Some(_)) => words.extend([word, rest.next().unwrap_or_default()]),
                        _ => words.push("--progress=bar".into()),
                    }
                }
                // What is exported jobs have anyway.
                "--env" => {
                    let value = attached.map(OsString::from).or_else(|| rest.next());
                    let value = value.unwrap_or_default();
                    if value.as_encoded_bytes().contains(&b'=') {
                        words.extend([OsString::from("--env"), value]);
                    }
                }
                "-J" | "--profile" => {
                    let value = attached.map(OsString::from).or_else(|| rest.next());
                    let value = value.unwrap_or_default().to_string_lossy().into_owned();
                    if value.contains('/') {
                        return Err(format!(
                            "`--profile {value}` is no name of a profile, which has no `/`"
                        ));
                    }
                    let options = configured(&format!("{value}.conf"))?;
                    if options.is_empty() {
                        return Err(format!(
                            "`--profile {value}`: there is no `{value}.conf` among the configuration files"
                        ));
                    }
                    words.extend(options);
                }
                "--no-config" => {}
                _ => match self.of_elder(name, attached)? {
                    Some(Elder::Happens) => {}
                    Some(Elder::HappensWithValue) if attached.is_none() => drop(rest.next()),
                    Some(Elder::Words(ours)) => words.extend(ours.iter().map(OsString::from)),
                    Some(_) => {}
                    None => {
                        let takes = attached.is_none() && self.run.takes_value(name);
                        words.push(word);
                        if takes {
                            words.extend(rest.next());
                        }
                    }
                },
            }
        }
        self.with_failed(words)
    }

    /// One that is not ours; those that do not exist are errors.
    fn of_elder(&self, name: &str, attached: Option<&str>) -> Result<Option<Elder>, String> {
        // `-Shost`, `-U{}`.
        let short = name
            .get(..2)
            .filter(|_| !name.starts_with("--") && name.len() > 2);
        let known = elder(name).or_else(|| {
            let short = short?;
            (!self.run.knows(short)).then(|| elder(short)).flatten()
        });
        match known {
            Some(Elder::Missing(instead)) => Err(format!(
                "`{name}` of GNU parallel does not exist here\n  hint: {instead}"
            )),
            known => Ok(known.filter(|_| attached.is_none() || name.starts_with("--"))),
        }
    }

    /// `--retry-failed`: the commands come from the log.
    fn with_failed(&self, mut words: Vec<OsString>) -> Result<Vec<OsString>, String> {
        if !self.retries_failed {
            return Ok(words);
        }
        let Some(path) = &self.joblog else {
            return Err("`--retry-failed` runs the failed commands of a log\n  hint: name it with `--joblog FILE`".to_owned());
        };
        let commands = commands_to_retry(Path::new(path)).map_err(|error| error.to_string())?;
        words.push("--resume-failed".into());
        words.push(":::".into());
        words.extend(commands);
        Ok(words)
    }
}

/// `-I ,`: what stands for an input. Up to the inputs.
fn put_in_place(command: &mut [OsString], replaced: &str) {
    for word in command {
        if word.as_encoded_bytes().starts_with(b":::") {
            break;
        }
        if let Some(text) = word.to_str() {
            *word = text.replace(replaced, "{}").into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated_words(line: &str) -> Result<String, String> {
        let words = line.split(' ').map(OsString::from).collect();
        let words = ElderWalk::new().translate(words)?;
        let words: Vec<String> = words
            .iter()
            .map(|word| word.display().to_string())
            .collect();
        Ok(words.join(" "))
    }

    #[test]
    fn what_needs_no_saying_or_is_written_otherwise_is_taken() {
        for (typed, ours) in [
            ("--will-cite -j4 echo --gnu ::: a", "-j4 echo --gnu ::: a"),
            ("-I , echo , x, ::: a,b", "echo {} x{} ::: a,b"),
            ("-I{} echo {} ::: a", "echo {} ::: a"),
            ("--progress echo ::: a", "--progress=bar echo ::: a"),
            ("--progress none echo ::: a", "--progress none echo ::: a"),
            ("--env PATH --env A=b env ::: a", "--env A=b env ::: a"),
            ("--tempdir /x -k echo", "-k echo"),
            ("-j 2 --tag echo -S", "-j 2 --tag echo -S"),
            ("-l echo", "-n 1 echo"),
        ] {
            assert_eq!(translated_words(typed).as_deref(), Ok(ours), "{typed}");
        }
    }

    #[test]
    fn what_does_not_exist_is_refused_by_its_name() {
        for name in ["-S", "--sshlogin", "--tmux", "--semaphore", "-S:", "--sql"] {
            let told = translated_words(&format!("{name} echo ::: a")).expect_err(name);
            assert!(told.contains(name) && told.contains("hint:"), "{told}");
        }
        let told = translated_words("--retry-failed").expect_err("no log");
        assert!(told.contains("--joblog"), "{told}");
    }
}
