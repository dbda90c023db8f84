use proptest::prelude::*;

use super::*;
use crate::input::combine::Linked;
use crate::input::testing::{all, shown, values};

fn number(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).expect("not 0")
}

fn grouped(inputs: &[&str], group: Group) -> Grouped {
    let product = Product::new(vec![Linked::new(values(inputs), false)]).expect("a part");
    Grouped::new(product, group)
}

/// Each job's rows, joined by a space.
fn jobs(inputs: &[&str], group: Group) -> Vec<String> {
    let mut grouped = grouped(inputs, group);
    let jobs = all(|| grouped.pull()).expect("jobs");
    jobs.iter()
        .map(|rows| rows.iter().map(shown).collect::<Vec<_>>().join(" "))
        .collect()
}

/// Rows cost their length and 1, as arguments that end in NUL do.
fn fill(limit: usize, most: usize, slots: usize) -> Group {
    Group::Fill {
        limit,
        fixed: 10,
        most,
        cost: Box::new(|row| row.iter().map(|column| column.len() + 1).sum()),
        slots: number(slots),
    }
}

#[test]
fn so_many_rows_become_one_with_all_their_columns() {
    let three = || Group::Rows(number(3));
    assert_eq!(jobs(&["a", "b", "c", "d"], three()), ["a|b|c", "d"]);
    assert_eq!(jobs(&["a", "b", "c"], three()), ["a|b|c"]);
    assert_eq!(jobs(&[], three()), [""; 0]);
    assert_eq!(grouped(&["a"; 7], three()).known_jobs(), Some(3));
}

#[test]
fn a_command_line_is_filled_up_to_its_limit_and_no_further() {
    // 10 bytes by itself, 2 for each letter: 3 fit.
    assert_eq!(
        jobs(&["a", "b", "c", "d", "e", "f", "g"], fill(16, 99, 1)),
        ["a b c", "d e f", "g"]
    );
    assert_eq!(
        jobs(&["a", "bcde", "f"], fill(16, 99, 1)),
        ["a", "bcde", "f"]
    );
    assert_eq!(jobs(&["a", "b", "c"], fill(16, 2, 1)), ["a b", "c"]);
}

#[test]
fn a_row_that_is_too_long_gets_a_job_of_its_own() {
    let long = "x".repeat(30);
    assert_eq!(
        jobs(&["a", &long, "b"], fill(16, 99, 1)),
        ["a", long.as_str(), "b"]
    );
    assert_eq!(jobs(&[&long], fill(16, 99, 4)), [long.as_str()]);
}

#[test]
fn few_rows_are_spread_over_the_slots() {
    assert_eq!(
        jobs(&["a", "b", "c", "d"], fill(999, 99, 2)),
        ["a b", "c d"]
    );
    assert_eq!(jobs(&["a", "b", "c"], fill(999, 99, 2)), ["a b", "c"]);
    assert_eq!(jobs(&["a", "b"], fill(999, 99, 8)), ["a", "b"]);
    assert_eq!(jobs(&["a", "b", "c"], fill(999, 1, 2)), ["a", "b", "c"]);
    assert_eq!(jobs(&[], fill(999, 99, 8)), [""; 0]);
}

#[test]
fn rows_that_are_spread_keep_to_the_limit_too() {
    // Two full lines for three slots: cut in the middle, the second half would be too long.
    let long = "x".repeat(10);
    let mut inputs = vec!["a"; 10];
    inputs.extend([long.as_str(); 3]);
    let made = jobs(&inputs, fill(40, 99, 3));
    assert_eq!(
        made,
        ["a a a a a", "a a a a a", &format!("{long} {long}"), &long]
    );
}

proptest! {
    #[test]
    fn every_row_is_in_one_job_in_order_and_no_job_is_too_long(
        sizes in prop::collection::vec(0..30_usize, 0..60),
        limit in 10..80_usize,
        most in 1..20_usize,
        slots in 1..9_usize,
    ) {
        let inputs: Vec<String> = sizes.iter().map(|&size| "x".repeat(size)).collect();
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let mut grouped = grouped(&inputs, fill(limit, most, slots));
        let jobs = all(|| grouped.pull()).expect("jobs");
        let rows: Vec<usize> = jobs.iter().flatten().map(|row| row[0].len()).collect();
        prop_assert_eq!(rows, sizes);
        for job in &jobs {
            let size: usize = 10 + job.iter().map(|row| row[0].len() + 1).sum::<usize>();
            prop_assert!(!job.is_empty() && job.len() <= most);
            prop_assert!(job.len() == 1 || size <= limit, "{} bytes", size);
        }
    }
}
