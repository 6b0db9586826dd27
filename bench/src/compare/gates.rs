//! The ratios that Baton is held to. Best TCP is the best of HAProxy, nginx and the relay, two hops each, at the better of
//! one and two threads; Baton has three processes where they have two hops.

use super::{
    loads::{CALM, FEW, Loads, MANY, RATES},
    rest::Rest,
};
use crate::{
    figure::Figure,
    idle,
    measure::{Turn, count},
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

/// Every figure for which there is something to go by.
pub(super) fn judge(loads: &Loads, rest: &Rest) -> Vec<Figure> {
    let mut figures = Vec::new();
    processor_time(loads, &mut figures);
    speed(loads, &mut figures);
    latency(loads, &mut figures);
    memory(rest, &mut figures);
    restart(rest, &mut figures);
    figures.retain(|figure| !figure.is_unknown());
    figures
}

fn processor_time(loads: &Loads, figures: &mut Vec<Figure>) {
    let ours = |load, what: fn(&Turn) -> f64| loads.middle(load, Kind::Baton, what).median;
    let tcp = |load| loads.best(load, is_tcp, Turn::hops, f64::min);
    let envoy = |load| loads.best(load, is_envoy, Turn::hops, f64::min);
    let two: fn(&Turn) -> f64 = |turn| turn.cost(0) + turn.cost(1);
    let mut at_most = |name: &str, value: f64, most: f64| figures.push(Figure::at_most(name, value, most, ""));
    at_most("1000:1, processor time, edge + origin to best TCP", ours(MANY, two) / tcp(MANY), 0.50);
    at_most("1000:1, processor time, all three to best TCP", ours(MANY, Turn::hops) / tcp(MANY), 0.90);
    at_most("1000:1, processor time, all three to Envoy", ours(MANY, Turn::hops) / envoy(MANY), 0.50);
    at_most("100:0, processor time, all three to best TCP", ours(FEW, Turn::hops) / tcp(FEW), 1.10);
    for (hop, (name, most)) in [("edge", 2.1), ("origin", 0.7), ("sidecar", 2.2)].into_iter().enumerate() {
        let to_broker = loads.middle(MANY, Kind::Baton, |turn| turn.cost(hop) / turn.broker()).median;
        at_most(&format!("1000:1, processor time, {name} to the broker"), to_broker, most);
    }
}

fn speed(loads: &Loads, figures: &mut Vec<Figure>) {
    let to = |load, among: fn(Kind) -> bool| {
        loads.middle(load, Kind::Baton, Turn::speed).median / loads.best(load, among, Turn::speed, f64::max)
    };
    let mut at_least = |name: &str, value: f64, least: f64| figures.push(Figure::at_least(name, value, least, ""));
    at_least("1000:1, messages a second, to best TCP", to(MANY, is_tcp), 1.05);
    at_least("1000:1, messages a second, to Envoy", to(MANY, is_envoy), 1.5);
    at_least("100:0, messages a second, to best TCP", to(FEW, is_tcp), 0.85);
}

fn latency(loads: &Loads, figures: &mut Vec<Figure>) {
    let ours = loads.middle(CALM, Kind::Baton, p50).median;
    let to = |among: fn(Kind) -> bool| ours / loads.best(CALM, among, p50, f64::min);
    figures.push(Figure::at_most("100:0:5000, p50, to best TCP", to(is_tcp), 1.45, ""));
    figures.push(Figure::at_most("100:0:5000, p50, to Envoy", to(is_envoy), 1.05, ""));
    let Some(rate) = highest_rate(loads) else { return };
    let ours = loads.middle(rate, Kind::Baton, p99).median;
    let tcp = loads.kinds(rate).into_iter().filter(|kind| is_tcp(*kind));
    let tcp = super::Middle::of(tcp.map(|kind| loads.middle(rate, kind, p99).median)).median;
    let envoy = loads.best(rate, is_envoy, p99, f64::min);
    figures.push(Figure::at_most(format!("{rate}, p99, to the middle one of TCP"), ours / tcp, 1.0, ""));
    figures.push(Figure::at_most(format!("{rate}, p99, to Envoy"), ours / envoy, 0.6, ""));
}

/// The highest rate that keeps no program of any stack too busy, and at which every stack has a valid turn.
pub(super) fn highest_rate(loads: &Loads) -> Option<&'static str> {
    RATES.into_iter().rev().find(|rate| {
        let kinds = loads.kinds(rate);
        let calm = |kind: &Kind| loads.middle(rate, *kind, Turn::busiest).median < BUSY;
        kinds.contains(&Kind::Baton) && kinds.len() >= loads.kinds(MANY).len() && kinds.iter().all(calm)
    })
}

fn memory(rest: &Rest, figures: &mut Vec<Figure>) {
    let slopes: Vec<_> = (0..3).map(|hop| rest.memory_of(Kind::Baton, hop).median).collect();
    figures.extend(idle::figures(&slopes));
    if let Some(held) = rest.held {
        figures.push(Figure::at_least("sessions in one edge", f64::from(held), 15_000.0, ""));
    }
}

fn restart(rest: &Rest, figures: &mut Vec<Figure>) {
    for (_, how, disruption) in rest.restarts.iter().filter(|(kind, ..)| *kind == Kind::Baton) {
        let total = disruption.verdict.total();
        let wrong = disruption.verdict.dropped() + total.lost + total.duplicated + total.reordered;
        let (p999, longest) = disruption.beyond();
        let (most, longest_most) = if *how == "drain" { (20.0, 50.0) } else { (200.0, 500.0) };
        figures
            .push(Figure::none(format!("{how}: clients dropped, messages lost, doubled or reordered"), count(wrong)));
        figures.push(Figure::at_most(format!("{how}: wait beyond the control, p99.9"), p999, most, "ms"));
        figures.push(Figure::at_most(format!("{how}: wait beyond the control, longest"), longest, longest_most, "ms"));
    }
}
