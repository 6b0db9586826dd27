//! A network in virtual time: TCP as those who use it see it.
//!
//! Bytes arrive in order, after a latency; a sender may have 64 KiB under way that the other process hasn't
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
    task::Poll,
};

use baton_process::{
    clock::Clock,
    net::{Address, Dial, Listen, Reach},
};
use baton_protocol::limits::Millis;
use rand::rngs::SmallRng;
use tokio::sync::Notify;

mod frames;
mod link;
mod state;
mod stream;

pub(crate) use frames::Frames;
pub(crate) use link::Link;
pub(crate) use state::Host;
pub(crate) use stream::SimStream;

use state::{Connection, End, Ended, Listening, Machine, State, What};

/// The network. Clones are the same.
#[derive(Clone)]
pub(crate) struct Net(Rc<Shared>);

struct Shared {
    state: RefCell<State>,
    clock: Clock,
    /// Something is due earlier than the pump thinks.
    earlier: Notify,
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
            frames: Frames::default(),
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

    /// The frames on all trunks so far.
    pub(crate) fn frames(&self) -> Frames {
        self.with(|state, _| state.frames)
    }

    pub(crate) fn name(&self, host: Host) -> String {
        self.with(|state, _| state.hosts[usize::from(host.0)].name.clone())
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
            state.connections.insert(id, Connection { ends, address: address.to_owned(), arrived: false, trunk: None });
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
