//! What there is to say about `hands run` beside its flags: shown at the end of `hands run --help`
//! and in the man page.

/// A section's heading, and its text as it is to be laid out: lines of at most 78 columns.
type Section = (&'static str, &'static str);

/// The sections, in order.
pub(crate) const SECTIONS: &[Section] = &[
    (
        "Replaced in the command",
        "\
{}     the input                 {#}     the number of the job, from 1
{.}    without its extension     {%}     the slot it runs in, from 1
{/}    without its directory     {1}     column or source 1, also {1.} {1/} …
{//}   its directory             {name}  a column by name (--csv)   
{/.}   without either

Without any of these the input is added at the end. A command without shell
syntax is run directly. One with shell syntax runs in a shell, and what is
replaced is quoted for it: every byte of an input arrives as it was.",
    ),
    (
        "Where inputs come from",
        "\
::: a b      the words a and b; with several `:::`, every combination
:::+ x y     linked with the source before: first with first, and so on,
             until the shortest ends
:::: FILE    the lines of FILE, `-` for stdin; `::::+` links
(none)       the lines of stdin; where it is empty nothing runs",
    ),
    (
        "What jobs know, and what is kept",
        "\
HANDS_SEQ   in a job's environment: its number, as {#}
HANDS_SLOT  the slot it runs in, as {%}
--joblog    a line for each job that has ended, tabs between: Seq Host
            Starttime JobRuntime Send Receive Exitval Signal Command
--results   DIR: files stdout, stderr and seq in DIR/1/INPUT/2/INPUT; of one
            input twice the second has \\~NUMBER behind its name. A name with
            {} in it: that file, with .err and .seq beside it, or with a / at
            its end that folder. FILE.csv, FILE.tsv: a row for each job, with
            what it wrote; then nothing is printed",
    ),
    (
        "What jobs leave running",
        "\
A job is over when its command has ended. What that has started in the
background (`x &`, nohup, setsid) and still holds its output is waited for
half a second, or with --wait-pipes to its end; what it writes later is lost.
At the end of the batch all that is in a job's own group is ended; what has
made a session of its own (setsid, a daemon) stays.",
    ),
    (
        "Watching",
        "\
--web prints a link to a page that shows the run and steers it: pause, end one
job, try again what failed, stop. The link's token lets in whoever has it; the
page is on 127.0.0.1 unless an address is given, and is not encrypted. hands
top shows the same in a terminal. A job that is ended from there counts as not
done: the exit code is not 0, and --resume runs it. After `Stop` the exit code
is 130. --trace and --report say afterwards what happened. docs/watching.md
says more.",
    ),
    (
        "Other machines",
        "\
hands worker URL --allow PROGRAM lends a machine; hands run --cluster URL runs
there what it would run here, with the same order, log and exit codes.
hands cluster dev starts a server to try it with. Jobs start in a folder of
the same name, which the machines share, or with --send and --return in one of
their own. A machine that is lost costs its jobs one more start; the log names
both. If this program ends before the run, --attach goes on: each run says its
ID in its first line. Secrets come from HANDS_TOKEN or --token-file, never
from a command line. docs/machines.md says more.",
    ),
    (
        "The terminal",
        "\
Jobs are in the background. One that reads the terminal (ssh, sudo, an editor)
gets it when it is the only one that runs, and is stopped until then, which is
told. With --tty each has it from its start, one after the other. Ctrl-C goes
to the process that has the terminal, and if that dies of it to hands as well.",
    ),
    (
        "What inputs can do",
        "\
No byte of an input becomes code in the command that hands runs or in the
script that its shell reads. Where that promise ends: a word with an input in
it that another shell reads as a script (`bash -c \"echo {}\"`, eval, su -c, ssh
HOST). These are found and warned of, and with --strict refused; the safe form
gives the input as an argument: bash -c 'echo \"$1\"' _ {}. With no command, or
{} alone, each input is a command: then they are code by design.",
    ),
    (
        "Times and sizes",
        "\
Times are seconds (10, 2.5) or have units (200ms, 5m, 1h30m, 2d).
Sizes are bytes or have a unit: K M G T P count in 1024s, k m g t p in 1000s.",
    ),
    (
        "Signals",
        "\
The first Ctrl-C or HUP starts no more jobs and waits for the running ones,
the second sends them TERM, the third KILL.",
    ),
    (
        "Exit codes",
        "\
0          every job succeeded
1 to 100   that many jobs failed
101        more than 100 jobs failed
130        interrupted
141        nobody reads stdout any more
255        wrong usage, or the batch could not be set up

When --halt stops the batch: fail=1 and done=1 give the code of the job that
stopped it (128+N if signal N killed it), success=N gives 0, and a percentage
gives the percentage of jobs that failed.",
    ),
    (
        "Examples",
        "\
Compress every log, one job for each core:
    hands run 'gzip -k {}' ::: *.log
Every combination, in order:
    hands run -k 'echo {1}{2}' ::: 1 2 ::: a b
Names with any character in them:
    find . -name '*.jpg' -print0 | hands run -0 convert {} {.}.png
A long batch that can be interrupted and taken up again:
    hands run --joblog log --resume --retries 3 ./fetch :::: urls.txt
Stop at the first failure and exit with its code:
    hands run --halt now,fail=1 ./test ::: tests/*
Count the words of a large file with all cores:
    hands run --pipe --block 10M wc -w < large.txt",
    ),
];

/// The section for those who know GNU parallel: shown in the man page.
pub(crate) const PARALLEL_SECTIONS: &[Section] = &[(
    "For users of GNU parallel",
    "\
The same: ::: :::: :::+ ::::+ {} {.} {/} {//} {/.} {#} {%} {1} {-1} {name},
-j -P -k -u -X -m -n -N -L -l -I -i -0 -a -C -d -E -q -r -s -t -v --bar
--cat
--eta --fifo --files --plus --round-robin --rpl --tee
--block --colsep --csv --delay --dry-run --env --eof --group --halt --header
--joblog --jobs --keep-order --lb --line-buffer --link --xapply --load
--max-args --max-procs --max-chars --max-lines --memfree --nice --pipe
--pipepart --progress --recend --recstart --regexp --resume --resume-failed
--results --retries --retry-failed --rrs --shuf --tag --tagstring --timeout
--tmpdir --trim --tty --ungroup --wd --workdir --xargs, $PARALLEL, --profile
(-J). Passed over: --will-cite --no-notice --gnu --plain --compress --tempdir
--min-version --noswap. `sem` is `hands sem`.

Not here, and refused by name with what to use instead: -S --sshlogin and all
that goes with it, {= perl =}, --plus --rpl -U, --files --tee --cat --fifo
--round-robin --tmux --sql --semaphore --shellquote --embed --parset --filter.

Differences:
- A command without shell syntax runs without a shell. In one with, {} is the
  input itself also between quotes: 'echo \"{}\"' prints a b, and not 'a b'.
- Without --shell the shell is sh, and not the one that you use.
- --halt with percent, where the number of jobs is not known: of those that
  have been started, once three count; GNU parallel reads all inputs first.
- --halt now,done=N exits with 0, and not with 101.
- --resume compares the commands with those in the log, and refuses others;
  that jobs had failed before is told, and counts in the exit code.
- --results prints outputs, too; > /dev/null drops them.
- `:::` with nothing behind it is no input, and not an empty one.
- --colsep takes no white space off columns; --trim does.
- -m does not spread inputs over jobs, as -X does.
- --plus has {..} {...} {/..} {/...} {+/} {+.} {+..} {+...}, and not those
  that hold a text, such as {%.gz}; --rpl knows s/// alone, and no (...) in
  names.
- --cat and --fifo are one: a file in memory, which only jobs of your user can
  open. --tee reads stdin to its end first.",
)];

/// The sections about `hands fetch`: shown in the man page.
pub(crate) const FETCH_SECTIONS: &[Section] = &[
    (
        "For users of curl, wget and aria2",
        "\
What they type, and what it is here. What means the same is taken; what would
mean something else is refused, with the option to use.

curl
  -O URL...            taken: a file keeps the name that its URL has
  -o NAME, -L, -C -    taken; redirects are followed, and what has come is
                       taken up again, anyway
  -f -s -S -sSL -LO    taken: -s is --quiet, the others happen anyway
  -d DATA              refused: --data (-d is the folder, as in aria2)
  -N                   --timestamping, as in wget: nothing is held back anyway
  -x PROXY             refused: --proxy (-x N are connections, as in aria2)
  -i URL               refused: --head, or -I (-i is a list)
  -b, -e, -r, -A, -u, -H, -k, -I, -g, -m, -4, -6, --resolve, --interface
                       the same; -b takes cookies, and --cookie-jar a file
  -X GET               taken; others are refused: POST with --data
  -T FILE              refused: nothing is uploaded
wget
  -c, -nc, -N, -i, -q, -P DIR, -t N, -w TIME, -U NAME, -O NAME
                       the same; -nv is --progress none
  -T TIME              --connect-timeout and --idle-timeout
  -o LOG               here the name of the file, as in curl; messages are on
                       stderr
  -A LIST, -r          refused: the list says what is fetched
  --load-cookies, --post-data, --tries, --no-check-certificate
                       the same as --cookie-jar, --data, --retries, -k
aria2
  -x N, -s N, --split  --segments N
  -j, -d, -i, -o, -c   the same
  -k SIZE              refused (-k is --insecure, as in curl); a segment has
                       1 MiB or more
  --check-integrity    the same; -V is --version, as in curl and wget",
    ),
    (
        "Several URLs in one",
        "\
On the command line, unless --globoff:
[1-9]  [01-20]  [1-99:2]   numbers; with a 0 in front all have that width
[a-f]                      letters
{one,two}                  words
Several of them give every combination. `[::1]`, `{x}` stay as they are.",
    ),
    (
        "Lists of URLs",
        "\
A URL a line, with further sources of the same file behind tabs. Lines that
begin with white space are options of the URL above:
out=NAME  dir=FOLDER  checksum=sha256:...  header=Name: value  mirror=URL
referer=URL  user-agent=NAME  http-user=NAME  http-passwd=PASSWORD
Other options of aria2 that change nothing of the file are passed over. A line
that makes no sense fails by itself, with its number.",
    ),
];

/// The sections as the end of the long help.
pub(super) fn long_help() -> String {
    let mut help = String::new();
    for (heading, text) in SECTIONS {
        if !help.is_empty() {
            help.push('\n');
        }
        help.push_str(heading);
        help.push_str(":\n");
        for line in text.lines() {
            if !line.is_empty() {
                help.push_str("  ");
                help.push_str(line);
            }
            help.push('\n');
        }
    }
    help.truncate(help.trim_end().len());
    help
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_fits_a_terminal_of_80_columns() {
        let all = SECTIONS
            .iter()
            .chain(FETCH_SECTIONS)
            .chain(PARALLEL_SECTIONS);
        for line in all.flat_map(|(_, text)| text.lines()) {
            assert!(line.chars().count() <= 78, "{line}");
        }
    }
}
