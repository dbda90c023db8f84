//! What a batch shows of itself afterwards: `--trace` and `--report`.

use crate::stage::Stage;

#[test]
fn a_trace_has_a_slice_for_each_try_of_each_job() {
    let stage = Stage::new();
    let words = [
        "--trace",
        "t.json",
        "-j2",
        "--retries",
        "2",
        "--retry-delay",
        "0",
        "exit {}",
        ":::",
        "0",
        "1",
        "0",
    ];
    stage.run(words).end().with_code(1);
    let trace: serde_json::Value = serde_json::from_str(&stage.text("t.json")).expect("JSON");
    let events = trace["traceEvents"].as_array().expect("a list");
    let of = |ph: &str| events.iter().filter(|event| event["ph"] == ph).count();
    let ran: Vec<_> = (events.iter())
        .filter(|event| event["args"]["command"].is_string())
        .collect();
    assert_eq!(ran.len(), 4);
    assert_eq!((of("s"), of("f")), (4, 4));
    assert!(of("C") >= 1 && of("M") >= 4);
    let codes: Vec<_> = ran
        .iter()
        .map(|event| event["args"]["exit"].as_i64())
        .collect();
    assert_eq!(codes.iter().filter(|code| **code == Some(1)).count(), 2);
    // No two overlap on a track.
    let mut slices: Vec<_> = (ran.iter())
        .map(|event| {
            let nanos =
                |name: &str| (event[name].as_f64().expect("a number") * 1000.0).round() as u64;
            (event["tid"].as_u64(), nanos("ts"), nanos("dur"))
        })
        .collect();
    slices.sort_unstable();
    for pair in slices.windows(2) {
        assert!(
            pair[0].0 != pair[1].0 || pair[0].1 + pair[0].2 <= pair[1].1,
            "{slices:?}"
        );
    }
}

#[test]
fn a_report_names_what_failed_with_its_last_words_and_everything_is_text() {
    let stage = Stage::new();
    let command = "echo '<b>said</b> {}' >&2; exit {}";
    let words = ["--report", "r.html", "-j2", command, ":::", "0", "3", "0"];
    stage.run(words).end().with_code(1);
    let page = stage.text("r.html");
    assert!(page.contains("<h1>3 jobs, 1 failed</h1>"), "{page}");
    assert!(page.contains("<pre>&lt;b&gt;said&lt;/b&gt; 3"), "{page}");
    assert!(page.contains("exit"), "{page}");
    assert!(
        !page.contains("<b>said") && !page.contains("<script") && !page.contains("://"),
        "{page}"
    );
    assert_eq!(page.matches("<rect class=\"failed\"").count(), 1);
    assert_eq!(page.matches("<rect class=\"well\"").count(), 2);
}

#[test]
fn what_cannot_be_written_is_said() {
    let stage = Stage::new();
    let ended = stage
        .run(["--trace", "/no/such/t.json", "true", ":::", "1"])
        .end()
        .with_code(255);
    assert!(
        ended.stderr.contains("--trace /no/such/t.json"),
        "{}",
        ended.stderr
    );
    let ended = stage
        .run(["--report", "/no/such/r.html", "true", ":::", "1"])
        .end()
        .with_code(255);
    assert!(
        ended.stderr.contains("--report /no/such/r.html"),
        "{}",
        ended.stderr
    );
    let ended = stage
        .run(["--trace", "/dev/full", "true", ":::", "1", "2"])
        .end()
        .with_code(255);
    assert!(ended.stderr.contains("/dev/full"), "{}", ended.stderr);
}

#[test]
fn a_run_of_downloads_has_a_trace_too() {
    let stage = Stage::new();
    let server = crate::fetch::server::Server::new(|_, out| out.answer("200 OK", &[], b"x"));
    let url = server.url("/f[1-9]");
    let words = ["fetch", "--trace", "t.json", &url];
    stage.hands(words).end().with_code(0);
    let trace: serde_json::Value = serde_json::from_str(&stage.text("t.json")).expect("JSON");
    let events = trace["traceEvents"].as_array().expect("a list");
    let ran = events.iter().filter(|event| event["args"]["end"] == "well");
    assert_eq!(ran.count(), 9);
}
