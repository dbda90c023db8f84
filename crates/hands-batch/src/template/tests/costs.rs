//! The bytes that packing counts on.

use super::*;
use proptest::prelude::*;

fn size(argv: &[Vec<u8>]) -> usize {
    argv.iter().map(|word| word.len() + 9).sum()
}

const TEMPLATES: &[&[&str]] = &[
    &["c", "{}"],
    &["c", "-x={}", "{.}", "{//}"],
    &["c {1} {2}{#}"],
    &["c {} | d"],
    &["c 'p{}q' \"{/}\" | d {} {1} > {#}"],
    &["cat <<E\n{} {//}\nE"],
];

proptest! {
    #[test]
    fn costs_are_never_too_low(
        inputs in proptest::collection::vec(proptest::collection::vec("[a-z/.]{0,20}", 2), 1..30),
        which in 0..TEMPLATES.len(),
    ) {
        let inputs: Vec<Row> =
            inputs.into_iter().map(|row| row.into_iter().map(String::into_bytes).collect()).collect();
        let template = template(TEMPLATES[which]);
        let counted = template.fixed_cost() + inputs.iter().map(|row| template.row_cost(row)).sum::<usize>();
        let real = size(&template.argv(&args(&inputs)).expect("arguments"));
        prop_assert!(real <= counted, "{real} bytes were counted as {counted}");
    }
}

#[test]
fn direct_costs_are_exact() {
    let template = template(&["cat", "{}", "-o{}"]);
    let inputs = rows(&[&[b"abc"], &[b"defgh"]]);
    let counted = template.fixed_cost()
        + inputs
            .iter()
            .map(|row| template.row_cost(row))
            .sum::<usize>();
    // A `{}` within a word is counted with a space after it.
    assert_eq!(
        counted,
        size(&template.argv(&args(&inputs)).expect("arguments")) + 2
    );
    assert_eq!(template.max_rows(1), usize::MAX);
}

#[test]
fn a_script_takes_as_many_rows_as_it_says() {
    let template = template(&["cat {.} | wc"]);
    let most = template.max_rows(2);
    assert!(most > 500, "{most}");
    let inputs: Vec<Row> = vec![vec![b"a".to_vec(), b"b".to_vec()]; most];
    assert!(template.argv(&args(&inputs)).is_ok());
    let inputs: Vec<Row> = vec![vec![b"a".to_vec(), b"b".to_vec()]; most * 2];
    assert!(matches!(
        template.argv(&args(&inputs)),
        Err(TemplateError::ScriptTooLong { .. })
    ));
}

#[test]
fn inputs_that_are_words_of_their_own_make_a_script_no_longer() {
    let inputs: Vec<Row> = vec![vec![b"a b".to_vec()]; 20_000];
    for (command, is_short) in [
        ("cat {} | wc", true),
        ("for x in {}; do echo {#} $x; done", true),
        ("f() { echo {}; }; f", false),
        ("set -- x; echo {} | wc", false),
        ("echo 'x{}' | wc", false),
        ("echo {} {2} | wc", false),
    ] {
        let template = template(&[command]);
        assert_eq!(template.max_rows(1) == usize::MAX, is_short, "{command}");
        let argv = template.argv(&args(&inputs));
        assert_eq!(argv.is_ok(), is_short, "{command}");
        if let Ok(argv) = argv {
            assert!(
                argv[2].len() < 200 && argv.ends_with(&[b"a b".to_vec()]),
                "{command}"
            );
        }
    }
}
