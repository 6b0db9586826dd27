//! What use leaves behind: connects, moves and restarts by the thousand, and what processes hold before and after.
//!
//! One edge, two origins, one sidecar before a broker-sim; a proxy on each link between edge and origins. Nobody is
//! connected when it is looked at what the processes hold. Connects and moves come in two halves, with a look between.
//!
//! | Step | What happens |
//! |---|---|
//! | connects | wave after wave of clients connects and says something; every other one leaves in order, the rest vanish |
//! | moves | the link to the origin that has all sessions is cut, time and again: all of them move to the other one |
//! | restarts | the origin that has all sessions is drained, or killed, in turn, and started again |

use std::{fmt, path::PathBuf, time::Duration};

use crate::{
    client::Client,
    load::{Load, Plan, Progress, Tempo},
    mqtt::Qos,
    proxy::{Mode, Proxy},
    residue::{self, Holdings},
    tier::{Broker, Layout, Role, Samples, Tier},
};

type Failure = Box<dyn std::error::Error>;

/// Clients of a wave, and of the load that is moved.
pub const CLIENTS: u32 = 200;
/// The step with the second half of the connects.
pub const CONNECTS: &str = "connects 2";
/// The step with the second half of the moves.
pub const MOVES: &str = "moves 2";
/// Time for the slowest step.
const PATIENCE: Duration = Duration::from_secs(60);
/// Time until all that is closed is forgotten: connections that weren't answered, and sessions whose client vanished
/// while its tunnel was lost, for which the grace time is waited.
const REST: Duration = Duration::from_secs(40);
/// How long a session lives without a tunnel.
const GRACE: &str = "15s";
/// Local addresses that clients connect from: each has ports for a minute of connects.
const SOURCES: u8 = 40;
/// Messages a second while sessions are moved.
const PACE: u32 = 2 * CLIENTS;

/// How much of what.
#[derive(Clone, Debug)]
pub struct Wear {
    /// The `baton` program.
    pub binary: PathBuf,
    /// Connections that clients make.
    pub connects: u32,
    /// Times that all sessions of an origin move because its link is cut.
    pub moves: u32,
    /// Times that the origin with all sessions is drained or killed, and started again.
    pub restarts: u32,
}

/// What the processes held when nobody was connected.
#[derive(Clone, Debug)]
pub struct Look {
    /// After what.
    pub step: &'static str,
    /// Each of them.
    pub holdings: Vec<Holdings>,
}

/// The end of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// When nobody had connected yet, and after each step.
    pub looks: Vec<Look>,
    /// Sessions that changed their tunnel: planned, broken.
    pub moved: (f64, f64),
    /// What clients suffered, if anything.
    pub suffered: Vec<String>,
}

impl Report {
    /// Processes that hold more of something at the end than at first.
    pub fn left(&self) -> Vec<String> {
        let (Some(first), Some(last)) = (self.looks.first(), self.looks.last()) else { return Vec::new() };
        let pairs = first.holdings.iter().zip(&last.holdings);
        pairs
            .filter(|(first, last)| !last.has_no_more(first))
            .map(|(first, last)| format!("{first:?}: {last:?}"))
            .collect()
    }

    /// Bytes by which the memory of the process that grew most in this step did: in the second half of what is done, when
    /// each has found its size.
    pub fn grown(&self, step: &str) -> u64 {
        let Some(at) = self.looks.iter().position(|look| look.step == step).filter(|at| *at > 0) else { return 0 };
        let pairs = self.looks[at - 1].holdings.iter().zip(&self.looks[at].holdings);
        let same = pairs.filter(|(before, after)| before.pid == after.pid);
        same.map(|(before, after)| after.memory.saturating_sub(before.memory)).max().unwrap_or(0)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "after       process    descriptors  threads  tasks  entries  memory KiB")?;
        for Look { step, holdings } in &self.looks {
            holdings.iter().try_for_each(|holdings| writeln!(f, "{step:10}  {holdings}"))?;
        }
        let (planned, broken) = self.moved;
        write!(f, "{planned} planned and {broken} broken moves")
    }
}

/// Does it. `tell` is told of each step.
///
/// # Errors
/// If a process doesn't do its part in time, or ends by itself.
pub fn play(wear: &Wear, mut tell: impl FnMut(&str)) -> Result<Report, Failure> {
    let mut course = Course::start(wear)?;
    let mut looks = vec![Look { step: "start", holdings: Holdings::of(&course.tier)? }];
    let (connects, moves) = (wear.connects / 2, wear.moves / 2);
    type Step = fn(&mut Course, u32) -> Result<(), Failure>;
    let cuts: Step = |course, cuts| course.moves(cuts, 0);
    let steps: [(&'static str, Step, u32); 5] = [
        ("connects", Course::connects, connects),
        (CONNECTS, Course::connects, wear.connects - connects),
        ("moves", cuts, moves),
        (MOVES, cuts, wear.moves - moves),
        ("restarts", |course, restarts| course.moves(0, restarts), wear.restarts),
    ];
    for (step, act, count) in steps {
        tell(&format!("{step}: {count}"));
        act(&mut course, count)?;
        let holdings = residue::until_as(&looks[0].holdings, Holdings::has_no_more, &course.tier, REST)?;
        looks.push(Look { step, holdings });
    }
    let moved = (course.moved("planned")?, course.moved("broken")?);
    Ok(Report { looks, moved, suffered: course.suffered })
}

struct Course {
    tier: Tier,
    links: Vec<Proxy>,
    waves: u32,
    suffered: Vec<String>,
}

impl Course {
    fn start(wear: &Wear) -> Result<Self, Failure> {
        let layout = Layout { origins: 2, broker: Broker::SimApart, ..Layout::new(&wear.binary) }
            .set(Role::Origin, "drain.spread", "100ms")
            .set(Role::Edge, "limits.opens_per_second", "5000")
            .set(Role::Sidecar, "limits.home_opens_per_second", "5000")
            .set(Role::Sidecar, "anchor.grace", GRACE);
        let mut tier = Tier::new(layout)?;
        let links = tier.proxies_to_origins("edge-1")?;
        tier.start_all()?;
        tier.until("home-1", PATIENCE, "its broker is up", |samples| samples.total("baton_broker_up", &[]) == 1.0)?;
        let mut course = Self { tier, links, waves: 0, suffered: Vec::new() };
        // An edge is ready with one of its origins.
        course.until_linked()?;
        Ok(course)
    }

    /// Whoever comes: each connects, hears from its partner, and goes.
    fn connects(&mut self, connects: u32) -> Result<(), Failure> {
        let mut left = connects;
        while left > 0 {
            let clients = left.min(CLIENTS);
            let load = self.load(clients, Tempo::Rate(10 * clients))?;
            load.received(clients.into(), PATIENCE)?;
            load.stop();
            let settled = |p: &Progress| p.totals.received == p.totals.sent && p.totals.acknowledged == p.totals.sent;
            load.until(PATIENCE, settled)?;
            // Pairs: one of each vanishes, the other one leaves.
            for number in (0..clients).step_by(2) {
                load.client(number, Client::abort);
            }
            self.end(load);
            left -= clients;
        }
        Ok(())
    }

    /// All sessions of an origin move, by cuts of its link and then by its own end.
    fn moves(&mut self, cuts: u32, ends: u32) -> Result<(), Failure> {
        let load = self.load(CLIENTS, Tempo::Rate(PACE))?;
        // One more than asked for: it brings all of them to one origin.
        for _ in 0..=cuts {
            let (nth, moves) = self.fullest()?;
            self.links[nth].set(Mode::Cut)?;
            self.until_moved(moves)?;
            self.links[nth].set(Mode::Pass)?;
            self.until_linked()?;
        }
        for nth in 0..ends {
            let (origin, moves) = self.fullest()?;
            let name = format!("origin-{}", origin + 1);
            if nth % 2 == 0 {
                self.tier.terminate(&name)?;
                let status = self.tier.exit(&name, PATIENCE)?;
                if !status.success() {
                    self.suffered.push(format!("{name} left sessions behind ({status})"));
                }
            } else {
                self.tier.kill(&name)?;
            }
            self.until_moved(moves)?;
            self.tier.restart(&name)?;
            self.until_linked()?;
        }
        self.end(load);
        Ok(())
    }

    fn load(&mut self, clients: u32, tempo: Tempo) -> Result<Load, Failure> {
        self.waves += 1;
        let name = format!("wave-{}", self.waves);
        // Each message is acknowledged, so that a client can vanish when all are and nothing is unsettled.
        let mix = vec![Qos::AtLeastOnce, Qos::ExactlyOnce];
        let load = Plan { tempo, mix, sources: SOURCES, ..Plan::new(&name, &self.tier.edges(), clients) };
        let load = Load::start(load)?;
        load.ready(PATIENCE)?;
        load.publish();
        Ok(load)
    }

    fn end(&mut self, load: Load) {
        let report = load.finish(PATIENCE);
        if !report.verdict.is_clean() {
            self.suffered.push(report.to_string());
        }
    }

    fn moved(&self, kind: &str) -> Result<f64, Failure> {
        Ok(moved(&self.tier.metrics("edge-1")?, kind))
    }

    /// The origin with the most tunnels, from 0, and how many moves there will have been when it has none.
    fn fullest(&self) -> Result<(usize, f64), Failure> {
        let tunnels = |origin: &str| Ok::<_, Failure>(self.tier.metrics(origin)?.total("baton_tunnels", &[]));
        let (one, other) = (tunnels("origin-1")?, tunnels("origin-2")?);
        let before = self.moved("planned")? + self.moved("broken")?;
        Ok(if one > other { (0, before + one) } else { (1, before + other) })
    }

    fn until_moved(&mut self, moves: f64) -> Result<(), Failure> {
        let all = |samples: &Samples| {
            let live = samples.total("baton_sessions", &[("state", "live")]);
            moved(samples, "planned") + moved(samples, "broken") >= moves && live == f64::from(CLIENTS)
        };
        self.tier.until("edge-1", PATIENCE, "all sessions have moved", all)?;
        Ok(())
    }

    /// The edge has a connection to each origin again.
    fn until_linked(&mut self) -> Result<(), Failure> {
        let links = &self.links;
        let linked = |_: &Samples| links.iter().all(|link| link.hits().open == 1);
        self.tier.until("edge-1", PATIENCE, "both origins are linked", linked)?;
        Ok(())
    }
}

fn moved(samples: &Samples, kind: &str) -> f64 {
    samples.total("baton_moves_total", &[("kind", kind), ("outcome", "accepted")])
}
