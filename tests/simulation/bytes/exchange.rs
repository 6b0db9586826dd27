//! One connection of a client: what was said, what was heard, what was ordered, and whether that adds up.

use std::{
    cell::{Cell, RefCell},
    io,
    rc::Rc,
};

use baton_drill::{
    bytes::{Ending, Party, Seen, noise},
    mqtt::encode,
};
use baton_protocol::limits::Millis;
use bytes::BytesMut;
use rand::{RngExt, rngs::SmallRng};
use tokio::sync::Notify;

use crate::net::Host;

/// How much an exchange says, and how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// Largest number of bytes said at once.
    pub(crate) bytes: u64,
    /// Longest pause, in milliseconds.
    pub(crate) pause: Millis,
}

impl Manner {
    /// Most say little; some say more than a window at once, some hardly anything.
    pub(crate) fn draw(chance: &mut SmallRng) -> Self {
        match chance.random_range(0..12) {
            0 => Self { bytes: 400_000, pause: 30_000 },
            1 => Self { bytes: 20, pause: 30_000 },
            2 | 3 => Self { bytes: 6_000, pause: 1_500 },
            _ => Self { bytes: 300, pause: 800 },
        }
    }
}

/// One direction.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Flow {
    pub(crate) sent: u64,
    pub(crate) received: u64,
}

/// One connection of a client, from its CONNECT to its end.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) name: String,
    pub(crate) edge: Host,
    pub(crate) began: Millis,
    /// How often a recorder got its CONNECT.
    pub(crate) connects: Cell<u32>,
    seed: u64,
    pub(super) manner: Manner,
    up: Cell<Flow>,
    down: Cell<Flow>,
    pub(super) client: Cell<Option<Seen>>,
    pub(super) recorder: Cell<Option<Seen>>,
    pub(super) ending: Cell<Option<Ending>>,
    /// What was done to a process that it ran through.
    pub(super) excuse: RefCell<Option<String>>,
    /// Whether the client or the recorder doesn't read for now.
    slow: [Cell<bool>; 2],
    changed: Notify,
}

impl Exchange {
    pub(super) fn new(name: String, edge: Host, began: Millis, chance: &mut SmallRng) -> Rc<Self> {
        Rc::new(Self {
            name,
            edge,
            began,
            connects: Cell::new(0),
            seed: chance.random(),
            manner: Manner::draw(chance),
            up: Cell::default(),
            down: Cell::default(),
            client: Cell::new(None),
            recorder: Cell::new(None),
            ending: Cell::new(None),
            excuse: RefCell::default(),
            slow: Default::default(),
            changed: Notify::new(),
        })
    }

    pub(super) fn flow(&self, from: Party) -> &Cell<Flow> {
        if from == Party::Client { &self.up } else { &self.down }
    }

    /// How it ended for this party.
    pub(crate) fn end(&self, party: Party) -> Option<Seen> {
        if party == Party::Client { self.client.get() } else { self.recorder.get() }
    }

    pub(super) fn ended(&self, party: Party, seen: Seen) {
        let cell = if party == Party::Client { &self.client } else { &self.recorder };
        if cell.get().is_none() {
            cell.set(Some(seen));
        }
        self.changed.notify_waiters();
    }

    /// Orders its end, unless that is done.
    pub(crate) fn finish(&self, ending: Ending) {
        if self.ending.get().is_none() {
            self.ending.set(Some(ending));
            self.changed.notify_waiters();
        }
    }

    /// Whether the client is connected, as far as it knows, and has been asked nothing.
    pub(crate) fn is_open(&self) -> bool {
        self.client.get().is_none() && self.connects.get() > 0
    }

    /// Bytes that have arrived, both ways.
    pub(crate) fn received(&self) -> u64 {
        self.up.get().received + self.down.get().received
    }

    /// A process that it runs through was taken away.
    pub(crate) fn excuse(&self, why: &str) {
        self.excuse.borrow_mut().get_or_insert_with(|| why.to_owned());
        self.changed.notify_waiters();
    }

    /// A party stops reading, or reads again.
    pub(crate) fn slow(&self, party: Party, slow: bool) {
        self.slow[usize::from(party == Party::Broker)].set(slow);
        self.changed.notify_waiters();
    }

    pub(super) async fn until(&self, condition: impl Fn(&Self) -> bool) {
        loop {
            let changed = self.changed.notified();
            if condition(self) {
                return;
            }
            changed.await;
        }
    }

    pub(super) fn is_slow(&self, party: Party) -> bool {
        self.slow[usize::from(party == Party::Broker)].get()
    }

    pub(super) fn connect(&self) -> BytesMut {
        let mut packet = BytesMut::new();
        let client_id = &self.name;
        let connect = encode::Connect { client_id, username: None, keep_alive: 0, clean_session: true, will: None };
        encode::connect(&connect, &mut packet);
        packet
    }

    /// The seed of what a party says.
    pub(super) fn seed(&self, from: Party) -> u64 {
        noise::word(self.seed, u64::from(from == Party::Broker))
    }

    pub(super) fn show(&self) -> String {
        let (up, down) = (self.up.get(), self.down.get());
        let ends = (self.client.get(), self.recorder.get(), self.ending.get());
        format!("{}: up {}/{} down {}/{} ends {ends:?}", self.name, up.received, up.sent, down.received, down.sent)
    }

    /// What isn't as it must be now that the run is over.
    pub(super) fn verdict(&self) -> Result<(), String> {
        if self.excuse.borrow().is_some() {
            return Ok(());
        }
        if self.client.get() == Some(REFUSED) {
            let got = || format!("it was refused, and its broker got it all the same: {}", self.show());
            return if self.connects.get() == 0 { Ok(()) } else { Err(got()) };
        }
        let whole = |flow: &Cell<Flow>| flow.get().sent == flow.get().received;
        let (client, recorder) = (self.client.get(), self.recorder.get());
        let fine = match self.ending.get() {
            Some(Ending::HalfClose(_)) => {
                client == Some(Seen::Eof) && recorder == Some(Seen::Eof) && whole(&self.up) && whole(&self.down)
            }
            Some(Ending::Reset(Party::Client)) => recorder == Some(Seen::Reset) && whole(&self.up),
            Some(Ending::Reset(Party::Broker)) => client == Some(Seen::Reset) && whole(&self.down),
            None => false,
        };
        if fine { Ok(()) } else { Err(format!("it isn't whole at the end: {}", self.show())) }
    }
}

/// A client that was told in MQTT that no server is available.
pub(super) const REFUSED: Seen = Seen::Failed(io::ErrorKind::ConnectionRefused);

pub(super) fn other(party: Party) -> Party {
    if party == Party::Client { Party::Broker } else { Party::Client }
}
