//! The ways to the broker: from each of our addresses to each of its. Each way has as many connections as there are
//! local ports, so the number of ways bounds the sessions of a sidecar.

use std::{cell::Cell, net::IpAddr, rc::Rc};

use baton_process::{
    metrics::{Gauge, Metrics},
    net::Address,
};
use baton_protocol::limits::Millis;

/// The part of a way's ports that is left alone. The kernel finds a free port by trying one after another, so near the
/// end each connection costs it tens of thousands of tries; and other programs need ports as well.
const PORTS_LEFT: usize = 16;
/// Milliseconds for which nothing is dialed on a way whose ports have ended before we thought so: those of connections
/// that were closed lately are kept for a while (TIME-WAIT).
const PORTS_PAUSE: Millis = 1_000;
/// Milliseconds for which others are preferred to a way on which nobody answered.
const AVOIDED: Millis = 10_000;

/// One way.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) to: Address,
    pub(crate) from: Option<IpAddr>,
    /// Connections at a time.
    bound: Option<usize>,
    used: Cell<usize>,
    /// Until then its ports have ended.
    ended_until: Cell<Millis>,
    /// Until then others are preferred.
    avoided_until: Cell<Millis>,
}

impl Route {
    fn has_room(&self, now: Millis) -> bool {
        self.bound.is_none_or(|bound| self.used.get() < bound) && self.ended_until.get() <= now
    }

    /// A connection failed for want of a port.
    pub(crate) fn ports_ended(&self, now: Millis) {
        self.ended_until.set(now + PORTS_PAUSE);
    }

    /// Nobody answered.
    pub(crate) fn avoid(&self, now: Millis) {
        self.avoided_until.set(now + AVOIDED);
    }

    fn is_avoided(&self, now: Millis) -> bool {
        self.avoided_until.get() > now
    }
}

/// All of them, and how many connections there are.
#[derive(Debug)]
pub(crate) struct Routes {
    all: Vec<Rc<Route>>,
    used: Gauge,
}

impl Routes {
    /// From each of `sources`, or from wherever the kernel likes, to each of `brokers`. `ports`: connections that one
    /// way to this address can have.
    pub(crate) fn new(
        brokers: &[Address],
        sources: &[IpAddr],
        ports: impl Fn(&Address) -> Option<usize>,
        metrics: &Metrics,
    ) -> Self {
        let route = |to: &Address, from| Route {
            to: to.clone(),
            from,
            bound: ports(to).map(|ports| (ports - ports / PORTS_LEFT).max(1)),
            used: Cell::new(0),
            ended_until: Cell::new(0),
            avoided_until: Cell::new(0),
        };
        let sources_to = |to: &Address| match to {
            Address::Tcp(_) if !sources.is_empty() => sources.iter().copied().map(Some).collect(),
            _ => vec![None],
        };
        let fits = |to: &Address, from: Option<IpAddr>| {
            let (to, from) = (to.ip().map(|ip| ip.is_ipv4()), from.map(|ip| ip.is_ipv4()));
            to.is_none() || from.is_none() || to == from
        };
        let ways = brokers.iter().flat_map(|to| sources_to(to).into_iter().map(move |from| (to, from)));
        let all: Vec<_> =
            ways.filter(|(to, from)| fits(to, *from)).map(|(to, from)| Rc::new(route(to, from))).collect();
        let bound = all.iter().map(|route| route.bound).sum::<Option<usize>>();
        let used = bound.map_or_else(Gauge::default, |bound| metrics.limit("broker_connections", bound as u64));
        Self { all, used }
    }

    /// A place on the way with the fewest connections, but for those that were tried in vain, and rather to another
    /// address than theirs; `None` if none has room.
    pub(crate) fn take(&self, now: Millis, tried: &[Rc<Route>]) -> Option<Place> {
        let is_new = |route: &&Rc<Route>| route.has_room(now) && !tried.iter().any(|other| Rc::ptr_eq(other, route));
        let address_tried = |route: &Route| tried.iter().any(|other| other.to == route.to);
        let rank = |route: &&Rc<Route>| (route.is_avoided(now), address_tried(route), route.used.get());
        let route = self.all.iter().filter(is_new).min_by_key(rank)?;
        route.used.set(route.used.get() + 1);
        self.used.inc();
        Some(Place { route: Rc::clone(route), used: self.used.clone() })
    }

    /// Whether there is a way to another address on which somebody may answer.
    pub(crate) fn leads_elsewhere(&self, route: &Route, now: Millis) -> bool {
        self.all.iter().any(|other| other.to != route.to && other.has_room(now) && !other.is_avoided(now))
    }

    /// Every way.
    pub(crate) fn all(&self) -> &[Rc<Route>] {
        &self.all
    }
}

/// A place on a way, taken until it's dropped.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) route: Rc<Route>,
    used: Gauge,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.route.used.set(self.route.used.get() - 1);
        self.used.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(brokers: &[&str], sources: &[&str], ports: usize) -> (Routes, Metrics) {
        let metrics = Metrics::new("sidecar");
        let brokers: Vec<_> = brokers.iter().map(|url| Address::parse(url).unwrap()).collect();
        let sources: Vec<_> = sources.iter().map(|ip| ip.parse().unwrap()).collect();
        let of = |to: &Address| matches!(to, Address::Tcp(_)).then_some(ports);
        (Routes::new(&brokers, &sources, of, &metrics), metrics)
    }

    #[test]
    fn connections_are_dealt_out_until_the_ports_end() {
        let (routes, metrics) = routes(&["tcp://10.0.0.1:1", "tcp://10.0.0.2:1"], &["10.0.0.8", "10.0.0.9"], 32);
        let mut places: Vec<_> = (0..4 * 30).map(|_| routes.take(0, &[]).expect("room")).collect();
        assert!(routes.all.iter().all(|route| route.used.get() == 30));
        assert!(routes.take(0, &[]).is_none(), "a sixteenth of the ports is left alone");
        let text = metrics.encode();
        assert!(text.contains("baton_limit{name=\"broker_connections\"} 120"), "{text}");
        assert!(text.contains("baton_limit_used{name=\"broker_connections\"} 120"), "{text}");
        let gone = places.pop().expect("some");
        let route = Rc::clone(&gone.route);
        drop(gone);
        assert!(Rc::ptr_eq(&routes.take(0, &[]).expect("the one that came free").route, &route));
    }

    #[test]
    fn ports_that_end_early_are_not_asked_for_again_at_once() {
        let (routes, _) = routes(&["tcp://10.0.0.1:1"], &[], 32);
        let place = routes.take(5, &[]).expect("room");
        place.route.ports_ended(5);
        assert!(routes.take(5, &[]).is_none() && routes.take(5 + PORTS_PAUSE - 1, &[]).is_none());
        assert!(routes.take(5 + PORTS_PAUSE, &[]).is_some());
    }

    #[test]
    fn a_way_on_which_nobody_answers_is_the_last_choice() {
        let (routes, _) = routes(&["tcp://10.0.0.1:1", "unix:///m"], &["10.0.0.9"], 4);
        let [dead, live] = routes.all() else { panic!("{routes:?}") };
        assert!(routes.leads_elsewhere(live, 0));
        dead.avoid(0);
        assert!(!routes.leads_elsewhere(live, 0));
        let places: Vec<_> = (0..50).map(|_| routes.take(0, &[]).expect("room")).collect();
        assert!(places.iter().all(|place| Rc::ptr_eq(&place.route, live) && place.route.from.is_none()));
        assert!(Rc::ptr_eq(&routes.take(AVOIDED, &[]).expect("room").route, dead), "it has the fewest");
        live.avoid(AVOIDED);
        assert!(Rc::ptr_eq(&routes.take(AVOIDED, &[]).expect("room").route, dead));
    }

    #[test]
    fn what_was_tried_is_not_tried_again_and_another_address_goes_first() {
        let (routes, _) = routes(&["tcp://10.0.0.1:1", "tcp://10.0.0.2:1"], &["10.0.0.8", "10.0.0.9"], 4);
        let mut tried = Vec::new();
        for to in ["10.0.0.1", "10.0.0.2", "10.0.0.1", "10.0.0.2"] {
            let place = routes.take(0, &tried).expect("one is left");
            // After both addresses were tried, the rest is as good as any.
            assert!(tried.len() >= 2 || place.route.to == Address::parse(&format!("tcp://{to}:1")).unwrap());
            tried.push(Rc::clone(&place.route));
        }
        assert!(routes.take(0, &tried).is_none());
    }

    #[test]
    fn a_way_keeps_to_one_family() {
        let (routes, _) = routes(&["tcp://10.0.0.1:1", "tcp://[::1]:1", "tcp://name:1"], &["10.0.0.9", "::2"], 4);
        let ways: Vec<_> = routes.all.iter().map(|r| format!("{} {}", r.from.expect("given"), r.to)).collect();
        let expected = ["10.0.0.9 tcp://10.0.0.1:1", "::2 tcp://[::1]:1", "10.0.0.9 tcp://name:1", "::2 tcp://name:1"];
        assert_eq!(ways, expected);
    }
}
