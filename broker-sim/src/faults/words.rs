//! What reasons, times and shares are called.

use std::fmt;

use baton_protocol::limits::Millis;

/// The reasons of MQTT 5 that a broker gives for a refusal or an end (2.4).
const REASONS: [(u8, &str); 33] = [
    (0x80, "unspecified-error"),
    (0x81, "malformed-packet"),
    (0x82, "protocol-error"),
    (0x83, "implementation-specific-error"),
    (0x84, "unsupported-protocol-version"),
    (0x85, "client-identifier-not-valid"),
    (0x86, "bad-user-name-or-password"),
    (0x87, "not-authorized"),
    (0x88, "server-unavailable"),
    (0x89, "server-busy"),
    (0x8a, "banned"),
    (0x8b, "server-shutting-down"),
    (0x8c, "bad-authentication-method"),
    (0x8d, "keep-alive-timeout"),
    (0x8e, "session-taken-over"),
    (0x8f, "topic-filter-invalid"),
    (0x90, "topic-name-invalid"),
    (0x93, "receive-maximum-exceeded"),
    (0x94, "topic-alias-invalid"),
    (0x95, "packet-too-large"),
    (0x96, "message-rate-too-high"),
    (0x97, "quota-exceeded"),
    (0x98, "administrative-action"),
    (0x99, "payload-format-invalid"),
    (0x9a, "retain-not-supported"),
    (0x9b, "qos-not-supported"),
    (0x9c, "use-another-server"),
    (0x9d, "server-moved"),
    (0x9e, "shared-subscriptions-not-supported"),
    (0x9f, "connection-rate-exceeded"),
    (0xa0, "maximum-connect-time"),
    (0xa1, "subscription-identifiers-not-supported"),
    (0xa2, "wildcard-subscriptions-not-supported"),
];

/// The reason with this name, or with this number, which is `0x` and hexadecimal digits.
pub(super) fn reason(word: &str) -> Option<u8> {
    match word.strip_prefix("0x") {
        Some(digits) if digits.len() <= 2 => u8::from_str_radix(digits, 16).ok(),
        _ => REASONS.iter().find(|(_, name)| *name == word).map(|(code, _)| *code),
    }
}

/// The name of a reason.
pub(super) fn reason_name(code: u8) -> &'static str {
    REASONS.iter().find(|(known, _)| *known == code).map_or("?", |(_, name)| name)
}

/// A time in the largest unit that it is a whole number of.
pub(super) struct Time(pub(super) Millis);

/// The units, and how many milliseconds they have; the larger ones first.
const UNITS: [(&str, Millis); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl Time {
    /// `2s`, `200ms`, `5m`, `1h`.
    pub(super) fn parse(word: &str) -> Option<Self> {
        let digits = word.find(|c: char| !c.is_ascii_digit())?;
        let (number, unit) = word.split_at(digits);
        let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit)?;
        number.parse::<Millis>().ok()?.checked_mul(*millis).map(Self)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, millis) = UNITS.iter().find(|(_, millis)| self.0.is_multiple_of(*millis)).unwrap_or(&UNITS[3]);
        write!(f, "{}{unit}", self.0 / millis)
    }
}

/// A share of all, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(pub(super) u32);

/// Digits behind the point that a share may have.
const DECIMALS: usize = 4;

impl Share {
    /// `10%`, `0.5%`: more than nothing, at most all.
    pub(super) fn parse(word: &str) -> Option<Self> {
        let number = word.strip_suffix('%')?;
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !all_digits(whole) || !all_digits(part) || whole.len() > 3 || part.len() > DECIMALS {
            return None;
        }
        let millionths = format!("{whole}{part:0<DECIMALS$}").parse().ok()?;
        (1..=1_000_000).contains(&millionths).then_some(Self(millionths))
    }

    /// As a probability.
    pub(super) fn probability(self) -> f64 {
        f64::from(self.0) / 1e6
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.0) / 1e4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_have_names_and_numbers() {
        for (code, name) in REASONS {
            assert_eq!(
                (reason(name), reason(&format!("{code:#x}")), reason_name(code)),
                (Some(code), Some(code), name)
            );
        }
        for wrong in ["", "0x", "0xgg", "0x187", "135", "Banned"] {
            assert_eq!(reason(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn times_and_shares_are_shown_as_they_are_written() {
        for text in ["1ms", "200ms", "2s", "90s", "5m", "1h", "0ms"] {
            let shown = Time::parse(text).unwrap().to_string();
            assert_eq!(Time::parse(&shown).unwrap().0, Time::parse(text).unwrap().0, "{text}");
        }
        assert_eq!(Time(1500).to_string(), "1500ms");
        for wrong in ["", "2", "s", "2 s", "-1s", "1.5s", "1d", "99999999999999999999s", "18446744073709551615h"] {
            assert!(Time::parse(wrong).is_none(), "{wrong}");
        }
        for (text, millionths) in [("10%", 100_000), ("0.5%", 5_000), ("100%", 1_000_000), ("0.0001%", 1)] {
            let share = Share::parse(text).unwrap();
            assert_eq!((share.0, share.to_string().as_str()), (millionths, text));
        }
        for wrong in ["", "%", "0%", "100.1%", "101%", "1", "-1%", "1.%", ".5%", "0.00001%", "1e1%", "+1%"] {
            assert_eq!(Share::parse(wrong), None, "{wrong}");
        }
    }
}
