//! One arm: a tier with DCR or without, its clients, the story, and what came of it.

use std::time::Duration;

use baton_drill::{
    ledger::Timeline,
    load::{Load, Report},
    tier::{self, Role, Tier},
};

use super::{
    CUT_OFF, EDGES, Failure, ORIGINS, Options, WhichBroker, bridge,
    console::Console,
    interrupt::Interrupt,
    live, page,
    story::{Story, Told},
    verdict::Verdict,
};

/// Time at the end for what is under way. Without DCR some of it is lost, and waiting doesn't bring it back.
const SETTLING: Duration = Duration::from_secs(10);
const SETTLING_WITHOUT: Duration = Duration::from_secs(1);

pub(super) struct Arm<'a> {
    pub(super) options: &'a Options,
    pub(super) console: &'a Console,
    pub(super) interrupt: &'a Interrupt,
    pub(super) dcr: bool,
}

/// What came of it.
pub(super) struct Played {
    pub(super) verdict: Verdict,
    /// When the clients began to publish, in microseconds of the timeline.
    pub(super) begun: u64,
    /// Until they were told to stop.
    pub(super) timeline: Timeline,
}

impl Arm<'_> {
    /// Plays it; the tier is still up.
    pub(super) fn play(&self) -> Result<(Tier, Played), Failure> {
        self.introduce()?;
        let mut tier = self.tier()?;
        let load = Load::start(self.options.plan("demo", &tier, !self.dcr))?;
        let nodes = page::nodes(&tier);
        let quiet = Duration::from_secs(self.options.seconds);
        let story = Story {
            console: self.console,
            interrupt: self.interrupt,
            tier: &mut tier,
            load: &load,
            dcr: self.dcr,
            quiet,
        };
        let told = live::beside(self.console, nodes, &load, || story.tell())?;
        let played = self.judge(load, told)?;
        self.tell(&played.verdict)?;
        Ok((tier, played))
    }

    fn introduce(&self) -> Result<(), Failure> {
        if self.dcr {
            self.console
                .say("A client that loses its connection doesn't come back: one would be enough to fail this.")?;
        } else {
            self.console.say(&format!(
                "WITHOUT DCR: an edge closes a client whose tunnel is lost, as a plain proxy would; the client connects \
                 again after 1 s, as MQTT libraries do. An origin that leaves cuts its tunnels off after {CUT_OFF}."
            ))?;
        }
        Ok(self.console.blank()?)
    }

    fn tier(&self) -> Result<Tier, Failure> {
        let mut tier = self.interrupt.tier(self.options.layout(self.dcr)?).map_err(|error| match error {
            tier::Error::NotInstalled(program) => {
                format!("{error}: `apt install {program}`, or leave out --broker {program}").into()
            }
            error => Failure::from(error),
        })?;
        // Edges last, so that they find every origin at once, and each gets its share of the clients.
        let edges = tier.names(Role::Edge);
        let others: Vec<_> =
            tier.nodes().map(|(name, _)| name.to_owned()).filter(|name| !edges.contains(name)).collect();
        self.interrupt.start(&mut tier, &others)?;
        self.interrupt.start(&mut tier, &edges)?;
        let words = self.options.broker.words();
        self.console.step(&format!("{EDGES} edges, {ORIGINS} origins and {words} are up, a process each"))?;
        if self.options.broker == WhichBroker::Mosquitto {
            bridge::until_up(&tier)?;
            self.console.step("broker-1 and broker-2 share their topics over a bridge")?;
        }
        Ok(tier)
    }

    fn judge(&self, load: Load, told: Told) -> Result<Played, Failure> {
        self.console.step("The clients stop publishing; what is under way arrives; the accounts are compared")?;
        let (clients, dropped, timeline) = (load.plan().clients, load.progress().totals.dropped, load.timeline());
        let Report { verdict: ledger, .. } = load.finish(if self.dcr { SETTLING } else { SETTLING_WITHOUT });
        self.console.seen(&format!("end to end: {}", ledger.latency))?;
        let Told { begun, events, books } = told;
        let verdict = Verdict { dcr: self.dcr, clients, dropped, ledger, books, events };
        Ok(Played { verdict, begun, timeline })
    }

    fn tell(&self, verdict: &Verdict) -> Result<(), Failure> {
        self.console.blank()?;
        for fault in verdict.faults() {
            self.console.say(&format!("NOT AS IT MUST BE: {fault}"))?;
        }
        Ok(self.console.verdict(&verdict.to_string(), verdict.is_as_it_must_be())?)
    }
}
