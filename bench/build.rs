//! Tells the program which compiler it was built with: counts of instructions are that compiler's work too.

use std::{env, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let rustc = env::var_os("RUSTC").expect("cargo names the compiler");
    let output = Command::new(rustc).arg("--version").output().expect("the compiler says its version");
    println!("cargo::rustc-env=BATON_RUSTC={}", String::from_utf8_lossy(&output.stdout).trim());
}
