//! Command lines as they are documented, run as they are written: `tests/cmd/*.trycmd`.

#[test]
fn documented_command_lines_do_what_is_written() {
    trycmd::TestCases::new()
        .register_bin(
            "hands",
            trycmd::schema::Bin::Path(crate::stage::HANDS.into()),
        )
        .env("NO_COLOR", "1")
        .case("tests/cmd/*.trycmd");
}
