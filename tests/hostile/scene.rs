//! A tier with others in it, and what has to be true of it after each attack: the others were served, the memory is back,
//! the cause was counted.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    iter, thread,
    time::{Duration, Instant},
};

use baton_drill::{
    load::{Load, Plan, Tempo},
    proc::Usage,
    tier::{Broker, Layout, Role, Samples, Tier},
};

use crate::support::{BATON, PATIENCE, sessions, start, until};

/// Clients who are to notice nothing, and messages a second of all together.
const OTHERS: u32 = 40;
const RATE: u32 = 200;
/// Microseconds that half of their messages may take while an attack goes on, and one in a hundred. Attackers have a
/// processor to themselves on a machine that has two: what is told apart is whether the others are served meanwhile, or
/// have to wait until it is over.
const MEDIAN: u64 = 1_000_000;
const SLOWEST: u64 = 4_000_000;
/// Bytes by which resident memory may be higher after an attack: what the allocator keeps for the next. One turn of a
/// connection may read some megabytes of frames, and a stream of a hundred bytes takes seven times that.
const MARGIN: u64 = 48 << 20;
/// Bytes by which it may be higher after an attack that was made before.
const MARGIN_AGAIN: u64 = 2 << 20;
/// How often an attack may be made until one needs no more memory than the one before: how much arrives in one turn
/// differs, but what is lost each time is lost this time too.
const AGAIN: usize = 6;
/// Lines that an attack may bring into a log.
const LINES: usize = 3;
/// How long a home keeps a session without a tunnel: attackers leave many.
const GRACE: &str = "2s";

/// Bytes that the others have under way at times.
pub(crate) const UNDER_WAY: f64 = 65_536.0;
/// What is held for somebody, and by how much more there may be after an attack than before.
const HELD: [Counted<'_>; 4] = [
    ("baton_buffered_bytes", &[], UNDER_WAY),
    ("baton_limit_used", &[("name", "sessions")], 0.0),
    ("baton_tunnels", &[], 0.0),
    ("baton_sessions", &[], 0.0),
];

/// What is counted when it hits.
pub(crate) type Counted<'a> = (&'a str, &'a [(&'a str, &'a str)], f64);

/// A counter that is to rise.
pub(crate) struct Counting<'a> {
    scene: &'a Scene,
    node: &'a str,
    counted: Counted<'a>,
    from: f64,
}

impl Counting<'_> {
    /// By how much it has risen.
    pub(crate) fn rise(&self) -> f64 {
        let (name, labels, _) = self.counted;
        self.scene.samples(self.node).total(name, labels) - self.from
    }

    /// Waits until it has risen by as much as it should.
    pub(crate) fn is_reached(&self, what: &str) {
        let (node, (name, labels, least)) = (self.node, self.counted);
        until(&format!("{what}: {node} counts {least} in {name} {labels:?}"), || self.rise() >= least);
    }
}

/// An attack on one process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attack<'a> {
    pub(crate) what: &'a str,
    /// The process under attack.
    pub(crate) on: &'a str,
    /// Counters of that process, and by how much each rises at least.
    pub(crate) counts: &'a [Counted<'a>],
    /// Lines that its log may get at any rate, and for each second that it takes.
    pub(crate) lines: usize,
    pub(crate) lines_a_second: f64,
    /// Bytes by which its memory may be higher.
    pub(crate) margin: u64,
}

impl<'a> Attack<'a> {
    pub(crate) fn new(what: &'a str, on: &'a str, counts: &'a [Counted<'a>]) -> Self {
        Self { what, on, counts, lines: LINES, lines_a_second: 0.0, margin: MARGIN }
    }
}

/// A process before an attack.
struct Before {
    usage: Usage,
    samples: Samples,
    lines: usize,
}

/// One edge, two origins, two homes in a simulated broker.
pub(crate) fn layout() -> Layout {
    let layout = Layout { origins: 2, homes: 2, ..Layout::new(BATON) };
    layout.set(Role::BrokerSim, "anchor.grace", GRACE)
}

/// Lets time pass, where what must not happen would happen in it.
#[expect(clippy::disallowed_methods, reason = "nothing tells that something doesn't happen")]
pub(crate) fn pause(time: Duration) {
    thread::sleep(time);
}

#[expect(clippy::disallowed_methods, reason = "processes write their logs by the real clock")]
fn now() -> Instant {
    Instant::now()
}

/// The same with a sidecar before a broker for each home.
pub(crate) fn apart() -> Layout {
    Layout { broker: Broker::SimApart, ..layout() }.set(Role::Sidecar, "anchor.grace", GRACE)
}

/// A tier with others in it.
pub(crate) struct Scene {
    pub(crate) tier: Tier,
    load: Load,
    /// Most descriptors that a process had before any attack so far. Just before one, a sidecar may be without the
    /// connection by which it asks its broker: it asks by a new one after a doubt, which an attack may have been.
    descriptors: RefCell<BTreeMap<String, usize>>,
}

impl Scene {
    /// One edge, two origins, two homes in a simulated broker; and messages flow.
    pub(crate) fn begin() -> Self {
        Self::with(start(layout()).expect("nothing need be installed"))
    }

    /// As [`Self::begin`], in a tier that runs.
    pub(crate) fn with(tier: Tier) -> Self {
        let load =
            Load::start(Plan { tempo: Tempo::Rate(RATE), wills: true, ..Plan::new("others", &tier.edges(), OTHERS) })
                .expect("a thread");
        load.ready(PATIENCE).unwrap_or_else(|late| panic!("{late}"));
        load.publish();
        let scene = Self { tier, load, descriptors: RefCell::default() };
        scene.flows("the start");
        for sidecar in scene.tier.names(Role::Sidecar) {
            // It looks at that now and then.
            let [sessions, used] = [HELD[3], HELD[1]];
            let total = |(name, labels, _): Counted<'_>| scene.samples(&sidecar).total(name, labels);
            until("a sidecar tells how full it is", || total(used) == total(sessions));
        }
        scene
    }

    /// Twice as many messages as there are others have come since.
    pub(crate) fn flows(&self, while_what: &str) {
        let more = 2 * u64::from(OTHERS);
        self.load.received(more, PATIENCE).unwrap_or_else(|late| panic!("{while_what}: {late}"));
    }

    /// How many clients there are besides attackers.
    pub(crate) fn others(&self) -> usize {
        OTHERS as usize
    }

    fn look(&self, node: &str) -> Before {
        Before { usage: self.usage(node), samples: self.samples(node), lines: self.lines(node) }
    }

    pub(crate) fn usage(&self, node: &str) -> Usage {
        Usage::of(self.tier.pid(node).expect("it runs")).expect("it's ours")
    }

    /// The most that it had before an attack, of which this is one.
    fn most_descriptors(&self, node: &str, before: usize) -> usize {
        let mut most = self.descriptors.borrow_mut();
        let most = most.entry(node.to_owned()).or_default();
        *most = before.max(*most);
        *most
    }

    fn samples(&self, node: &str) -> Samples {
        self.tier.metrics(node).expect("it answers")
    }

    fn lines(&self, node: &str) -> usize {
        self.tier.log(node).expect("it has a log").lines().count()
    }

    /// Looks at a counter of `node`, which is to rise.
    pub(crate) fn counting<'a>(&'a self, node: &'a str, counted: Counted<'a>) -> Counting<'a> {
        let now = self.samples(node).total(counted.0, counted.1);
        Counting { scene: self, node, counted, from: now }
    }

    /// Makes an attack, and sees to what has to be true after it.
    pub(crate) fn suffers<R>(&self, attack: Attack<'_>, make: impl FnOnce(&Self) -> R) -> R {
        let Attack { what, on, counts, .. } = attack;
        let began = now();
        let before = self.look(on);
        let counting: Vec<_> = counts.iter().map(|counted| self.counting(on, *counted)).collect();
        let _so_far = self.load.take_window();
        let result = make(self);
        self.flows(what);
        let latency = self.load.take_window().latency;
        eprintln!("{what} on {on}: {latency}; {:?} -> {:?}", before.usage, self.usage(on));
        counting.iter().for_each(|counting| counting.is_reached(what));
        for (held, labels, slack) in HELD {
            let is = |samples: &Samples| samples.total(held, labels);
            until(&format!("{what}: {on} has {held} back"), || is(&self.samples(on)) <= is(&before.samples) + slack);
        }
        let descriptors = self.most_descriptors(on, before.usage.fds);
        until(&format!("{what}: {on} has its descriptors back"), || self.usage(on).fds <= descriptors);
        until(&format!("{what}: {on} has its memory back"), || self.usage(on).rss <= before.usage.rss + attack.margin);
        let lines = self.lines(on) - before.lines;
        let most = attack.lines_a_second * began.elapsed().as_secs_f64();
        assert!(lines as f64 <= attack.lines as f64 + most, "{what}: {lines} lines in the log of {on}");
        assert!(latency.count > 0 && latency.p50 < MEDIAN && latency.p99 < SLOWEST, "{what}: {latency}");
        result
    }

    /// An attack that was made already: memory doesn't grow with each.
    pub(crate) fn needs_no_more(&self, attack: Attack<'_>, mut make: impl FnMut()) {
        let grows = || {
            let before = self.usage(attack.on).rss;
            make();
            self.usage(attack.on).rss > before + MARGIN_AGAIN
        };
        assert!(!iter::repeat_with(grows).take(AGAIN).all(|grows| grows), "{}: memory grows each time", attack.what);
    }

    /// No other client was dropped, no message lost or doubled.
    pub(crate) fn ends_unnoticed(self) {
        until("the attackers' sessions are over", || sessions(&self.tier, "live") == f64::from(OTHERS));
        let report = self.load.finish(PATIENCE);
        assert!(report.verdict.is_clean(), "{report}");
    }
}
