//! The broker sees a client leave as it left: in order, without a word, or by vanishing.

use baton_drill::{
    client::Client,
    load::{Load, Plan},
    tier::{Broker, Tier},
};

use crate::support::{
    PATIENCE, carried, closed, layout, moved, start, until,
    wire::{Wire, connect},
};

/// A connection that ends without DISCONNECT has broken, even if it ends in order (MQTT 3.1.1, 3.1.2.5).
fn of_one_who_just_closes(broker: Broker) {
    let Some(tier) = start(layout(broker, 2)) else { return };
    let edge = tier.edges()[0];
    let mut listener = Wire::saying(edge, &connect(4, "heir"));
    listener.say(b"\x82\x09\0\x01\0\x04will\0");
    assert_eq!(listener.hears(), *b"\x20\x02\0\0\x90\x03\0\x01\0");
    let mut mortal = Wire::saying(edge, b"\x10\x1c\0\x04MQTT\x04\x06\0\x3c\0\x06mortal\0\x04will\0\x02my");
    assert_eq!(mortal.hears(), [0x20, 2, 0, 0]);
    mortal.goes(false);
    assert_eq!(listener.hears(), *b"\x30\x08\0\x04willmy");
    until("it is counted", || closed(&tier, "client_left") + closed(&tier, "broker_left") == 1.0);
}

/// In pairs, of which one each leaves in time.
const CLIENTS: u32 = 16;

before_both_brokers!(only_of_those_who_vanish of_one_who_just_closes);

fn only_of_those_who_vanish(broker: Broker) {
    let Some(mut tier) = start(layout(broker, 2)) else { return };
    // Each hears its partner's will, as a stray.
    let load = Load::start(Plan { wills: true, ..Plan::new("wills", &tier.edges(), CLIENTS) }).expect("a thread");
    load.ready(PATIENCE).unwrap_or_else(|late| panic!("{late}"));
    let gone = |tier: &Tier, clients: u32| {
        let left = || closed(tier, "client_left") + closed(tier, "broker_left") + closed(tier, "client_reset");
        let tunnels = || ["origin-1", "origin-2"].iter().map(|origin| carried(tier, origin)).sum::<f64>();
        until("they are gone", || left() == f64::from(clients) && tunnels() == f64::from(CLIENTS - clients));
    };
    for (first, origin) in [(0, "origin-1"), (8, "origin-2")] {
        load.client(first, Client::leave).expect("it is there");
        load.client(first + 2, Client::abort).expect("it is there");
        gone(&tier, first / 2 + 2);
        // And once more after everybody has moved.
        let moves = moved(&tier, "broken") + carried(&tier, origin);
        tier.kill(origin).expect("it ran");
        until("the sessions move", || moved(&tier, "broken") >= moves);
        tier.restart(origin).expect("it comes back");
        load.client(first + 4, Client::leave).expect("it is there");
        load.client(first + 6, Client::abort).expect("it is there");
        gone(&tier, first / 2 + 4);
        let vanished = u64::from(first) / 4 + 2;
        load.until(PATIENCE, move |p| p.totals.received == vanished).unwrap_or_else(|late| panic!("{late}"));
    }
    load.until(PATIENCE, |progress| progress.counts.left == 8).unwrap_or_else(|late| panic!("{late}"));
    assert_eq!(closed(&tier, "client_reset"), 4.0);
    let report = load.finish(PATIENCE);
    assert_eq!((report.verdict.strays, report.verdict.dropped()), (4, 0), "{report}");
}
