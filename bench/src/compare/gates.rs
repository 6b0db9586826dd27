//! The ratios that Baton is held to. Best TCP is the best of HAProxy, nginx and the relay, two hops each, at the better of
//! one and two threads; Baton has three processes where they have two hops.

use super::{
    Middle, Options,
    loads::{CALM, FEW, Loads, MANY, RATES},
    rest::Rest,
};
use crate::{
    figure::Figure,
    idle,
    measure::{Turn, count},
    restart::{Disruption, SUFFERED},
    stack::Kind,
};

/// How busy a program may be for its latency to tell of it and not of a queue before it.
const BUSY: f64 = 0.7;

fn is_tcp(kind: Kind) -> bool {
    matches!(kind, Kind::Relay(_) | Kind::Haproxy(_) | Kind::Nginx(_))
}

fn is_envoy(kind: Kind) -> bool {
    matches!(kind, Kind::Envoy(_))
}

fn p50(turn: &Turn) -> f64 {
    count(turn.window.latency.p50)
}

fn p99(turn: &Turn) -> f64 {
    count(turn.window.latency.p99)
}

/// Baton, and whom it is compared with.
#[derive(Clone, Copy)]
enum To {
    Itself,
    Tcp,
    Envoy,
}

impl To {
    fn among(self) -> fn(Kind) -> bool {
        match self {
            Self::Itself => |kind| kind == Kind::Baton,
            Self::Tcp => is_tcp,
            Self::Envoy => is_envoy,
        }
    }
}

/// What there is to judge by.
struct Judge<'a> {
    stacks: &'a [Kind],
    options: &'a Options,
    loads: &'a Loads,
    figures: Vec<Figure>,
}

/// Every figure that was asked for. One that couldn't be had, because Baton or all whom it is compared with had no valid turn,
/// is there too, and missed.
pub(super) fn judge(stacks: &[Kind], options: &Options, loads: &Loads, rest: &Rest) -> Vec<Figure> {
    let mut judge = Judge { stacks, options, loads, figures: Vec::new() };
    judge.processor_time();
    judge.speed();
    judge.latency();
    let mut figures = judge.figures;
    if options.load.is_empty() {
        memory(rest, &mut figures);
        restart(rest, &mut figures);
    }
    figures
}

impl Judge<'_> {
    /// Whether there was anything to compare at this load: a stack that isn't installed leaves no gap.
    fn is_asked(&self, load: &str, to: To) -> bool {
        self.options.wants(load) && self.stacks.iter().any(|kind| to.among()(*kind))
    }

    fn ours(&self, load: &str, what: impl Fn(&Turn) -> f64) -> f64 {
        self.loads.middle(load, Kind::Baton, what).median
    }

    fn at_most(&mut self, (load, to): (&str, To), what: &str, value: f64, most: f64) {
        if self.is_asked(load, to) {
            self.figures.push(Figure::at_most(format!("{load}, {what}"), value, most, ""));
        }
    }

    fn processor_time(&mut self) {
        let two: fn(&Turn) -> f64 = |turn| turn.cost(0) + turn.cost(1);
        for (load, to, what, hops, most) in [
            (MANY, To::Tcp, "processor time, edge + origin to best TCP", two, 0.50),
            (MANY, To::Tcp, "processor time, all three to best TCP", Turn::hops, 0.90),
            (MANY, To::Envoy, "processor time, all three to Envoy", Turn::hops, 0.50),
            (FEW, To::Tcp, "processor time, all three to best TCP", Turn::hops, 1.10),
        ] {
            let ratio = self.ours(load, hops) / self.loads.best(load, to.among(), Turn::hops, f64::min);
            self.at_most((load, to), what, ratio, most);
        }
        for (hop, (name, most)) in [("edge", 2.1), ("origin", 0.7), ("sidecar", 2.2)].into_iter().enumerate() {
            let to_broker = self.ours(MANY, |turn| turn.cost(hop) / turn.broker());
            self.at_most((MANY, To::Itself), &format!("processor time, {name} to the broker"), to_broker, most);
        }
    }

    fn speed(&mut self) {
        for (load, to, what, least) in [
            (MANY, To::Tcp, "messages a second, to best TCP", 1.05),
            (MANY, To::Envoy, "messages a second, to Envoy", 1.5),
            (FEW, To::Tcp, "messages a second, to best TCP", 0.85),
        ] {
            let ratio = self.ours(load, Turn::speed) / self.loads.best(load, to.among(), Turn::speed, f64::max);
            if self.is_asked(load, to) {
                self.figures.push(Figure::at_least(format!("{load}, {what}"), ratio, least, ""));
            }
        }
    }

    fn latency(&mut self) {
        for (to, what, most) in [(To::Tcp, "p50, to best TCP", 1.45), (To::Envoy, "p50, to Envoy", 1.05)] {
            let ratio = self.ours(CALM, p50) / self.loads.best(CALM, to.among(), p50, f64::min);
            self.at_most((CALM, to), what, ratio, most);
        }
        let calm = highest_rate(self.stacks, self.loads);
        let lowest = RATES.into_iter().find(|rate| self.options.wants(rate));
        let Some(rate) = calm.or(lowest) else { return };
        let ours = if calm.is_some() { self.ours(rate, p99) } else { f64::NAN };
        let tcp = self.loads.kinds(rate).into_iter().filter(|kind| is_tcp(*kind));
        let tcp = Middle::of(tcp.map(|kind| self.loads.middle(rate, kind, p99).median)).median;
        let envoy = self.loads.best(rate, is_envoy, p99, f64::min);
        self.at_most((rate, To::Tcp), "p99, to the middle one of TCP", ours / tcp, 1.0);
        self.at_most((rate, To::Envoy), "p99, to Envoy", ours / envoy, 0.6);
    }
}

/// The highest rate that keeps no program of any stack too busy, and at which every stack has a valid turn.
pub(super) fn highest_rate(stacks: &[Kind], loads: &Loads) -> Option<&'static str> {
    RATES.into_iter().rev().find(|rate| {
        let kinds = loads.kinds(rate);
        let calm = |kind: &Kind| loads.middle(rate, *kind, Turn::busiest).median < BUSY;
        kinds.len() == stacks.len() && kinds.iter().all(calm)
    })
}

fn memory(rest: &Rest, figures: &mut Vec<Figure>) {
    let slopes: Vec<_> = (0..Kind::Baton.hops()).map(|hop| rest.memory_of(Kind::Baton, hop).median).collect();
    figures.extend(idle::figures(&slopes));
    let held = rest.held.map_or(f64::NAN, f64::from);
    figures.push(Figure::at_least("sessions in one edge", held, 15_000.0, ""));
}

fn restart(rest: &Rest, figures: &mut Vec<Figure>) {
    for (how, most, longest) in [("drain", 20.0, 50.0), ("SIGKILL", 200.0, 500.0)] {
        let of = |what: fn(&Disruption) -> f64| rest.restart_of(Kind::Baton, how, what);
        // Nobody is to suffer in any of them; how long they wait is the middle one's.
        figures.push(Figure::none(format!("{how}: {SUFFERED}"), of(Disruption::suffered).most));
        let p999 = of(|disruption| disruption.beyond().0).median;
        figures.push(Figure::at_most(format!("{how}: wait beyond the control, p99.9"), p999, most, "ms"));
        let max = of(|disruption| disruption.beyond().1).median;
        figures.push(Figure::at_most(format!("{how}: wait beyond the control, longest"), max, longest, "ms"));
    }
}
