//! Tells the program which commit it was built from: `BATON_COMMIT` if set, else what git says, else "unknown".

use std::{env, path::Path, process::Command};

const HEAD_LOG: &str = ".git/logs/HEAD";

fn main() {
    println!("cargo::rerun-if-env-changed=BATON_COMMIT");
    // Changes with every commit and checkout. Watching a file that isn't there would rebuild every time.
    if Path::new(HEAD_LOG).exists() {
        println!("cargo::rerun-if-changed={HEAD_LOG}");
    }
    let commit = env::var("BATON_COMMIT").ok().filter(|commit| !commit.is_empty()).or_else(git);
    println!("cargo::rustc-env=BATON_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
}

fn git() -> Option<String> {
    let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
