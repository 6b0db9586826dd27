//! CONNECT, the one MQTT packet that a relay reads: 3.1 (protocol name `MQIsdp`, level 3), 3.1.1 (4) and 5 (5).
//!
//! The relay wants to know whom a session belongs to and how long it may be silent; everything else it only has to
//! tell from nonsense, because the bytes go to the broker as they came. So what a standard calls malformed is refused
//! here with the answer that it prescribes, and what brokers are free to judge (lengths of client ids, topic names,
//! credentials, authentication methods) passes. Where 3.1 says "not used", any value passes at level 3.
//!
//! Section numbers are those of the OASIS standards 3.1.1 and 5; rules that both state carry one number.

mod error;
mod property;
mod reader;

use std::fmt;

pub use error::{ConnectError, Fault};
pub use property::{Properties, Property, Value};

use crate::id::UserId;
use property::Place;
use reader::Reader;

/// The versions of MQTT that clients may speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// 3.1, level 3.
    V31,
    /// 3.1.1, level 4.
    V311,
    /// 5, level 5.
    V5,
}

/// What the bytes so far amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// Nothing wrong yet, and not all there.
    Incomplete {
        /// Bytes, counted from the first, without which another call is pointless; more than are there.
        need: usize,
    },
    /// A whole, legal CONNECT.
    Connect(Connect<'a>),
}

/// A legal CONNECT, borrowed from the bytes that hold it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Connect<'a> {
    /// Version of MQTT.
    pub level: Level,
    /// The client's name; may be empty, then the broker makes one up (never at level 3).
    pub client_id: &'a str,
    /// The user's name, where one is given.
    pub username: Option<&'a str>,
    /// The credential, where one is given; any bytes.
    pub password: Option<&'a [u8]>,
    /// Seconds after which half as much again of silence means death; 0: never.
    pub keep_alive: u16,
    /// The broker shall forget what it kept for this client ("clean session" before MQTT 5).
    pub clean_start: bool,
    /// What the broker publishes when the client vanishes.
    pub will: Option<Will<'a>>,
    /// MQTT 5's properties; empty before.
    pub properties: Properties<'a>,
    /// Bytes of the packet, all told. What follows them are the session's next packets: clients needn't wait for a
    /// CONNACK (3.1.4).
    pub total: usize,
}

/// The message that a broker publishes when the client vanishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Will<'a> {
    /// Where it is published; its form is the broker's to judge.
    pub topic: &'a str,
    /// What is published.
    pub payload: &'a [u8],
    /// 0, 1 or 2.
    pub qos: u8,
    /// Published as retained.
    pub retain: bool,
    /// MQTT 5's properties of the will; empty before.
    pub properties: Properties<'a>,
}

impl fmt::Debug for Connect<'_> {
    /// Shows all but the password, of which only the length is told.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("level", &self.level)
            .field("client_id", &self.client_id)
            .field("username", &self.username)
            .field("password_bytes", &self.password.map(<[u8]>::len))
            .field("keep_alive", &self.keep_alive)
            .field("clean_start", &self.clean_start)
            .field("will", &self.will)
            .field("properties", &self.properties)
            .field("total", &self.total)
            .finish()
    }
}

/// Reads a CONNECT from the first bytes of a connection, of which there may be too few or too many.
///
/// `limit` bounds the whole packet in bytes and is checked as soon as the header is there, so that nobody needs to
/// buffer more than that; so are the packet's type, the protocol's name and its level.
///
/// # Errors
/// The bytes can't become a legal CONNECT within the limit, whatever follows.
pub fn parse(bytes: &[u8], limit: usize) -> Result<Parsed<'_>, ConnectError> {
    let malformed = |level, fault| ConnectError::Malformed { level, fault };
    let Some(&first) = bytes.first() else { return Ok(Parsed::Incomplete { need: 2 }) };
    if first >> 4 != TYPE {
        return Err(ConnectError::NotConnect); // MQTT-3.1.0-1
    }
    let length = match reader::varint(&bytes[1..]).map_err(|fault| malformed(None, fault))? {
        Some(length) => length,
        None => return Ok(Parsed::Incomplete { need: bytes.len() + 1 }),
    };
    let header = 1 + length.width;
    let total = header + length.value;
    let body = &bytes[header..bytes.len().min(total)];

    let Some((level, start)) = level(body)? else {
        if body.len() == length.value {
            return Err(malformed(None, Fault::Short));
        }
        // The level decides how a packet over the limit is answered; it is among the first few bytes.
        return Ok(Parsed::Incomplete { need: if total <= limit { total } else { bytes.len() + 1 } });
    };
    if total > limit {
        return Err(ConnectError::TooLarge { level, total });
    }
    if body.len() < length.value {
        return Ok(Parsed::Incomplete { need: total });
    }
    if level != Level::V31 && first & 0x0f != 0 {
        return Err(malformed(Some(level), Fault::HeaderFlags)); // MQTT-2.2.2-2; MQTT 5: 2.1.3-1
    }
    if level == Level::V5 && !length.minimal {
        return Err(malformed(Some(level), Fault::Varint)); // MQTT 5: 1.5.5-1
    }
    let connect = fields(level, Reader::new(&body[start..]), total).map_err(|fault| malformed(Some(level), fault))?;
    if connect.client_id.is_empty() && id_needed(&connect) {
        return Err(ConnectError::IdRejected);
    }
    Ok(Parsed::Connect(connect))
}

/// CONNECT's packet type, the upper half of the first byte.
const TYPE: u8 = 1;

/// The level, and how many bytes lead up to the flags; `None` while too few are there to tell (3.1.2.1, 3.1.2.2).
fn level(body: &[u8]) -> Result<Option<(Level, usize)>, ConnectError> {
    const CURRENT: &[u8] = b"\0\x04MQTT";
    const OLD: &[u8] = b"\0\x06MQIsdp";
    let begins = |name: &[u8]| body.iter().zip(name).all(|(a, b)| a == b);
    let name = [CURRENT, OLD].into_iter().find(|name| begins(name)).ok_or(ConnectError::UnknownProtocol)?;
    let level = match (name == OLD, body.get(name.len())) {
        (_, None) => return Ok(None),
        (true, Some(3)) => Level::V31,
        (false, Some(4)) => Level::V311,
        (false, Some(5)) => Level::V5,
        (_, Some(&other)) => return Err(ConnectError::UnknownLevel(other)), // MQTT-3.1.2-2
    };
    Ok(Some((level, name.len() + 1)))
}

/// Whether a client without a name is refused: with a session to be kept before MQTT 5 (MQTT-3.1.3-8), always in 3.1.
fn id_needed(connect: &Connect<'_>) -> bool {
    match connect.level {
        Level::V31 => true,
        Level::V311 => !connect.clean_start,
        Level::V5 => false,
    }
}

/// The fields from the flags to the end (3.1.2.3 to 3.1.3.5).
fn fields(level: Level, mut reader: Reader<'_>, total: usize) -> Result<Connect<'_>, Fault> {
    let flags = Flags::read(level, reader.u8()?)?;
    let keep_alive = reader.u16()?;
    let properties = properties(level, &mut reader, Place::Connect)?;
    let client_id = reader.text()?;
    let will = flags.will.then(|| will(level, flags, &mut reader)).transpose()?;
    // In 3.1 the remaining length takes precedence over both flags: what is flagged may be missing at the end.
    let present = |flag: bool, reader: &Reader<'_>| flag && !(level == Level::V31 && reader.is_empty());
    let username = if present(flags.username, &reader) { Some(reader.text()?) } else { None };
    let password = if present(flags.password, &reader) { Some(reader.binary()?) } else { None };
    if !reader.is_empty() {
        return Err(Fault::Trailing); // the payload holds these fields and no others: 3.1.3
    }
    Ok(Connect {
        level,
        client_id,
        username,
        password,
        keep_alive,
        clean_start: flags.clean_start,
        will,
        properties,
        total,
    })
}

/// The connect flags, told apart and found consistent (3.1.2.3 to 3.1.2.9).
#[derive(Clone, Copy)]
struct Flags {
    username: bool,
    password: bool,
    will_retain: bool,
    will_qos: u8,
    will: bool,
    clean_start: bool,
}

impl Flags {
    fn read(level: Level, bits: u8) -> Result<Self, Fault> {
        let bit = |n: u8| bits >> n & 1 == 1;
        let flags = Self {
            username: bit(7),
            password: bit(6),
            will_retain: bit(5),
            will_qos: bits >> 3 & 3,
            will: bit(2),
            clean_start: bit(1),
        };
        let strict = level != Level::V31;
        if strict && bit(0) {
            return Err(Fault::ReservedFlag); // MQTT-3.1.2-3
        }
        if strict && !flags.will && (flags.will_qos != 0 || flags.will_retain) {
            return Err(Fault::WillFlags); // MQTT-3.1.2-13, -15; MQTT 5: 3.1.2-11, -13
        }
        if flags.will && flags.will_qos == 3 {
            return Err(Fault::WillQos); // MQTT-3.1.2-14; MQTT 5: 3.1.2-12
        }
        if level != Level::V5 && flags.password && !flags.username {
            return Err(Fault::PasswordAlone); // MQTT-3.1.2-22, gone in MQTT 5
        }
        Ok(flags)
    }
}

fn will<'a>(level: Level, flags: Flags, reader: &mut Reader<'a>) -> Result<Will<'a>, Fault> {
    let properties = properties(level, reader, Place::Will)?;
    Ok(Will {
        topic: reader.text()?,
        payload: reader.binary()?,
        qos: flags.will_qos,
        retain: flags.will_retain,
        properties,
    })
}

fn properties<'a>(level: Level, reader: &mut Reader<'a>, place: Place) -> Result<Properties<'a>, Fault> {
    if level == Level::V5 { Properties::read(reader, place) } else { Ok(Properties::empty(place)) }
}

/// The CONNACK for a client that no home could be found for: 0x03 before MQTT 5 (3.2.2.3), 0x88 in MQTT 5 (3.2.2.2).
pub fn connack_unavailable(level: Level) -> &'static [u8] {
    match level {
        Level::V31 | Level::V311 => &[0x20, 2, 0, 0x03],
        Level::V5 => &[0x20, 3, 0, 0x88, 0],
    }
}

/// Which of its names tells whom a session belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserIdSource {
    /// The client id: what MQTT keys sessions by.
    ClientId,
    /// The username: one person's devices share a home. A client without one goes by its client id.
    Username,
}

/// Whom the session belongs to; `None` for a client that leaves it to the broker to name it.
///
/// A client id that is missing isn't replaced by the username: a fleet that shares one would all go to one home.
pub fn user_id(connect: &Connect<'_>, source: UserIdSource) -> Option<UserId> {
    let username = connect.username.filter(|_| source == UserIdSource::Username);
    [username, Some(connect.client_id)].into_iter().flatten().find(|name| !name.is_empty()).map(UserId::new)
}
