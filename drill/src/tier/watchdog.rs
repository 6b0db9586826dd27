//! Kills what a drill started when the drill can't.
//!
//! A shell reads a pipe whose other end only this process holds. However this process ends, the kernel closes the pipe,
//! and the shell kills the process groups that it was told of. (PR_SET_PDEATHSIG would need unsafe code between fork
//! and exec, and means the parent's thread, which in a test ends early.)

use std::{
    io::{self, Write},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
};

const SCRIPT: &str = r#"
trap '' HUP INT TERM
groups=' '
while read -r change group; do
    case $change in
        +) groups="$groups$group " ;;
        -) case $groups in
               *" $group "*) groups="${groups%% "$group" *} ${groups#* "$group" }" ;;
           esac ;;
    esac
done
for group in $groups; do
    kill -s KILL -- "-$group"
done
"#;

#[derive(Debug)]
pub(super) struct Watchdog {
    shell: Child,
}

impl Watchdog {
    pub(super) fn start() -> io::Result<Self> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // A group of its own: an interrupt from the terminal isn't for it.
        Ok(Self { shell: command.process_group(0).spawn()? })
    }

    /// The group of this leader is to die with us.
    pub(super) fn watch(&mut self, leader: u32) {
        self.tell(format_args!("+ {leader}\n"));
    }

    /// It was reaped: its number may soon be another's.
    pub(super) fn forget(&mut self, leader: u32) {
        self.tell(format_args!("- {leader}\n"));
    }

    fn tell(&mut self, line: std::fmt::Arguments<'_>) {
        if let Some(pipe) = &mut self.shell.stdin {
            // Without a shell there is still Drop; a drill doesn't end over it.
            drop(pipe.write_all(line.to_string().as_bytes()));
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        drop(self.shell.wait());
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn sleeper() -> Child {
        Command::new("/bin/sleep").arg("60").process_group(0).spawn().unwrap()
    }

    #[test]
    fn whoever_is_watched_dies_with_the_pipe() {
        let mut watchdog = Watchdog::start().unwrap();
        let (mut first, mut forgotten, mut last) = (sleeper(), sleeper(), sleeper());
        for child in [&first, &forgotten, &last] {
            watchdog.watch(child.id());
        }
        watchdog.forget(forgotten.id());
        drop(watchdog);
        assert_eq!(first.wait().unwrap().signal(), Some(9));
        assert_eq!(last.wait().unwrap().signal(), Some(9));
        assert!(forgotten.try_wait().unwrap().is_none());
        forgotten.kill().unwrap();
        forgotten.wait().unwrap();
    }
}
