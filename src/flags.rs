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
    /// Flags of a role's own, with the `KEY=VALUE` that each stands for.
    #[arg(skip)]
    own: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

impl Flags {
    /// Sets one more key, for this flag of a role's own.
    pub(crate) fn set(&mut self, flag: &str, key: &str, value: &str) {
        self.own.push((flag.into(), format!("{key}={value}")));
    }

    /// The configuration of a role, `read` by it. If there is nothing to run, the exit code instead: mistakes, which
    /// have been reported, or a check that was all that was asked for.
    pub(crate) fn read<C>(mut self, role: Role, read: impl FnOnce(&mut Reader) -> C) -> Result<(Shared, C), ExitCode> {
        match self.log_format {
            Some(LogFormat::Text) => self.set("--log-format", "log.format", "text"),
            Some(LogFormat::Json) => self.set("--log-format", "log.format", "json"),
            None => {}
        }
        let file = self.config.as_deref().map(Source::read);
        let mut reader = reader(file.as_ref(), self.set, self.own);
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

/// A configuration file.
pub(crate) struct Source {
    /// Its path, as given.
    pub(crate) name: String,
    /// What stands in it, or why that can't be read.
    pub(crate) text: Result<String, String>,
}

impl Source {
    /// Reads the file.
    pub(crate) fn read(path: &Path) -> Self {
        Self { name: path.display().to_string(), text: contents(path) }
    }
}

/// A reader over a file, the environment, the `KEY=VALUE` of each `--set`, and flags that stand for one.
pub(crate) fn reader(file: Option<&Source>, sets: Vec<String>, flags: Vec<(String, String)>) -> Reader {
    let text = file.and_then(|file| Some((file.name.clone(), file.text.clone().ok()?)));
    let mut reader = Reader::new(&Inputs { file: text, variables: variables(), sets, flags });
    if let Some(Source { name, text: Err(why) }) = file {
        reader.refuse_file(name, why);
    }
    reader
}

/// The text of a file of at most [`FILE_BYTES`].
pub(crate) fn contents(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|e| e.to_string())?;
    let read = file.take(FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if read as u64 > FILE_BYTES {
        return Err(format!("more than {FILE_BYTES} bytes"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("line {line} is not UTF-8")
    })
}

/// The environment; what isn't UTF-8 is read with its faults replaced, so that a key of ours with such a value is
/// refused rather than overlooked.
fn variables() -> Vec<(String, String)> {
    let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
    std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect()
}
