//! The runs: what is explored to the end, and what must be found wrong.

use std::sync::Arc;

use baton_protocol::attach::Word;
use stateright::HasDiscoveries;

use crate::{
    homes::HOMES,
    pair::{Pair, Variant},
    report::{Kind, explore},
    state::Budget,
};

/// Two more attaches than the open, a death, a solicited move, a timeout, a restart of the edge.
pub(crate) const FAULTS: Budget = Budget {
    attempts: 2,
    kills: 1,
    solicits: 1,
    timeouts: 1,
    edge_handovers: 1,
    retries: 0,
    ends: [0; 2],
    breaks: [0; 2],
    aborts: [0; 2],
};

/// The kinds of transitions of every run.
const TRAFFIC: &[Kind] = &[
    Kind::Commit,
    Kind::Send,
    Kind::Ack,
    Kind::Attach,
    Kind::Solicited,
    Kind::Kill,
    Kind::EdgeNotices,
    Kind::AnchorNotices,
    Kind::AnchorAccepts,
    Kind::AnchorTakes,
    Kind::AnchorDrops,
    Kind::AnchorToldOfEnd,
    Kind::EdgeAccepted,
    Kind::EdgeTakes,
    Kind::EdgeDrops,
    Kind::EdgeToldOfEnd,
];

fn sound(name: &str, model: Pair, also: &[Kind]) {
    let taken = Arc::clone(&model.taken);
    let violations = explore(name, model, HasDiscoveries::AnyFailures, |state| state.wrong);
    assert!(violations.is_empty(), "{violations:#?}");
    for kind in TRAFFIC.iter().chain(also) {
        assert!(taken.of(*kind) > 0, "{name}: {kind:?} was never taken: the run shows nothing about it");
    }
}

#[test]
fn sessions_survive_any_interleaving() {
    let also = [Kind::TimeOut, Kind::EdgeHandover, Kind::AnchorRefuses, Kind::EdgeIgnores];
    sound("plain", Pair::new(2, 1, FAULTS, Variant::Plain), &also);
}

#[test]
fn an_anchor_changes_processes() {
    let also = [Kind::BeginHandover, Kind::CommitHandover, Kind::EndHandover, Kind::ArriveElsewhere, Kind::EdgeRefused];
    sound("anchor handover", Pair::new(1, 2, FAULTS, Variant::AnchorHandover(Word::Handover)), &also);
}

#[test]
fn an_edge_goes_on_when_its_successor_dies() {
    let also = [Kind::BeginHandover, Kind::SuccessorAttaches, Kind::Thaw, Kind::FrozenLoses];
    let budget = Budget { timeouts: 0, edge_handovers: 0, ..FAULTS };
    sound("thaw", Pair::new(1, 1, budget, Variant::Thaw), &also);
}

/// What the rules are for: without each of them, this happens.
fn wrong(name: &str, model: Pair, what: &str) {
    let violations = explore(name, model, HasDiscoveries::AnyFailures, |state| state.wrong);
    assert!(violations.iter().any(|(found, _)| *found == what), "{name}: {violations:#?}");
}

#[test]
fn a_404_from_a_process_that_does_not_own_the_session_would_end_it() {
    let model = Pair::new(1, 1, FAULTS, Variant::AnchorHandover(Word::Gone));
    wrong("404 during a handover", model, "a session ends only because somebody ended it");
}

#[test]
fn an_origin_that_repeats_an_attach_would_alarm_its_only_owner() {
    let model = Pair::new(1, 1, Budget { retries: 1, ..FAULTS }, Variant::Plain);
    wrong("an attach forwarded twice", model, "409 for the session's only owner");
}

#[test]
fn a_connect_reaches_one_broker_once() {
    let violations = explore("two homes", HOMES, HasDiscoveries::AnyFailures, |state| state.wrong());
    assert!(violations.is_empty(), "{violations:#?}");
}

/// Kinds of transitions with which sessions end.
const ENDS: &[Kind] = &[Kind::Eof, Kind::ShutDown, Kind::GraceEnds, Kind::EdgeRefused];

#[test]
fn sessions_end_in_order() {
    let budget = Budget { attempts: 1, timeouts: 0, ends: [1; 2], ..FAULTS };
    sound("ends", Pair::new(1, 1, budget, Variant::Plain), ENDS);
}

#[test]
fn sessions_end_when_sockets_break() {
    let base = Budget { attempts: 1, timeouts: 0, edge_handovers: 0, ..FAULTS };
    let with_ends = [ENDS, &[Kind::Break]].concat();
    for (ends, breaks, also) in
        [([1, 1], [1, 0], &with_ends[..]), ([1, 1], [0, 1], &with_ends), ([0; 2], [1; 2], &[Kind::Break])]
    {
        let name = format!("ends {ends:?}, breaks {breaks:?}");
        sound(&name, Pair::new(1, 1, Budget { ends, breaks, ..base }, Variant::Plain), also);
    }
}

#[test]
fn sessions_end_when_a_half_gives_up() {
    let budget = Budget { attempts: 1, timeouts: 0, edge_handovers: 0, ends: [1; 2], aborts: [1; 2], ..FAULTS };
    sound("aborts", Pair::new(1, 1, budget, Variant::Plain), &[ENDS, &[Kind::GiveUp]].concat());
}
