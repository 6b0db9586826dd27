//! Who may connect: user names and passwords, from lines of text.
//!
//! Passwords are plain. mosquitto's hashed form would keep nothing secret here: a simulator's passwords stand in the
//! test beside it, and whoever reads a failing test wants to read them.

use std::{collections::BTreeMap, fmt};

use rmqtt_codec::v5::Connect;

use super::Fault;

/// The users of a broker that lets in nobody else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    users: BTreeMap<String, String>,
}

/// A line that is none of `user:password`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadCredentials {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

impl fmt::Display for BadCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for BadCredentials {}

impl Credentials {
    /// Reads lines of `user:password`; the first colon separates, so a password may have some. Empty lines and those
    /// that begin with `#` are left out.
    ///
    /// # Errors
    /// A line has no colon or no user, or its user stands in a line before.
    pub fn parse(text: &str) -> Result<Self, BadCredentials> {
        let mut users = BTreeMap::new();
        for (at, line) in text.lines().enumerate() {
            let bad = |what| BadCredentials { line: at + 1, what };
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let (user, password) = line.split_once(':').ok_or(bad("no colon between user and password"))?;
            if user.is_empty() {
                return Err(bad("no user before the colon"));
            }
            if users.insert(user.to_owned(), password.to_owned()).is_some() {
                return Err(bad("the user is there already"));
            }
        }
        Ok(Self { users })
    }

    /// Whether the client may connect [MQTT-3.1.4-2].
    pub(super) fn check(&self, connect: &Connect) -> Result<(), Fault> {
        let Some(user) = &connect.username else { return Err(Fault::Anonymous) };
        let given = connect.password.as_deref().unwrap_or_default();
        match self.users.get(&**user) {
            Some(password) if password.as_bytes() == given => Ok(()),
            _ => Err(Fault::Credentials),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let text = "# who\n\nann:secret\r\nbob:with:colons\n  \nempty:\n";
        let credentials = Credentials::parse(text).unwrap();
        for (user, password, expected) in [
            (Some("ann"), Some("secret"), Ok(())),
            (Some("bob"), Some("with:colons"), Ok(())),
            (Some("empty"), None, Ok(())),
            (Some("ann"), Some("Secret"), Err(Fault::Credentials)),
            (Some("ann"), None, Err(Fault::Credentials)),
            (Some("eve"), Some("secret"), Err(Fault::Credentials)),
            (None, Some("secret"), Err(Fault::Anonymous)),
        ] {
            let connect = Connect {
                username: user.map(Into::into),
                password: password.map(|password| password.to_owned().into()),
                ..Connect::default()
            };
            assert_eq!(credentials.check(&connect), expected, "{user:?} {password:?}");
        }
    }

    #[test]
    fn a_mistake_has_its_line() {
        for (text, shown) in [
            ("a:b\nc", "line 2: no colon between user and password"),
            (":b", "line 1: no user before the colon"),
            ("a:b\n#\na:c", "line 3: the user is there already"),
        ] {
            assert_eq!(Credentials::parse(text).unwrap_err().to_string(), shown);
        }
    }
}
