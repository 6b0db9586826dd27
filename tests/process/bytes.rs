//! Byte for byte: clients and a broker that exchange noise of which every byte is known, while links break.
//!
//! There is a proxy on each link between edge and origins, and one on the link between the origins and the home.

use std::time::Duration;

use baton_drill::{
    bytes::{Ending, Party, Progress, Recorder, Script},
    proxy::{Mode, Proxy},
    tier::{Broker, Layout, Role, Tier},
};

use crate::support::{BATON, PATIENCE, carried, closed, drain, edges_total, moved, sessions, tier, until};

const ENDINGS: [Ending; 4] = [
    Ending::HalfClose(Party::Client),
    Ending::HalfClose(Party::Broker),
    Ending::Reset(Party::Client),
    Ending::Reset(Party::Broker),
];
const ORIGINS: [&str; 2] = ["origin-1", "origin-2"];

struct Line {
    tier: Tier,
    recorder: Recorder,
    to_origins: Vec<Proxy>,
    to_home: Proxy,
}

impl Line {
    /// One edge, two origins, one sidecar before the recording broker.
    fn start() -> Self {
        let recorder = Recorder::start(([127, 0, 0, 1], 0).into()).expect("a port and a thread");
        let broker = Broker::At(recorder.address());
        let layout = Layout { origins: 2, broker, ..Layout::new(BATON) };
        let mut tier = tier(layout.set(Role::Origin, "drain.spread", "200ms")).expect("nothing need be installed");
        let mut before = |node: &str| {
            let listen = tier.free_address().expect("a port");
            Proxy::start(listen, tier.address(node).expect("it has one")).expect("a thread")
        };
        let to_origins: Vec<_> = ORIGINS.into_iter().map(&mut before).collect();
        let to_home = before("home-1");
        for origin in ORIGINS {
            let home = to_home.address().to_string();
            tier.set(origin, "origin.homes.home-1", &home).expect("there is one");
        }
        let origins: Vec<_> = to_origins.iter().map(|proxy| proxy.address().to_string()).collect();
        tier.set("edge-1", "edge.origins", &format!("{origins:?}")).expect("there is one");
        tier.start_all().expect("the tier starts");
        // Two origins to choose from, or the first sessions are all at one.
        until("the edge knows both", || tier.log_count("edge-1", "link.open").unwrap_or(0) == 2);
        Self { tier, recorder, to_origins, to_home }
    }

    /// Begins exchanges of all endings, `each` of them, so many bytes each way.
    fn exchange(&self, first_seed: u64, each: usize, bytes: u64, pause: Duration) {
        let edge = self.tier.edges()[0];
        for (seed, ending) in (first_seed..).zip(ENDINGS.into_iter().cycle().take(each * ENDINGS.len())) {
            self.recorder.exchange(edge, Script { pause, ending, ..Script::new(seed, bytes) });
        }
    }

    /// Waits until each exchange has got so many bytes further, both ways.
    fn flows(&self, more: u64) {
        let before: Vec<_> = self.recorder.progress();
        let further = move |now: &Progress| {
            let then = before.iter().find(|then| then.script.seed == now.script.seed);
            then.is_some_and(|then| {
                now.broker.received >= then.broker.received + more && now.client.received >= then.client.received + more
            })
        };
        self.recorder.until(PATIENCE, further).unwrap_or_else(|mismatch| panic!("{mismatch}"));
    }

    /// No exchange had ended when the faults were over, and then each ends as it has to.
    fn ends(self) {
        let progress = self.recorder.progress();
        assert!(progress.iter().all(|p| p.client.end.is_none() && p.broker.end.is_none()), "the faults came too late");
        let exchanges = progress.len();
        let ended = self.recorder.finish(PATIENCE).unwrap_or_else(|mismatch| panic!("{mismatch}"));
        assert_eq!(ended.len(), exchanges);
        until("every close is counted", || {
            edges_total(&self.tier, "baton_client_closes_total", &[]) == exchanges as f64
        });
        let ours = ["client_left", "client_reset", "broker_left", "broker_reset"];
        assert_eq!(ours.map(|cause| closed(&self.tier, cause)).iter().sum::<f64>(), exchanges as f64);
    }
}

/// Enough bytes at such a pace that the exchanges outlive the faults.
const LONG: (u64, Duration) = (1_500_000, Duration::from_millis(10));
/// Bytes that show that an exchange goes on.
const SOME: u64 = 30_000;

#[test]
fn origins_drained() {
    let mut line = Line::start();
    line.exchange(1, 3, LONG.0, LONG.1);
    line.flows(SOME);
    for origin in ORIGINS {
        assert!(drain(&mut line.tier, origin) > 0.0);
        line.flows(SOME);
        line.tier.restart(origin).expect("it comes back");
    }
    line.ends();
}

#[test]
fn origins_killed() {
    let mut line = Line::start();
    line.exchange(1, 3, LONG.0, LONG.1);
    line.flows(SOME);
    for origin in ORIGINS {
        assert!(carried(&line.tier, origin) > 0.0);
        line.tier.kill(origin).expect("it ran");
        line.flows(SOME);
        line.tier.restart(origin).expect("it comes back");
    }
    line.ends();
}

#[test]
fn links_cut() {
    let line = Line::start();
    line.exchange(1, 3, LONG.0, LONG.1);
    line.flows(SOME);
    for proxy in line.to_origins.iter().chain([&line.to_home]) {
        let (cut, before) = (proxy.hits().cut, moved(&line.tier, "broken"));
        proxy.set(Mode::Cut).expect("nobody else takes its port");
        until("the link is gone", || proxy.hits().cut > cut);
        proxy.set(Mode::Pass).expect("nobody else took its port");
        line.flows(SOME);
        assert!(moved(&line.tier, "broken") > before, "the cut hit nothing");
    }
    line.ends();
}

/// Black holes: every connection stays, nothing passes.
#[test]
fn links_stalled() {
    let line = Line::start();
    line.exchange(1, 2, 2 * LONG.0, 2 * LONG.1);
    line.flows(SOME);
    let before = moved(&line.tier, "broken");
    line.to_origins[0].set(Mode::Stall).expect("it runs");
    line.flows(SOME);
    assert!(line.to_origins[0].hits().stalled > 0 && moved(&line.tier, "broken") > before, "the stall hit nothing");
    line.to_origins[0].set(Mode::Pass).expect("it runs");
    line.to_home.set(Mode::Stall).expect("it runs");
    until("no session has a tunnel", || sessions(&line.tier, "detached") == 8.0);
    line.to_home.set(Mode::Pass).expect("it runs");
    line.flows(SOME);
    line.ends();
}

/// Closes and resets that happen while there is no way through wait for one.
#[test]
fn ends_while_links_are_cut() {
    let line = Line::start();
    // Little enough to wait in windows and sockets, but for what is kept until the other's end is seen.
    line.exchange(1, 2, 100_000, Duration::from_millis(2));
    line.recorder.until(PATIENCE, |p| p.broker.received > 0 && p.client.received > 0).expect("they begin");
    line.to_origins.iter().for_each(|proxy| proxy.set(Mode::Cut).expect("nobody else takes its port"));
    until("no session has a tunnel", || sessions(&line.tier, "detached") == 8.0);
    let by_client = |ending| matches!(ending, Ending::HalfClose(Party::Client) | Ending::Reset(Party::Client));
    let said_all = move |p: &Progress| {
        if by_client(p.script.ending) { p.client.sent == p.script.up } else { p.broker.sent == p.script.down }
    };
    line.recorder.until(PATIENCE, said_all).unwrap_or_else(|mismatch| panic!("{mismatch}"));
    line.to_origins.iter().for_each(|proxy| proxy.set(Mode::Pass).expect("nobody else took its port"));
    line.ends();
}
