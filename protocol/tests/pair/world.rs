//! The world in which two session halves meet: it carries what they say, and checks what must hold after each step.

use std::sync::Arc;

use baton_protocol::{
    attach::{Open, Refused, Word},
    error::CloseCause,
    id::{Epoch, NodeName, SessionKey, UserId},
    session::{
        AnchorSession, EdgeSession, Half, HowEnded, Loss, Output, Terms,
        edge::{Attached, MoveReason},
    },
};
use bytes::BytesMut;

use crate::{
    action::{Action, GIVE_UP},
    local::{Local, Side},
    tunnel::{Attaching, Tunnel, UNKNOWN},
};

/// Small enough that every bound is met within a few steps.
pub(crate) fn terms(side: Side) -> Arc<Terms> {
    let terms = Terms {
        window: 64,
        send_cap: 96,
        detached_cap: 96,
        data_payload: 16,
        attach: 1_000,
        black_hole: 1_500,
        ..Terms::edge()
    };
    Arc::new(match side {
        Side::Edge => terms,
        Side::Anchor => Terms { detached_cap: 24, slow: u64::MAX, ..terms },
    })
}

/// Two ends, what lies between them, and the reference.
pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) edge: EdgeSession,
    pub(crate) anchor: Option<AnchorSession>,
    pub(crate) tunnels: Vec<Tunnel>,
    locals: [Local; 2],
    home: NodeName,
    keys: u8,
    last_epoch: Epoch,
    /// The clock went on further than traffic explains: sessions may end of age.
    jumped: bool,
}

impl World {
    pub(crate) fn new() -> Self {
        let user = UserId::new("alice");
        Self {
            now: 1_000,
            edge: EdgeSession::new(user, terms(Side::Edge), 1_000),
            anchor: None,
            tunnels: Vec::new(),
            locals: Default::default(),
            home: NodeName::new("home-1").expect("a legal name"),
            keys: 0,
            last_epoch: Epoch(0),
            jumped: false,
        }
    }

    pub(crate) fn local(&self, side: Side) -> &Local {
        &self.locals[side as usize]
    }

    fn local_mut(&mut self, side: Side) -> &mut Local {
        &mut self.locals[side as usize]
    }

    pub(crate) fn half(&mut self, side: Side) -> Option<&mut dyn Half> {
        match side {
            Side::Edge => Some(&mut self.edge),
            Side::Anchor => self.anchor.as_mut().map(|anchor| anchor as &mut dyn Half),
        }
    }

    /// Does one thing, lets both halves say what they want done about it, and checks what must hold.
    pub(crate) fn act(&mut self, action: &Action) -> bool {
        let did = self.step(action);
        self.tunnels.retain(|tunnel| !tunnel.forgotten());
        self.check();
        did
    }

    fn step(&mut self, action: &Action) -> bool {
        match *action {
            Action::Read(side, n) => self.read(side, n),
            Action::Write(side, n) => self.write(side, n),
            Action::ShutDown(side) => self.shut_down(side),
            Action::Frame(side, room, ack_due) => self.frame(side, room, ack_due),
            Action::Deliver(side, tunnel, n) => self.pick(tunnel).is_some_and(|i| self.deliver(side, i, n)),
            Action::Attach(reason) => self.attach(reason),
            Action::Answer(tunnel) => self.pick(tunnel).is_some_and(|i| self.answer(i)),
            Action::Cut(tunnel) => self.pick(tunnel).is_some_and(|i| {
                self.tunnels[i].cut();
                true
            }),
            Action::Refuse(tunnel) => self.pick(tunnel).is_some_and(|i| self.refuse(i)),
            Action::Advance(ms) => self.advance(self.now + ms),
            Action::Jump => self.jump(),
            Action::Handover(side) => self.hand_over(side),
            Action::Thaw => self.thaw(),
            Action::Eof(side) => self.end_local(side, Ending::Eof),
            Action::ReadError(side) => self.end_local(side, Ending::ReadError),
            Action::WriteError(side) => self.end_local(side, Ending::WriteError),
            Action::Abort(side) => self.end_local(side, Ending::Abort),
        }
    }

    fn pick(&self, tunnel: usize) -> Option<usize> {
        tunnel.checked_rem(self.tunnels.len())
    }

    // ---- local sockets

    fn read(&mut self, side: Side, n: usize) -> bool {
        let (gave, ended) = (self.local(side).gave, self.local(side).eof || self.local(side).broken);
        let Some(half) = self.half(side).filter(|half| !half.closed() && !ended) else { return false };
        let n = n.min(half.read_room());
        let bytes: Vec<u8> = (gave..gave + n as u64).map(|position| side.byte(position)).collect();
        half.handle_read(&bytes);
        self.local_mut(side).gave += n as u64;
        n > 0
    }

    fn write(&mut self, side: Side, n: usize) -> bool {
        let now = self.now;
        let Some(half) = self.half(side) else { return false };
        let n = n.min(half.unwritten().0.len());
        if n == 0 {
            return false;
        }
        half.handle_written(n, now);
        self.local_mut(side).got += n as u64;
        self.drain();
        true
    }

    fn shut_down(&mut self, side: Side) -> bool {
        let now = self.now;
        let Some(half) = self.half(side).filter(|half| half.shutdown_due()) else { return false };
        half.handle_shut_down(now);
        assert!(self.local(side.other()).eof, "an end that nobody named");
        assert_eq!(self.local(side).got, self.local(side.other()).gave, "FIN before the bytes in front of it");
        self.local_mut(side).shut = true;
        self.drain();
        true
    }

    fn end_local(&mut self, side: Side, ending: Ending) -> bool {
        let (now, local) = (self.now, self.local(side).clone());
        let Some(half) = self.half(side).filter(|half| !half.closed()) else { return false };
        match ending {
            Ending::Eof if !local.eof && !local.broken => half.handle_eof(now),
            Ending::ReadError if !local.broken => half.handle_read_error(now),
            Ending::WriteError if !local.deaf && !local.broken => half.handle_write_error(now),
            Ending::Abort => half.abort(GIVE_UP, now),
            _ => return false,
        }
        let local = self.local_mut(side);
        match ending {
            Ending::Eof => local.eof = true,
            Ending::ReadError => local.broken = true,
            Ending::WriteError => local.deaf = true,
            Ending::Abort => local.aborted = Some(GIVE_UP),
        }
        self.drain();
        true
    }

    // ---- tunnels

    fn frame(&mut self, side: Side, room: usize, ack_due: bool) -> bool {
        let now = self.now;
        let Some(half) = self.half(side) else { return false };
        let (Some(epoch), announced) = (half.tunnel(), half.frame_len(ack_due)) else { return false };
        let mut out = BytesMut::new();
        let framed = half.poll_frame(room, ack_due, now, &mut out);
        assert!(out.len() <= room, "a frame of {} bytes in a room of {room}", out.len());
        assert_eq!(framed, announced > 0, "frame_len and poll_frame disagree");
        assert!(out.len() <= announced, "frame_len announced too little");
        if let Some(tunnel) = self.tunnels.iter_mut().find(|tunnel| tunnel.epoch(side) == epoch) {
            let wire = tunnel.from(side);
            if wire.end.is_none() {
                wire.bytes.extend(&out);
            }
        }
        framed
    }

    fn deliver(&mut self, side: Side, index: usize, n: usize) -> bool {
        let (now, tunnel) = (self.now, &mut self.tunnels[index]);
        let early = match tunnel.attaching {
            Attaching::OpenSent(_) | Attaching::ResumeSent(_) => true,
            Attaching::Answered(_) => side == Side::Edge,
            Attaching::Done => false,
        };
        let epoch = tunnel.epoch(side);
        let wire = tunnel.to(side);
        if early || wire.over {
            return false;
        }
        if wire.bytes.is_empty() {
            let Some(loss) = wire.end else { return false };
            wire.over = true;
            tunnel.from(side).finish(Loss::EndStream);
            self.lose(side, epoch, loss);
            return true;
        }
        let n = n.min(wire.bytes.len());
        let bytes: Vec<u8> = wire.bytes.drain(..n).collect();
        let mut decoder = std::mem::take(&mut wire.decoder);
        let mut rest = &bytes[..];
        while let Some(piece) = decoder.next(&mut rest).expect("a half sends well-formed capsules") {
            match side {
                Side::Edge => fenced(&mut self.edge, epoch, |edge| edge.handle_piece(epoch, piece, now)),
                Side::Anchor => {
                    let anchor = self.anchor.as_mut().expect("its attach was answered");
                    fenced(anchor, epoch, |anchor| anchor.handle_piece(epoch, piece, now));
                }
            }
            self.drain();
        }
        self.tunnels[index].to(side).decoder = decoder;
        true
    }

    /// The loss of a tunnel alone never ends a session.
    fn lose(&mut self, side: Side, epoch: Epoch, loss: Loss) {
        let now = self.now;
        let Some(half) = self.half(side) else { return };
        let open = !half.closed();
        half.handle_lost(epoch, loss, now);
        assert!(!open || !half.closed(), "the loss of a tunnel ended the session");
        self.drain();
    }

    fn attach(&mut self, reason: MoveReason) -> bool {
        self.keys += 1;
        let key = SessionKey::from_bytes([self.keys; 32]);
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
    fn answer(&mut self, index: usize) -> bool {
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

    fn open(&mut self, index: usize, open: &Open) {
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

    fn answered(&mut self, index: usize, answer: Result<baton_protocol::attach::Accepted, Refused>) {
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
    fn refuse(&mut self, index: usize) -> bool {
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

    // ---- time, restarts

    fn advance(&mut self, to: u64) -> bool {
        self.now = to;
        for side in Side::BOTH {
            let Some(half) = self.half(side) else { continue };
            if half.poll_timeout().is_some_and(|at| at <= to) {
                half.handle_timeout(to, None);
                assert!(half.poll_timeout().is_none_or(|at| at > to), "a deadline that stays behind");
                self.drain();
            }
        }
        true
    }

    /// On to whatever comes due next.
    pub(crate) fn jump(&mut self) -> bool {
        let due = Side::BOTH.into_iter().filter_map(|side| self.half(side).and_then(|half| half.poll_timeout())).min();
        self.jumped = true;
        due.is_some_and(|at| self.advance(at.max(self.now)))
    }

    /// Another process takes a half: what was under way on its tunnels is still under way, but nobody listens.
    fn hand_over(&mut self, side: Side) -> bool {
        let now = self.now;
        if self.half(side).is_none_or(|half| half.closed()) {
            return false;
        }
        match side {
            Side::Edge => {
                let snapshot = self.edge.snapshot(now);
                self.edge = EdgeSession::restore(&snapshot, terms(side), now).expect("restores what was saved");
                assert_eq!(self.edge.snapshot(now), snapshot, "a snapshot of what was restored differs");
            }
            Side::Anchor => {
                let snapshot = self.anchor.as_ref().expect("checked above").snapshot(now);
                self.anchor =
                    Some(AnchorSession::restore(&snapshot, terms(side), now).expect("restores what was saved"));
            }
        }
        for tunnel in &mut self.tunnels {
            if side == Side::Anchor && matches!(tunnel.attaching, Attaching::OpenSent(_) | Attaching::ResumeSent(_)) {
                continue;
            }
            tunnel.from(side).finish(Loss::EndStream);
            tunnel.to(side).over = true;
        }
        true
    }

    fn thaw(&mut self) -> bool {
        if self.edge.closed() {
            return false;
        }
        self.edge.thaw(self.now);
        assert!(self.edge.tunnel().is_none() && self.edge.attempt().is_none());
        self.drain();
        true
    }

    // ---- what the halves want done

    fn drain(&mut self) {
        for side in Side::BOTH {
            while let Some(output) = self.half(side).and_then(|half| half.poll_output()) {
                match output {
                    Output::EndTunnel(epoch, how) => self.end_tunnel(side, epoch, how),
                    Output::Close { cause, reset } => self.close(side, cause, reset),
                }
            }
        }
    }

    fn end_tunnel(&mut self, side: Side, epoch: Epoch, how: HowEnded) {
        let Some(tunnel) = self.tunnels.iter_mut().find(|tunnel| tunnel.epoch(side) == epoch) else { return };
        match how {
            HowEnded::EndStream => tunnel.from(side).finish(Loss::EndStream),
            HowEnded::Reset | HowEnded::TimedOut => {
                tunnel.from(side).finish(Loss::Reset);
                tunnel.to(side).over = true;
            }
            HowEnded::Last(bytes) => {
                let wire = tunnel.from(side);
                if wire.end.is_none() {
                    wire.bytes.extend(&bytes);
                }
                wire.finish(Loss::EndStream);
            }
        }
    }

    fn close(&mut self, side: Side, cause: CloseCause, reset: bool) {
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
    fn plausible(&self, side: Side, cause: CloseCause) -> bool {
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

    fn check(&mut self) {
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

#[derive(Clone, Copy)]
enum Ending {
    Eof,
    ReadError,
    WriteError,
    Abort,
}

/// What comes from a tunnel that isn't the current one changes nothing.
fn fenced<H: Half + Clone + PartialEq + std::fmt::Debug>(half: &mut H, epoch: Epoch, act: impl FnOnce(&mut H)) {
    let before = (half.tunnel() != Some(epoch)).then(|| half.clone());
    act(half);
    if let Some(before) = before {
        assert_eq!(*half, before, "a fenced tunnel changed something");
    }
}
