//! The edge half.

use baton_protocol::{
    attach::{Accepted, Word},
    id::{Epoch, SessionKey, UserId},
    session::{
        EdgeSession, Half,
        edge::{Attached, MoveReason, Moved},
    },
};

use crate::event::{NOW, SEQUENCES, by_home, common, compare, home, outputs, terms, transient};

const STATES: [&str; 7] = ["waiting", "opening", "live", "moving", "detached", "attaching", "closed"];

const EVENTS: [&str; 47] = [
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
    "400",
    "handover",
    "our own rate lets it wait, deadline",
    "our own rate lets it wait, every deadline",
    "a gap, begin resume, 200, a gap",
    "tunnel ended, begin resume, 200",
    "begin resume, tunnel ended, 200",
    "begin resume, tunnel lost, 200",
    "nobody answers, a byte arrives",
    "nobody answers, begin resume, 200",
    "socket ended, tunnel lost, begin resume, 404",
    "FIN arrives, is carried out, tunnel lost, begin resume, 404",
    "FIN arrives, is carried out, socket ended, tunnel lost, begin resume, 404",
    "FIN arrives, is carried out, begin resume, all is acknowledged, 200",
    "deadline, begin open, deadline",
    "gives up, gives up",
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
    if state == "waiting" {
        return edge;
    }
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

fn happen(edge: &mut EdgeSession, event: &str) -> String {
    let attempt = edge.attempt();
    let current = attempt.unwrap_or(Epoch(77));
    match event {
        "begin open" => drop(edge.begin_open(key(), None, NOW)),
        "begin resume" => drop(edge.begin_resume(MoveReason::Solicited, NOW)),
        "200" => return attached(edge.handle_accepted(current, &accepted(edge.pipe().outgoing().una()), NOW)),
        "200 to another attempt" => return attached(edge.handle_accepted(Epoch(77), &accepted(0), NOW)),
        "200 of another home" => {
            let home = baton_protocol::id::NodeName::new("home-2").expect("a legal name");
            return attached(edge.handle_accepted(current, &Accepted { home, ..accepted(0) }, NOW));
        }
        "200 that lies" => return attached(edge.handle_accepted(current, &accepted(9), NOW)),
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
        "400" => edge.handle_refused(current, &by_home(Word::Malformed, 1), NOW),
        "our own rate lets it wait" => edge.extend_open(10_000, NOW),
        "handover" if !edge.closed() => {
            *edge = EdgeSession::restore(&edge.snapshot(NOW), terms(), NOW).expect("restores what was saved");
        }
        "handover" => {}
        "thaw" => edge.thaw(NOW),
        _ => common(edge, event, edge.tunnel().unwrap_or(Epoch(1)), attempt),
    }
    String::new()
}

/// What an attach was, as text.
fn attached(attached: Attached) -> String {
    match attached {
        Attached::Moved(Moved { reason, planned }) => {
            format!("moved {}{}, ", reason.word(), if planned { " as planned" } else { "" })
        }
        other => format!("{other:?}, ").to_lowercase(),
    }
}

#[test]
fn every_state_and_event() {
    let mut found = Vec::new();
    for state in STATES {
        for event in EVENTS.into_iter().chain(SEQUENCES) {
            let mut edge = session(state);
            let answer: String = event.split(", ").map(|step| happen(&mut edge, step)).collect();
            let said = outputs(&mut edge);
            let attempt = edge.attempt().map_or(String::new(), |attempt| format!("+{attempt}"));
            let due = if edge.wants_attach() { " wants an attach" } else { "" };
            found.push(format!("{state} | {event} | {}{attempt}{due} | {answer}{said}", edge.state()));
        }
    }
    compare(&found, include_str!("edge.txt"));
}
