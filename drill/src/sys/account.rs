//! What follows from mosquitto's `$SYS` (2.0, `src/sys_tree.c`), exactly where it says something rounded.
//!
//! It counts connections in no topic, but publishes their average over a minute, which decays between updates by what
//! is known: so each update tells how many CONNECTs there were since the one before, and one alone shows as well among
//! thousands. Messages count when the kernel has taken them for a client, wills among them. (Those that came in tell
//! less: 2.0.11 overlooks QoS 2 there.)

/// The topic that begins an update, always.
const UPTIME: &str = "$SYS/broker/uptime";
const CONNECTIONS: &str = "$SYS/broker/load/connections/1min";
const CONNECTED: &str = "$SYS/broker/clients/connected";
const SENT: &str = "$SYS/broker/publish/messages/sent";

/// What is listened to.
pub(super) const TOPICS: [&str; 4] = [UPTIME, CONNECTIONS, CONNECTED, SENT];

/// Seconds over which connections are averaged.
const MINUTE: f64 = 60.0;
/// How far a count may be from a whole number. Two decimals, and changes below 0.01 that aren't published, make 0.02 of
/// it, whatever the interval.
const WHOLE: f64 = 0.1;

/// What mosquitto has said. Of an update that is whole, and that others may have followed in part.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Account {
    /// Updates since the first that said how many connections there are on average: counts begin there.
    pub updates: u64,
    /// Seconds since then.
    pub seconds: u64,
    /// CONNECTs.
    pub connections: u64,
    /// The average of CONNECTs a minute, over a minute.
    pub load: f64,
    /// Clients with a connection.
    pub connected: u64,
    /// By how much those became fewer, from one update to the next, all together.
    pub lost: u64,
    /// PUBLISHes to clients, since the broker started, without those to the listener.
    pub sent: u64,
}

/// The numbers of one update.
#[derive(Clone, Copy, Debug, Default)]
struct Update {
    uptime: u64,
    /// Not published where it changed by less than 0.01.
    load: Option<f64>,
    connected: u64,
    sent: u64,
}

/// Puts updates together, message by message.
#[derive(Debug, Default)]
pub(super) struct Updates {
    account: Account,
    /// Uptime at the last whole update that counts.
    uptime: Option<u64>,
    /// The update under way. What isn't published again is as it was.
    update: Update,
    /// Whether an uptime has come that wasn't retained.
    begun: bool,
    /// PUBLISHes that the listener has had.
    own: u64,
}

impl Updates {
    pub(super) fn account(&self) -> Account {
        self.account
    }

    /// A message came. `retained`: from before the subscription.
    pub(super) fn handle(&mut self, topic: &str, payload: &[u8], retained: bool) -> Result<(), String> {
        let text = String::from_utf8_lossy(payload);
        let number = || text.split(' ').next().and_then(|word| word.parse().ok());
        let unreadable = || format!("{topic} is {text:?}, which is no number");
        match topic {
            UPTIME if retained => {}
            UPTIME => {
                if self.begun {
                    self.whole()?;
                }
                self.begun = true;
                self.update = Update { uptime: number().ok_or_else(unreadable)?, load: None, ..self.update };
            }
            // How old a retained average is isn't known.
            CONNECTIONS if retained => {}
            CONNECTIONS => self.update.load = Some(text.parse().map_err(|_| unreadable())?),
            CONNECTED => self.update.connected = number().ok_or_else(unreadable)?,
            // What came before it is in it, and was for the listener.
            SENT => self.update.sent = number().ok_or_else(unreadable)?.saturating_sub(self.own),
            _ => return Err(format!("{topic}, which wasn't asked for")),
        }
        self.own += 1;
        Ok(())
    }

    /// The update under way has come to its end.
    fn whole(&mut self) -> Result<(), String> {
        let Update { uptime, load, connected, sent } = self.update;
        let Account { updates, seconds, connections, lost, .. } = self.account;
        let Some(last) = self.uptime else {
            if let Some(load) = load {
                self.uptime = Some(uptime);
                self.account = Account { updates: 1, load, connected, sent, ..Account::default() };
            }
            return Ok(());
        };
        let passed = uptime.checked_sub(last).filter(|passed| *passed > 0).ok_or("an update at no later time")?;
        let (new, load) = connections_in(passed, self.account.load, load)?;
        self.uptime = Some(uptime);
        self.account = Account {
            updates: updates + 1,
            seconds: seconds + passed,
            connections: connections + new,
            load,
            connected,
            lost: lost + self.account.connected.saturating_sub(connected),
            sent,
        };
        Ok(())
    }
}

/// CONNECTs in an interval, and the average after it, which is
///
/// `rate + kept * (before - rate)`, where `rate = connections * 60 / seconds` and `kept = exp(-seconds / 60)`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "small counts"
)]
fn connections_in(seconds: u64, before: f64, published: Option<f64>) -> Result<(u64, f64), String> {
    let seconds = seconds as f64;
    let kept = (-seconds / MINUTE).exp();
    // Of what wasn't published it is known that it is nearly what it was.
    let after = published.unwrap_or(before);
    let connections = (after - kept * before) / (1.0 - kept) * seconds / MINUTE;
    let whole = connections.round().max(0.0);
    if (connections - whole).abs() > WHOLE {
        return Err(format!(
            "an average that went from {before} to {after} in {seconds} s means {connections} CONNECTs"
        ));
    }
    let rate = whole * MINUTE / seconds;
    Ok((whole as u64, published.unwrap_or(rate + kept * (before - rate))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What mosquitto does: `calc_load`, with what it publishes.
    struct Mosquitto {
        uptime: u64,
        load: f64,
        updates: Updates,
    }

    impl Mosquitto {
        fn new() -> Self {
            let mut mosquitto = Self { uptime: 10, load: 0.0, updates: Updates::default() };
            // The listener and a few more.
            mosquitto.update(2, 4);
            mosquitto
        }

        fn update(&mut self, seconds: u64, connections: u32) {
            self.uptime += seconds;
            let passed = f64::from(u32::try_from(seconds).unwrap());
            let rate = f64::from(connections) * 60.0 / passed;
            let kept = f64::exp(-passed / 60.0);
            let load = rate + kept * (self.load - rate);
            self.say(UPTIME, &format!("{} seconds", self.uptime));
            if (load - self.load).abs() >= 0.01 {
                self.say(CONNECTIONS, &format!("{load:.2}"));
            }
            self.load = load;
        }

        fn say(&mut self, topic: &str, payload: &str) {
            self.updates.handle(topic, payload.as_bytes(), false).unwrap();
        }

        fn account(&mut self) -> Account {
            // One more uptime ends the update before it.
            self.update(2, 0);
            self.updates.account()
        }
    }

    #[test]
    fn one_connection_shows_at_any_time() {
        for herd in [0, 1, 29, 30, 31, 60, 300, 2_000, 50_000] {
            for (before, seconds) in (0..200).flat_map(|before| [1, 2, 3, 7, 60].map(|seconds| (before, seconds))) {
                let mut mosquitto = Mosquitto::new();
                mosquitto.update(2, herd);
                (0..before).for_each(|_| mosquitto.update(2, 0));
                mosquitto.update(seconds, 0);
                assert_eq!(mosquitto.account().connections, u64::from(herd), "{herd} {before} {seconds}");
                mosquitto.update(seconds, 1);
                mosquitto.update(2, 0);
                assert_eq!(mosquitto.account().connections, u64::from(herd) + 1, "{herd} {before} {seconds}");
            }
        }
    }

    #[test]
    fn counts_begin_with_the_first_average_after_the_subscription() {
        let mut updates = Updates::default();
        for (topic, payload) in [(UPTIME, "8 seconds"), (CONNECTIONS, "7.31"), (CONNECTED, "5")] {
            updates.handle(topic, payload.as_bytes(), true).unwrap();
        }
        for (topic, payload) in [(UPTIME, "10 seconds"), (UPTIME, "12 seconds"), (CONNECTIONS, "2.95"), (SENT, "9")] {
            updates.handle(topic, payload.as_bytes(), false).unwrap();
        }
        assert_eq!(updates.account(), Account::default());
        updates.handle(UPTIME, b"14 seconds", false).unwrap();
        let first = Account { updates: 1, load: 2.95, connected: 5, sent: 3, ..Account::default() };
        assert_eq!(updates.account(), first);
    }

    #[test]
    fn a_client_that_goes_is_lost_also_if_another_comes() {
        let mut mosquitto = Mosquitto::new();
        for (connected, new) in [("6", 2), ("5", 0), ("5", 1), ("6", 1)] {
            mosquitto.update(2, new);
            mosquitto.say(CONNECTED, connected);
        }
        let Account { connections, connected, lost, .. } = mosquitto.account();
        assert_eq!((connections, connected, lost), (4, 6, 1));
    }

    #[test]
    fn what_cannot_be_is_no_count() {
        let half = connections_in(2, 10.0, Some(10.0 + 0.5)).unwrap_err();
        assert!(half.contains("0.8"), "{half}");
        let fallen = connections_in(2, 10.0, Some(9.0)).unwrap_err();
        assert!(fallen.contains("from 10 to 9 in 2 s means -0.6"), "{fallen}");
        let mut updates = Mosquitto::new().updates;
        let wrong = updates.handle(CONNECTED, b"many", false).unwrap_err();
        assert_eq!(wrong, "$SYS/broker/clients/connected is \"many\", which is no number");
        assert!(updates.handle("$SYS/broker/version", b"2", false).is_err());
    }
}
