//! The promises of the library, proved against real processes and real threads.
//!
//! One binary for all of them: [`support`] has what they share, above all *scenes*, by which a test runs a part of
//! itself in a process of its own (to be killed, starved, or counted without the noise of other tests).

#[path = "../conformance/mod.rs"]
#[macro_use]
mod conformance;

mod batch;
mod command;
mod examples;
mod faults;
mod pipeline;
mod pool;
mod process;
mod queue;
mod shared;
mod support;
mod sync;
mod thread;

hands::entry!();

/// Not a test: the stage on which [`support::Scene`] plays, empty unless one is named.
#[test]
fn scene() {
    let Some(name) = std::env::var_os(support::SCENE) else {
        return;
    };
    let name = name.to_str().expect("scenes have plain names");
    let scenes = [
        command::SCENES,
        batch::SCENES,
        faults::SCENES,
        pool::SCENES[0],
        pool::SCENES[1],
        #[cfg(feature = "diagnose")]
        sync::diagnose::SCENES,
        process::SCENES,
        thread::SCENES,
    ];
    let (_, play) = scenes
        .iter()
        .copied()
        .flatten()
        .find(|(known, _)| *known == name)
        .expect("a scene of that name");
    play();
    // At once: the harness has nothing to add, and another process may be looking at our descriptors.
    std::process::exit(0);
}
