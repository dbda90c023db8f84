//! Files that travel with jobs.

use super::Machines;

#[test]
fn files_are_sent_and_returned() {
    let machines = Machines::new();
    let _worker = machines.worker("a", &["-j2", "--allow", "sh"]);
    let stage = &machines.stage;
    std::fs::create_dir(stage.path("sub")).expect("a folder");
    stage.write("x.txt", "one\n");
    stage.write("sub/y.txt", "two\n");
    let command = "tr a-z A-Z < {} > {.}.out; ls -R . | grep -c txt; pwd";
    let words = [
        "--send",
        "{}",
        "--return",
        "{.}.out",
        command,
        ":::",
        "x.txt",
        "sub/y.txt",
    ];
    let ended = machines.run(&words).end().with_code(0);
    assert_eq!(stage.text("x.out"), "ONE\n");
    assert_eq!(stage.text("sub/y.out"), "TWO\n");
    // Each in a folder of its own, which is gone.
    for line in ended.out().lines() {
        assert!(
            line == "1" || !std::path::Path::new(line).exists(),
            "{line}"
        );
    }
}

#[test]
fn a_name_that_leads_elsewhere_does_not_travel() {
    let machines = Machines::new();
    let _worker = machines.worker("a", &["--allow", "sh,true"]);
    machines.stage.write("x", "one\n");
    for (words, why) in [
        (
            &["--send", "../{}", "true", ":::", "x"][..],
            "cannot travel",
        ),
        (
            &["--send", "/etc/passwd", "true", ":::", "x"],
            "cannot travel",
        ),
        (&["--send", "none", "true", ":::", "x"], "is no file"),
        (&["--return", "../{}", "true", ":::", "x"], "cannot travel"),
        (
            &["--return", "out", "true", ":::", "x"],
            "has not made `out`",
        ),
        (
            &["--return", "out", "ln -s /etc/passwd out; true", ":::", "x"],
            "is not returned",
        ),
        (
            &["--return", "out", "mkdir out; true", ":::", "x"],
            "is not returned",
        ),
    ] {
        let ended = machines.run(words).end().with_code(1);
        assert!(ended.stderr.contains(why), "{words:?}: {}", ended.stderr);
        assert!(!machines.stage.path("out").exists());
    }
}
