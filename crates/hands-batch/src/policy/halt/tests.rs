use proptest::prelude::*;

use super::*;

/// Ends jobs with these codes in order until the batch halts; the position (from 1) it halted at,
/// and its exit code.
fn run(rule: &str, codes: &[u8]) -> (Option<usize>, u8) {
    let mut state = HaltState::new(rule.parse().expect(rule));
    let total = Some(codes.len() as u64);
    for (at, &code) in codes.iter().enumerate() {
        if state.observe(code == 0, total).is_some() {
            return (Some(at + 1), state.exit_code(code, total));
        }
    }
    (None, state.exit_code(0, total))
}

#[test]
fn the_first_failure_gives_its_own_code() {
    assert_eq!(run("now,fail=1", &[0, 7, 0]), (Some(2), 7));
    assert_eq!(run("soon,fail=1", &[0, 137, 0]), (Some(2), 137));
    assert_eq!(run("now,done=1", &[7, 5, 0]), (Some(1), 7));
    assert_eq!(run("2", &[0, 9]), (Some(2), 9));
}

#[test]
fn several_failures_give_their_number() {
    assert_eq!(run("now,fail=2", &[7, 0, 5, 0]), (Some(3), 2));
    assert_eq!(run("now,fail=9", &[7, 0, 5, 0]), (None, 2));
    assert_eq!(run("now,done=2", &[7, 0, 0]), (Some(2), 1));
    assert_eq!(run("now,done=2", &[0, 0, 0]), (Some(2), 0));
}

#[test]
fn enough_successes_give_0_and_too_few_the_failures() {
    assert_eq!(run("now,success=1", &[7, 0, 0]), (Some(2), 0));
    assert_eq!(run("now,success=9", &[7, 0, 0]), (None, 1));
}

#[test]
fn a_percentage_is_of_all_jobs() {
    assert_eq!(run("soon,fail=50%", &[7, 5, 0, 0]), (Some(2), 50));
    assert_eq!(run("now,fail=10%", &[7, 5, 0, 0]), (Some(1), 25));
    assert_eq!(run("34%", &[1, 0, 0]), (None, 1));
    assert_eq!(run("33%", &[1, 0, 0]), (Some(1), 34));
    assert_eq!(run("now,success=100%", &[0, 1]), (None, 1));
    assert_eq!(run("now,success=50%", &[1, 0]), (Some(2), 0));
}

#[test]
fn a_percentage_waits_for_the_number_of_jobs() {
    let mut state = HaltState::new("now,fail=50%".parse().expect("a rule"));
    assert_eq!(state.observe(false, None), None);
    assert_eq!(state.observe(false, None), None);
    assert_eq!(state.total_is_known(4), Some(HaltWhen::Now));
    assert_eq!(state.exit_code(1, Some(4)), 50);
    assert_eq!(
        HaltState::new("1%".parse().expect("a rule")).total_is_known(0),
        None
    );
}

#[test]
fn the_answer_comes_once_and_counting_goes_on() {
    let mut state = HaltState::new("soon,fail=2".parse().expect("a rule"));
    assert_eq!(state.observe(false, None), None);
    assert_eq!(state.observe(false, None), Some(HaltWhen::Soon));
    assert_eq!(state.observe(false, None), None);
    assert_eq!(state.halted(), Some(HaltWhen::Soon));
    assert_eq!((state.failed(), state.done()), (3, 3));
    assert_eq!(state.exit_code(1, None), 3);
}

#[test]
fn never_counts_failures_past_a_hundred_as_101() {
    let mut state = HaltState::new(Halt::Never);
    for _ in 0..150 {
        assert_eq!(state.observe(false, Some(150)), None);
    }
    assert_eq!(state.exit_code(3, Some(150)), 101);
}

#[test]
fn old_numbers_are_the_new_words() {
    let word = |text: &str| text.parse::<Halt>().expect(text).to_string();
    assert_eq!(word("0"), "never");
    assert_eq!(word("1"), "soon,fail=1");
    assert_eq!(word("2"), "now,fail=1");
    assert_eq!(word("-1"), "soon,success=1");
    assert_eq!(word("-2"), "now,success=1");
    assert_eq!(word("5%"), "soon,fail=5%");
}

#[test]
fn a_wrong_rule_is_told_what_is_wrong() {
    let told = |text: &str| text.parse::<Halt>().expect_err(text).to_string();
    assert!(told("sometimes").contains("`never`"));
    assert!(told("later,fail=1").contains("`later` is no time to stop"));
    assert!(told("now,fial=1").contains("`fial` is nothing to count"));
    for text in [
        "now,fail=0",
        "now,fail",
        "now,fail=",
        "now,fail=1.5",
        "now,fail=101%",
        "now,fail=0%",
        "0%",
        "now,fail=+1",
    ] {
        assert!(told(text).contains("is no number of jobs"), "{text}");
    }
    assert!("3".parse::<Halt>().is_err());
    assert!("".parse::<Halt>().is_err());
}

proptest! {
    #[test]
    fn what_is_shown_reads_back(soon in any::<bool>(), on in 0..3, jobs in 1..u64::MAX, percent in 0..=100u8) {
        let on = [HaltOn::Fail, HaltOn::Success, HaltOn::Done][on as usize];
        let when = if soon { HaltWhen::Soon } else { HaltWhen::Now };
        let count = if percent == 0 { HaltCount::Jobs(jobs) } else { HaltCount::Percent(percent) };
        let halt = Halt::At { when, on, count };
        prop_assert_eq!(halt.to_string().parse(), Ok(halt));
    }

    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        let _ = text.parse::<Halt>();
    }
}
