//! The anchor half.

use baton_protocol::{
    attach::{Open, Resume, Word},
    id::{Epoch, NodeName, SessionKey, UserId},
    session::{AnchorSession, Half, Loss},
};

use crate::event::{NOW, SEQUENCES, common, compare, home, outputs, terms};

const STATES: [&str; 3] = ["attached", "detached", "closed"];

const EVENTS: [&str; 27] = [
    "resume",
    "resume with the same epoch",
    "resume with an epoch that nobody reaches",
    "resume that lies",
    "resume with another key",
    "resume by another edge",
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
    "handover",
    "a gap, resume, a gap",
    "a byte arrives, tunnel lost, resume",
];

fn edge() -> NodeName {
    NodeName::new("edge-1").expect("a legal name")
}

fn session(state: &str) -> AnchorSession {
    let key = SessionKey::from_bytes([1; 32]);
    let open = Open { user: UserId::new("alice"), key, window: 64, client: None };
    let mut anchor = AnchorSession::open(&open, Some(edge()), terms());
    match state {
        "attached" => {}
        "detached" => anchor.handle_lost(Epoch(1), Loss::Connection, NOW),
        _ => anchor.abort(baton_protocol::error::CloseCause::Shutdown, NOW),
    }
    outputs(&mut anchor);
    anchor
}

/// The answer to a resume, as text.
fn resume(anchor: &mut AnchorSession, resume: &Resume, edge: &NodeName) -> String {
    match anchor.handle_resume(resume, Some(edge), &home(), NOW) {
        Ok(accepted) => format!("200 recv {}, ", accepted.recv),
        Err(refused) => {
            assert_eq!(refused.home, Some(home()), "an anchor answers in its home's name");
            let epoch = refused.epoch.map_or(String::new(), |epoch| format!(" at {epoch}"));
            format!("{}{epoch}, ", refused.word.map_or("?", Word::as_str))
        }
    }
}

fn happen(anchor: &mut AnchorSession, event: &str) -> String {
    let key = SessionKey::from_bytes([1; 32]);
    let good = Resume { home: home(), key, epoch: Epoch(2), recv: 0 };
    match event {
        "resume" => return resume(anchor, &good, &edge()),
        "resume with the same epoch" => return resume(anchor, &Resume { epoch: Epoch(1), ..good }, &edge()),
        "resume with an epoch that nobody reaches" => {
            return resume(anchor, &Resume { epoch: Epoch::CEILING, ..good }, &edge());
        }
        "resume that lies" => return resume(anchor, &Resume { recv: 9, ..good }, &edge()),
        "resume with another key" => {
            return resume(anchor, &Resume { key: SessionKey::from_bytes([2; 32]), ..good }, &edge());
        }
        "resume by another edge" => {
            return resume(anchor, &good, &NodeName::new("edge-2").expect("a legal name"));
        }
        "handover" if !anchor.closed() => {
            *anchor = AnchorSession::restore(&anchor.snapshot(NOW), terms(), NOW).expect("restores what was saved");
        }
        "handover" => {}
        _ => common(anchor, event, anchor.tunnel().unwrap_or(Epoch(1)), None),
    }
    String::new()
}

#[test]
fn every_state_and_event() {
    let mut found = Vec::new();
    for state in STATES {
        for event in EVENTS.into_iter().chain(SEQUENCES) {
            let mut anchor = session(state);
            let answer: String = event.split(", ").map(|step| happen(&mut anchor, step)).collect();
            let untouched = if anchor.untouched() { " untouched" } else { "" };
            let said = outputs(&mut anchor);
            found.push(format!("{state} | {event} | {}{untouched} | {answer}{said}", anchor.state()));
        }
    }
    compare(&found, include_str!("anchor.txt"));
}
