//! Chaos: a seeded schedule of faults, played against real processes with counted clients between them.
//!
//! Four edges, four origins, three homes, each a sidecar before a broker-sim of its own; a [`crate::proxy`] is on every
//! link. Which user lives at which home is known from the ring. `cohort` has the users: those at edges and a home that
//! hang at most, and a group for each process that is killed or told to end.
//!
//! | What survives what | Classes of faults | What is asserted |
//! |---|---|---|
//! | an origin drained | origin drained | the sheltered hold: no drop, nothing lost, doubled or reordered, no gap over its budget |
//! | one origin only, restarted within the grace time | all origins down, 1 to 5 s | the same |
//! | an origin killed, hung, cut off | origin killed, two origins killed, origin stopped; edge link and home link cut, stalled, slowed | the same |
//! | an edge hangs | edge stopped | the same |
//! | a home hangs | home stopped | the same |
//! | an edge killed | edge killed | its clients are dropped within its time and come back; the others hold |
//! | sidecar or broker killed, broker restarted | home killed, broker killed | those of that home are dropped within its time, with a cause of the broker's or `gone`, and come back; the others hold |
//! | SIGTERM to an edge without a successor | edge left | exit status 3, its clients dropped with the cause `shutdown`; the others hold |
//! | an edge or a sidecar restarted with a successor; a successor that fails | | not built: there is no handover yet |
//! | ring, membership or list of origins changes | | not here: they are read at the start |
//! | a client or broker that floods, doesn't read, sends garbage | | not here: hand-written tests |
//!
//! A drop has to be explained by a fault that is there for it, of a process that the client depends on, in the time in
//! which that can be felt; what is lost with it is lost, and the client goes on as another one. At the end no process
//! holds a session, a tunnel or a byte any more.

mod cohort;
pub mod fault;
mod judge;
mod report;
mod scene;
mod schedule;

use std::{path::PathBuf, time::Duration};

pub use self::report::Report;
use self::{
    cohort::COHORTS,
    fault::{Class, Fault},
    judge::Played,
    report::Group,
    scene::{GRACE, Scene},
};
use crate::{
    load::Load,
    residue::{self, Holdings},
    tier::patience::Clock,
};

type Failure = Box<dyn std::error::Error>;

/// Time for whatever must come about once nothing is wrong any more.
const HEALING: Duration = Duration::from_secs(60);
/// Messages of each group that have to flow before the first fault and after the last.
const ENOUGH: u64 = 50;

/// What is to be played.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The `baton` program.
    pub binary: PathBuf,
    /// From which everything that goes wrong follows.
    pub seed: u64,
    /// Number of faults.
    pub faults: usize,
    /// Least time from the begin of one to that of the next.
    pub every: Duration,
}

/// Plays it. `tell` is told of each fault as it begins.
///
/// # Errors
/// If a process doesn't start or answer, ends by itself, or the users don't come back when nothing is wrong any more.
pub fn play(plan: &Plan, mut tell: impl FnMut(&str)) -> Result<Report, Failure> {
    let clock = Clock::start();
    let every = u64::try_from(plan.every.as_millis())?;
    let schedule = schedule::schedule(plan.seed, plan.faults, every);
    let mut scene = Scene::start(&plan.binary)?;
    let before = Holdings::of(&scene.tier)?;
    let loads = COHORTS.iter().map(|cohort| cohort.start(&scene.tier)).collect::<Result<Vec<_>, _>>()?;
    for load in &loads {
        load.ready(HEALING)?;
        load.publish();
    }
    flow(&loads)?;
    let mut player = Player { scene: &mut scene, clock, began: clock.elapsed(), played: Vec::new(), wrong: Vec::new() };
    player.all(&schedule, &mut tell)?;
    let Player { played, mut wrong, began, .. } = player;
    let took = clock.elapsed() - began;

    for load in &loads {
        let clients = load.plan().clients;
        load.until(HEALING, move |progress| progress.counts.ready == clients)?;
    }
    flow(&loads)?;
    let left = played.iter().filter(|fault| fault.class == Class::EdgeLeft).map(|fault| fault.hit).sum();
    wrong.extend(scene.strange_causes(left)?);
    let moves = ["planned", "broken"].map(|kind| [("kind", kind), ("outcome", "accepted")]);
    let [planned, broken] = moves.map(|labels| scene.at_lasting_edges("baton_moves_total", &labels));
    let mut groups = Vec::new();
    for (cohort, load) in COHORTS.iter().zip(loads) {
        let offset = u64::try_from(clock.until(load.zero()).as_micros())?;
        let report = load.finish(HEALING);
        groups.push(Group::judged(cohort, report, offset, &played));
    }
    let after = residue::until_as(&before, Holdings::has_no_more_entries, &scene.tier, HEALING + GRACE)?;
    let left = after.iter().zip(&before).filter(|(after, before)| !after.has_no_more_entries(before));
    wrong.extend(left.map(|(after, before)| format!("left at the end: {after:?}, at first {before:?}")));
    let report = Report::new(plan, took, &played, groups, (planned?, broken?), wrong);
    if !report.violations.is_empty() {
        scene.tier.keep_logs();
        tell(&format!("the logs are in {}", scene.tier.directory().display()));
    }
    Ok(report)
}

/// Waits until messages flow everywhere.
fn flow(loads: &[Load]) -> Result<(), Failure> {
    loads.iter().try_for_each(|load| load.received(ENOUGH, HEALING).map(drop))?;
    Ok(())
}

struct Player<'a> {
    scene: &'a mut Scene,
    clock: Clock,
    /// When the schedule began.
    began: Duration,
    played: Vec<Played>,
    wrong: Vec<String>,
}

impl Player<'_> {
    fn all(&mut self, schedule: &[Fault], tell: &mut impl FnMut(&str)) -> Result<(), Failure> {
        // Those that go on: the fault, when it began, what it hit.
        let mut going_on: Vec<(&Fault, u64, f64)> = Vec::new();
        let mut coming = schedule.iter().peekable();
        loop {
            let next_end = going_on.iter().enumerate().min_by_key(|(_, (fault, ..))| fault.until());
            let next_end = next_end.map(|(at, (fault, ..))| (at, fault.until()));
            let next = coming.peek().map(|fault| fault.at);
            match (next_end, next) {
                (None, None) => return Ok(()),
                (Some((at, end)), next) if next.is_none_or(|next| end <= next) => {
                    self.wait_until(end);
                    let (fault, began, hit) = going_on.remove(at);
                    self.wrong.extend(self.scene.end(fault, hit)?);
                    self.played.push(Played::new(fault, began, self.now(), hit));
                }
                (_, None) => {}
                (_, Some(begin)) => {
                    self.wait_until(begin);
                    let Some(fault) = coming.next() else { continue };
                    let began = self.now();
                    let hit = self.scene.begin(fault)?;
                    tell(&format!("{:7.1} s  {fault}; hit {hit}", self.began_seconds(began)));
                    going_on.push((fault, began, hit));
                }
            }
        }
    }

    fn wait_until(&self, millis: u64) {
        self.clock.wait_until(self.began + Duration::from_millis(millis));
    }

    fn now(&self) -> u64 {
        u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn began_seconds(&self, millis: u64) -> f64 {
        Duration::from_millis(millis).saturating_sub(self.began).as_secs_f64()
    }
}
