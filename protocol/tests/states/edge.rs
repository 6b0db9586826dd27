//! The edge half.

use baton_protocol::{
    attach::{Accepted, Word},
    id::{Epoch, SessionKey, UserId},
    session::{EdgeSession, Half, edge::MoveReason},
};

use crate::event::{NOW, by_home, common, compare, home, outputs, terms, transient};

const STATES: [&str; 6] = ["opening", "live", "moving", "detached", "attaching", "closed"];

const EVENTS: [&str; 31] = [
    "begin open",
    "begin resume",
    "200",
    "200 to another attempt",
    "200 of another home",
    "200 that lies",
    "refused",
    "refused to another attempt",
    "404 of nobody",
    "404",
    "409",
    "third 409",
    "a byte arrives",
    "a byte arrives elsewhere",
    "a gap",
    "a lie",
    "FIN arrives",
    "RESET arrives",
    "ABORT arrives",
    "garbage",
    "tunnel ended",
    "tunnel lost",
    "attempt lost",
    "deadline",
    "every deadline",
    "nobody answers",
    "socket ended",
    "socket broke",
    "socket can't be written",
    "gives up",
    "thaw",
];

fn key() -> SessionKey {
    SessionKey::from_bytes([1; 32])
}

fn accepted(recv: u64) -> Accepted {
    Accepted { home: home(), recv, window: 64, grace: 60_000 }
}

/// A session in the named state. Its tunnel is 1 wherever it has one, its attempt 1 while opening and 2 later.
fn session(state: &str) -> EdgeSession {
    let mut edge = EdgeSession::new(UserId::new("alice"), terms(), NOW);
    edge.begin_open(key(), None, NOW).expect("a new session opens");
    if state == "opening" {
        return edge;
    }
    edge.handle_accepted(Epoch(1), &accepted(0), NOW);
    match state {
        "live" => {}
        "moving" => drop(edge.begin_resume(MoveReason::Solicited, NOW).expect("live")),
        "detached" => edge.handle_lost(Epoch(1), baton_protocol::session::Loss::Connection, NOW),
        "attaching" => {
            edge.handle_lost(Epoch(1), baton_protocol::session::Loss::Connection, NOW);
            edge.begin_resume(MoveReason::Lost, NOW).expect("detached");
        }
        _ => edge.abort(baton_protocol::error::CloseCause::Shutdown, NOW),
    }
    outputs(&mut edge);
    edge
}

fn happen(edge: &mut EdgeSession, event: &str) {
    let attempt = edge.attempt();
    let current = attempt.unwrap_or(Epoch(77));
    match event {
        "begin open" => drop(edge.begin_open(key(), None, NOW)),
        "begin resume" => drop(edge.begin_resume(MoveReason::Solicited, NOW)),
        "200" => drop(edge.handle_accepted(current, &accepted(0), NOW)),
        "200 to another attempt" => drop(edge.handle_accepted(Epoch(77), &accepted(0), NOW)),
        "200 of another home" => {
            let home = baton_protocol::id::NodeName::new("home-2").expect("a legal name");
            edge.handle_accepted(current, &Accepted { home, ..accepted(0) }, NOW);
        }
        "200 that lies" => drop(edge.handle_accepted(current, &accepted(9), NOW)),
        "refused" => edge.handle_refused(current, &transient(), NOW),
        "refused to another attempt" => edge.handle_refused(Epoch(77), &by_home(Word::Gone, 1), NOW),
        "404 of nobody" => edge.handle_refused(current, &baton_protocol::attach::Refused::of(Word::Gone), NOW),
        "404" => edge.handle_refused(current, &by_home(Word::Gone, 1), NOW),
        "409" => edge.handle_refused(current, &by_home(Word::Stale, 9), NOW),
        "third 409" => {
            for _ in 0..3 {
                let attempt = edge.attempt().unwrap_or(Epoch(77));
                edge.handle_refused(attempt, &by_home(Word::Stale, 9), NOW);
                let _ = edge.begin_open(key(), None, NOW);
                let _ = edge.begin_resume(MoveReason::Solicited, NOW);
            }
        }
        "thaw" => edge.thaw(NOW),
        _ => common(edge, event, Epoch(1), attempt),
    }
}

#[test]
fn every_state_and_event() {
    let mut found = Vec::new();
    for state in STATES {
        for event in EVENTS {
            let mut edge = session(state);
            happen(&mut edge, event);
            let said = outputs(&mut edge);
            let attempt = edge.attempt().map_or(String::new(), |attempt| format!("+{attempt}"));
            let due = if edge.wants_attach() { " wants an attach" } else { "" };
            found.push(format!("{state} | {event} | {}{attempt}{due} | {said}", edge.state()));
        }
    }
    compare(&found, include_str!("edge.txt"));
}
