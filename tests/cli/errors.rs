//! What people see who got something wrong: `errors.txt` has commands, and the whole of what each says.
//!
//! A line of what a command says stands behind a `|`, its exit code behind a `=`; a file's text stands before the command that
//! reads it, under `--- NAME`. `BLESS=1 cargo test --test cli errors` writes what
//! comes out now; read it before you commit it. It should say in one line what, where, expected, got, and how to mend it.

use std::{
    fs,
    io::Read,
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use baton_drill::pause::{Watch, pause};

use crate::{BATON, PATIENCE, tempdir};

const TABLE: &str = include_str!("errors.txt");

#[test]
fn errors_are_what_the_table_says() {
    let directory = tempdir("errors");
    // What an editor that shows text can't hold.
    fs::write(format!("{directory}/latin-1.toml"), b"[edge]\nname = \"M\xfcller\"\n").expect("written");
    fs::write(format!("{directory}/large.toml"), vec![b'#'; (1 << 20) + 1]).expect("written");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    let mut found = String::new();
    let mut lines = TABLE.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix("--- ") {
            let mut text = String::new();
            while let Some(line) = lines.next_if(|line| !line.starts_with("$ ") && !line.starts_with("--- ")) {
                text.push_str(&format!("{line}\n"));
            }
            fs::write(format!("{directory}/{name}"), &text).expect("written");
            found.push_str(&format!("{line}\n{text}"));
        } else if let Some(command) = line.strip_prefix("$ ") {
            while lines.next_if(|line| line.starts_with(['|', '='])).is_some() {}
            found.push_str(&format!("{line}\n{}", said(command, &address, Path::new(&directory))));
        } else {
            found.push_str(&format!("{line}\n"));
        }
    }
    if std::env::var_os("BLESS").is_some() {
        let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/errors.txt");
        fs::write(table, &found).expect("written");
        return;
    }
    let rows = found.lines().filter(|line| line.starts_with('=')).count();
    assert!(rows >= 40 && !found.contains("\n= 0\n") && !found.contains("backtrace"), "{rows} errors");
    let differs = found.lines().zip(TABLE.lines()).find(|(found, pinned)| found != pinned);
    assert!(found == TABLE, "found, pinned: {differs:#?}; BLESS=1 cargo test --test cli errors writes errors.txt anew");
}

/// What a command says, and its exit code. It is `[VARIABLE=VALUE]... baton ARGUMENT...`, with single quotes as in a shell,
/// and `{taken}` for an address that somebody listens on.
fn said(command: &str, taken: &str, directory: &Path) -> String {
    let words = words(&command.replace("{taken}", taken));
    let at = words.iter().position(|word| word == "baton").expect("a command");
    let variables = words[..at].iter().map(|word| word.split_once('=').expect("VARIABLE=VALUE"));
    let mut child = Command::new(BATON)
        .args(&words[at + 1..])
        .current_dir(directory)
        .env_clear()
        .envs(variables)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // What should have been refused, and runs, would run for ever.
    let watch = Watch::start();
    let status = loop {
        match child.try_wait().expect("it's ours") {
            Some(status) => break Some(status),
            None if watch.elapsed() > PATIENCE => break child.kill().ok().and(None),
            None => pause(Duration::from_millis(2)),
        }
    };
    let mut text = Vec::new();
    child.stderr.take().expect("piped").read_to_end(&mut text).expect("it can be read");
    child.wait().expect("it has ended");
    let text = String::from_utf8_lossy(&text).replace(taken, "{taken}");
    let code =
        status.and_then(|status| status.code()).map_or_else(|| "by a signal".to_owned(), |code| code.to_string());
    let lines = text.lines().map(|line| format!("| {}", undated(line)).trim_end().to_owned() + "\n");
    format!("{}= {code}\n", lines.collect::<String>())
}

/// A log's line without its time.
fn undated(line: &str) -> &str {
    line.split_once("Z ").filter(|(time, _)| time.starts_with("20")).map_or(line, |(_, rest)| rest.trim_start())
}

fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in text.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().expect("it never is empty").push(c),
        }
    }
    words
}
