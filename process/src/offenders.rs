//! Peers that sent what is no protocol of ours: each is worth one line in the log, and the rest only counts.

use std::{cell::RefCell, net::IpAddr};

/// Peers that are remembered; beyond, each offence counts as a further one: what floods a port mustn't flood the log.
const PEERS: usize = 64;

/// The peers that have a line already.
#[derive(Debug, Default)]
pub struct Offenders {
    peers: RefCell<Vec<IpAddr>>,
}

impl Offenders {
    /// Whether this offence is this peer's first, and so worth a line.
    pub fn is_first(&self, peer: IpAddr) -> bool {
        let mut peers = self.peers.borrow_mut();
        let first = peers.len() < PEERS && !peers.contains(&peer);
        if first {
            peers.push(peer);
        }
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_peer_and_no_more_than_so_many() {
        let offenders = Offenders::default();
        let peer = |n: u32| IpAddr::from(n.to_be_bytes());
        assert!(offenders.is_first(peer(1)) && !offenders.is_first(peer(1)));
        assert_eq!((1..1_000).filter(|n| offenders.is_first(peer(*n))).count(), PEERS - 1);
    }
}
