use clap::Parser;

use super::parts::{ColumnFlags, OutputMode, Reads, RecordEnd, ResumeFlags};
use super::*;
use crate::flags::{Cli, CommandLine};

/// What `hands run` makes of these words; the error as it is shown.
fn plan(words: &[&str]) -> Result<Plan, String> {
    let argv = ["hands", "run"].iter().chain(words);
    let cli = Cli::try_parse_from(argv).map_err(|error| error.to_string())?;
    let CommandLine::Run(flags) = cli.command else {
        return Err("not `run`".to_owned());
    };
    Plan::new(*flags).map_err(|error| error.to_string())
}

fn good(words: &[&str]) -> Plan {
    plan(words).unwrap_or_else(|error| panic!("{words:?}: {error}"))
}

#[track_caller]
fn refused(words: &[&str], parts: &[&str]) {
    let error = plan(words).expect_err("a contradiction");
    for part in parts {
        assert!(error.contains(part), "{words:?}: {error}");
    }
}

#[test]
fn nothing_given_is_one_job_a_core_grouped_without_limits() {
    let plan = good(&["echo"]);
    assert_eq!(plan.slots, Slots::Cores);
    assert_eq!(plan.halt, Halt::Never);
    assert_eq!(plan.retries, Retries::NONE);
    assert_eq!(plan.output.mode, OutputMode::Grouped);
    assert_eq!(plan.inputs.reads, Reads::Lines);
    assert_eq!(plan.inputs.columns, ColumnFlags::Whole);
    assert_eq!(
        plan.inputs.grouping,
        OutputGrouping::Rows(NonZeroUsize::MIN)
    );
    assert_eq!(plan.limits.timeout, None);
    assert_eq!(plan.progress, ProgressStyle::Auto);
    assert_eq!((plan.pipe, plan.log), (None, None));
}

#[test]
fn what_follows_the_command_belongs_to_it() {
    let words = |argv: &[&str]| {
        let words = good(argv).words;
        words
            .into_iter()
            .map(|word| word.into_string().expect("text"))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        words(&["-k", "grep", "-j", "--null", "-k", "x"]),
        ["grep", "-j", "--null", "-k", "x"]
    );
    assert_eq!(
        words(&["echo", "--", "x", ":::", "-1", "--help"]),
        ["echo", "--", "x", ":::", "-1", "--help"]
    );
    assert_eq!(words(&["--", "-odd", "x"]), ["-odd", "x"]);
    assert_eq!(words(&["-j2", ":::", "ls", "-l"]), [":::", "ls", "-l"]);
    assert_eq!(words(&["-j2"]), Vec::<String>::new());
    assert_eq!(words(&["--", "echo", "--", "x"]), ["echo", "--", "x"]);
    assert_eq!(words(&["", "x"]), ["", "x"]);
}

#[test]
fn a_mistyped_option_is_not_taken_for_the_command() {
    refused(&["--jbos", "4", "echo"], &["--jbos", "--jobs"]);
}

#[test]
fn jobs_are_written_the_way_gnu_parallel_users_write_them() {
    let slots = |word| good(&[word, "echo"]).slots;
    assert_eq!(slots("-j0"), Slots::AsManyAsFit);
    assert_eq!(slots("-j+2"), Slots::More(2));
    assert_eq!(slots("-j-1"), Slots::Fewer(1));
    assert_eq!(slots("--jobs=50%"), Slots::Percent(50));
    assert_eq!(
        slots("-P8"),
        Slots::Count(NonZeroUsize::new(8).expect("eight"))
    );
    assert_eq!(good(&["-j", "-1", "echo"]).slots, Slots::Fewer(1));
    let together = good(&["-kj4", "echo"]);
    assert!(together.output.keep_order);
}

#[test]
fn the_last_of_two_wins_so_that_an_alias_can_be_overridden() {
    assert_eq!(
        good(&["-j4", "-j", "auto", "-k", "-k", "echo"]).slots,
        Slots::Auto
    );
}

#[test]
fn a_bad_value_says_what_would_be_good() {
    refused(&["-j", "many", "echo"], &["`many`", "`50%`", "`auto`"]);
    refused(&["--halt", "now,fial=1", "echo"], &["`fial`", "`fail`"]);
    refused(&["--timeout", "soon", "echo"], &["`soon`", "`1h30m`"]);
    refused(&["--memfree", "lots", "echo"], &["`lots`", "`10M`"]);
    refused(&["--nice", "40", "echo"], &["40"]);
    refused(&["--env", "PATH", "echo"], &["--env PATH", "NAME=VALUE"]);
    refused(&["--env", "=x", "echo"], &["NAME=VALUE"]);
    refused(&["-d", "", "echo"], &["--delimiter", "-0"]);
    refused(&["-d", "\\q", "echo"], &["\\q", "\\n"]);
    refused(&["--colsep", "", "echo"], &["--colsep"]);
    refused(
        &["--csv", "--colsep", "ab", "echo"],
        &["--colsep ab", "--csv"],
    );
    refused(&["--header", "2", "echo"], &["--header :"]);
    refused(&["--memory-limit", "0", "echo"], &["--memory-limit 0"]);
    refused(&["--cpu-limit", "0", "echo"], &["--cpu-limit 0"]);
}

#[test]
fn inputs_are_read_as_asked() {
    let inputs = |argv: &[&str]| good(&[argv, &["echo"]].concat()).inputs;
    assert_eq!(inputs(&["-0"]).reads, Reads::Delimited(vec![0]));
    assert_eq!(
        inputs(&["-d", "\\t"]).reads,
        Reads::Delimited(b"\t".to_vec())
    );
    assert_eq!(inputs(&["-d", "-"]).reads, Reads::Delimited(b"-".to_vec()));
    assert_eq!(
        inputs(&["-C", "\\t"]).columns,
        ColumnFlags::Pattern("\\t".to_owned())
    );
    assert_eq!(inputs(&["--csv"]).columns, ColumnFlags::Csv(b','));
    assert_eq!(
        inputs(&["--csv", "--colsep", "\\t"]).columns,
        ColumnFlags::Csv(b'\t')
    );
    assert_eq!(
        inputs(&["-a", "x", "-a", "-"]).arg_files,
        ["x", "-"].map(std::path::PathBuf::from)
    );
    assert!(inputs(&["--header", ":"]).header);
}

#[test]
fn rows_are_grouped_as_asked() {
    let grouping = |argv: &[&str]| good(&[argv, &["echo"]].concat()).inputs.grouping;
    let three = NonZeroUsize::new(3).expect("three");
    assert_eq!(grouping(&["-n3"]), OutputGrouping::Rows(three));
    assert_eq!(grouping(&["-N3"]), OutputGrouping::Rows(three));
    assert_eq!(grouping(&["-N0"]), OutputGrouping::Uninserted);
    assert_eq!(grouping(&["-X"]), OutputGrouping::Fill(None));
    assert_eq!(grouping(&["-X", "-n3"]), OutputGrouping::Fill(Some(three)));
}

#[test]
fn a_pipe_splits_at_newlines_into_megabytes_unless_told() {
    let pipe = |argv: &[&str]| {
        good(&[&["--pipe"], argv, &["wc"]].concat())
            .pipe
            .expect("a pipe")
    };
    let literal = |end: &[u8], start: &[u8]| RecordEnd::Literal {
        end: end.into(),
        start: start.into(),
    };
    assert_eq!(pipe(&[]).block, 1 << 20);
    assert_eq!(pipe(&[]).boundary, literal(b"\n", b""));
    assert_eq!(pipe(&["--recstart", ">"]).boundary, literal(b"", b">"));
    assert_eq!(pipe(&["--recend", "\\0"]).boundary, literal(b"\0", b""));
    assert_eq!(pipe(&["--recend", ""]).boundary, literal(b"", b""));
    assert_eq!(pipe(&["-N2"]).records, NonZeroUsize::new(2));
    assert!(pipe(&["--rrs"]).remove);
    let pattern = RecordEnd::Pattern {
        end: "\\n+".into(),
        start: String::new(),
    };
    assert_eq!(pipe(&["--regexp", "--recend", "\\n+"]).boundary, pattern);
    let pattern = RecordEnd::Pattern {
        end: "\\n".into(),
        start: String::new(),
    };
    assert_eq!(pipe(&["--regexp"]).boundary, pattern);
}

#[test]
fn limits_are_settled() {
    let limits = good(&[
        "--cpu-limit",
        "1.5",
        "--grace",
        "0",
        "--nice",
        "-5",
        "--env",
        "A=b=c",
        "--env",
        "E=",
        "--wd",
        "/x",
        "echo",
    ])
    .limits;
    assert_eq!(limits.cpu, Some(Duration::from_secs(2)));
    assert_eq!(limits.grace, Duration::ZERO);
    assert_eq!(limits.nice, Some(-5));
    assert_eq!(
        limits.env,
        [("A".into(), "b=c".into()), ("E".into(), "".into())]
    );
    assert_eq!(limits.workdir, Some("/x".into()));
}

#[test]
fn output_modes_and_tags() {
    let output = |argv: &[&str]| good(&[argv, &["echo"]].concat()).output;
    assert_eq!(output(&["--lb"]).mode, OutputMode::Lines);
    assert_eq!(output(&["-u"]).mode, OutputMode::Direct);
    assert_eq!(output(&["--json"]).mode, OutputMode::Json);
    assert_eq!(output(&["--tag"]).tag, Some(b"{}".to_vec()));
    assert_eq!(
        output(&["--tag", "--tagstring", "{/}"]).tag,
        Some(b"{/}".to_vec())
    );
    assert_eq!(good(&["--bar", "echo"]).progress, ProgressStyle::Bar);
    assert_eq!(
        good(&["--progress", "none", "echo"]).progress,
        ProgressStyle::None
    );
}

#[test]
fn a_joblog_can_be_resumed() {
    let log = |argv: &[&str]| {
        good(&[&["--joblog", "l"], argv, &["echo"]].concat())
            .log
            .expect("a log")
    };
    assert_eq!(log(&[]).resume, None);
    assert_eq!(log(&["--resume"]).resume, Some(ResumeFlags::Unfinished));
    assert_eq!(
        log(&["--resume", "--resume-failed"]).resume,
        Some(ResumeFlags::UnfinishedAndFailed)
    );
    refused(
        &["--resume", "echo"],
        &["`--resume` needs `--joblog`", "hint"],
    );
    refused(
        &["--resume-failed", "echo"],
        &["`--resume-failed` needs `--joblog`"],
    );
}

#[test]
fn contradictions_are_named_with_a_hint() {
    let pairs: &[&[&str]] = &[
        &["--ungroup", "--keep-order"],
        &["--ungroup", "--tag"],
        &["--ungroup", "--tagstring=x"],
        &["--ungroup", "--json"],
        &["--ungroup", "--results=x"],
        &["--ungroup", "--group"],
        &["--ungroup", "--line-buffer"],
        &["--line-buffer", "--group"],
        &["--json", "--tag"],
        &["--json", "--line-buffer"],
        &["--bar", "--progress=none"],
        &["--null", "--delimiter=,"],
        &["--csv", "--null"],
        &["--csv", "--delimiter=,"],
        &["--max-args=2", "-N2"],
        &["--pipe", "--max-args=2"],
        &["--pipe", "-X"],
        &["--pipe", "--null"],
        &["--pipe", "--csv"],
        &["--pipe", "--colsep=,"],
        &["--pipe", "--header=:"],
        &["--pipe", "--arg-file=x"],
        &["--retry-delay=1"],
        &["--block=1"],
        &["--recstart=x"],
        &["--recend=x"],
        &["--regexp"],
        &["--remove-rec-sep"],
        &["-X", "-n0"],
    ];
    for pair in pairs {
        let names: Vec<_> = pair
            .iter()
            .map(|flag| {
                format!(
                    "`{}",
                    flag.split('=')
                        .next()
                        .expect("a name")
                        .trim_end_matches(['0', '2'])
                )
            })
            .chain(["hint: ".to_owned()])
            .collect();
        let parts: Vec<_> = names.iter().map(String::as_str).collect();
        refused(&[pair, &["echo"][..]].concat(), &parts);
    }
    refused(&["--pipe", "wc", ":::", "a"], &["`--pipe` and `:::`"]);
    refused(&["--pipe"], &["`--pipe` needs a command"]);
    refused(&["--pipe", "-N0", "wc"], &["-N 0"]);
    refused(&["--pipe", "--block=0", "wc"], &["--block 0"]);
    refused(&["--pipe", "--regexp", "--recend=", "wc"], &["--regexp"]);
}
