//! A process that is spoken to in lines.

use std::{
    fmt::Display,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, sync_channel},
    thread,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{PATIENCE, until};

/// Lines that a program may be ahead of its reader.
pub(crate) const LINES: usize = 1_024;

/// Reads lines, and writes lines.
pub(crate) struct Program {
    child: Child,
    input: Option<ChildStdin>,
    output: Receiver<String>,
}

impl Program {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let (sender, output) = sync_channel(LINES);
        let stdout = BufReader::new(child.stdout.take().expect("it was asked for"));
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { input: child.stdin.take(), child, output }
    }

    /// Tells it something.
    pub(crate) fn say(&mut self, line: impl Display) -> Result<(), String> {
        let input = self.input.as_mut().ok_or("it was told to end")?;
        let told = writeln!(input, "{line}").and_then(|()| input.flush());
        // What it last said tells more.
        told.map_err(|error| self.output.try_iter().last().unwrap_or(error.to_string()))
    }

    /// The next line that it says.
    pub(crate) fn line(&self) -> Result<String, String> {
        self.output.recv_timeout(PATIENCE).map_err(|error| match error {
            RecvTimeoutError::Timeout => "it says nothing".into(),
            RecvTimeoutError::Disconnected => "it has ended".into(),
        })
    }

    pub(crate) fn terminate(&self) -> Result<(), String> {
        kill_process(Pid::from_child(&self.child), Signal::TERM).map_err(|error| error.to_string())
    }

    /// Closes its input, and waits for its end.
    pub(crate) fn ends(mut self) -> Result<(), String> {
        drop(self.input.take());
        let mut status = None;
        until("it ends", || {
            status = self.child.try_wait().expect("it was started");
            status.is_some()
        });
        match status {
            Some(status) if !status.success() => Err(status.to_string()),
            _ => Ok(()),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail only for a program that has ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
