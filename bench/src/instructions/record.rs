//! What was counted once, and with what.

use std::{error::Error, fmt, fs, io, path::Path, process::Command};

use serde::{Deserialize, Serialize};

/// The part by which a count may be above what is recorded, and may be below before that is worth recording.
pub(super) const MARGIN: f64 = 0.03;

const HEAD: &str = "\
# Instructions that a message costs each process, there and back. `baton bench instructions` compares with these, and
# `baton bench instructions --record` writes this file (docs/performance.md).

";

/// Instructions per message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) edge: u64,
    pub(super) origin: u64,
    pub(super) sidecar: u64,
}

impl Counts {
    pub(super) fn each(&self) -> [u64; 3] {
        [self.edge, self.origin, self.sidecar]
    }

    /// The least of each; zero of none.
    pub(super) fn least(stretches: &[Self]) -> Self {
        let least = |of: fn(&Self) -> u64| stretches.iter().map(of).min().unwrap_or(0);
        Self { edge: least(|c| c.edge), origin: least(|c| c.origin), sidecar: least(|c| c.sidecar) }
    }
}

/// What a count depends on beside our own code. The processor's model isn't among it: valgrind shows programs one of
/// its own, which has AVX2 if the machine has, and never more; by that the C library chooses how to copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Conditions {
    rustc: String,
    pub(super) valgrind: String,
    libc: String,
    processor: String,
}

impl Conditions {
    pub(super) fn here() -> Result<Self, Box<dyn Error>> {
        let valgrind = says("valgrind", "--version").map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => "valgrind is not installed (Debian: apt-get install valgrind)".into(),
            _ => Box::<dyn Error>::from(error),
        })?;
        let libc = says("getconf", "GNU_LIBC_VERSION")?;
        Ok(Self { rustc: env!("BATON_RUSTC").to_owned(), valgrind, libc, processor: processor() })
    }
}

impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rustc, valgrind, libc, processor } = self;
        write!(f, "{rustc}, {valgrind}, {libc}, {processor}")
    }
}

fn says(program: &str, argument: &str) -> io::Result<String> {
    let output = Command::new(program).arg(argument).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn processor() -> String {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        return "x86_64 with AVX2".to_owned();
    }
    std::env::consts::ARCH.to_owned()
}

/// The file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) counts: Counts,
    pub(super) conditions: Conditions,
}

impl Record {
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let hint = |error: &dyn fmt::Display| format!("{}: {error}; --record writes it", path.display());
        let text = fs::read_to_string(path).map_err(|error| hint(&error))?;
        toml::from_str(&text).map_err(|error| hint(&error))
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), String> {
        fs::write(path, self.text()).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn text(&self) -> String {
        format!("{HEAD}{}", toml::to_string(self).expect("a record is a table of tables of words and numbers"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let record = Record {
            counts: Counts { edge: 1, origin: 2, sidecar: 3 },
            conditions: Conditions {
                rustc: "rustc 1".into(),
                valgrind: "valgrind-3".into(),
                libc: "glibc 2".into(),
                processor: processor(),
            },
        };
        assert_eq!(toml::from_str(&record.text()), Ok(record));
    }

    #[test]
    fn the_least_is_of_each_process() {
        let stretches = [Counts { edge: 1, origin: 9, sidecar: 5 }, Counts { edge: 2, origin: 8, sidecar: 4 }];
        assert_eq!(Counts::least(&stretches), Counts { edge: 1, origin: 8, sidecar: 4 });
    }

    #[test]
    fn who_has_no_record_is_told_how_to_get_one() {
        let error = Record::read(Path::new("no/such/file")).unwrap_err();
        assert!(error.starts_with("no/such/file: ") && error.ends_with("; --record writes it"), "{error}");
    }
}
