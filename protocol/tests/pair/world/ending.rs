//! How a schedule ends: a fair one follows, in which everybody does what he can, and then everything must have arrived.

use baton_protocol::{error::CloseCause, session::edge::MoveReason};

use super::{Action, Side, World};

/// Rounds of a fair schedule after which a session that isn't done never will be.
const ROUNDS: usize = 200;

/// What a schedule held, and so what its end has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Traffic, and tunnels that come and go.
    Harmless,
    /// The same with ordered ends of either direction.
    Closing,
    /// Everything.
    Anything,
}

impl World {
    /// Brings a schedule of this manner to its end, and checks that it is the right one.
    pub(crate) fn end(&mut self, manner: Manner) {
        self.settle();
        match manner {
            Manner::Harmless => self.all_arrived(),
            Manner::Closing => self.ended_in_order(),
            Manner::Anything => self.ended_alike(),
        }
    }

    /// Everybody does what he can, and no path breaks any more, until nothing is left to do.
    fn settle(&mut self) {
        for _ in 0..ROUNDS {
            let mut busy = self.edge.wants_attach() && self.act(&Action::Attach(MoveReason::BlackHole));
            for tunnel in 0..self.tunnels.len() {
                busy |= self.act(&Action::Answer(tunnel));
            }
            for side in Side::BOTH {
                while self.act(&Action::Frame(side, 60, true)) {
                    busy = true;
                }
                for tunnel in 0..self.tunnels.len() {
                    busy |= self.act(&Action::Deliver(side, tunnel, usize::MAX));
                }
                while self.act(&Action::Write(side, 50)) {
                    busy = true;
                }
                busy |= self.act(&Action::ShutDown(side));
            }
            if !busy {
                return;
            }
        }
        panic!("no end after {ROUNDS} rounds: {:?} {:?} {:?}", self.edge, self.anchor, self.tunnels);
    }

    /// A session that nothing ended lives, and everything that was given to it has arrived, and nothing is held.
    fn all_arrived(&mut self) {
        for side in Side::BOTH {
            let (here, there) = (self.local(side).clone(), self.local(side.other()).clone());
            assert_eq!(here.closed, None, "{side:?} closed");
            assert!(here.deaf || here.got == there.gave, "{side:?} got {} of {}", here.got, there.gave);
            assert!(here.deaf || here.shut == there.eof, "{side:?}: the end didn't arrive");
            let half = self.half(side).expect("there are two halves");
            assert_eq!(half.pipe().held(), 0, "{side:?} holds bytes of an idle session");
        }
    }

    /// A direction that ended did so behind its last byte, and a session of which both have ended is over.
    fn ended_in_order(&mut self) {
        if !Side::BOTH.iter().all(|side| self.local(*side).eof) {
            return self.all_arrived();
        }
        for side in Side::BOTH {
            if self.local(side).closed.is_none() {
                // The last acknowledgement was lost, and the other end is gone: only an anchor waits out the grace.
                assert_eq!(side, Side::Anchor, "the client's end is stuck");
                while self.local(side).closed.is_none() && self.jump() {}
            }
            let (here, there) = (self.local(side), self.local(side.other()));
            assert_eq!(here.got, there.gave);
            assert!(here.shut);
            let (cause, _) = here.closed.expect("over");
            assert!(matches!(cause, CloseCause::ClientLeft | CloseCause::BrokerLeft | CloseCause::Grace), "{cause}");
        }
    }

    /// The two ends agree in the end whether the session is over.
    fn ended_alike(&mut self) {
        if Side::BOTH.iter().all(|side| self.local(*side).closed.is_none()) {
            if !Side::BOTH.iter().any(|side| self.local(*side).deaf) {
                self.all_arrived();
            }
            return;
        }
        for side in Side::BOTH {
            if self.half(side).is_some() {
                while self.local(side).closed.is_none() {
                    assert!(self.jump(), "{side:?} would wait for ever");
                    self.settle();
                }
            }
        }
    }
}
