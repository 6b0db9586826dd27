//! What each action leads to.

use std::sync::Arc;

use baton_protocol::{
    attach::{Refused, Resume, Word},
    capsule::DATA_HEAD,
    error::CloseCause,
    id::Epoch,
    session::{
        AnchorSession, EdgeSession, Half, Loss,
        edge::{Attached, MoveReason},
    },
};
use bytes::BytesMut;

use super::{Action, Pair};
use crate::{
    report::Kind,
    state::{Handover, NOW, Side, State},
    tunnel::{Message, Tunnel},
};

impl Pair {
    pub(super) fn local(&self, state: &mut State, action: Action) {
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

    pub(super) fn begin(&self, state: &mut State, reason: MoveReason) {
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

    pub(super) fn ask(&self, state: &mut State, resume: &Resume) {
        let recv = u8::try_from(resume.recv).expect("positions of a model are small");
        let mut tunnel = Tunnel::new(resume.epoch);
        tunnel.push_up(Message::Attach { recv });
        // A rash successor and the one that it was to succeed may use one epoch: the later stream is another.
        state.tunnels.retain(|other| other.epoch != resume.epoch);
        state.tunnels.push(tunnel);
    }

    pub(super) fn arrive_up(&self, state: &mut State, i: usize) -> Kind {
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

    pub(super) fn resume(&self, state: &mut State, epoch: Epoch, recv: u8) -> Kind {
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

    pub(super) fn arrive_down(&self, state: &mut State, i: usize) -> Kind {
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

    pub(super) fn hand_over(&self, state: &mut State, action: Action) {
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
