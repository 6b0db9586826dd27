//! A judge that never condemns is worth nothing: each lie of a broker shows in the verdict under its own name.

mod broker;

use std::time::Duration;

use baton_drill::{
    client::{Client, End, State},
    ledger::Tally,
    load::{Load, Plan, Progress, Report, Shape, Tempo},
    mqtt::Qos,
};
use broker::{Broker, Lie};

const PATIENCE: Duration = Duration::from_secs(10);

fn plan(broker: &Broker) -> Plan {
    let plan = Plan::new("liar", &[broker.address], 2);
    Plan { shape: Shape::OneWay, mix: vec![Qos::AtLeastOnce], tempo: Tempo::Closed(2), ..plan }
}

/// One publisher, one receiver, some fifty messages, one lie.
fn verdict_on(lie: Lie) -> Report {
    let broker = Broker::start(lie);
    let load = Load::start(Plan { tempo: Tempo::Rate(500), ..plan(&broker) }).expect("a thread");
    load.ready(PATIENCE).expect("no lie is about connecting");
    load.publish();
    let enough = |p: &Progress| p.totals.sent >= 50 && p.totals.received >= 40 || p.counts.dropped > 0;
    load.until(PATIENCE, enough).expect("one lie stops nothing");
    load.finish(Duration::from_millis(300))
}

fn faults(report: &Report) -> [u64; 5] {
    let Tally { lost, duplicated, reordered, unacknowledged, .. } = report.verdict.total();
    [lost, duplicated, reordered, unacknowledged, report.verdict.strays]
}

#[test]
fn each_lie_has_its_name() {
    for (lie, wanted) in [
        (Lie::Nothing, [0, 0, 0, 0, 0]),
        (Lie::Drop, [1, 0, 0, 0, 0]),
        (Lie::Repeat, [0, 1, 0, 0, 0]),
        (Lie::Swap, [0, 0, 1, 0, 0]),
        (Lie::Change, [1, 0, 0, 0, 1]),
        (Lie::NoAck, [0, 0, 0, 1, 0]),
    ] {
        let report = verdict_on(lie);
        assert_eq!(faults(&report), wanted, "{lie:?}: {report}");
        assert_eq!(report.verdict.is_clean(), lie == Lie::Nothing, "{lie:?}: {report}");
    }
}

#[test]
fn a_lost_connection_is_a_drop_by_its_kind() {
    for (lie, label) in [(Lie::Close, "closed"), (Lie::Reset, "reset")] {
        let report = verdict_on(lie);
        assert_eq!(report.verdict.drops.get(label), Some(&1), "{lie:?}: {report}");
        assert_eq!(
            report.ended.iter().map(|(client, dropped)| (*client, dropped.how)).collect::<Vec<_>>(),
            [(0, label)]
        );
        assert!(!report.verdict.is_clean() && report.survivors.is_clean(), "{lie:?}: {report}");
    }
}

#[test]
fn a_client_that_never_gets_ready_says_why() {
    for (lie, end, drops) in [
        (Lie::Refuse(3), End::Refused(3), 2),
        (Lie::Silence, End::Silent, 2),
        // Only one of the two subscribes.
        (Lie::NotGranted, End::NotGranted, 1),
        (Lie::NoPong, End::NoPong, 2),
    ] {
        let broker = Broker::start(lie);
        let plan = Plan { patience: Duration::from_millis(200), keep_alive: 1, ..plan(&broker) };
        let load = Load::start(plan).unwrap();
        load.until(PATIENCE, move |progress| progress.counts.dropped == drops).unwrap();
        assert!(load.ready(PATIENCE).is_err());
        assert_eq!(load.client(1, Client::state), Some(State::Ended(end)), "{lie:?}");
        assert_eq!(load.finish(PATIENCE).verdict.drops.keys().next(), Some(&end.label()));
    }
}

#[test]
fn nobody_listening_is_unreachable() {
    let broker = Broker::start(Lie::Nothing);
    let plan = plan(&broker);
    drop(broker);
    let load = Load::start(plan).unwrap();
    let late = load.ready(PATIENCE).unwrap_err();
    assert!(late.to_string().contains("unreachable"), "{late}");
    assert_eq!(late.progress.counts.dropped, 2);
}

#[test]
fn leaving_and_vanishing_are_no_drops() {
    let broker = Broker::start(Lie::Nothing);
    let load = Load::start(plan(&broker)).unwrap();
    load.ready(PATIENCE).unwrap();
    load.client(0, Client::leave).unwrap();
    load.client(1, Client::abort).unwrap();
    load.until(PATIENCE, |progress| progress.counts.left == 2).unwrap();
    assert!(load.finish(PATIENCE).verdict.is_clean());
}

#[test]
fn a_pause_in_publishing_is_kept() {
    let broker = Broker::start(Lie::Nothing);
    let load = Load::start(plan(&broker)).unwrap();
    load.ready(PATIENCE).unwrap();
    load.publish();
    load.received(100, PATIENCE).unwrap();
    load.stop();
    load.until(PATIENCE, |p| p.totals.received == p.totals.sent && p.totals.acknowledged == p.totals.sent).unwrap();
    let stopped = load.progress().totals;
    assert!(load.received(1, Duration::from_millis(50)).is_err());
    assert_eq!(load.progress().totals, stopped);
    load.publish();
    load.received(100, PATIENCE).unwrap();
    assert!(load.finish(PATIENCE).verdict.is_clean());
}

#[test]
fn a_client_that_returns_goes_on_and_its_drop_stays_on_record() {
    let broker = Broker::start(Lie::Reset);
    let returning = Some(Duration::from_millis(20));
    let load = Load::start(Plan { tempo: Tempo::Rate(500), returning, ..plan(&broker) }).unwrap();
    load.ready(PATIENCE).unwrap();
    load.publish();
    load.until(PATIENCE, |progress| progress.totals.dropped == 1).unwrap();
    load.until(PATIENCE, |progress| progress.counts.ready == 2 && progress.counts.dropped == 0).unwrap();
    load.received(50, PATIENCE).unwrap();
    let report = load.finish(Duration::from_millis(300));
    assert_eq!(report.verdict.drops.get("reset"), Some(&1), "{report}");
    assert_eq!(report.ended.iter().map(|(client, dropped)| (*client, dropped.how)).collect::<Vec<_>>(), [(0, "reset")]);
}

#[test]
fn what_a_former_life_lost_is_nobodys_and_the_next_is_judged() {
    let broker = Broker::start(Lie::Reset);
    let returning = Some(Duration::from_millis(20));
    let load = Plan { shape: Shape::Selves, tempo: Tempo::Rate(500), returning, reborn: true, ..plan(&broker) };
    let load = Load::start(load).unwrap();
    load.ready(PATIENCE).unwrap();
    load.publish();
    load.until(PATIENCE, |progress| progress.totals.dropped == 1).unwrap();
    load.until(PATIENCE, |progress| progress.counts.ready == 2 && progress.counts.dropped == 0).unwrap();
    load.received(50, PATIENCE).unwrap();
    let report = load.finish(PATIENCE);
    assert_eq!(report.ended.len(), 1, "{report}");
    assert!(report.survivors.is_clean() && report.survivors.total().received >= 50, "{}", report.survivors);
    assert_eq!(report.survivors.clients, 2);
}
