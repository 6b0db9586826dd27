//! Verbs and flags: every `--help`, and that docs/interfaces.md names every flag.

use std::{fmt::Write, process::Command};

use crate::{block, compare, section};

/// The help of a verb and of every verb below it.
fn helps(verb: &[&str], all: &mut String) -> Vec<(String, String)> {
    let output = Command::new(env!("CARGO_BIN_EXE_baton"))
        .args(verb)
        .arg("--help")
        .env_clear()
        .output()
        .expect("the program starts");
    assert!(output.status.success() && output.stderr.is_empty(), "{verb:?}: {output:?}");
    let help = String::from_utf8(output.stdout).expect("UTF-8");
    let name = ["baton"].iter().chain(verb).copied().collect::<Vec<_>>().join(" ");
    writeln!(all, "$ {name} --help\n{help}").expect("a String takes whatever is written to it");
    let mut flags: Vec<_> = help
        .lines()
        .filter(|line| line.trim_start().starts_with('-'))
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with("--")))
        .map(|flag| (name.clone(), flag.to_owned()))
        .filter(|(_, flag)| flag != "--help" && flag != "--version")
        .collect();
    let verbs = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    for below in verbs.filter_map(|line| line.split_whitespace().next()).filter(|below| *below != "help") {
        flags.extend(helps(&[verb, &[below]].concat(), all));
    }
    flags
}

#[test]
fn the_command_line() {
    let mut all = String::new();
    let flags = helps(&[], &mut all);
    assert!(flags.len() > 50, "{flags:?}");
    let synopsis = block(&section("## Command line"));
    let documented = |name: &str, flag: &str| {
        let verbs: Vec<_> = name.split(' ').collect();
        let about = |line: &&str| {
            let words: Vec<_> = line.split(' ').collect();
            let named = words.iter().zip(&verbs).all(|(word, verb)| word.split('|').any(|word| word == *verb));
            // The line below five benches that names what they all take.
            named || (line.starts_with(' ') && name.starts_with("baton bench"))
        };
        synopsis.lines().filter(about).any(|line| line.contains(flag))
    };
    let missing: Vec<_> = flags.iter().filter(|(name, flag)| !documented(name, flag)).collect();
    assert!(missing.is_empty(), "docs/interfaces.md, Command line, lacks {missing:?}");
    compare("help.txt", &all);
}
