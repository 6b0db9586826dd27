//! Names of users, sessions and nodes, as newtypes that can only hold a legal value.

use std::{fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

use crate::limits;

fn hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|b| write!(f, "{b:02x}"))
}

/// What the ring hashes: whom a session belongs to. At most [`limits::USER_ID_BYTES`] long.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(Box<str>);

impl UserId {
    /// The user id for `name`; a name over the limit is represented by its SHA-256.
    pub fn new(name: &str) -> Self {
        if name.len() <= limits::USER_ID_BYTES {
            return Self(name.into());
        }
        let digest = Sha256::digest(name.as_bytes());
        Self(format!("sha256:{}", digest.iter().map(|b| format!("{b:02x}")).collect::<String>()).into())
    }

    /// The user id of a client that names itself in no way; `chance` makes it unique.
    pub fn anonymous(chance: u128) -> Self {
        Self(format!("anon:{chance:032x}").into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// The secret that lets an edge resume a session: 32 random bytes, fresh for every open attempt.
/// Never logged: `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SessionKey([u8; 32]);

impl SessionKey {
    /// A key of these bytes, which the caller took from a cryptographic source.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for the snapshot only.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The name under which anchors index the session and logs show it.
    pub fn sid(&self) -> Sid {
        let digest = Sha256::digest(self.0);
        let mut sid = [0; 16];
        sid.copy_from_slice(&digest[..16]);
        Sid(sid)
    }

    /// The key as an RFC 8941 byte sequence.
    pub fn to_header(&self) -> String {
        format!(":{}:", STANDARD.encode(self.0))
    }

    /// Reads an RFC 8941 byte sequence of exactly 32 bytes.
    pub fn from_header(value: &str) -> Option<Self> {
        let inner = value.strip_prefix(':')?.strip_suffix(':')?;
        Some(Self(STANDARD.decode(inner).ok()?.try_into().ok()?))
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(..)")
    }
}

/// A session's public name: the first 16 bytes of the SHA-256 of its key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sid(pub [u8; 16]);

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(f, &self.0)
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(f, &self.0)
    }
}

/// The name of an edge, an origin or a home: 1 to 64 of `a-z A-Z 0-9 . _ -`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeName(Arc<str>);

impl NodeName {
    /// Checks and takes a name.
    pub fn new(name: &str) -> Option<Self> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        (!name.is_empty() && name.len() <= limits::NODE_NAME_BYTES && name.bytes().all(legal))
            .then(|| Self(name.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// Number of an attach attempt: 1 at the open, higher for each resume; the highest accepted one fences all others.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch of an open.
    pub const FIRST: Self = Self(1);
    /// Epochs from here on are not believed when a peer names them.
    pub const CEILING: Self = Self(1 << 62);

    /// The next attempt's epoch.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_shown() {
        let key = SessionKey::from_bytes([0xab; 32]);
        assert!(!format!("{key:?}").contains("ab"), "{key:?}");
        assert_eq!(SessionKey::from_header(&key.to_header()), Some(key.clone()));
        assert_eq!(key.sid().to_string().len(), 32);
    }

    #[test]
    fn what_is_shown_in_logs() {
        let sid = Sid([0x0f; 16]);
        assert_eq!((sid.to_string(), format!("{sid:?}")), ("0f".repeat(16), "0f".repeat(16)));
        let name = NodeName::new("edge-1").unwrap();
        assert_eq!((name.to_string(), format!("{name:?}")), ("edge-1".into(), "\"edge-1\"".into()));
        // A line break of a user's choice stays in its line.
        assert_eq!(format!("{:?}", UserId::new("a\nb")), r#""a\nb""#);
        assert_eq!(UserId::anonymous(0x2a).as_str(), "anon:0000000000000000000000000000002a");
        assert_eq!(Epoch(7).next().to_string(), "8");
        assert_eq!(Epoch(u64::MAX).next(), Epoch(u64::MAX));
    }

    #[test]
    fn a_key_that_is_none_is_refused() {
        for bad in ["", ":", "::", "AAAA", ":AAAA:", ":not base64:"] {
            assert_eq!(SessionKey::from_header(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_long_user_id_travels_as_its_digest() {
        assert_eq!(UserId::new("alice").as_str(), "alice");
        let long = "x".repeat(limits::USER_ID_BYTES + 1);
        assert!(UserId::new(&long).as_str().starts_with("sha256:"));
        assert_eq!(UserId::new(&long).as_str().len(), 71);
    }

    #[test]
    fn names_are_checked() {
        assert!(NodeName::new("broker-3").is_some());
        for bad in ["", "a b", "a\"b", &"x".repeat(65)] {
            assert_eq!(NodeName::new(bad), None, "{bad:?}");
        }
    }
}
