//! Ports that belong to one tier for as long as it lives, over restarts of its processes.
//!
//! A port that the kernel picks is free only until somebody's outgoing connection gets it, and a restarted process
//! needs its old one. So these come from below the range that the kernel picks from, in blocks; a block belongs to
//! whoever listens on its first port.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

/// Ports in a block, the claiming one included.
const BLOCK: u16 = 64;
/// The first port of all blocks: above those of well-known services.
const FIRST: u16 = 10_240;
/// Where the kernel's own range begins, if it doesn't say.
const EPHEMERAL: u16 = 32_768;
/// Blocks of one tier: far more processes than a machine runs well.
const BLOCKS: usize = 16;

#[derive(Debug)]
pub(super) struct Ports {
    claims: Vec<TcpListener>,
    next: u16,
    end: u16,
}

impl Ports {
    pub(super) fn claim() -> io::Result<Self> {
        let mut ports = Self { claims: Vec::new(), next: 0, end: 0 };
        ports.another_block()?;
        Ok(ports)
    }

    /// An address that nobody listens on now.
    pub(super) fn next(&mut self) -> io::Result<SocketAddr> {
        loop {
            if self.next == self.end {
                self.another_block()?;
            }
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.next));
            self.next += 1;
            if TcpListener::bind(address).is_ok() {
                return Ok(address);
            }
        }
    }

    fn another_block(&mut self) -> io::Result<()> {
        let none = || io::Error::new(io::ErrorKind::AddrNotAvailable, "no block of ports is free");
        if self.claims.len() == BLOCKS {
            return Err(none());
        }
        let ephemeral = ephemeral().filter(|first| *first > FIRST + BLOCK).unwrap_or(EPHEMERAL);
        let blocks = (ephemeral - FIRST) / BLOCK;
        // Processes that drill at the same time begin at different blocks.
        let own = u16::try_from(std::process::id() % u32::from(blocks)).unwrap_or(0);
        let first = (0..blocks).map(|nth| FIRST + (own + nth) % blocks * BLOCK);
        let claim = |first| TcpListener::bind((Ipv4Addr::LOCALHOST, first)).ok().map(|listener| (first, listener));
        let (first, listener) = first.filter_map(claim).next().ok_or_else(none)?;
        self.claims.push(listener);
        (self.next, self.end) = (first + 1, first + BLOCK);
        Ok(())
    }
}

fn ephemeral() -> Option<u16> {
    fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn two_tiers_never_share_a_port() {
        let (mut one, mut other) = (Ports::claim().unwrap(), Ports::claim().unwrap());
        let mut seen = BTreeSet::new();
        for _ in 0..100 {
            assert!(seen.insert(one.next().unwrap()));
            assert!(seen.insert(other.next().unwrap()));
        }
    }

    #[test]
    fn a_port_in_use_is_passed_over() {
        let mut ports = Ports::claim().unwrap();
        let taken = SocketAddr::from((Ipv4Addr::LOCALHOST, ports.next));
        let _listener = TcpListener::bind(taken).unwrap();
        assert_ne!(ports.next().unwrap(), taken);
    }
}
