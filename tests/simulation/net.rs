//! A network in virtual time: TCP as those who use it see it.
//!
//! Bytes arrive in order, after a latency; a sender may have [`WINDOW`] bytes under way that the other process hasn't
//! read. What a blocked link would carry waits until it isn't blocked any more, as TCP would send it again. The kernel
//! of a host goes on while a process of it is stopped; when a process dies, the kernel closes its connections; when a
//! host loses its power, nobody hears of it.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    future::poll_fn,
    io,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    task::{Poll, Waker},
};

use baton_process::{
    clock::Clock,
    net::{Address, Dial, Listen, Reach},
};
use baton_protocol::limits::Millis;
use bytes::Bytes;
use rand::{RngExt, rngs::SmallRng};
use tokio::sync::Notify;

mod link;
mod stream;

pub(crate) use link::Link;
pub(crate) use stream::SimStream;

/// Bytes that one end may have sent and the other process not read.
const WINDOW: usize = 64 * 1024;
/// Bytes read after which the sender hears of it; less than the window, or it would wait forever.
const ACKED: usize = WINDOW / 4;
/// Longest time that TCP takes to send again once a link isn't blocked any more, in milliseconds.
const RETRANSMISSION: Millis = 400;

/// A machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Host(u16);

/// Which end of a connection: the one that dialed is 0.
type Side = usize;

/// The network. Clones are the same.
#[derive(Clone)]
pub(crate) struct Net(Rc<Shared>);

struct Shared {
    state: RefCell<State>,
    clock: Clock,
    /// Something is due earlier than the pump thinks.
    earlier: Notify,
}

struct State {
    chance: SmallRng,
    hosts: Vec<Machine>,
    base: Link,
    links: BTreeMap<(Host, Host), Link>,
    listeners: BTreeMap<String, Listening>,
    connections: BTreeMap<u64, Connection>,
    due: BTreeMap<(Millis, u64), Event>,
    held: BTreeMap<(Host, Host), Vec<Event>>,
    serial: u64,
    armed: Option<Millis>,
}

struct Machine {
    name: String,
    powered: bool,
}

struct Listening {
    serial: u64,
    host: Host,
    backlog: VecDeque<u64>,
    acceptor: Option<Waker>,
}

struct Connection {
    ends: [End; 2],
    address: String,
    /// Whether its first packet has come to whom it was for.
    arrived: bool,
}

struct End {
    host: Host,
    /// Whether a process holds it.
    open: bool,
    established: bool,
    inbox: VecDeque<Bytes>,
    read: usize,
    ended: Option<Ended>,
    room: usize,
    finished: bool,
    /// When the last thing that it sent arrives.
    last_due: Millis,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Finished,
    Reset,
}

struct Event {
    connection: u64,
    to: Side,
    what: What,
}

#[derive(PartialEq)]
enum What {
    Syn,
    SynAck,
    Bytes(Bytes),
    Fin,
    Reset,
    Ack(usize),
}

impl Net {
    /// An empty network whose links are like this one unless said otherwise.
    pub(crate) fn new(clock: Clock, chance: SmallRng, base: Link) -> Self {
        let state = State {
            chance,
            hosts: Vec::new(),
            base,
            links: BTreeMap::new(),
            listeners: BTreeMap::new(),
            connections: BTreeMap::new(),
            due: BTreeMap::new(),
            held: BTreeMap::new(),
            serial: 0,
            armed: None,
        };
        Self(Rc::new(Shared { state: RefCell::new(state), clock, earlier: Notify::new() }))
    }

    /// Adds a machine.
    pub(crate) fn host(&self, name: &str) -> Host {
        let hosts = &mut self.0.state.borrow_mut().hosts;
        hosts.push(Machine { name: name.into(), powered: true });
        Host(u16::try_from(hosts.len() - 1).expect("few machines"))
    }

    /// Delivers what is due, for as long as it is polled.
    pub(crate) async fn run(self) {
        loop {
            let next = {
                let mut state = self.0.state.borrow_mut();
                state.deliver_due(self.0.clock.now());
                state.armed = state.due.first_key_value().map(|((due, _), _)| *due);
                state.armed
            };
            let until = async {
                match next {
                    Some(due) => tokio::time::sleep_until(self.0.clock.instant(due)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.0.earlier.notified() => {}
                () = until => {}
            }
        }
    }

    /// Asks or changes the state, and wakes the pump where something is due earlier than before.
    fn with<R>(&self, ask: impl FnOnce(&mut State, Millis) -> R) -> R {
        let mut state = self.0.state.borrow_mut();
        let answer = ask(&mut state, self.0.clock.now());
        let first = state.due.first_key_value().map(|((due, _), _)| *due);
        if first.is_some_and(|first| state.armed.is_none_or(|armed| first < armed)) {
            state.armed = first;
            self.0.earlier.notify_one();
        }
        answer
    }

    /// What `host` dials with.
    pub(crate) fn dialer(&self, host: Host) -> Dialer {
        Dialer { net: self.clone(), host }
    }

    /// Listens on `name:port`.
    pub(crate) fn listen(&self, host: Host, address: &str) -> Listener {
        let serial = self.with(|state, _| {
            state.serial += 1;
            let listening = Listening { serial: state.serial, host, backlog: VecDeque::new(), acceptor: None };
            let before = state.listeners.insert(address.to_owned(), listening);
            assert!(before.is_none(), "{address} is taken");
            state.serial
        });
        Listener { net: self.clone(), address: address.to_owned(), serial }
    }

    /// The process on this host has died: its kernel closes what it held.
    pub(crate) fn process_died(&self, host: Host) {
        self.with(|state, now| {
            state.listeners.retain(|_, listening| listening.host != host);
            for (id, side) in state.open_ends(host) {
                state.close(id, side, now);
            }
        });
    }

    /// The host is off: nobody hears of it.
    pub(crate) fn power_off(&self, host: Host) {
        self.with(|state, _| {
            state.listeners.retain(|_, listening| listening.host != host);
            state.hosts[usize::from(host.0)].powered = false;
            for (id, side) in state.open_ends(host) {
                let connection = state.connections.get_mut(&id).expect("it was just listed");
                connection.ends[side].open = false;
                connection.ends[side].finished = true;
            }
        });
    }

    /// The host is on again, and knows nothing.
    pub(crate) fn power_on(&self, host: Host) {
        self.with(|state, now| {
            state.hosts[usize::from(host.0)].powered = true;
            state.release(now);
        });
    }

    /// Changes the link from one host to another; what it holds back goes on if it may. Whether there was a
    /// connection between the two.
    pub(crate) fn set_link(&self, from: Host, to: Host, change: impl FnOnce(&mut Link)) -> bool {
        self.with(|state, now| {
            let base = state.base;
            change(state.links.entry((from, to)).or_insert(base));
            state.release(now);
            state.between(from, to).next().is_some()
        })
    }

    /// Resets every connection between two hosts, at both ends; how many there were.
    pub(crate) fn reset(&self, one: Host, other: Host) -> usize {
        self.with(|state, _| {
            let ids: Vec<_> = state.between(one, other).collect();
            for id in &ids {
                for end in &mut state.connections.get_mut(id).expect("it was just listed").ends {
                    end.end(Ended::Reset);
                }
            }
            ids.len()
        })
    }

    /// Open connections that one of these hosts has.
    pub(crate) fn connections(&self, host: Host) -> usize {
        self.with(|state, _| state.open_ends(host).len())
    }

    pub(crate) fn name(&self, host: Host) -> String {
        self.with(|state, _| state.hosts[usize::from(host.0)].name.clone())
    }
}

impl State {
    fn open_ends(&self, host: Host) -> Vec<(u64, Side)> {
        let ends = self.connections.iter().flat_map(|(id, c)| (0..2).map(move |side| (*id, side, &c.ends[side])));
        ends.filter(|(_, _, end)| end.open && end.host == host).map(|(id, side, _)| (id, side)).collect()
    }

    /// Connections of which at least one end is held.
    fn between(&self, one: Host, other: Host) -> impl Iterator<Item = u64> + '_ {
        let wanted = move |c: &Connection| {
            let hosts = [c.ends[0].host, c.ends[1].host];
            hosts == [one, other] || hosts == [other, one]
        };
        self.connections.iter().filter(move |(_, c)| wanted(c)).map(|(id, _)| *id)
    }

    fn link(&self, from: Host, to: Host) -> Link {
        self.links.get(&(from, to)).copied().unwrap_or(self.base)
    }

    fn is_blocked(&self, from: Host, to: Host, what: &What) -> bool {
        let powered = |host: Host| self.hosts[usize::from(host.0)].powered;
        let link = self.link(from, to);
        link.blocked || (link.no_new && *what == What::Syn) || !powered(from) || !powered(to)
    }

    /// Sends something from one end to the other.
    fn send(&mut self, connection: u64, to: Side, what: What, now: Millis) {
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
    fn waits_behind(&self, event: &Event, from: Host, to: Host) -> bool {
        self.held.get(&(from, to)).is_some_and(|held| held.iter().any(|other| other.connection == event.connection))
    }

    fn schedule(&mut self, event: Event, late: Millis, now: Millis) {
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
    fn release(&mut self, now: Millis) {
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

    fn deliver_due(&mut self, now: Millis) {
        while let Some(entry) = self.due.first_entry().filter(|entry| entry.key().0 <= now) {
            let event = entry.remove();
            self.deliver(event, now);
        }
    }

    fn deliver(&mut self, Event { connection, to, what }: Event, now: Millis) {
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
    fn arrive(&mut self, connection: u64, now: Millis) {
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
    fn close(&mut self, connection: u64, side: Side, now: Millis) {
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

    fn forget(&mut self, connection: u64) {
        if self.connections.get(&connection).is_some_and(|c| c.arrived && c.ends.iter().all(|end| !end.open)) {
            self.connections.remove(&connection);
        }
    }
}

impl End {
    fn new(host: Host) -> Self {
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
        }
    }

    fn wake(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }

    fn receive(&mut self, bytes: Bytes) {
        if self.ended.is_some() {
            return;
        }
        self.inbox.push_back(bytes);
        self.reader.take().into_iter().for_each(Waker::wake);
    }

    fn establish(&mut self) {
        self.established = true;
        self.wake();
    }

    fn give_room(&mut self, bytes: usize) {
        self.room += bytes;
        self.writer.take().into_iter().for_each(Waker::wake);
    }

    fn end(&mut self, how: Ended) {
        // A reset after an end in order still breaks what is written.
        if self.ended != Some(Ended::Reset) {
            self.ended = Some(how);
        }
        self.wake();
    }
}

/// What a host dials with.
#[derive(Clone)]
pub(crate) struct Dialer {
    net: Net,
    host: Host,
}

impl Dial for Dialer {
    type Stream = SimStream;

    async fn dial(&self, address: &str) -> io::Result<SimStream> {
        let stream = self.net.with(|state, now| {
            let name = address.rsplit_once(':').map_or(address, |(name, _)| name);
            let to = state.hosts.iter().position(|machine| machine.name == name).expect("a known machine");
            let to = Host(u16::try_from(to).expect("few machines"));
            state.serial += 1;
            let id = state.serial;
            let mut ends = [End::new(self.host), End::new(to)];
            ends[0].open = true;
            state.connections.insert(id, Connection { ends, address: address.to_owned(), arrived: false });
            state.send(id, 1, What::Syn, now);
            SimStream::new(self.net.clone(), id, 0)
        });
        poll_fn(|cx| stream.poll_established(cx)).await?;
        Ok(stream)
    }
}

impl Reach for Dialer {
    type Stream = SimStream;

    async fn reach(&self, to: &Address, _from: Option<IpAddr>) -> io::Result<SimStream> {
        match to {
            Address::Tcp(address) => self.dial(address).await,
            Address::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn ends(_: &SimStream) -> Option<(SocketAddr, SocketAddr)> {
        None
    }

    fn ports(&self, _: &Address) -> Option<usize> {
        None
    }
}

/// Where connections come in.
pub(crate) struct Listener {
    net: Net,
    address: String,
    serial: u64,
}

impl Listen for Listener {
    type Stream = SimStream;

    async fn accept(&mut self) -> io::Result<(SimStream, SocketAddr)> {
        let (id, from) = poll_fn(|cx| {
            self.net.with(|state, _| {
                let ours = state.listeners.get_mut(&self.address).filter(|listening| listening.serial == self.serial);
                let Some(listening) = ours else { return Poll::Pending };
                match listening.backlog.pop_front() {
                    Some(id) => Poll::Ready((id, state.connections[&id].ends[0].host)),
                    None => {
                        listening.acceptor = Some(cx.waker().clone());
                        Poll::Pending
                    }
                }
            })
        })
        .await;
        let [high, low] = from.0.to_be_bytes();
        let port = u16::try_from(id % 50_000).expect("it is less") + 10_000;
        Ok((SimStream::new(self.net.clone(), id, 1), SocketAddr::from(([10, 0, high, low], port))))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.net.with(|state, now| {
            let ours = state.listeners.get(&self.address).is_some_and(|listening| listening.serial == self.serial);
            let listening = ours.then(|| state.listeners.remove(&self.address)).flatten();
            for id in listening.into_iter().flat_map(|listening| listening.backlog) {
                state.close(id, 1, now);
            }
        });
    }
}
