//! The clients of a run, whatever they play.

use std::rc::Rc;

use baton_drill::bytes::{Ending, Party};
use rand::{RngExt, rngs::SmallRng, seq::IndexedRandom};
use tokio::task::spawn_local;

use crate::{
    bytes::{self, Book, Exchange},
    fault::Fault,
    guests::{self, Guests, Leaving},
    journal::Journal,
    judge::Judge,
    net::Host,
    tier::{Cast, Kind, Node, Tier},
};

/// What undoes a fault.
pub(crate) type Mend = Box<dyn FnOnce()>;

/// The clients of a run.
#[derive(Clone)]
pub(crate) enum Clients {
    /// They know every byte that they must get.
    Bytes(Rc<Book>),
    /// They count messages.
    Guests(Rc<Guests>),
}

impl Clients {
    /// Those that suit the tier's brokers, none of them there yet.
    pub(crate) fn of(tier: &Tier) -> Self {
        match tier.cast {
            Cast::Recorders => Self::Bytes(Rc::clone(tier.book())),
            Cast::Sidecars | Cast::Inside => Self::Guests(Guests::new()),
        }
    }

    /// Starts one of them, on a host of its own.
    pub(crate) fn start(&self, number: u32, edge: (Host, String), tier: &Tier, judge: &Rc<Judge>) {
        let host = tier.net.host(&format!("client-{number}"));
        let (dial, judge, chance) = (tier.net.dialer(host), Rc::clone(judge), tier.chance());
        match self {
            Self::Bytes(book) => spawn_local(bytes::client(number, edge, dial, judge, Rc::clone(book), chance)),
            Self::Guests(guests) => spawn_local(guests::place(number, edge, dial, judge, Rc::clone(guests), chance)),
        };
    }

    /// One of them, or its broker, stops reading; `None` if nobody is connected.
    pub(crate) fn slow(&self, chance: &mut SmallRng) -> Option<Mend> {
        match self {
            Self::Bytes(book) => {
                let open = book.open();
                let exchange = Rc::clone(open.choose(chance)?);
                let party = if chance.random() { Party::Client } else { Party::Broker };
                exchange.slow(party, true);
                Some(Box::new(move || exchange.slow(party, false)))
            }
            Self::Guests(guests) => {
                let guest = Rc::clone(guests.open().choose(chance)?);
                guest.slow(true);
                Some(Box::new(move || guest.slow(false)))
            }
        }
    }

    /// One of them, or its broker, leaves; its name.
    pub(crate) fn leave(&self, ending: Ending, chance: &mut SmallRng) -> Option<String> {
        match self {
            Self::Bytes(book) => {
                let open = book.open();
                let exchange = open.choose(chance)?;
                exchange.finish(ending);
                Some(exchange.name.clone())
            }
            Self::Guests(guests) => {
                let open = guests.open();
                let guest = open.choose(chance)?;
                guest.leave(if matches!(ending, Ending::Reset(_)) { Leaving::Reset } else { Leaving::Disconnect });
                Some(guest.user.clone())
            }
        }
    }

    /// How many are connected.
    pub(crate) fn connected(&self) -> usize {
        match self {
            Self::Bytes(book) => book.open().len(),
            Self::Guests(guests) => guests.open().len(),
        }
    }

    /// A process is taken away; how many sessions run through it.
    pub(crate) fn taken_away(&self, node: &Node, how: Fault) -> u64 {
        let why = format!("{how:?} {}", node.name);
        match self {
            Self::Bytes(book) => {
                // Each recorder has a sidecar of its own.
                let home = format!("home-{}", node.number);
                let concerned = |exchange: &Exchange| match node.kind {
                    Kind::Edge | Kind::Origin => exchange.edge == node.host,
                    Kind::Sidecar | Kind::Broker => Journal::was_opened_at(&exchange.name, &home),
                };
                book.taken_away(concerned, node.kind == Kind::Broker, &why)
            }
            Self::Guests(guests) => guests.excuse(
                |guest| match node.kind {
                    Kind::Broker => true,
                    Kind::Sidecar => Journal::was_opened_at(&guest.user, &node.name),
                    Kind::Edge | Kind::Origin => guest.edge == node.host,
                },
                &why,
            ),
        }
    }

    /// Nobody says anything new; whether all that was said has arrived.
    pub(crate) fn settle(&self) -> bool {
        match self {
            // They say goodbye in order, after which every byte must have come.
            Self::Bytes(_) => true,
            Self::Guests(guests) => guests.settle(),
        }
    }

    /// How many say nothing any more once they have settled, and are still there.
    pub(crate) fn quiet(&self) -> usize {
        match self {
            // Those go on until they are told to leave.
            Self::Bytes(_) => 0,
            Self::Guests(_) => self.connected(),
        }
    }

    /// Everybody is told to leave; whether all have.
    pub(crate) fn dismiss(&self) -> bool {
        match self {
            Self::Bytes(book) => book.dismiss(),
            Self::Guests(guests) => guests.dismiss(),
        }
    }

    /// What isn't as it must be at the end.
    pub(crate) fn verdict(&self, judge: &Judge) {
        match self {
            Self::Bytes(book) => book.verdict(judge),
            Self::Guests(guests) => guests.verdict(judge),
        }
    }

    /// The most wills that may have been published.
    pub(crate) fn vanished(&self) -> u64 {
        match self {
            Self::Bytes(_) => 0,
            Self::Guests(guests) => guests.vanished(),
        }
    }

    /// Bytes, or messages, that have arrived.
    pub(crate) fn received(&self) -> u64 {
        match self {
            Self::Bytes(book) => book.all().iter().map(|exchange| exchange.received()).sum(),
            Self::Guests(guests) => guests.received(),
        }
    }
}
