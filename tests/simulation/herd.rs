//! A whole fleet that needs tunnels at once: the budgets of the protocol's section on pacing hold for 100,000 sessions of one
//! edge. `HERD=100000 cargo test --release --test simulation herd -- --nocapture` plays it with so many.

use std::{cell::Cell, rc::Rc, time::Duration};

use baton_drill::mqtt::encode;
use baton_process::{clock::Clock, net::Dial, run::Exit};
use baton_protocol::limits::Millis;
use bytes::BytesMut;
use rand::{SeedableRng, rngs::SmallRng};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    runtime::Builder,
    sync::Notify,
    task::{LocalSet, spawn_local},
    time::{sleep, timeout},
};

use crate::{
    journal::{Journal, Scribe, Summary},
    judge::Judge,
    net::{Link, Net, SimStream},
    process::Process,
    run::judge_panics,
    tier::{Cast, Kind, Node, Size, Tier},
    totals::{Totals, gauge},
};

/// Virtual time within which all sessions are live again once their path is back (protocol, section 8).
const BUDGET: Duration = Duration::from_secs(10);
/// Resumes a second that a home takes (protocol, section 8).
const RESUMES: u64 = 20_000;
/// Clients that connect in a virtual second.
const ARRIVALS: u32 = 2_500;
/// Sessions where nobody asks for others: what CI has the time for.
const SIZE: u32 = 5_000;
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// The fleet, and the tier that it is connected to: one edge, two origins, four homes.
struct Herd {
    tier: Tier,
    size: u32,
    fleet: Rc<Fleet>,
}

#[derive(Default)]
struct Fleet {
    connected: Cell<u32>,
    closed: Cell<u32>,
    answered: Cell<u32>,
    ask: Notify,
}

/// Plays a story to a fleet that is connected.
fn play<F: Future<Output = ()>>(story: impl FnOnce(Herd) -> F) -> Summary {
    let size = std::env::var("HERD").map_or(SIZE, |size| size.parse().expect("HERD is a number of sessions"));
    judge_panics();
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("no resource of ours");
    let _listening = Scribe::listen();
    runtime.block_on(LocalSet::new().run_until(async {
        let clock = Clock::start();
        Journal::begin(clock, false);
        let judge = Judge::begin(clock);
        let base = Link { latency: 5, jitter: 3, ..Link::default() };
        let net = Net::new(clock, SmallRng::seed_from_u64(1), base);
        let sizes = Size { edges: 1, origins: 2, homes: 4 };
        let sets = vec![
            (Kind::Edge, "limits.sessions=200000"),
            (Kind::Edge, "limits.opens_per_second=20000"),
            (Kind::Origin, "limits.sessions=200000"),
            (Kind::Sidecar, "limits.sessions=200000"),
            (Kind::Sidecar, "limits.home_opens_per_second=20000"),
        ];
        let tier = Tier::new(net, base, Cast::Recorders, sizes, SmallRng::seed_from_u64(2), sets);
        spawn_local(tier.net.clone().run());
        tier.start_all();
        sleep(Duration::from_secs(3)).await;
        let herd = Herd { tier, size, fleet: Rc::default() };
        herd.gather().await;
        story(herd).await;
        assert!(judge.violations().is_empty(), "{:?}", judge.violations());
    }));
    Journal::end()
}

impl Herd {
    async fn gather(&self) {
        let host = self.tier.net.host("fleet");
        for number in 0..self.size {
            if number % (ARRIVALS / 20) == 0 {
                sleep(Duration::from_millis(50)).await;
            }
            spawn_local(client(number, self.tier.net.dialer(host), Rc::clone(&self.fleet)));
        }
        self.within(Duration::from_secs(60), "the fleet connects", || self.fleet.connected.get() == self.size).await;
        assert_eq!(self.live(), u64::from(self.size));
    }

    fn node(&self, name: &str) -> &Node {
        self.tier.nodes.iter().find(|node| node.name == name).expect("one of the tier's")
    }

    /// Sessions with a tunnel.
    fn live(&self) -> u64 {
        self.node("edge-1").metrics().map_or(0, |metrics| gauge(&metrics, "baton_tunnels"))
    }

    fn moves(&self) -> (u64, u64) {
        let mut totals = Totals::default();
        self.node("edge-1").metrics().iter().for_each(|metrics| totals.add(Kind::Edge, metrics));
        (totals.planned, totals.broken)
    }

    async fn within(&self, patience: Duration, what: &str, holds: impl Fn() -> bool) -> Millis {
        let judge = Judge::current();
        let (began, waiting) = (judge.now(), async {
            while !holds() {
                sleep(LOOK).await;
            }
        });
        let late = timeout(patience, waiting).await.is_err();
        let Fleet { connected, closed, .. } = &*self.fleet;
        assert!(
            !late,
            "not within {patience:?}: {what}; {} live, {connected:?} connected, {closed:?} closed",
            self.live()
        );
        judge.now() - began
    }

    async fn live_again(&self, what: &str) {
        let took = self.within(BUDGET, what, || self.live() == u64::from(self.size)).await;
        println!("{what}: {} sessions live again after {took} ms", self.size);
    }

    /// Nobody was closed, and whoever asks is answered.
    async fn all_is_well(&self) {
        self.fleet.ask.notify_waiters();
        let everyone = Duration::from_secs(20);
        self.within(everyone, "everyone is answered", || self.fleet.answered.get() == self.size).await;
        assert_eq!(self.fleet.closed.get(), 0, "clients were closed");
    }

    fn block(&self, one: &str, other: &str, blocked: bool) -> bool {
        let (one, other) = (self.node(one).host, self.node(other).host);
        let there = self.tier.net.set_link(one, other, |link| link.blocked = u32::from(blocked));
        self.tier.net.set_link(other, one, |link| link.blocked = u32::from(blocked)) || there
    }

    async fn drain(&self, origin: &str) {
        let node = self.node(origin);
        let carried = node.metrics().map_or(0, |metrics| gauge(&metrics, "baton_tunnels"));
        assert!(carried > u64::from(self.size) / 4, "{origin} carries {carried}");
        let (planned, broken) = self.moves();
        node.with(Process::drain);
        let took = self.within(Duration::from_secs(90), "it drains", || !node.runs()).await;
        assert_eq!(node.with(Process::exit).flatten(), Some(Exit::Done));
        sleep(Duration::from_secs(1)).await;
        assert_eq!(self.moves(), (planned + carried, broken), "each of its sessions moves once, make-before-break");
        println!("{origin} drained: {carried} sessions moved in {took} ms");
        self.tier.bury(node);
        self.tier.start(node, &[]);
        sleep(Duration::from_secs(5)).await;
    }
}

async fn client(number: u32, dial: impl Dial<Stream = SimStream>, fleet: Rc<Fleet>) {
    let mut stream = dial.dial("edge-1:1883").await.expect("the edge listens");
    let mut packet = BytesMut::new();
    let client_id = &format!("h{number}");
    let connect = encode::Connect { client_id, username: None, keep_alive: 0, clean_session: true, will: None };
    encode::connect(&connect, &mut packet);
    let mut connack = [0; 4];
    let connecting = async {
        stream.write_all(&packet).await?;
        stream.read_exact(&mut connack).await
    };
    if connecting.await.is_err() || connack[3] != 0 {
        return fleet.closed.set(fleet.closed.get() + 1);
    }
    fleet.connected.set(fleet.connected.get() + 1);
    let mut byte = [0; 2];
    tokio::select! {
        biased;
        _ = stream.read_exact(&mut byte) => return fleet.closed.set(fleet.closed.get() + 1),
        () = fleet.ask.notified() => {}
    }
    encode::pingreq(&mut packet);
    let asked = async {
        stream.write_all(&[0xc0, 0]).await?;
        stream.read_exact(&mut byte).await
    };
    match asked.await {
        Ok(_) if byte == [0xd0, 0] => fleet.answered.set(fleet.answered.get() + 1),
        _ => fleet.closed.set(fleet.closed.get() + 1),
    }
    // It stays until the story is over.
    std::future::pending().await
}

#[test]
fn one_of_two_origins_is_killed() {
    play(async |herd| {
        herd.node("origin-1").with(Process::kill);
        let hit = herd.within(BUDGET, "the edge notices", || herd.live() < u64::from(herd.size)).await;
        let lost = u64::from(herd.size) - herd.live();
        println!("killed: {lost} of {} sessions have lost their tunnel after {hit} ms", herd.size);
        herd.live_again("one of two origins killed").await;
        herd.all_is_well().await;
    });
}

#[test]
fn both_origins_restart_one_after_the_other() {
    play(async |herd| {
        herd.drain("origin-1").await;
        herd.drain("origin-2").await;
        herd.all_is_well().await;
    });
}

#[test]
fn the_uplink_flaps_for_six_seconds() {
    play(async |herd| {
        for origin in ["origin-1", "origin-2"] {
            assert!(herd.block("edge-1", origin, true), "a connection was cut off");
        }
        sleep(Duration::from_secs(6)).await;
        assert_eq!(herd.live(), 0, "every session has lost its tunnel");
        for origin in ["origin-1", "origin-2"] {
            herd.block("edge-1", origin, false);
        }
        herd.live_again("the uplink is back").await;
        herd.all_is_well().await;
    });
}

#[test]
fn one_home_is_a_black_hole_beside_healthy_ones() {
    let summary = play(async |herd| {
        for origin in ["origin-1", "origin-2"] {
            assert!(herd.block(origin, "home-1", true), "a connection was cut off");
        }
        sleep(Duration::from_secs(20)).await;
        let stranded = u64::from(herd.size) - herd.live();
        let part = u64::from(herd.size) / 8..u64::from(herd.size) / 2;
        assert!(part.contains(&stranded), "{stranded} have lost their tunnel, those of one home of four");
        // Others open sessions meanwhile, at the healthy homes as fast as ever.
        let host = herd.tier.net.host("newcomers");
        let newcomers = Rc::new(Fleet::default());
        for number in 0..400 {
            spawn_local(client(1_000_000 + number, herd.tier.net.dialer(host), Rc::clone(&newcomers)));
        }
        herd.within(Duration::from_secs(2), "newcomers connect", || newcomers.connected.get() >= 200).await;
        for origin in ["origin-1", "origin-2"] {
            herd.block(origin, "home-1", false);
        }
        let all = u64::from(herd.size) + 400;
        let took = herd.within(BUDGET + BUDGET, "the home is back", || herd.live() == all).await;
        println!("a home of four is back: {stranded} sessions live again after {took} ms");
        herd.all_is_well().await;
    });
    let resumed = summary.counts.get("session.resume").copied().unwrap_or_default();
    assert!(resumed > 0 && summary.busiest <= RESUMES, "{resumed} resumes, {} in a second", summary.busiest);
}
