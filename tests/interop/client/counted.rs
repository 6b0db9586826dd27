//! The counted clients of the drill: pairs that publish to each other for as long as there are others at work.

use baton_drill::load::{Load, Plan, Tempo};
use baton_drill::mqtt::Qos;

use super::{Client, Seat, Told};
use crate::support::PATIENCE;

/// How many they are.
pub(super) const CLIENTS: u32 = 20;
/// Messages a second of all together.
const RATE: u32 = 200;

struct Counted {
    load: Load,
    /// Messages to wait for.
    awaited: u64,
}

pub(super) fn start(seat: &Seat) -> Told<Box<dyn Client>> {
    let mix = Qos::ALL.into_iter().filter(|qos| *qos <= seat.qos).collect();
    let addresses = [seat.subscriber, seat.publisher];
    let plan = Plan { mix, wills: true, tempo: Tempo::Rate(RATE), ..Plan::new(&seat.name, &addresses, CLIENTS) };
    let load = Load::start(plan).map_err(|error| error.to_string())?;
    load.ready(PATIENCE).map_err(|late| late.to_string())?;
    Ok(Box::new(Counted { load, awaited: 0 }))
}

impl Client for Counted {
    fn publish(&mut self, messages: usize) -> Told {
        self.load.publish();
        self.awaited = self.load.progress().totals.received + messages as u64;
        Ok(())
    }

    fn has_all(&mut self) -> Told {
        let awaited = self.awaited;
        let come = self.load.until(PATIENCE, move |progress| progress.totals.received >= awaited);
        come.map(drop).map_err(|late| late.to_string())
    }

    fn leave(self: Box<Self>) -> Told {
        let report = self.load.finish(PATIENCE);
        if report.verdict.is_clean() { Ok(()) } else { Err(report.to_string()) }
    }
}
