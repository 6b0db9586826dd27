//! Durations and sizes as people write them.

use baton_protocol::limits::Millis;

/// Suffixes of durations, with their milliseconds; the longest that divides is the one shown.
const TIMES: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
/// Suffixes of sizes, with their bytes.
const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// "60s", "200ms", "5m", "1h": a whole number and a unit, without which it's no duration.
pub fn duration(text: &str) -> Option<Millis> {
    parse(text, &TIMES)
}

/// "64KiB", "1GiB", "512B".
pub(super) fn size(text: &str) -> Option<u64> {
    parse(text, &SIZES)
}

/// A duration the way [`duration`] reads it.
pub fn show_duration(value: Millis) -> String {
    show(value, &TIMES, "0s")
}

/// A size the way [`size`] reads it.
pub(super) fn show_size(value: u64) -> String {
    show(value, &SIZES, "0B")
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

fn show(value: u64, units: &[(&str, u64)], zero: &str) -> String {
    let fits = units.iter().find(|(_, factor)| value != 0 && value.is_multiple_of(*factor));
    fits.map_or_else(|| zero.into(), |(name, factor)| format!("{}{name}", value / factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_reads_back() {
        for value in [0, 1, 999, 1_000, 1_500, 60_000, 90_000, 3_600_000, 1 << 20, u64::MAX] {
            assert_eq!(duration(&show_duration(value)), Some(value));
            assert_eq!(size(&show_size(value)), Some(value));
        }
        assert_eq!((show_duration(200), show_duration(300_000)), ("200ms".into(), "5m".into()));
        assert_eq!(show_size(64 * 1024), "64KiB");
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for bad in ["", "5", "s", "-5s", "5 s", "1.5s", "5S", "5min", "18446744073709551615h"] {
            assert_eq!(duration(bad), None, "{bad:?}");
        }
        for bad in ["", "64", "64kb", "64K", "-1B", "99999999999GiB"] {
            assert_eq!(size(bad), None, "{bad:?}");
        }
    }
}
