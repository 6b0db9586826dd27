//! The world in which two session halves meet: it carries what they say, and checks what must hold after each step.
//! The fuzz target `session_pair` plays in it as well: hence `mod.rs`, so that it can be named as a path from there.

mod action;
mod attach;
mod check;
mod ending;
mod local;
mod tunnel;

use std::sync::Arc;

use baton_protocol::{
    id::{Epoch, NodeName, UserId},
    session::{AnchorSession, EdgeSession, Half, HowEnded, Loss, Output, Terms},
};
use bytes::BytesMut;

use action::GIVE_UP;
use check::fenced;
use local::Local;
use tunnel::{Attaching, Tunnel};

pub(crate) use {action::Action, ending::Manner, local::Side};

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
    keys: u64,
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

    // ---- time, restarts

    fn advance(&mut self, to: u64) -> bool {
        self.now = to;
        for side in Side::BOTH {
            let Some(half) = self.half(side) else { continue };
            if half.poll_timeout().is_some_and(|at| at <= to) {
                half.handle_timeout(to, 0);
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
}

#[derive(Clone, Copy)]
enum Ending {
    Eof,
    ReadError,
    WriteError,
    Abort,
}
