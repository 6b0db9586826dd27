//! What must hold after each step, and at the end of a half.

use baton_protocol::{error::CloseCause, id::Epoch, session::Half};

use super::{World, action::GIVE_UP, local::Side, tunnel::Tunnel};

impl World {
    pub(super) fn close(&mut self, side: Side, cause: CloseCause, reset: bool) {
        assert_eq!(self.local(side).closed, None, "closed twice");
        assert!(self.plausible(side, cause), "{side:?} closed for {cause} without reason");
        let (here, there) = (self.local(side), self.local(side.other()));
        let by_peers_reset = match side {
            Side::Edge => cause == CloseCause::BrokerReset,
            Side::Anchor => cause == CloseCause::ClientReset,
        };
        if by_peers_reset && !here.deaf && !here.broken && here.aborted.is_none() {
            assert_eq!(here.got, there.gave, "RESET before the bytes in front of it");
        }
        self.local_mut(side).closed = Some((cause, reset));
        assert!(self.half(side).is_some_and(|half| half.closed() && half.pipe().held() == 0));
    }

    /// Whether somebody did what `cause` says.
    pub(super) fn plausible(&self, side: Side, cause: CloseCause) -> bool {
        let (client, broker) = (self.local(Side::Edge), self.local(Side::Anchor));
        match cause {
            CloseCause::ClientLeft => client.eof,
            CloseCause::ClientReset => client.broken || client.deaf,
            CloseCause::BrokerLeft => broker.eof,
            CloseCause::BrokerReset => broker.broken || broker.deaf,
            CloseCause::Gone => side == Side::Edge && self.anchor.as_ref().is_some_and(Half::closed),
            CloseCause::Grace | CloseCause::Unavailable | CloseCause::Slow => self.jumped,
            CloseCause::HalfClosed => self.jumped && (client.eof || broker.eof || client.broken || broker.broken),
            CloseCause::Aborted => self.local(side.other()).aborted.is_some() || self.jumped,
            GIVE_UP => self.local(side).aborted.is_some(),
            _ => false,
        }
    }

    // ---- what must hold

    pub(super) fn check(&mut self) {
        for side in Side::BOTH {
            let (here, there) = (self.local(side).clone(), self.local(side.other()).clone());
            let Some(half) = self.half(side).filter(|half| !half.closed()) else { continue };
            let (out, inc) = (half.pipe().outgoing(), half.pipe().incoming());
            assert!(out.una() <= out.smax() && out.smax() <= out.end() + 2, "{out:?}");
            assert_eq!(out.held() as u64, out.end() - out.una().min(out.end()), "{out:?}");
            assert_eq!(out.end(), here.gave);
            assert!(out.held() <= 96 && inc.staged() <= 64, "more than the window is held");
            assert!(inc.rcv() <= inc.exp(), "{inc:?}");
            if !here.deaf && !here.broken {
                assert_eq!(inc.rcv(), here.got + u64::from(here.shut), "rcv is what the local socket took");
                let (front, back) = inc.unwritten();
                for (i, byte) in (here.got..).zip(front.iter().chain(back)) {
                    assert_eq!(*byte, side.other().byte(i), "byte {i} for {side:?}");
                }
            }
            assert!(here.got <= there.gave, "bytes out of nothing");
        }
        if let Some(anchor) = self.anchor.as_ref().filter(|anchor| !anchor.closed() && !self.edge.closed()) {
            let opened = self.edge.home().is_some();
            for (x, y) in
                [(self.edge.pipe(), anchor.pipe()), (anchor.pipe(), self.edge.pipe())].into_iter().filter(|_| opened)
            {
                assert!(x.outgoing().una() <= y.incoming().rcv(), "acknowledged before it was committed");
                assert!(y.incoming().rcv() <= x.outgoing().smax(), "committed before it was sent");
            }
        }
        if self.edge.closed() {
            let left = |tunnel: &&Tunnel| tunnel.up.end.is_none() && !tunnel.up.over;
            assert!(self.tunnels.iter().find(left).is_none(), "a closed session left a tunnel open");
        }
    }
}

/// What comes from a tunnel that isn't the current one changes nothing.
pub(super) fn fenced<H: Half + Clone + PartialEq + std::fmt::Debug>(
    half: &mut H,
    epoch: Epoch,
    act: impl FnOnce(&mut H),
) {
    let before = (half.tunnel() != Some(epoch)).then(|| half.clone());
    act(half);
    if let Some(before) = before {
        assert_eq!(*half, before, "a fenced tunnel changed something");
    }
}
