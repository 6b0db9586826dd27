//! The model: what can happen in a state, and what each of it leads to.

mod effect;
mod possible;

use std::sync::Arc;

use baton_protocol::{
    attach::{Accepted, Open, Word},
    id::{Epoch, NodeName, SessionKey, UserId},
    limits,
    session::{
        AnchorSession, EdgeSession, Half, Loss, SharedTerms, Terms,
        edge::{Attached, MoveReason},
    },
};
use stateright::{Model, Property};

use crate::{
    properties,
    report::{Kind, Taken},
    state::{Budget, Handover, NOW, Side, State},
    tunnel::{Message, Tunnel},
};

/// What can happen. A number is the place of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// The local socket takes a byte.
    Commit(Side),
    Send(Side),
    /// An acknowledgement by itself.
    Ack(Side),
    Attach,
    Solicited,
    TimeOut,
    ArriveUp(usize),
    ArriveDown(usize),
    /// An attach comes to the process that doesn't own the session.
    ArriveElsewhere(usize),
    Kill(usize),
    EdgeNotices(usize),
    AnchorNotices(usize),
    EdgeHandover,
    BeginHandover,
    CommitHandover,
    EndHandover,
    /// A successor that has not been given the session attaches all the same.
    SuccessorAttaches,
    /// The frozen half loses what comes to it.
    Thaw,
    OriginRepeats(usize),
    Eof(Side),
    ShutDown(Side),
    Break(Side),
    GiveUp(Side),
    /// An anchor whose edge is gone has waited long enough.
    GraceEnds,
}

/// What differs between runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// Nothing more than the budget says.
    Plain,
    /// The anchor's process is replaced. Meanwhile a process that doesn't own a session answers with this word.
    AnchorHandover(Word),
    /// The edge begins a handover, its successor dies, and it goes on.
    Thaw,
}

/// A world: how much is sent, and what may happen to it.
pub(crate) struct Pair {
    /// Bytes in each direction.
    pub(crate) bytes: u8,
    /// Messages that a tunnel holds in each direction.
    pub(crate) capacity: usize,
    pub(crate) budget: Budget,
    pub(crate) variant: Variant,
    pub(crate) taken: Arc<Taken>,
    terms: SharedTerms,
    home: NodeName,
    key: SessionKey,
}

/// Terms under which nothing happens because of time, and the window is met within two bytes.
pub(crate) fn terms() -> Terms {
    Terms {
        window: 2,
        send_cap: 2,
        detached_cap: 2,
        data_payload: 1,
        // Doubling after a timeout ends here, so that a deadline says nothing about the past.
        attach: limits::ATTACH_MAX,
        half_closed: u64::MAX,
        slow: u64::MAX,
        black_hole: u64::MAX,
        ..Terms::edge()
    }
}

impl Pair {
    pub(crate) fn new(bytes: u8, capacity: usize, budget: Budget, variant: Variant) -> Self {
        Self {
            bytes,
            capacity,
            budget,
            variant,
            taken: Arc::default(),
            terms: Arc::new(terms()),
            home: NodeName::new("h").expect("a legal name"),
            key: SessionKey::from_bytes([7; 32]),
        }
    }

    fn accepted(&self, recv: u8) -> Accepted {
        Accepted { home: self.home.clone(), recv: recv.into(), window: self.terms.window, grace: self.terms.grace }
    }

    /// A session just opened, every byte that will ever be sent already read from its local socket. Nothing is lost by
    /// that: a byte that isn't read yet differs from one that isn't sent yet only in that a frame can't carry it, and
    /// `Ack` makes the frames that carry none.
    fn opened(&self) -> State {
        let mut edge = EdgeSession::new(UserId::new("u"), Arc::clone(&self.terms), NOW);
        let (epoch, open) = edge.begin_open(self.key.clone(), None, NOW).expect("a new session opens");
        let mut anchor = AnchorSession::open(&Open { client: None, ..open }, None, Arc::clone(&self.terms));
        assert_eq!(edge.handle_accepted(epoch, &anchor.accepted(&self.home), NOW), Attached::Opened);
        let sent = |side: Side| (0..self.bytes).map(|i| side.byte(i.into())).collect::<Vec<_>>();
        edge.handle_read(&sent(Side::Edge));
        anchor.handle_read(&sent(Side::Anchor));
        State {
            edge: Arc::new(edge),
            anchor: Arc::new(anchor),
            tunnels: vec![Tunnel::new(epoch)],
            left: self.budget,
            handover: if self.variant == Variant::Plain { Handover::Never } else { Handover::NotYet },
            got: [0; 2],
            shut: [false; 2],
            ended: [false; 2],
            broke: [false; 2],
            aborted: [false; 2],
            closed: [None; 2],
            wrong: None,
        }
    }
}

impl Model for Pair {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.opened()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.wrong.is_some() {
            return;
        }
        Side::BOTH.into_iter().for_each(|side| self.local_actions(state, side, actions));
        self.attach_actions(state, actions);
        self.tunnel_actions(state, actions);
        self.handover_actions(state, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        let mut kind = Kind::of(action);
        match action {
            Action::Commit(_) | Action::Send(_) | Action::Ack(_) | Action::ShutDown(_) | Action::Eof(_) => {
                self.local(&mut state, action);
            }
            Action::Break(_) | Action::GiveUp(_) => self.local(&mut state, action),
            Action::Attach => self.begin(&mut state, MoveReason::Lost),
            Action::Solicited => {
                state.left.solicits -= 1;
                self.begin(&mut state, MoveReason::Solicited);
            }
            Action::TimeOut => {
                state.left.timeouts -= 1;
                // A move that wasn't made is still due.
                state.left.solicits += u8::from(state.edge.tunnel().is_some());
                Arc::make_mut(&mut state.edge).handle_timeout(NOW + self.terms.attach, 0);
                state.drain(Side::Edge);
            }
            Action::ArriveUp(i) => kind = self.arrive_up(&mut state, i),
            Action::ArriveDown(i) => kind = self.arrive_down(&mut state, i),
            Action::ArriveElsewhere(i) => {
                let Variant::AnchorHandover(word) = self.variant else { unreachable!("not in this variant") };
                let tunnel = &mut state.tunnels[i];
                tunnel.up.remove(0);
                tunnel.push_down(Message::Refused { word, by_home: true, epoch: Epoch(0) });
            }
            Action::Kill(i) => {
                state.left.kills -= 1;
                state.tunnels[i].kill();
            }
            Action::EdgeNotices(i) => state.lose(Side::Edge, last.tunnels[i].epoch, Loss::Connection),
            Action::AnchorNotices(i) => state.lose(Side::Anchor, last.tunnels[i].epoch, Loss::Connection),
            Action::OriginRepeats(i) => {
                // The origin lost its link to the anchor before the 200 passed, and asks once more.
                state.left.retries -= 1;
                let (epoch, recv) = (state.tunnels[i].epoch, u8::try_from(state.edge.pipe().incoming().rcv()));
                state.tunnels[i].down.clear();
                state.tunnels[i].up.insert(0, Message::Attach { recv: recv.expect("positions of a model are small") });
                state.lose(Side::Anchor, epoch, Loss::Connection);
            }
            Action::GraceEnds => {
                Arc::make_mut(&mut state.anchor).handle_timeout(NOW + self.terms.grace, 0);
                state.drain(Side::Anchor);
            }
            _ => self.hand_over(&mut state, action),
        }
        self.taken.count(kind);
        state.normalise();
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
