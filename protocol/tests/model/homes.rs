//! Opens over two homes: whatever is lost, and wherever the next open is routed, a CONNECT reaches one broker once.

use std::sync::Arc;

use baton_protocol::{
    attach::{Accepted, Attach, Open},
    capsule::{DATA_HEAD, Piece},
    id::{Epoch, NodeName, SessionKey, UserId},
    session::{
        AnchorSession, EdgeSession, Half, HowEnded, Loss, Output, SharedTerms, Terms, edge::Attached, edge::MoveReason,
    },
};
use bytes::BytesMut;
use stateright::{Model, Property};

use crate::{
    pair::terms,
    state::NOW,
    tunnel::{Message, Tunnel},
};

/// The property that gives an open's key its freshness, and its 200 the right to come first.
pub(crate) const ONCE: &str = "a CONNECT is delivered at most once, over all homes";
/// The byte that stands for CONNECT and what follows it.
const CONNECT: u8 = 0x10;

/// A tunnel to one of the homes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Path {
    tunnel: Tunnel,
    home: usize,
    attach: Option<Attach>,
    /// What the anchor calls it: an open is the first tunnel of its session.
    anchor_epoch: Epoch,
    /// The place of the session that it opened or resumed.
    session: Option<usize>,
}

/// A session at a home.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Held {
    home: usize,
    half: AnchorSession,
    /// CONNECTs that its broker got.
    connects: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Homes {
    edge: Arc<EdgeSession>,
    held: Vec<Held>,
    paths: Vec<Path>,
    attempts: u8,
    kills: u8,
    timeouts: u8,
    wrong: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// An open routed to this home.
    Open(usize),
    Resume,
    TimeOut,
    Send,
    Commit(usize),
    ArriveUp(usize),
    ArriveDown(usize),
    Kill(usize),
    EdgeNotices(usize),
    AnchorNotices(usize),
}

/// The world: how many attaches, tunnels that die, and timeouts.
pub(crate) struct TwoHomes {
    pub(crate) attempts: u8,
    pub(crate) kills: u8,
    pub(crate) timeouts: u8,
}

/// Four attaches, of which any may time out, be lost on the way, or lose their answer.
pub(crate) const HOMES: TwoHomes = TwoHomes { attempts: 4, kills: 2, timeouts: 1 };

fn home(place: usize) -> NodeName {
    NodeName::new(["a", "b"][place]).expect("a legal name")
}

fn shared() -> SharedTerms {
    Arc::new(Terms { window: 8, send_cap: 8, detached_cap: 8, open: u64::MAX, ..terms() })
}

impl Homes {
    pub(crate) fn wrong(&self) -> Option<&'static str> {
        self.wrong
    }

    fn drain(&mut self) {
        while let Some(output) = Arc::make_mut(&mut self.edge).poll_output() {
            match output {
                Output::EndTunnel(epoch, how) => {
                    let path = self.paths.iter_mut().find(|path| path.tunnel.epoch == epoch);
                    let message = if how == HowEnded::EndStream { Message::End } else { Message::Reset };
                    path.into_iter().for_each(|path| path.tunnel.push_up(message));
                }
                Output::Close { .. } => self.wrong = Some("the client was closed"),
            }
        }
        for (place, held) in self.held.iter_mut().enumerate() {
            while let Some(output) = held.half.poll_output() {
                let Output::EndTunnel(epoch, _) = output else {
                    self.wrong = Some("a broker's connection was closed");
                    continue;
                };
                let ours = |path: &&mut Path| path.session == Some(place) && path.anchor_epoch == epoch;
                self.paths.iter_mut().find(ours).into_iter().for_each(|path| path.tunnel.push_down(Message::End));
            }
        }
    }

    fn attach(&mut self, home: usize, epoch: Epoch, attach: Attach) {
        let mut tunnel = Tunnel::new(epoch);
        tunnel.push_up(Message::Attach { recv: 0 });
        self.attempts -= 1;
        self.drain();
        self.paths.push(Path { tunnel, home, attach: Some(attach), anchor_epoch: epoch, session: None });
    }

    fn answer(&mut self, i: usize) {
        let path = &mut self.paths[i];
        let accepted = match path.attach.take() {
            Some(Attach::Open(open)) => {
                let half = AnchorSession::open(&open, None, shared());
                let accepted = half.accepted(&home(path.home));
                (path.session, path.anchor_epoch) = (Some(self.held.len()), Epoch::FIRST);
                self.held.push(Held { home: path.home, half, connects: 0 });
                accepted
            }
            Some(Attach::Resume(resume)) => {
                let place = self.held.iter().position(|h| h.home == path.home && h.half.sid() == resume.key.sid());
                let Some(place) = place else {
                    self.wrong = Some("a resume reached a home that doesn't hold the session");
                    return;
                };
                path.session = Some(place);
                match self.held[place].half.handle_resume(&resume, None, &resume.home, NOW) {
                    Ok(accepted) => accepted,
                    Err(_) => return,
                }
            }
            None => unreachable!("a tunnel carries one attach"),
        };
        let recv = u8::try_from(accepted.recv).expect("positions of a model are small");
        self.paths[i].tunnel.push_down(Message::Accepted { recv });
        self.drain();
    }

    fn arrive_up(&mut self, i: usize) {
        let message = self.paths[i].tunnel.up.remove(0);
        if let Message::Attach { .. } = message {
            return self.answer(i);
        }
        let (epoch, session) = (self.paths[i].anchor_epoch, self.paths[i].session);
        let Some(place) = session else { return };
        let half = &mut self.held[place].half;
        match message {
            Message::Data { offset, ack, byte } => {
                let payload: Vec<u8> = byte.into_iter().collect();
                half.handle_piece(
                    epoch,
                    Piece::Data { offset: offset.into(), ack: ack.into(), payload: &payload },
                    NOW,
                );
            }
            _ => half.handle_lost(epoch, Loss::Reset, NOW),
        }
        self.drain();
    }

    fn arrive_down(&mut self, i: usize) {
        let (epoch, at) = (self.paths[i].tunnel.epoch, self.paths[i].home);
        let message = self.paths[i].tunnel.down.remove(0);
        let edge = Arc::make_mut(&mut self.edge);
        match message {
            Message::Accepted { recv } => {
                let terms = shared();
                let accepted = Accepted { home: home(at), recv: recv.into(), window: terms.window, grace: terms.grace };
                if edge.handle_accepted(epoch, &accepted, NOW) == Attached::Contradicted {
                    self.wrong = Some("an honest 200 contradicts the edge");
                }
            }
            _ => edge.handle_lost(epoch, Loss::EndStream, NOW),
        }
        self.drain();
    }

    /// Paths that nobody uses, and on which nothing is on its way, are forgotten.
    fn normalise(&mut self) {
        let (edge, held) = (Arc::clone(&self.edge), &self.held);
        self.paths.retain(|path| {
            let tunnel = &path.tunnel;
            let on_its_way = !(tunnel.dead || (tunnel.up.is_empty() && tunnel.down.is_empty()));
            let at_edge = edge.tunnel() == Some(tunnel.epoch) || edge.attempt() == Some(tunnel.epoch);
            on_its_way || at_edge || path.session.is_some_and(|at| held[at].half.tunnel() == Some(path.anchor_epoch))
        });
    }
}

impl Model for TwoHomes {
    type State = Homes;
    type Action = Action;

    fn init_states(&self) -> Vec<Homes> {
        let mut edge = EdgeSession::new(UserId::new("u"), shared(), NOW);
        edge.handle_read(&[CONNECT]);
        let (attempts, kills, timeouts) = (self.attempts, self.kills, self.timeouts);
        let (held, paths, wrong) = (Vec::new(), Vec::new(), None);
        vec![Homes { edge: Arc::new(edge), held, paths, attempts, kills, timeouts, wrong }]
    }

    fn actions(&self, state: &Homes, actions: &mut Vec<Action>) {
        let edge = &state.edge;
        if state.wrong.is_some() {
            return;
        }
        if edge.attempt().is_some() && state.timeouts > 0 {
            actions.push(Action::TimeOut);
        }
        if edge.wants_attach() && state.attempts > 0 {
            match edge.home() {
                None => actions.extend([Action::Open(0), Action::Open(1)]),
                Some(_) => actions.push(Action::Resume),
            }
        }
        if edge.frame_len(false) == DATA_HEAD + 1 {
            actions.push(Action::Send);
        }
        let unwritten = |held: &Held| !held.half.unwritten().0.is_empty();
        actions.extend((0..state.held.len()).filter(|at| unwritten(&state.held[*at])).map(Action::Commit));
        for (i, path) in state.paths.iter().enumerate() {
            let epoch = path.tunnel.epoch;
            let at_anchor = path.session.is_some_and(|at| state.held[at].half.tunnel() == Some(path.anchor_epoch));
            if path.tunnel.dead {
                let at_edge = edge.tunnel() == Some(epoch) || edge.attempt() == Some(epoch);
                actions.extend(at_edge.then_some(Action::EdgeNotices(i)));
                actions.extend(at_anchor.then_some(Action::AnchorNotices(i)));
                continue;
            }
            actions.extend((!path.tunnel.up.is_empty()).then_some(Action::ArriveUp(i)));
            actions.extend((!path.tunnel.down.is_empty()).then_some(Action::ArriveDown(i)));
            actions.extend((state.kills > 0).then_some(Action::Kill(i)));
        }
    }

    fn next_state(&self, last: &Homes, action: Action) -> Option<Homes> {
        let mut state = last.clone();
        match action {
            Action::Open(at) => {
                // Fresh for every attempt, and for no other.
                let key = SessionKey::from_bytes([state.attempts; 32]);
                let (epoch, open) = Arc::make_mut(&mut state.edge).begin_open(key, None, NOW)?;
                state.attach(at, epoch, Attach::Open(Open { client: None, ..open }));
            }
            Action::Resume => {
                let resume = Arc::make_mut(&mut state.edge).begin_resume(MoveReason::Lost, NOW)?;
                let at = usize::from(resume.home != home(0));
                state.attach(at, resume.epoch, Attach::Resume(resume));
            }
            Action::TimeOut => {
                state.timeouts -= 1;
                Arc::make_mut(&mut state.edge).handle_timeout(NOW + shared().attach, 0);
                state.drain();
            }
            Action::Send => {
                let mut frame = BytesMut::new();
                let edge = Arc::make_mut(&mut state.edge);
                edge.poll_frame(DATA_HEAD + 8, false, NOW, &mut frame);
                let (epoch, messages) = (edge.tunnel(), Message::decode(&frame));
                let path = state.paths.iter_mut().find(|path| Some(path.tunnel.epoch) == epoch);
                path.into_iter().for_each(|path| messages.iter().for_each(|message| path.tunnel.push_up(*message)));
            }
            Action::Commit(at) => {
                state.held[at].connects += u8::from(state.held[at].half.unwritten().0.first() == Some(&CONNECT));
                state.held[at].half.handle_written(1, NOW);
                state.drain();
            }
            Action::ArriveUp(i) => state.arrive_up(i),
            Action::ArriveDown(i) => state.arrive_down(i),
            Action::Kill(i) => {
                state.kills -= 1;
                state.paths[i].tunnel.kill();
            }
            Action::EdgeNotices(i) => {
                Arc::make_mut(&mut state.edge).handle_lost(last.paths[i].tunnel.epoch, Loss::Connection, NOW);
                state.drain();
            }
            Action::AnchorNotices(i) => {
                let (at, epoch) = (last.paths[i].session?, last.paths[i].anchor_epoch);
                state.held[at].half.handle_lost(epoch, Loss::Connection, NOW);
                state.drain();
            }
        }
        state.normalise();
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("nothing forbidden happens", |_, state: &Homes| state.wrong.is_none()),
            Property::always(ONCE, |_, state: &Homes| state.held.iter().map(|held| held.connects).sum::<u8>() <= 1),
            Property::always("an orphan has seen no byte", |_, state: &Homes| {
                let ours = |held: &&Held| held.half.sid() == state.edge.key().sid();
                state.held.iter().filter(|held| !ours(held)).all(|held| held.half.untouched())
            }),
            Property::always("nothing is stuck", |model: &Self, state: &Homes| {
                let done = state.held.iter().any(|held| held.connects > 0);
                let given_up = state.edge.tunnel().is_none() && state.attempts == 0;
                let mut actions = Vec::new();
                if !done && !given_up && state.wrong.is_none() {
                    model.actions(state, &mut actions);
                    return actions.iter().any(|action| !matches!(action, Action::Kill(_)));
                }
                true
            }),
            Property::sometimes("the CONNECT arrives at the first home", |_, state| delivered_at(state, 0)),
            Property::sometimes("the CONNECT arrives at the second home", |_, state| delivered_at(state, 1)),
            Property::sometimes("an orphan is left", |_, state: &Homes| state.held.len() > 1),
        ]
    }
}

fn delivered_at(state: &Homes, at: usize) -> bool {
    state.held.iter().any(|held| held.home == at && held.connects == 1)
}
