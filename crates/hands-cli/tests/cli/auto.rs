//! `-j auto`: what is said of the number of jobs that was found.

use crate::stage::Stage;

#[test]
fn a_verbose_run_ends_with_the_reason_for_its_size() {
    let stage = Stage::new();
    let ended = stage
        .run(["-j", "auto", "--verbose", "-n0", "true", ":::", "1", "2"])
        .end()
        .with_code(0);
    let last = ended.stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with("hands: "), "{last}");
    assert!(last.contains(" at once in the end: "), "{last}");
}

#[test]
fn the_summary_for_programs_has_size_and_reason() {
    let stage = Stage::new();
    let summary = |words: &[&str]| {
        let ended = stage.run(words).end().with_code(0);
        let last = ended.out().lines().last().unwrap_or_default();
        serde_json::from_str::<serde_json::Value>(last).expect("an event")
    };
    let auto = summary(&["-jauto", "--json", "true", ":::", "1", "2"]);
    assert!(auto["jobs"].as_u64() >= Some(1), "{auto}");
    assert!(auto["why"].is_string(), "{auto}");
    let set = summary(&["-j2", "--json", "true", ":::", "1", "2"]);
    assert!(set["jobs"].is_null() && set["why"].is_null(), "{set}");
}

#[test]
fn a_run_that_is_not_verbose_does_not_speak_of_it() {
    let stage = Stage::new();
    let ended = stage.run(["-jauto", "true", ":::", "1"]).end().with_code(0);
    assert_eq!(ended.stderr, "");
}
