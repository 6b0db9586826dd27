//! What happens: clients, a deploy of each origin, a crash of one.

use std::{process::ExitStatus, time::Duration};

use baton_drill::{
    ledger::Totals,
    load::Load,
    pause::pause,
    tier::{Role, Tier},
};

use super::{
    Failure,
    books::{self, Books},
    console::{Console, grouped, span},
    interrupt::Interrupt,
    verdict::{Event, Kind},
};

/// Time for the slowest step; it takes two or three seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// Time for a process to be gone whose sockets are closed already.
const ENDING: Duration = Duration::from_millis(200);
/// Time between two looks at the edges' counters.
const LOOK: Duration = Duration::from_millis(5);

pub(super) struct Story<'a> {
    pub(super) console: &'a Console,
    pub(super) interrupt: &'a Interrupt,
    pub(super) tier: &'a mut Tier,
    pub(super) load: &'a Load,
    pub(super) dcr: bool,
    /// Time of messages before the first event, and after each.
    pub(super) quiet: Duration,
}

/// What the story came to.
pub(super) struct Told {
    /// When the clients began to publish, in microseconds of the load.
    pub(super) begun: u64,
    pub(super) events: Vec<Event>,
    /// What edges and brokers counted from before the first event until after the last.
    pub(super) books: Books,
}

/// How the load stood at a moment.
struct Moment {
    /// In microseconds of the load.
    at: u64,
    totals: Totals,
}

/// How things stood before an event.
struct Before {
    moment: Moment,
    books: Books,
    tunnels: u64,
}

impl Story<'_> {
    /// Tells it. A process that ended and that nobody asked to is the end of it.
    pub(super) fn tell(mut self) -> Result<Told, Failure> {
        let told = self.play();
        let patience = if told.is_ok() { Duration::ZERO } else { ENDING };
        self.culprit(patience).map_or(told, |culprit| Err(culprit.into()))
    }

    fn play(&mut self) -> Result<Told, Failure> {
        let begun = self.begin()?;
        let before = Books::take(self.tier)?;
        let mut events = Vec::new();
        for origin in self.tier.names(Role::Origin) {
            events.push(self.deploy(&origin)?);
        }
        let fullest = self.fullest()?;
        events.push(self.crash(&fullest)?);
        // Clients that leave in order are closed too, and are no fault: so the books are closed first.
        Ok(Told { begun, events, books: Books::take(self.tier)? - before })
    }

    /// Who ended of itself, or by somebody else's hand.
    fn culprit(&mut self, patience: Duration) -> Option<String> {
        let names: Vec<_> = self.tier.nodes().map(|(name, _)| name.to_owned()).collect();
        names.into_iter().find_map(|name| match self.tier.exit(&name, patience) {
            Ok(status) => Some(format!("{name} ended in the middle of it ({status}), and nobody here asked it to")),
            Err(_) => None,
        })
    }

    fn begin(&mut self) -> Result<u64, Failure> {
        self.load.ready(PATIENCE)?;
        let clients = self.load.plan().clients;
        self.console
            .step(&format!("{clients} clients are connected, each with a will, in pairs that publish to each other"))?;
        self.load.publish();
        let moment = self.moment();
        self.quiet(&moment, "QoS 0, 1 and 2 in turn")?;
        Ok(moment.at)
    }

    /// SIGTERM, the end of the process, a new one.
    fn deploy(&mut self, origin: &str) -> Result<Event, Failure> {
        let (pid, tunnels) = (self.tier.pid(origin)?, books::tunnels(self.tier, origin)?);
        self.console.step(&format!("DEPLOY {origin}: SIGTERM to {pid}, which carries {tunnels} sessions"))?;
        let before = self.before(tunnels)?;
        self.tier.terminate(origin)?;
        let status = self.tier.exit(origin, PATIENCE)?;
        let mut event = self.after(Kind::Deploy { clean: status.success() }, origin, &before, Some(status))?;
        self.interrupt.start(self.tier, &[origin.to_owned()])?;
        event.gap = self.quiet(&before.moment, &format!("{origin} is back, pid {}", self.tier.pid(origin)?))?;
        Ok(event)
    }

    /// SIGKILL.
    fn crash(&mut self, origin: &str) -> Result<Event, Failure> {
        let (pid, tunnels) = (self.tier.pid(origin)?, books::tunnels(self.tier, origin)?);
        self.console.step(&format!("CRASH {origin}: SIGKILL to {pid}, which carries {tunnels} sessions"))?;
        let before = self.before(tunnels)?;
        self.tier.kill(origin)?;
        let mut event = self.after(Kind::Crash, origin, &before, None)?;
        event.gap = self.quiet(&before.moment, &format!("{origin} stays down"))?;
        Ok(event)
    }

    fn before(&self, tunnels: u64) -> Result<Before, Failure> {
        let books = Books::take(self.tier)?;
        // What was before isn't this event's gap.
        let _ = self.load.take_window();
        Ok(Before { moment: self.moment(), books, tunnels })
    }

    fn moment(&self) -> Moment {
        Moment { at: self.load.now(), totals: self.load.progress().totals }
    }

    /// Microseconds since then.
    fn since(&self, moment: &Moment) -> u64 {
        self.load.now() - moment.at
    }

    /// Waits until every client has a session again, and tells what became of them.
    fn after(
        &mut self,
        kind: Kind,
        origin: &str,
        before: &Before,
        status: Option<ExitStatus>,
    ) -> Result<Event, Failure> {
        let ended = self.since(&before.moment);
        self.recover(before)?;
        let recovered = self.since(&before.moment);
        let moved = Books::take(self.tier)? - before.books;
        let dropped = self.load.progress().totals.dropped - before.moment.totals.dropped;
        let Books { planned, broken, connects, .. } = moved;
        if !self.dcr {
            if let Some(status) = status {
                self.console.seen(&format!("it cut them off and ended after {} ({status})", span(ended)))?;
            }
            self.console.seen(&format!(
                "{dropped} clients were dropped; the last was back {} after the signal; {connects} new CONNECTs",
                span(recovered)
            ))?;
        } else if let Some(status) = status {
            self.console.seen(&format!(
                "{planned} sessions moved make-before-break in {}, {broken} otherwise; {status}",
                span(ended)
            ))?;
        } else {
            self.console.seen(&format!(
                "{broken} sessions resumed through the other origins, all within {}",
                span(recovered)
            ))?;
        }
        let from = before.moment.at;
        Ok(Event { kind, origin: origin.to_owned(), from, until: from + ended, planned, broken, dropped, gap: 0 })
    }

    fn recover(&mut self, before: &Before) -> Result<(), Failure> {
        let (clients, dropped) = (self.load.plan().clients, before.moment.totals.dropped);
        if !self.dcr {
            self.load.until(PATIENCE, move |p| p.totals.dropped > dropped && p.counts.ready == clients)?;
        }
        // An edge that hasn't noticed yet has all of its sessions live. Who never moves is for the verdict.
        let moved = |books: Books| books.planned + books.broken;
        while self.dcr && moved(Books::take(self.tier)? - before.books) < before.tunnels {
            if Duration::from_micros(self.since(&before.moment)) > PATIENCE {
                return Ok(());
            }
            pause(LOOK);
        }
        for edge in self.tier.names(Role::Edge) {
            self.tier.until(&edge, PATIENCE, "every session has a tunnel", |samples| {
                let live = samples.total("baton_sessions", &[("state", "live")]);
                live > 0.0 && live == samples.total("baton_sessions", &[])
            })?;
        }
        Ok(())
    }

    /// Lets messages pass for a while, and tells what clients have seen since a moment; the longest time, in microseconds,
    /// for which one of them got none.
    fn quiet(&mut self, since: &Moment, what: &str) -> Result<u64, Failure> {
        pause(self.quiet);
        let totals = self.load.progress().totals;
        let passed = self.since(since).max(1);
        let gap = self.load.take_window().waits.max;
        self.console.seen(&format!(
            "{what}; {} delivered/s, {} dropped, longest gap {}",
            grouped((totals.received - since.totals.received) * 1_000_000 / passed),
            grouped(totals.dropped - since.totals.dropped),
            span(gap),
        ))?;
        Ok(gap)
    }

    fn fullest(&self) -> Result<String, Failure> {
        let mut fullest = (0, String::new());
        for origin in self.tier.names(Role::Origin) {
            fullest = fullest.max((books::tunnels(self.tier, &origin)?, origin));
        }
        Ok(fullest.1)
    }
}
