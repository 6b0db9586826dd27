//! What mosquitto itself says of the course, under `$SYS`, beside what clients and its log say.

use std::{error::Error, time::Duration};

use baton_drill::{
    ledger::Tally,
    sys::{Account, Sys},
    tier::Tier,
};

use crate::figure::Figure;

/// Time for an update, which comes every other second, and for what it is to show.
const PATIENCE: Duration = Duration::from_secs(60);

/// Listens to `$SYS` at the broker.
pub(super) struct Witness {
    sys: Sys,
    /// Its account before the first client.
    first: Account,
    /// Before the first fault.
    before: Account,
    /// After the last, with the clients still there.
    after: Account,
}

impl Witness {
    /// Listens, and waits for the first account.
    pub(super) fn call(tier: &Tier) -> Result<Self, Box<dyn Error>> {
        let sys = Sys::listen(tier.address("broker-1")?)?;
        let first = sys.until(PATIENCE, |account| account.updates > 0)?;
        Ok(Self { sys, first, before: first, after: first })
    }

    /// All clients have connected. What didn't show that wouldn't show one more either.
    pub(super) fn clients_came(&mut self, clients: u32) -> Result<(), Box<dyn Error>> {
        self.before = self.sys.settled(PATIENCE)?;
        let Account { connections, connected, .. } = self.before;
        let clients = u64::from(clients);
        if connections != clients || connected != self.first.connected + clients {
            let others = self.first.connected;
            return Err(format!(
                "by $SYS {clients} clients made {connections} connections, and {connected} are there with the {others} of others"
            )
            .into());
        }
        Ok(())
    }

    /// The last fault is over.
    pub(super) fn faults_are_over(&mut self) -> Result<(), Box<dyn Error>> {
        self.after = self.sys.settled(PATIENCE)?;
        Ok(())
    }

    /// The load is over, with these messages, each of which was for one client.
    pub(super) fn figures(&self, total: &Tally) -> Result<Vec<Figure>, Box<dyn Error>> {
        let Self { sys, first, before, after } = self;
        let sent = sys.settled(PATIENCE)?.sent - first.sent;
        println!(
            "$SYS:    {} connections before the first fault, {} from then on; in these {} s load/connections/1min went",
            before.connections,
            after.connections - before.connections,
            after.seconds - before.seconds,
        );
        println!(
            "         from {:.2} to {:.2}; clients/connected was {} and is {}; {sent} messages sent to the clients",
            before.load, after.load, before.connected, after.connected,
        );
        let none = |what: &str, number: u64| {
            Figure::none(format!("endurance: {what} by $SYS"), f64::from(u32::try_from(number).unwrap_or(u32::MAX)))
        };
        Ok(vec![
            none("new connections", after.connections - before.connections),
            none("lost connections", after.lost - before.lost),
            none("messages, wills included, that aren't the published ones", sent.abs_diff(total.sent)),
        ])
    }
}
