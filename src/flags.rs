//! What every role takes on its command line, and the configuration that comes of it.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    process::ExitCode,
};

use baton_process::{
    config::{Inputs, Reader, Shared},
    role::Role,
    run,
};
use clap::{Args, ValueEnum};

/// Bytes of a configuration file: hundreds of homes fit, a wrong file given by mistake doesn't.
const FILE_BYTES: u64 = 1 << 20;

/// The flags of a role.
#[derive(Args, Debug)]
pub(crate) struct Flags {
    /// Read this TOML file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Check the configuration and exit: 0 if it can be used, 2 with a report of every mistake if not
    #[arg(long)]
    check: bool,
    /// Log as text or as JSON (log.format)
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// Set one key, such as edge.listen=127.0.0.1:1883; beats the environment (BATON_EDGE__LISTEN) and the file
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

impl Flags {
    /// Sets one more key, for a flag of a role's own.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        self.set.push(format!("{key}={value}"));
    }

    /// The configuration of a role, `read` by it. If there is nothing to run, the exit code instead: mistakes, which
    /// have been reported, or a check that was all that was asked for.
    pub(crate) fn read<C>(mut self, role: Role, read: impl FnOnce(&mut Reader) -> C) -> Result<(Shared, C), ExitCode> {
        match self.log_format {
            Some(LogFormat::Text) => self.set("log.format", "text"),
            Some(LogFormat::Json) => self.set("log.format", "json"),
            None => {}
        }
        let (file, unreadable) = match self.config.as_deref().map(|path| (path.display().to_string(), contents(path))) {
            Some((name, Ok(text))) => (Some((name, text)), None),
            Some((name, Err(why))) => (None, Some((name, why))),
            None => (None, None),
        };
        let mut reader = Reader::new(&Inputs { file, variables: variables(), sets: self.set });
        if let Some((name, why)) = unreadable {
            reader.refuse_file(&name, &why);
        }
        let config = (Shared::read(&mut reader, role), read(&mut reader));
        match reader.finish() {
            Err(report) => Err(run::mistaken(&report)),
            Ok(()) if self.check => {
                println!("configuration ok");
                Err(ExitCode::SUCCESS)
            }
            Ok(()) => Ok(config),
        }
    }
}

/// The text of a file of at most [`FILE_BYTES`].
pub(crate) fn contents(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|e| e.to_string())?;
    let read = file.take(FILE_BYTES + 1).read_to_string(&mut text).map_err(|e| e.to_string())?;
    if read as u64 > FILE_BYTES { Err(format!("more than {FILE_BYTES} bytes")) } else { Ok(text) }
}

/// The environment; what isn't UTF-8 is read with its faults replaced, so that a key of ours with such a value is
/// refused rather than overlooked.
fn variables() -> Vec<(String, String)> {
    let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
    std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect()
}
