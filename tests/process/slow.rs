//! Clients that don't read: what they do to themselves, and to nobody else.

use baton_drill::{
    client::Client,
    load::{Load, Plan, Shape, Tempo},
    mqtt::Qos,
    tier::{Broker, Role, Samples},
};

use crate::support::{PATIENCE, Play, closed, layout, until};

before_both_brokers!(one_that_pauses one_that_stays_away);

/// The slowest of the fast ones may take so many microseconds: far more than they need on a machine that is busy.
const FAST: u64 = 1_000_000;
/// Bytes that a session may have under way, by default.
const WINDOW: f64 = 262_144.0;
/// Bytes of a message to the slow client, and messages a second: what sockets and windows hold is full within seconds.
const LARGE: usize = 8 * 1024;
const FLOOD: u32 = 400;

/// One that publishes much, one that doesn't read; their load is not the usual one.
fn slow_pair(play: &Play, keep_alive: u16) -> Load {
    let load = Load::start(Plan {
        shape: Shape::OneWay,
        tempo: Tempo::Rate(FLOOD),
        mix: vec![Qos::AtMostOnce, Qos::AtLeastOnce],
        payload: LARGE,
        keep_alive,
        ..Plan::new("slow", &play.tier.edges()[..1], 2)
    });
    let load = load.expect("a thread");
    load.ready(PATIENCE).unwrap_or_else(|late| panic!("{late}"));
    load.client(1, Client::pause_reading).expect("it is there");
    load.publish();
    load
}

/// While somebody doesn't read, everybody else is as fast as ever.
fn others_are_fast(play: &Play) {
    let _before = play.load.take_window();
    play.goes_on();
    let latency = play.load.take_window().latency;
    assert!(latency.count > 0 && latency.p99 < FAST, "{latency}");
}

fn one_that_pauses(broker: Broker) {
    let Some(mut play) = Play::begin(layout(broker, 2)) else { return };
    let slow = slow_pair(&play, 60);
    let window = |samples: &Samples| samples.total("baton_buffered_bytes", &[("where", "sessions")]) >= WINDOW;
    play.tier.until("edge-1", PATIENCE, "the window is full, so the broker has to wait", window).expect("it fills");
    assert_eq!(slow.progress().totals.received, 0);
    // A broker may drop what it can't send at QoS 0, so it isn't given more.
    slow.stop();
    others_are_fast(&play);
    slow.client(1, Client::resume_reading).expect("it is there");
    let report = slow.finish(PATIENCE);
    assert!(report.verdict.is_clean(), "{report}");
    assert_eq!(closed(&play.tier, "slow"), 0.0);
}

fn one_that_stays_away(broker: Broker) {
    // A keep alive of one second makes a second and a half of what is too slow, unless the limit is longer.
    let Some(play) = Play::begin(layout(broker, 2).set(Role::Edge, "limits.slow", "2s")) else { return };
    let slow = slow_pair(&play, 1);
    until("it is closed", || closed(&play.tier, "slow") == 1.0);
    others_are_fast(&play);
    assert_eq!(slow.progress().counts.dropped, 0, "whoever doesn't read hasn't noticed");
    slow.stop();
    slow.client(1, Client::resume_reading).expect("it is there");
    slow.until(PATIENCE, |progress| progress.counts.dropped == 1).unwrap_or_else(|late| panic!("{late}"));
    let report = play.load.finish(PATIENCE);
    assert!(report.verdict.is_clean(), "{report}");
}
