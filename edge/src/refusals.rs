//! Clients that can't be served, and which of them get a line in the log. The others only count: sessions are paced, and
//! whoever only connects isn't.

use std::collections::BTreeMap;

use baton_link::rate::Rate;
use baton_protocol::{error::CloseCause, limits::Millis};

/// Refused clients a second, of each cause, that get a line: enough to see who they are, and some kilobytes a second of a
/// flood.
const SHOWN: u32 = 20;

/// What was refused so far.
#[derive(Debug, Default)]
pub(crate) struct Refusals(BTreeMap<CloseCause, Refused>);

/// Of one cause: a flood of one doesn't hide another.
#[derive(Debug)]
struct Refused {
    rate: Rate,
    /// Since the last line; the next line says it, so of a flood's end it isn't known until then.
    suppressed: u64,
}

impl Refusals {
    /// A client was refused. If it gets a line: how many of its cause got none since the last line.
    pub(crate) fn shows(&mut self, cause: CloseCause, now: Millis) -> Option<u64> {
        let refused = self.0.entry(cause).or_insert_with(|| Refused { rate: Rate::new(SHOWN), suppressed: 0 });
        if refused.rate.admit(now).is_ok() {
            return Some(std::mem::take(&mut refused.suppressed));
        }
        refused.suppressed += 1;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_one_cause_is_counted_and_hides_no_other() {
        let mut refusals = Refusals::default();
        let mut flood =
            |times: u32, now| (0..times).filter_map(|_| refusals.shows(CloseCause::BadConnect, now)).collect();
        let lines: Vec<u64> = flood(1_000, 5_000);
        assert_eq!(lines, [0; SHOWN as usize]);
        assert_eq!(flood(3, 5_050), [1_000 - u64::from(SHOWN)]);
        assert_eq!(flood(1, 5_100), [2]);
        assert_eq!(refusals.shows(CloseCause::ConnectTimeout, 5_100), Some(0));
    }
}
