//! A program whose copies do not come to `hands::init()`: it is told so, and nothing is started
//! again and again.

use hands::process::{self, SpawnError};

#[test]
fn a_program_without_init_starts_no_copies_of_itself() {
    let refused = process::spawn(|()| (), ()).err();
    assert!(matches!(refused, Some(SpawnError::NoInit)), "{refused:?}");

    // Said here; but a copy of this program comes to the harness, which knows no such option, and
    // ends.
    let guard = hands::init();
    let refused = process::spawn(|()| (), ()).err();
    let Some(SpawnError::NoHello { status }) = &refused else {
        panic!("{refused:?}");
    };
    assert!(status.is_some_and(|status| !status.success()), "{status:?}");
    let told = refused
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    assert!(
        told.contains("before it came to `hands::init()` (exit status: "),
        "{told}"
    );
    drop(guard);
}
