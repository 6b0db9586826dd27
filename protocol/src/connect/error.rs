//! What can be wrong with a client's first packet, and how each is answered.

use std::fmt;

use super::Level;
use crate::error::CloseCause;

/// The first bytes of a client can't become a CONNECT that we take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectError {
    /// Another packet, or another protocol.
    NotConnect,
    /// CONNECT of a protocol that is neither `MQTT` nor `MQIsdp`.
    UnknownProtocol,
    /// CONNECT of a version that we don't speak, or of one that doesn't go with the protocol's name. Mosquitto's
    /// bridges ask for 0x84 first, and for 4 once that is refused.
    UnknownLevel(u8),
    /// The packet is longer than we take.
    TooLarge {
        /// Version of MQTT.
        level: Level,
        /// Bytes of the whole packet.
        total: usize,
    },
    /// An empty client id where the version doesn't let the broker make one up; never in MQTT 5.
    IdRejected,
    /// The packet breaks its own format.
    Malformed {
        /// Version of MQTT, if the packet got that far.
        level: Option<Level>,
        /// Where it breaks.
        fault: Fault,
    },
}

/// Where a CONNECT breaks its own format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Flags of the fixed header that have to be zero.
    HeaderFlags,
    /// A variable byte integer of more than four bytes, or of more than it needs in MQTT 5.
    Varint,
    /// A field goes beyond the end.
    Short,
    /// Bytes after the last field.
    Trailing,
    /// A string that isn't UTF-8.
    NotUtf8,
    /// A string with U+0000 in it.
    Nul,
    /// The connect flag that has to be zero.
    ReservedFlag,
    /// The will's flags without a will.
    WillFlags,
    /// The will's QoS is 3.
    WillQos,
    /// A password without a username, before MQTT 5.
    PasswordAlone,
    /// A property that doesn't belong there.
    PropertyUnknown(u8),
    /// A property that may stand there once.
    PropertyTwice(u8),
    /// A value that the property may not have.
    PropertyValue(u8),
    /// Authentication data without a method.
    DataWithoutMethod,
}

impl Fault {
    /// MQTT 5's reason code: protocol error where its text says so, else malformed packet (4.13).
    fn is_protocol_error(self) -> bool {
        matches!(self, Self::PropertyTwice(_) | Self::PropertyValue(_) | Self::DataWithoutMethod)
    }
}

impl ConnectError {
    /// The bytes to send before closing; `None` where MQTT prescribes none: then close without a word.
    ///
    /// Before MQTT 5 there are two (MQTT-3.1.2-2, MQTT-3.1.3-9). MQTT 5 lets the server say what it dislikes
    /// (3.1.4-2); an unknown level is answered as 3.1.1 does, since every client since then understands that.
    pub fn answer(&self) -> Option<&'static [u8]> {
        match self {
            Self::UnknownLevel(_) => Some(&[0x20, 2, 0, 0x01]),
            Self::IdRejected => Some(&[0x20, 2, 0, 0x02]),
            Self::TooLarge { level: Level::V5, .. } => Some(&[0x20, 3, 0, 0x95, 0]),
            Self::Malformed { level: Some(Level::V5), fault } if fault.is_protocol_error() => {
                Some(&[0x20, 3, 0, 0x82, 0])
            }
            Self::Malformed { level: Some(Level::V5), .. } => Some(&[0x20, 3, 0, 0x81, 0]),
            Self::NotConnect | Self::UnknownProtocol | Self::TooLarge { .. } | Self::Malformed { .. } => None,
        }
    }

    /// The cause under which the close is counted.
    pub fn cause(&self) -> CloseCause {
        match self {
            Self::UnknownLevel(_) => CloseCause::UnknownLevel,
            Self::TooLarge { .. } => CloseCause::ConnectTooLarge,
            Self::NotConnect | Self::UnknownProtocol | Self::IdRejected | Self::Malformed { .. } => {
                CloseCause::BadConnect
            }
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConnect => f.write_str("the first packet isn't a CONNECT"),
            Self::UnknownProtocol => f.write_str("the protocol is neither MQTT nor MQIsdp"),
            Self::UnknownLevel(level) => write!(f, "protocol level {level:#04x} is unknown"),
            Self::TooLarge { total, .. } => write!(f, "a CONNECT of {total} bytes is too large"),
            Self::IdRejected => f.write_str("the client id is empty"),
            Self::Malformed { fault, .. } => write!(f, "malformed CONNECT: {fault}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HeaderFlags => f.write_str("flags in the fixed header"),
            Self::Varint => f.write_str("a variable byte integer that is too long"),
            Self::Short => f.write_str("a field goes beyond the end"),
            Self::Trailing => f.write_str("bytes after the last field"),
            Self::NotUtf8 => f.write_str("a string that isn't UTF-8"),
            Self::Nul => f.write_str("a string with U+0000 in it"),
            Self::ReservedFlag => f.write_str("the reserved flag is set"),
            Self::WillFlags => f.write_str("flags of a will without a will"),
            Self::WillQos => f.write_str("a will of QoS 3"),
            Self::PasswordAlone => f.write_str("a password without a username"),
            Self::PropertyUnknown(id) => write!(f, "property {id:#04x} doesn't belong there"),
            Self::PropertyTwice(id) => write!(f, "property {id:#04x} twice"),
            Self::PropertyValue(id) => write!(f, "property {id:#04x} may not have that value"),
            Self::DataWithoutMethod => f.write_str("authentication data without a method"),
        }
    }
}

impl std::error::Error for ConnectError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Operators look for these words; each says by itself what is wrong.
    #[test]
    fn every_error_has_its_text() {
        let malformed = |fault| ConnectError::Malformed { level: None, fault };
        let texts = [
            (ConnectError::NotConnect, "the first packet isn't a CONNECT"),
            (ConnectError::UnknownProtocol, "the protocol is neither MQTT nor MQIsdp"),
            (ConnectError::UnknownLevel(0x84), "protocol level 0x84 is unknown"),
            (ConnectError::TooLarge { level: Level::V5, total: 70_000 }, "a CONNECT of 70000 bytes is too large"),
            (ConnectError::IdRejected, "the client id is empty"),
            (malformed(Fault::HeaderFlags), "malformed CONNECT: flags in the fixed header"),
            (malformed(Fault::Varint), "malformed CONNECT: a variable byte integer that is too long"),
            (malformed(Fault::Short), "malformed CONNECT: a field goes beyond the end"),
            (malformed(Fault::Trailing), "malformed CONNECT: bytes after the last field"),
            (malformed(Fault::NotUtf8), "malformed CONNECT: a string that isn't UTF-8"),
            (malformed(Fault::Nul), "malformed CONNECT: a string with U+0000 in it"),
            (malformed(Fault::ReservedFlag), "malformed CONNECT: the reserved flag is set"),
            (malformed(Fault::WillFlags), "malformed CONNECT: flags of a will without a will"),
            (malformed(Fault::WillQos), "malformed CONNECT: a will of QoS 3"),
            (malformed(Fault::PasswordAlone), "malformed CONNECT: a password without a username"),
            (malformed(Fault::PropertyUnknown(0x7f)), "malformed CONNECT: property 0x7f doesn't belong there"),
            (malformed(Fault::PropertyTwice(0x21)), "malformed CONNECT: property 0x21 twice"),
            (malformed(Fault::PropertyValue(0x19)), "malformed CONNECT: property 0x19 may not have that value"),
            (malformed(Fault::DataWithoutMethod), "malformed CONNECT: authentication data without a method"),
        ];
        for (error, text) in texts {
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn only_mqtt_5_is_told_what_is_wrong_with_a_packet() {
        let answer = |level, fault| ConnectError::Malformed { level, fault }.answer();
        assert_eq!(answer(Some(Level::V5), Fault::Short), Some(&[0x20, 3, 0, 0x81, 0][..]));
        assert_eq!(answer(Some(Level::V5), Fault::PropertyTwice(0x21)), Some(&[0x20, 3, 0, 0x82, 0][..]));
        for level in [None, Some(Level::V31), Some(Level::V311)] {
            assert_eq!(answer(level, Fault::Short), None, "{level:?}");
        }
        let too_large = |level| ConnectError::TooLarge { level, total: 1 };
        assert_eq!(too_large(Level::V5).answer(), Some(&[0x20, 3, 0, 0x95, 0][..]));
        assert_eq!(too_large(Level::V311).answer(), None);
        assert_eq!(too_large(Level::V311).cause(), CloseCause::ConnectTooLarge);
        assert_eq!(ConnectError::UnknownLevel(6).cause(), CloseCause::UnknownLevel);
        assert_eq!(ConnectError::IdRejected.cause(), CloseCause::BadConnect);
    }
}
