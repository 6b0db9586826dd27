//! What survives a restart of the process that holds a half: numbered fields (CBOR), unknown ones skipped.
//!
//! Bytes staged for the local socket are not in it: the peer sends again from `rcv`. Restoring is an ordinary way to
//! come by a session: it then is detached, and resumes.

use minicbor::{Decode, Encode, bytes::ByteVec};

use crate::{
    error::CloseCause,
    id::{Epoch, NodeName, SessionKey, Sid, UserId},
    limits::Millis,
    session::{
        AnchorSession, EdgeSession, Half, Pipe, SharedTerms, anchor, edge,
        stream::{Incoming, Outgoing},
    },
};

/// The version that is written. Fields are only ever added; a reader skips those that it doesn't know.
pub const VERSION: u32 = 1;
/// Positions stay below what a capsule can say.
const POSITIONS: u64 = 1 << 62;

/// A snapshot that can't be restored; the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable(pub String);

impl std::fmt::Display for Unusable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "snapshot can't be restored: {}", self.0)
    }
}

impl std::error::Error for Unusable {}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
struct Wire {
    #[n(0)]
    version: u32,
    /// Of an edge half only.
    #[n(1)]
    key: Option<ByteVec>,
    #[n(2)]
    sid: ByteVec,
    #[n(3)]
    user: String,
    #[n(4)]
    home: Option<String>,
    /// Of an anchor half only: the edge that may resume it.
    #[n(5)]
    edge: Option<String>,
    #[n(6)]
    epoch: u64,
    #[n(7)]
    grace: u64,
    #[n(8)]
    grace_left: u64,
    #[n(9)]
    peer_window: u64,
    #[n(10)]
    una: u64,
    #[n(11)]
    smax: u64,
    #[n(12)]
    end: u64,
    #[n(13)]
    bytes: ByteVec,
    #[n(14)]
    fin: bool,
    #[n(15)]
    reset: bool,
    #[n(16)]
    rcv: u64,
    #[n(17)]
    peer_fin: Option<u64>,
    #[n(18)]
    read_ended: bool,
    #[n(19)]
    write_dead: bool,
    /// Who ended the session first, if somebody did; a `CloseCause` as its word.
    #[n(20)]
    cause: Option<String>,
    /// What the peer was told that it may have in flight; a successor's own terms may differ.
    #[n(21)]
    window: Option<u64>,
}

impl Wire {
    fn of(pipe: &Pipe) -> Self {
        let (out, inc) = (pipe.outgoing(), pipe.incoming());
        let (fin, reset) = out.marks();
        Self {
            version: VERSION,
            key: None,
            sid: Vec::new().into(),
            user: String::new(),
            home: None,
            edge: None,
            epoch: 0,
            grace: 0,
            grace_left: 0,
            peer_window: out.window(),
            una: out.una(),
            smax: out.smax(),
            end: out.end(),
            bytes: out.held_bytes().into(),
            fin,
            reset,
            rcv: inc.rcv(),
            peer_fin: inc.committed_fin(),
            read_ended: pipe.read_ended(),
            write_dead: pipe.write_dead(),
            cause: None,
            window: Some(inc.window()),
        }
    }

    fn encode(&self) -> Vec<u8> {
        minicbor::to_vec(self).expect("writing to memory doesn't fail")
    }

    fn decode(bytes: &[u8]) -> Result<Self, Unusable> {
        let wire: Self = minicbor::decode(bytes).map_err(|e| Unusable(e.to_string()))?;
        if wire.version == 0 { Err(Unusable("version 0".into())) } else { Ok(wire) }
    }

    fn pipe(&self, terms: SharedTerms) -> Result<Pipe, Unusable> {
        if [self.end, self.rcv].iter().any(|position| *position >= POSITIONS) {
            return Err(Unusable("a position that no session reaches".into()));
        }
        let window = self.peer_window.min(terms.send_cap);
        let out = Outgoing::restore(self.una, self.smax, self.end, &self.bytes, window, (self.fin, self.reset))
            .ok_or_else(|| Unusable("positions sent contradict each other".into()))?;
        let granted = self.window.unwrap_or(terms.window);
        let inc = Incoming::restore(self.rcv, granted, self.peer_fin, self.write_dead)
            .ok_or_else(|| Unusable("positions received contradict each other".into()))?;
        Ok(Pipe::with_streams(terms, out, inc, self.read_ended))
    }

    /// A word that this version doesn't know is none.
    fn cause(&self) -> Option<CloseCause> {
        CloseCause::ALL.into_iter().find(|cause| self.cause.as_deref() == Some(cause.word()))
    }

    fn name(name: &Option<String>) -> Result<Option<NodeName>, Unusable> {
        let check = |name: &String| NodeName::new(name).ok_or_else(|| Unusable(format!("{name:?} names no node")));
        name.as_ref().map(check).transpose()
    }
}

impl EdgeSession {
    /// What a successor needs to go on with this session.
    pub fn snapshot(&self, now: Millis) -> Vec<u8> {
        Wire {
            key: Some(self.key().as_bytes().to_vec().into()),
            sid: self.key().sid().0.to_vec().into(),
            user: self.user().as_str().into(),
            home: self.home().map(|home| home.as_str().into()),
            epoch: self.epoch().0,
            grace: self.grace(),
            grace_left: self.grace_left(now),
            cause: self.cause().map(|cause| cause.word().into()),
            ..Wire::of(self.pipe())
        }
        .encode()
    }

    /// The session that `snapshot` described, detached (or opening, if it had no home yet).
    pub fn restore(snapshot: &[u8], terms: SharedTerms, now: Millis) -> Result<Self, Unusable> {
        let wire = Wire::decode(snapshot)?;
        let key = wire.key.as_ref().and_then(|key| <[u8; 32]>::try_from(key.as_slice()).ok());
        let parts = edge::Parts {
            key: SessionKey::from_bytes(key.ok_or_else(|| Unusable("no key of 32 bytes".into()))?),
            user: UserId::new(&wire.user),
            home: Wire::name(&wire.home)?,
            epoch: Epoch(wire.epoch),
            grace: wire.grace,
            grace_left: wire.grace_left,
            cause: wire.cause(),
            pipe: wire.pipe(terms)?,
        };
        Ok(Self::from_parts(parts, now))
    }
}

impl AnchorSession {
    /// What a successor needs to go on with this session.
    pub fn snapshot(&self, now: Millis) -> Vec<u8> {
        Wire {
            sid: self.sid().0.to_vec().into(),
            user: self.user().as_str().into(),
            edge: self.edge().map(|edge| edge.as_str().into()),
            epoch: self.epoch().0,
            grace_left: self.grace_left(now),
            cause: self.cause().map(|cause| cause.word().into()),
            ..Wire::of(self.pipe())
        }
        .encode()
    }

    /// The session that `snapshot` described, detached.
    pub fn restore(snapshot: &[u8], terms: SharedTerms, now: Millis) -> Result<Self, Unusable> {
        let wire = Wire::decode(snapshot)?;
        let sid = <[u8; 16]>::try_from(wire.sid.as_slice()).map_err(|_| Unusable("no sid of 16 bytes".into()))?;
        let parts = anchor::Parts {
            sid: Sid(sid),
            user: UserId::new(&wire.user),
            edge: Wire::name(&wire.edge)?,
            epoch: Epoch(wire.epoch),
            grace_left: wire.grace_left,
            cause: wire.cause(),
            pipe: wire.pipe(terms)?,
        };
        Ok(Self::from_parts(parts, now))
    }
}
