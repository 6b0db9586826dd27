//! What happens: clients, a deploy of each origin, a crash of one.

use std::{process::ExitStatus, time::Duration};

use baton_drill::{
    load::{Load, Report},
    pause::{Watch, pause},
    tier::{Role, Tier},
};

use super::{
    Failure,
    books::{self, Books},
    console::{Console, grouped},
    verdict::{Event, Kind, Verdict},
};

/// Time for the slowest step; it takes two or three seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// Time at the end for what is under way. Without DCR some of it is lost, and waiting doesn't bring it back.
const SETTLING: Duration = Duration::from_secs(10);
const SETTLING_WITHOUT: Duration = Duration::from_secs(1);
/// Time between two looks at the edges' counters.
const LOOK: Duration = Duration::from_millis(5);
/// Seconds of messages before the first event, and after each.
const QUIET: u64 = 2;

pub(super) struct Story<'a> {
    pub(super) console: &'a Console,
    pub(super) tier: &'a mut Tier,
    pub(super) load: Load,
    pub(super) dcr: bool,
}

/// How things stood before an event.
struct Before {
    books: Books,
    tunnels: u64,
    dropped: u64,
    watch: Watch,
}

impl Story<'_> {
    pub(super) fn tell(mut self) -> Result<Verdict, Failure> {
        self.begin()?;
        let before = Books::take(self.tier)?;
        let mut events = Vec::new();
        for origin in self.tier.names(Role::Origin) {
            events.push(self.deploy(&origin)?);
        }
        let fullest = self.fullest()?;
        events.push(self.crash(&fullest)?);
        // Clients that leave in order are closed too, and are no fault: so the books are closed first.
        let books = Books::take(self.tier)? - before;
        self.console.step("The clients stop publishing; what is under way arrives; the accounts are compared")?;
        let clients = self.load.plan().clients;
        let dropped = self.load.progress().totals.dropped;
        let Report { verdict: ledger, .. } = self.load.finish(if self.dcr { SETTLING } else { SETTLING_WITHOUT });
        self.console.seen(&format!("end to end: {}", ledger.latency))?;
        Ok(Verdict { dcr: self.dcr, clients, dropped, ledger, books, events })
    }

    fn begin(&self) -> Result<(), Failure> {
        let clients = self.load.plan().clients;
        self.load.ready(PATIENCE)?;
        self.console
            .step(&format!("{clients} clients are connected, each with a will, in pairs that publish to each other"))?;
        self.load.publish();
        self.quiet()?;
        self.meanwhile("QoS 0, 1 and 2 in turn")
    }

    /// SIGTERM, the end of the process, a new one.
    fn deploy(&mut self, origin: &str) -> Result<Event, Failure> {
        let (pid, tunnels) = (self.tier.pid(origin)?, books::tunnels(self.tier, origin)?);
        self.console.step(&format!("DEPLOY {origin}: SIGTERM to {pid}, which carries {tunnels} sessions"))?;
        let before = self.before(tunnels)?;
        self.tier.terminate(origin)?;
        let status = self.tier.exit(origin, PATIENCE)?;
        let event = self.after(Kind::Deploy { clean: status.success() }, origin, &before, Some(status))?;
        self.tier.restart(origin)?;
        self.quiet()?;
        self.meanwhile(&format!("{origin} is back, pid {}", self.tier.pid(origin)?))?;
        Ok(event)
    }

    /// SIGKILL.
    fn crash(&mut self, origin: &str) -> Result<Event, Failure> {
        let (pid, tunnels) = (self.tier.pid(origin)?, books::tunnels(self.tier, origin)?);
        self.console.step(&format!("CRASH {origin}: SIGKILL to {pid}, which carries {tunnels} sessions"))?;
        let before = self.before(tunnels)?;
        self.tier.kill(origin)?;
        let event = self.after(Kind::Crash, origin, &before, None)?;
        self.quiet()?;
        self.meanwhile(&format!("{origin} stays down"))?;
        Ok(event)
    }

    fn before(&self, tunnels: u64) -> Result<Before, Failure> {
        // What was before isn't this event's latency.
        let _ = self.load.take_window();
        let dropped = self.load.progress().totals.dropped;
        Ok(Before { books: Books::take(self.tier)?, tunnels, dropped, watch: Watch::start() })
    }

    /// Waits until every client has a session again, and tells what became of them.
    fn after(
        &mut self,
        kind: Kind,
        origin: &str,
        before: &Before,
        status: Option<ExitStatus>,
    ) -> Result<Event, Failure> {
        let ended = before.watch.seconds();
        self.recover(before)?;
        let recovered = before.watch.seconds();
        let moved = Books::take(self.tier)? - before.books;
        let dropped = self.load.progress().totals.dropped - before.dropped;
        let Books { planned, broken, connects, .. } = moved;
        if !self.dcr {
            if let Some(status) = status {
                self.console.seen(&format!("it cut them off and ended after {ended:.1} s ({status})"))?;
            }
            self.console.seen(&format!(
                "{dropped} clients were dropped; the last was back {recovered:.1} s after the signal; {connects} new CONNECTs"
            ))?;
        } else if let Some(status) = status {
            self.console.seen(&format!(
                "{planned} sessions moved make-before-break in {ended:.1} s, {broken} otherwise; {status}"
            ))?;
        } else {
            self.console
                .seen(&format!("{broken} sessions resumed through the other origins, all within {recovered:.2} s"))?;
        }
        Ok(Event { kind, origin: origin.to_owned(), planned, broken, dropped })
    }

    fn recover(&mut self, before: &Before) -> Result<(), Failure> {
        let (clients, dropped) = (self.load.plan().clients, before.dropped);
        if !self.dcr {
            self.load.until(PATIENCE, move |p| p.totals.dropped > dropped && p.counts.ready == clients)?;
        }
        // An edge that hasn't noticed yet has all of its sessions live. Who never moves is for the verdict.
        let moved = |books: Books| books.planned + books.broken;
        while self.dcr && moved(Books::take(self.tier)? - before.books) < before.tunnels {
            if before.watch.elapsed() > PATIENCE {
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

    /// Messages for a while.
    fn quiet(&self) -> Result<(), Failure> {
        let clients = u64::from(self.load.plan().clients);
        self.load.received(clients * u64::from(super::PACE) * QUIET, PATIENCE)?;
        Ok(())
    }

    fn meanwhile(&self, what: &str) -> Result<(), Failure> {
        let latency = self.load.take_window().latency;
        let totals = self.load.progress().totals;
        let ms = |us: u64| format!("{}.{} ms", us / 1_000, us % 1_000 / 100);
        self.console.seen(&format!(
            "{what}; {} messages, {} drops so far; p50 {}, p99 {}",
            grouped(totals.received),
            grouped(totals.dropped),
            ms(latency.p50),
            ms(latency.p99),
        ))?;
        Ok(())
    }

    fn fullest(&self) -> Result<String, Failure> {
        let mut fullest = (0, String::new());
        for origin in self.tier.names(Role::Origin) {
            fullest = fullest.max((books::tunnels(self.tier, &origin)?, origin));
        }
        Ok(fullest.1)
    }
}
