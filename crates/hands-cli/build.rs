//! Links the unwinder into the program where the compiler has it at hand.
//!
//! Otherwise the dynamic loader looks for `libgcc_s` at every start, which takes about a tenth of
//! the time that `hands run` needs for one short command. Nothing depends on it: without the
//! archive the program links as usual.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |name: &str| std::env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    let native = std::env::var("HOST").ok() == std::env::var("TARGET").ok();
    if !native || target("OS") != "linux" || target("ENV") != "gnu" {
        return;
    }
    let found = Command::new("cc")
        .arg("-print-file-name=libgcc_eh.a")
        .output();
    let archive = found.map(|found| String::from_utf8_lossy(&found.stdout).trim().to_owned());
    // A compiler that does not have it prints the bare name.
    if archive.is_ok_and(|archive| Path::new(&archive).is_absolute()) {
        println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
    }
}
