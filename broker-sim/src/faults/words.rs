//! What reasons and shares are called.

use std::fmt;

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
    fn shares_are_shown_as_they_are_written() {
        for (text, millionths) in [("10%", 100_000), ("0.5%", 5_000), ("100%", 1_000_000), ("0.0001%", 1)] {
            let share = Share::parse(text).unwrap();
            assert_eq!((share.0, share.to_string().as_str()), (millionths, text));
        }
        for wrong in ["", "%", "0%", "100.1%", "101%", "1", "-1%", "1.%", ".5%", "0.00001%", "1e1%", "+1%"] {
            assert_eq!(Share::parse(wrong), None, "{wrong}");
        }
    }
}
