//! Who is connected to whom, and what is under way.

use std::{
    collections::{BTreeMap, VecDeque},
    task::Waker,
};

use baton_protocol::limits::Millis;
use bytes::Bytes;
use rand::{RngExt, rngs::SmallRng};

use super::{
    Link,
    frames::{Frames, Reader},
};

/// Bytes that one end may have sent and the other process not read.
const WINDOW: usize = 64 * 1024;
/// Bytes read after which the sender hears of it; less than the window, or it would wait forever.
pub(super) const ACKED: usize = WINDOW / 4;
/// Longest time that TCP takes to send again once a link isn't blocked any more, in milliseconds.
const RETRANSMISSION: Millis = 400;

/// A machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Host(pub(super) u16);

/// Which end of a connection: the one that dialed is 0.
pub(super) type Side = usize;

pub(super) struct State {
    pub(super) chance: SmallRng,
    pub(super) hosts: Vec<Machine>,
    pub(super) base: Link,
    pub(super) links: BTreeMap<(Host, Host), Link>,
    pub(super) listeners: BTreeMap<String, Listening>,
    pub(super) connections: BTreeMap<u64, Connection>,
    pub(super) due: BTreeMap<(Millis, u64), Event>,
    pub(super) held: BTreeMap<(Host, Host), Vec<Event>>,
    pub(super) serial: u64,
    pub(super) armed: Option<Millis>,
    pub(super) frames: Frames,
}

pub(super) struct Machine {
    pub(super) name: String,
    pub(super) powered: bool,
}

pub(super) struct Listening {
    pub(super) serial: u64,
    pub(super) host: Host,
    pub(super) backlog: VecDeque<u64>,
    pub(super) acceptor: Option<Waker>,
}

pub(super) struct Connection {
    pub(super) ends: [End; 2],
    pub(super) address: String,
    /// Whether its first packet has come to whom it was for.
    pub(super) arrived: bool,
    /// Whether it speaks HTTP/2, once that is known.
    pub(super) trunk: Option<bool>,
}

pub(super) struct End {
    pub(super) host: Host,
    /// Whether a process holds it.
    pub(super) open: bool,
    pub(super) established: bool,
    pub(super) inbox: VecDeque<Bytes>,
    pub(super) read: usize,
    pub(super) ended: Option<Ended>,
    pub(super) room: usize,
    pub(super) finished: bool,
    /// When the last thing that it sent arrives.
    pub(super) last_due: Millis,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
    /// Of what it says.
    pub(super) frames: Reader,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Finished,
    Reset,
}

pub(super) struct Event {
    pub(super) connection: u64,
    pub(super) to: Side,
    pub(super) what: What,
}

#[derive(PartialEq)]
pub(super) enum What {
    Syn,
    SynAck,
    Bytes(Bytes),
    Fin,
    Reset,
    Ack(usize),
}

impl State {
    pub(super) fn open_ends(&self, host: Host) -> Vec<(u64, Side)> {
        let ends = self.connections.iter().flat_map(|(id, c)| (0..2).map(move |side| (*id, side, &c.ends[side])));
        ends.filter(|(_, _, end)| end.open && end.host == host).map(|(id, side, _)| (id, side)).collect()
    }

    /// Looks at what an end says. Whoever dialed says something first, on every port.
    pub(super) fn look(&mut self, connection: u64, side: Side, mut bytes: &[u8]) {
        let Some(c) = self.connections.get_mut(&connection) else { return };
        // What came before would be missing in what is read.
        assert!(side == 0 || c.trunk.is_some(), "whoever was dialed has spoken first");
        let reader = &mut c.ends[side].frames;
        if side == 0 && c.trunk.is_none() {
            c.trunk = reader.preface(&mut bytes);
        }
        if c.trunk == Some(true) {
            reader.read(bytes, &mut self.frames);
        }
    }

    /// Connections of which at least one end is held.
    pub(super) fn between(&self, one: Host, other: Host) -> impl Iterator<Item = u64> + '_ {
        let wanted = move |c: &Connection| {
            let hosts = [c.ends[0].host, c.ends[1].host];
            hosts == [one, other] || hosts == [other, one]
        };
        self.connections.iter().filter(move |(_, c)| wanted(c)).map(|(id, _)| *id)
    }

    pub(super) fn link(&self, from: Host, to: Host) -> Link {
        self.links.get(&(from, to)).copied().unwrap_or(self.base)
    }

    pub(super) fn is_blocked(&self, from: Host, to: Host, what: &What) -> bool {
        let powered = |host: Host| self.hosts[usize::from(host.0)].powered;
        let link = self.link(from, to);
        link.blocked > 0 || (link.no_new > 0 && *what == What::Syn) || !powered(from) || !powered(to)
    }

    /// Sends something from one end to the other.
    pub(super) fn send(&mut self, connection: u64, to: Side, what: What, now: Millis) {
        let Some(c) = self.connections.get(&connection) else { return };
        let (from, host) = (c.ends[1 - to].host, c.ends[to].host);
        let event = Event { connection, to, what };
        if self.is_blocked(from, host, &event.what) || self.waits_behind(&event, from, host) {
            self.held.entry((from, host)).or_default().push(event);
        } else {
            self.schedule(event, 0, now);
        }
    }

    /// Whether something of the same connection is held back: nothing overtakes it.
    pub(super) fn waits_behind(&self, event: &Event, from: Host, to: Host) -> bool {
        self.held.get(&(from, to)).is_some_and(|held| held.iter().any(|other| other.connection == event.connection))
    }

    pub(super) fn schedule(&mut self, event: Event, late: Millis, now: Millis) {
        let Some(c) = self.connections.get(&event.connection) else { return };
        let sender = &c.ends[1 - event.to];
        let link = self.link(sender.host, c.ends[event.to].host);
        let jitter = if link.jitter == 0 { 0 } else { self.chance.random_range(0..=link.jitter) };
        let due = sender.last_due.max(now + link.latency + jitter + late);
        let c = self.connections.get_mut(&event.connection).expect("it was just there");
        c.ends[1 - event.to].last_due = due;
        self.serial += 1;
        self.due.insert((due, self.serial), event);
    }

    /// Sends what was held back and needn't be any more.
    pub(super) fn release(&mut self, now: Millis) {
        for ((from, to), events) in std::mem::take(&mut self.held) {
            let late = self.chance.random_range(0..=RETRANSMISSION);
            for event in events {
                if self.is_blocked(from, to, &event.what) || self.waits_behind(&event, from, to) {
                    self.held.entry((from, to)).or_default().push(event);
                } else {
                    self.schedule(event, late, now);
                }
            }
        }
    }

    pub(super) fn deliver_due(&mut self, now: Millis) {
        while let Some(entry) = self.due.first_entry().filter(|entry| entry.key().0 <= now) {
            let event = entry.remove();
            self.deliver(event, now);
        }
    }

    pub(super) fn deliver(&mut self, Event { connection, to, what }: Event, now: Millis) {
        let Some(c) = self.connections.get_mut(&connection) else { return };
        if what == What::Syn {
            return self.arrive(connection, now);
        }
        let end = &mut c.ends[to];
        match what {
            What::Ack(bytes) => end.give_room(bytes),
            // Nobody holds this end any more.
            What::SynAck | What::Bytes(_) if !end.open => self.send(connection, 1 - to, What::Reset, now),
            What::SynAck => end.establish(),
            What::Bytes(bytes) => end.receive(bytes),
            What::Fin => end.end(Ended::Finished),
            What::Reset => end.end(Ended::Reset),
            What::Syn => {}
        }
    }

    /// A connection arrives at who listens; where nobody does, it is refused.
    pub(super) fn arrive(&mut self, connection: u64, now: Millis) {
        let c = self.connections.get_mut(&connection).expect("it arrives");
        c.arrived = true;
        let answer = match self.listeners.get_mut(&c.address) {
            Some(listening) => {
                listening.backlog.push_back(connection);
                listening.acceptor.take().into_iter().for_each(Waker::wake);
                (c.ends[1].open, c.ends[1].established) = (true, true);
                What::SynAck
            }
            None => What::Reset,
        };
        self.send(connection, 0, answer, now);
        self.forget(connection);
    }

    /// As close(2) does: what was sent arrives; what wasn't read makes it a reset.
    pub(super) fn close(&mut self, connection: u64, side: Side, now: Millis) {
        let Some(c) = self.connections.get_mut(&connection) else { return };
        let end = &mut c.ends[side];
        if !std::mem::replace(&mut end.open, false) {
            return;
        }
        let last = if !end.inbox.is_empty() || !end.established {
            Some(What::Reset)
        } else {
            (!end.finished && end.ended != Some(Ended::Reset)).then_some(What::Fin)
        };
        end.finished = true;
        if let Some(last) = last {
            self.send(connection, 1 - side, last, now);
        }
        self.forget(connection);
    }

    pub(super) fn forget(&mut self, connection: u64) {
        if self.connections.get(&connection).is_some_and(|c| c.arrived && c.ends.iter().all(|end| !end.open)) {
            self.connections.remove(&connection);
        }
    }
}

impl End {
    pub(super) fn new(host: Host) -> Self {
        Self {
            host,
            open: false,
            established: false,
            inbox: VecDeque::new(),
            read: 0,
            ended: None,
            room: WINDOW,
            finished: false,
            last_due: 0,
            reader: None,
            writer: None,
            frames: Reader::default(),
        }
    }

    pub(super) fn wake(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }

    pub(super) fn receive(&mut self, bytes: Bytes) {
        if self.ended.is_some() {
            return;
        }
        self.inbox.push_back(bytes);
        self.reader.take().into_iter().for_each(Waker::wake);
    }

    pub(super) fn establish(&mut self) {
        self.established = true;
        self.wake();
    }

    pub(super) fn give_room(&mut self, bytes: usize) {
        self.room += bytes;
        self.writer.take().into_iter().for_each(Waker::wake);
    }

    pub(super) fn end(&mut self, how: Ended) {
        // A reset after an end in order still breaks what is written.
        if self.ended != Some(Ended::Reset) {
            self.ended = Some(how);
        }
        self.wake();
    }
}
