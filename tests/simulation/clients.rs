//! The clients of a run, whatever they play.

use std::rc::Rc;

use baton_drill::bytes::{Ending, Party};
use rand::{RngExt, rngs::SmallRng, seq::IndexedRandom};

use crate::{bytes::Book, fault::Fault, tier::{Kind, Node, Tier}};

/// What undoes a fault.
pub(crate) type Mend = Box<dyn FnOnce()>;

/// The clients of a run.
#[derive(Clone)]
pub(crate) struct Clients {
    pub(crate) book: Rc<Book>,
}

impl Clients {
    /// One of them, or its broker, stops reading; `None` if nobody is connected.
    pub(crate) fn slow(&self, chance: &mut SmallRng) -> Option<Mend> {
        let open = self.book.open();
        let exchange = Rc::clone(open.choose(chance)?);
        let party = if chance.random() { Party::Client } else { Party::Broker };
        exchange.slow(party, true);
        Some(Box::new(move || exchange.slow(party, false)))
    }

    /// One of them, or its broker, leaves; its name.
    pub(crate) fn leave(&self, ending: Ending, chance: &mut SmallRng) -> Option<String> {
        let open = self.book.open();
        let exchange = open.choose(chance)?;
        exchange.finish(ending);
        Some(exchange.name.clone())
    }

    /// A process is taken away; how many sessions run through it.
    pub(crate) fn taken_away(&self, tier: &Tier, node: &Node, how: Fault) -> u64 {
        // A sidecar's sessions are those of its recorder, which goes on.
        let recorder = tier.of(Kind::Broker).find(|broker| node.kind == Kind::Sidecar && broker.number == node.number);
        self.book.taken_away(recorder.unwrap_or(node).host, node.kind == Kind::Broker, &format!("{how:?} {}", node.name))
    }
}
