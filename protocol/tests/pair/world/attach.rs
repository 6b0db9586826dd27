//! Attaches on their way: to the anchor, back to the edge, or answered by somebody between the two.

use baton_protocol::{
    attach::{Accepted, Open, Refused, Word},
    id::{Epoch, SessionKey},
    session::{
        AnchorSession, Half,
        edge::{Attached, MoveReason},
    },
};

use super::{
    World,
    local::{Local, Side},
    terms,
    tunnel::{Attaching, Tunnel, UNKNOWN},
};

impl World {
    pub(super) fn attach(&mut self, reason: MoveReason) -> bool {
        self.keys += 1;
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.keys.to_be_bytes());
        let key = SessionKey::from_bytes(key);
        let (epoch, attaching) = if let Some((epoch, open)) = self.edge.begin_open(key, None, self.now) {
            (epoch, Attaching::OpenSent(open))
        } else if let Some(resume) = self.edge.begin_resume(reason, self.now) {
            assert_eq!(resume.recv, self.edge.pipe().incoming().rcv(), "a resume names what was committed");
            (resume.epoch, Attaching::ResumeSent(resume))
        } else {
            return false;
        };
        assert!(epoch > self.last_epoch, "epoch {epoch} was sent before");
        self.last_epoch = epoch;
        self.drain();
        self.tunnels.push(Tunnel::new(epoch, attaching));
        true
    }

    /// The attach goes one step on: to the anchor, or its answer to the edge.
    pub(super) fn answer(&mut self, index: usize) -> bool {
        let attaching = std::mem::replace(&mut self.tunnels[index].attaching, Attaching::Done);
        match attaching {
            Attaching::Done => return false,
            Attaching::OpenSent(open) => self.open(index, &open),
            Attaching::ResumeSent(resume) => {
                let before = self.anchor.as_ref().map(AnchorSession::epoch);
                let anchor = self.anchor.as_mut().expect("a resume follows an accepted open");
                let answer = anchor.handle_resume(&resume, None, &self.home, self.now);
                if answer.is_ok() {
                    assert!(before < Some(resume.epoch), "accepted epochs rise");
                } else {
                    self.tunnels[index].up.over = true;
                }
                self.tunnels[index].attaching = Attaching::Answered(answer);
            }
            Attaching::Answered(answer) => self.answered(index, answer),
        }
        self.drain();
        true
    }

    pub(super) fn open(&mut self, index: usize, open: &Open) {
        let session = AnchorSession::open(open, None, terms(Side::Anchor));
        self.tunnels[index].attaching = Attaching::Answered(Ok(session.accepted(&self.home)));
        if open.key != *self.edge.key() {
            self.tunnels[index].up.over = true;
            return;
        }
        if let Some(orphan) = self.anchor.replace(session) {
            assert!(orphan.untouched(), "bytes reached a session whose 200 was lost");
            *self.local_mut(Side::Anchor) = Local::default();
        }
        for tunnel in &mut self.tunnels {
            assert!(tunnel.up.bytes.is_empty(), "bytes before the 200 on {tunnel:?}");
            tunnel.anchor_epoch = UNKNOWN;
        }
        self.tunnels[index].anchor_epoch = Epoch::FIRST;
    }

    pub(super) fn answered(&mut self, index: usize, answer: Result<Accepted, Refused>) {
        let (epoch, current) = (self.tunnels[index].edge_epoch, self.edge.attempt());
        match answer {
            Ok(accepted) => {
                let attached = self.edge.handle_accepted(epoch, &accepted, self.now);
                assert_ne!(attached, Attached::Contradicted);
                assert_eq!(attached == Attached::Ignored, current != Some(epoch));
            }
            Err(refused) => {
                let had_tunnel = self.edge.tunnel().is_some();
                assert!(
                    current != Some(epoch) || refused.word != Some(Word::Stale),
                    "an epoch was not above the anchor's"
                );
                self.edge.handle_refused(epoch, &refused, self.now);
                assert!(!had_tunnel || !self.edge.closed(), "a refusal ended a session that has a tunnel");
                let tunnel = &mut self.tunnels[index];
                (tunnel.up.over, tunnel.down.over) = (true, true);
            }
        }
    }

    /// Somebody between the two answers instead of the anchor.
    pub(super) fn refuse(&mut self, index: usize) -> bool {
        let tunnel = &mut self.tunnels[index];
        if !matches!(tunnel.attaching, Attaching::OpenSent(_) | Attaching::ResumeSent(_)) {
            return false;
        }
        let words = [Word::Gone, Word::Stale, Word::Malformed, Word::Unreachable, Word::Draining, Word::Busy];
        let refused = Refused { epoch: Some(Epoch(9)), ..Refused::of(words[index % words.len()]) };
        tunnel.attaching = Attaching::Done;
        let current = self.edge.attempt() == Some(tunnel.edge_epoch);
        let (open, state) = (!self.edge.closed(), self.edge.clone());
        self.edge.handle_refused(tunnel.edge_epoch, &refused, self.now);
        assert!(!open || !self.edge.closed(), "a middlebox closed the client");
        assert!(current || state == self.edge, "an answer to a replaced attempt changed something");
        (tunnel.up.over, tunnel.down.over) = (true, true);
        self.drain();
        true
    }
}
