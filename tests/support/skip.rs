//! Tests that can't run everywhere.

use std::{fs::File, io::Write};

/// Notes that the test of this thread can't run here.
pub(crate) fn skip(reason: &str) {
    let line = format!("{}: {reason}", std::thread::current().name().unwrap_or("a test"));
    eprintln!("skipped: {line}");
    if let Some(file) = std::env::var_os("BATON_SKIPS") {
        let mut file = File::options().create(true).append(true).open(file).expect("BATON_SKIPS is a file");
        writeln!(file, "{line}").expect("it can be written");
    }
}
