//! The model: what can happen in a state, and what each of it leads to.

use std::sync::Arc;

use baton_protocol::{
    attach::{Accepted, Open, Refused, Resume, Word},
    capsule::DATA_HEAD,
    error::CloseCause,
    id::{Epoch, NodeName, SessionKey, UserId},
    limits,
    session::{
        AnchorSession, EdgeSession, Half, Loss, SharedTerms, Terms,
        edge::{Attached, MoveReason},
        pipe::FRAME_MIN,
    },
};
use bytes::BytesMut;
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

    /// Whether the edge may not do anything: its successor is being made.
    fn frozen(&self, state: &State) -> bool {
        self.variant == Variant::Thaw && matches!(state.handover, Handover::Begun | Handover::Rash(_))
    }

    fn local_actions(&self, state: &State, side: Side, actions: &mut Vec<Action>) {
        let half = state.half(side);
        if half.closed() || (side == Side::Edge && self.frozen(state)) {
            return;
        }
        if !half.unwritten().0.is_empty() {
            actions.push(Action::Commit(side));
        }
        if half.shutdown_due() {
            actions.push(Action::ShutDown(side));
        }
        let at = side as usize;
        if state.left.ends[at] > 0 && !half.pipe().read_ended() {
            actions.push(Action::Eof(side));
        }
        if state.left.breaks[at] > 0 {
            actions.push(Action::Break(side));
        }
        if state.left.aborts[at] > 0 {
            actions.push(Action::GiveUp(side));
        }
        let Some(tunnel) = half.tunnel().and_then(|epoch| state.tunnels.iter().find(|t| t.epoch == epoch)) else {
            return;
        };
        let queue = if side == Side::Edge { &tunnel.up } else { &tunnel.down };
        if tunnel.dead || queue.len() >= self.capacity {
            return;
        }
        let close_is_next = || half.pipe().outgoing().closed() && sends_close(state, side);
        if half.frame_len(false) == DATA_HEAD + 1 || close_is_next() {
            actions.push(Action::Send(side));
        }
        if half.pipe().incoming().ack_owed() {
            actions.push(Action::Ack(side));
        }
    }

    fn attach_actions(&self, state: &State, actions: &mut Vec<Action>) {
        let edge = &state.edge;
        if edge.closed() || self.frozen(state) {
            return;
        }
        if edge.attempt().is_some() {
            if state.left.timeouts > 0 {
                actions.push(Action::TimeOut);
            }
        } else if state.left.attempts > 0 {
            if edge.wants_attach() {
                actions.push(Action::Attach);
            } else if edge.tunnel().is_some() && state.left.solicits > 0 {
                actions.push(Action::Solicited);
            }
        }
    }

    fn tunnel_actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (i, tunnel) in state.tunnels.iter().enumerate() {
            if tunnel.dead {
                if state.edge.tunnel() == Some(tunnel.epoch) || state.edge.attempt() == Some(tunnel.epoch) {
                    actions.push(Action::EdgeNotices(i));
                }
                if state.anchor.tunnel() == Some(tunnel.epoch) {
                    actions.push(Action::AnchorNotices(i));
                }
                continue;
            }
            if let Some(first) = tunnel.up.first() {
                actions.push(Action::ArriveUp(i));
                let two = matches!(self.variant, Variant::AnchorHandover(_))
                    && matches!(state.handover, Handover::Begun | Handover::Committed);
                if two && matches!(first, Message::Attach { .. }) {
                    actions.push(Action::ArriveElsewhere(i));
                }
            }
            if let Some(first) = tunnel.down.first() {
                actions.push(Action::ArriveDown(i));
                if state.left.retries > 0 && matches!(first, Message::Accepted { .. }) {
                    actions.push(Action::OriginRepeats(i));
                }
            }
            if state.left.kills > 0 {
                actions.push(Action::Kill(i));
            }
        }
    }

    fn handover_actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.edge.closed() && !state.anchor.closed() && state.anchor.tunnel().is_none() {
            actions.push(Action::GraceEnds);
        }
        if state.left.edge_handovers > 0 && state.left.attempts > 0 && !state.edge.closed() {
            actions.push(Action::EdgeHandover);
        }
        match (self.variant, state.handover) {
            (Variant::Plain, _) | (_, Handover::Never | Handover::Done) => {}
            (Variant::AnchorHandover(_), Handover::NotYet) => actions.push(Action::BeginHandover),
            (Variant::AnchorHandover(_), Handover::Begun) => actions.push(Action::CommitHandover),
            (Variant::AnchorHandover(_), _) => actions.push(Action::EndHandover),
            (Variant::Thaw, Handover::NotYet) => actions.push(Action::BeginHandover),
            (Variant::Thaw, Handover::Begun) => actions.extend([Action::SuccessorAttaches, Action::Thaw]),
            (Variant::Thaw, _) => actions.push(Action::Thaw),
        }
    }

    // ---- what actions lead to

    fn local(&self, state: &mut State, action: Action) {
        let mut frame = BytesMut::new();
        match action {
            Action::Commit(side) => {
                let position = state.got[side as usize];
                if state.half(side).unwritten().0.first() != Some(&side.other().byte(position.into())) {
                    state.blame("a byte was lost, doubled or out of order");
                }
                state.half_mut(side).handle_written(1, NOW);
                state.got[side as usize] += 1;
                state.drain(side);
            }
            Action::Send(side) => {
                let _ = state.half_mut(side).poll_frame(DATA_HEAD + 8, false, NOW, &mut frame);
                state.carry(side, &frame);
            }
            Action::Ack(side) => {
                // No room for a payload: what goes out is what would, had the byte not been read yet.
                let _ = state.half_mut(side).poll_frame(DATA_HEAD, true, NOW, &mut frame);
                state.carry(side, &frame);
            }
            Action::ShutDown(side) => {
                if state.got[side as usize] != self.bytes || !state.ended[side.other() as usize] {
                    state.blame("FIN before the bytes in front of it");
                }
                state.shut[side as usize] = true;
                state.half_mut(side).handle_shut_down(NOW);
                state.drain(side);
            }
            Action::Eof(side) => {
                state.left.ends[side as usize] -= 1;
                state.ended[side as usize] = true;
                state.half_mut(side).handle_eof(NOW);
                state.drain(side);
            }
            Action::Break(side) => {
                state.left.breaks[side as usize] -= 1;
                state.broke[side as usize] = true;
                state.half_mut(side).handle_read_error(NOW);
                state.drain(side);
            }
            Action::GiveUp(side) => {
                state.left.aborts[side as usize] -= 1;
                state.aborted[side as usize] = true;
                state.half_mut(side).abort(CloseCause::Overload, NOW);
                state.drain(side);
            }
            _ => unreachable!("not local"),
        }
    }

    fn begin(&self, state: &mut State, reason: MoveReason) {
        let before = state.edge.epoch();
        let resume = Arc::make_mut(&mut state.edge).begin_resume(reason, NOW).expect("the session has a home");
        if resume.epoch <= before {
            state.blame("an epoch was sent twice");
        }
        let took = u64::from(state.got[Side::Edge as usize]) + u64::from(state.shut[Side::Edge as usize]);
        if resume.recv != took && !state.edge.pipe().write_dead() {
            state.blame("a resume names what wasn't committed");
        }
        self.ask(state, &resume);
        state.left.attempts -= 1;
        state.drain(Side::Edge);
    }

    fn ask(&self, state: &mut State, resume: &Resume) {
        let recv = u8::try_from(resume.recv).expect("positions of a model are small");
        let mut tunnel = Tunnel::new(resume.epoch);
        tunnel.push_up(Message::Attach { recv });
        // A rash successor and the one that it was to succeed may use one epoch: the later stream is another.
        state.tunnels.retain(|other| other.epoch != resume.epoch);
        state.tunnels.push(tunnel);
    }

    fn arrive_up(&self, state: &mut State, i: usize) -> Kind {
        let epoch = state.tunnels[i].epoch;
        let message = state.tunnels[i].up.remove(0);
        match message {
            Message::Attach { recv } => return self.resume(state, epoch, recv),
            Message::End => state.lose(Side::Anchor, epoch, Loss::EndStream),
            Message::Reset => state.lose(Side::Anchor, epoch, Loss::Reset),
            _ => {
                let fenced = state.anchor.tunnel() != Some(epoch);
                state.receive(Side::Anchor, epoch, message);
                return if fenced { Kind::AnchorDrops } else { Kind::AnchorTakes };
            }
        }
        Kind::AnchorToldOfEnd
    }

    fn resume(&self, state: &mut State, epoch: Epoch, recv: u8) -> Kind {
        let resume = Resume { home: self.home.clone(), key: self.key.clone(), epoch, recv: recv.into() };
        let before = state.anchor.epoch();
        let answer = Arc::make_mut(&mut state.anchor).handle_resume(&resume, None, &self.home, NOW);
        let (message, kind) = match answer {
            Ok(accepted) => {
                if epoch <= before {
                    state.blame("an accepted epoch didn't rise");
                }
                let recv = u8::try_from(accepted.recv).expect("positions of a model are small");
                (Message::Accepted { recv }, Kind::AnchorAccepts)
            }
            Err(refused) => {
                let word = refused.word.expect("an anchor names its reason");
                let by_home = refused.home.is_some();
                (Message::Refused { word, by_home, epoch: refused.epoch.unwrap_or_default() }, Kind::AnchorRefuses)
            }
        };
        if let Some(tunnel) = state.tunnel(epoch) {
            tunnel.push_down(message);
        }
        state.drain(Side::Anchor);
        kind
    }

    fn arrive_down(&self, state: &mut State, i: usize) -> Kind {
        let epoch = state.tunnels[i].epoch;
        let message = state.tunnels[i].down.remove(0);
        if self.frozen(state) {
            return Kind::FrozenLoses;
        }
        match message {
            Message::Accepted { recv } => {
                let current = state.edge.attempt() == Some(epoch);
                let accepted = self.accepted(recv);
                match Arc::make_mut(&mut state.edge).handle_accepted(epoch, &accepted, NOW) {
                    Attached::Contradicted => state.blame("an honest 200 contradicts the edge"),
                    Attached::Ignored if current => state.blame("the current attempt's 200 was ignored"),
                    _ => {}
                }
                state.drain(Side::Edge);
                if current { Kind::EdgeAccepted } else { Kind::EdgeIgnores }
            }
            Message::Refused { word, by_home, epoch: named } => {
                let home = by_home.then(|| self.home.clone());
                let refused = Refused { word: Some(word), home, epoch: Some(named), retry_after: None };
                let (current, had_tunnel) = (state.edge.attempt() == Some(epoch), state.edge.tunnel().is_some());
                if current && word == Word::Stale {
                    state.blame("409 for the session's only owner");
                }
                Arc::make_mut(&mut state.edge).handle_refused(epoch, &refused, NOW);
                if had_tunnel && state.edge.closed() {
                    state.blame("a refusal ended a session that has a tunnel");
                }
                state.drain(Side::Edge);
                if current { Kind::EdgeRefused } else { Kind::EdgeIgnores }
            }
            Message::End | Message::Reset => {
                let loss = if message == Message::End { Loss::EndStream } else { Loss::Reset };
                state.lose(Side::Edge, epoch, loss);
                Kind::EdgeToldOfEnd
            }
            _ => {
                let fenced = state.edge.tunnel() != Some(epoch);
                state.receive(Side::Edge, epoch, message);
                if fenced { Kind::EdgeDrops } else { Kind::EdgeTakes }
            }
        }
    }

    fn hand_over(&self, state: &mut State, action: Action) {
        match action {
            Action::EdgeHandover => {
                let snapshot = state.edge.snapshot(NOW);
                let edge = EdgeSession::restore(&snapshot, Arc::clone(&self.terms), NOW);
                state.edge = Arc::new(edge.expect("restores what was saved"));
                state.left.edge_handovers -= 1;
                for tunnel in &mut state.tunnels {
                    tunnel.push_up(Message::End);
                    tunnel.down.clear();
                    tunnel.deaf = true;
                }
            }
            Action::BeginHandover => state.handover = Handover::Begun,
            Action::EndHandover => state.handover = Handover::Done,
            Action::CommitHandover => {
                if let Some(tunnel) = state.anchor.tunnel().and_then(|epoch| state.tunnel(epoch)) {
                    tunnel.push_down(Message::End);
                }
                let snapshot = state.anchor.snapshot(NOW);
                let anchor = AnchorSession::restore(&snapshot, Arc::clone(&self.terms), NOW);
                state.anchor = Arc::new(anchor.expect("restores what was saved"));
                state.handover = Handover::Committed;
            }
            Action::SuccessorAttaches => {
                let snapshot = state.edge.snapshot(NOW);
                let successor = EdgeSession::restore(&snapshot, Arc::clone(&self.terms), NOW);
                let mut successor = successor.expect("restores what was saved");
                let resume = successor.begin_resume(MoveReason::Lost, NOW).expect("the session has a home");
                self.ask(state, &resume);
                state.handover = Handover::Rash(resume.epoch);
            }
            Action::Thaw => {
                if let Handover::Rash(epoch) = state.handover
                    && let Some(tunnel) = state.tunnel(epoch)
                {
                    tunnel.push_up(Message::Reset);
                    tunnel.down.clear();
                    tunnel.deaf = true;
                }
                state.handover = Handover::Done;
                Arc::make_mut(&mut state.edge).thaw(NOW);
                state.drain(Side::Edge);
            }
            _ => unreachable!("no handover"),
        }
    }
}

/// A frame's announced length doesn't tell a CLOSE from an acknowledgement.
fn sends_close(state: &State, side: Side) -> bool {
    let mut frame = BytesMut::new();
    let framed = match side {
        Side::Edge => EdgeSession::clone(&state.edge).poll_frame(FRAME_MIN, false, NOW, &mut frame),
        Side::Anchor => AnchorSession::clone(&state.anchor).poll_frame(FRAME_MIN, false, NOW, &mut frame),
    };
    framed && matches!(Message::decode(&frame).first(), Some(Message::Close { .. }))
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
                Arc::make_mut(&mut state.edge).handle_timeout(NOW + self.terms.attach, None);
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
                Arc::make_mut(&mut state.anchor).handle_timeout(NOW + self.terms.grace, None);
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
