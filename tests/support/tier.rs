//! A tier of real processes, and how to tell what it did: what every target of tests with real processes shares.

#[path = "skip.rs"]
mod skip;

use std::time::Duration;

use baton_drill::tier::{Broker, Error, Layout, Role, Tier};

pub(crate) use self::skip::skip;

/// The program under test.
pub(crate) const BATON: &str = env!("CARGO_BIN_EXE_baton");
/// Longest wait for what takes seconds at most.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);
/// Time between two looks at what others do.
const LOOK: Duration = Duration::from_millis(20);

/// Two edges, so many origins, two homes that share their topics.
pub(crate) fn layout(broker: Broker, origins: u16) -> Layout {
    // A drain's computed time is for thousands of sessions.
    let layout = Layout { broker, edges: 2, origins, homes: 2, ..Layout::new(BATON) };
    layout.set(Role::Origin, "drain.spread", "500ms")
}

/// The processes, not started yet; none, with a note, where the broker isn't installed.
pub(crate) fn tier(layout: Layout) -> Option<Tier> {
    match Tier::new(layout) {
        Err(error @ Error::NotInstalled(_)) => {
            skip(&error.to_string());
            None
        }
        tier => Some(tier.expect("ports and a directory")),
    }
}

/// The processes, all ready.
pub(crate) fn start(layout: Layout) -> Option<Tier> {
    let mut tier = tier(layout)?;
    // A sidecar looks for its broker every other second; so it should be there first.
    for broker in tier.names(Role::Broker) {
        tier.restart(&broker).expect("the broker starts");
    }
    tier.start_all().expect("the tier starts");
    Some(tier)
}

/// The sum of a counter over all edges.
pub(crate) fn edges_total(tier: &Tier, name: &str, labels: &[(&str, &str)]) -> f64 {
    let value = |edge: &String| tier.metrics(edge).expect("edges answer").total(name, labels);
    tier.names(Role::Edge).iter().map(value).sum()
}

/// Sessions that changed their tunnel in this way: `planned` or `broken`.
pub(crate) fn moved(tier: &Tier, kind: &str) -> f64 {
    edges_total(tier, "baton_moves_total", &[("kind", kind), ("outcome", "accepted")])
}

/// Clients that the edges have closed for this cause.
pub(crate) fn closed(tier: &Tier, cause: &str) -> f64 {
    edges_total(tier, "baton_client_closes_total", &[("cause", cause)])
}

/// Waits until `condition` holds.
#[expect(clippy::disallowed_methods, reason = "other processes change what is looked at, and no session waits here")]
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..PATIENCE.as_millis() / LOOK.as_millis() {
        if condition() {
            return;
        }
        std::thread::sleep(LOOK);
    }
    panic!("it took too long: {what}");
}

/// Sessions of all edges in this state.
pub(crate) fn sessions(tier: &Tier, state: &str) -> f64 {
    edges_total(tier, "baton_sessions", &[("state", state)])
}

/// Whether both edges are connected to an origin, however often it was started.
pub(crate) fn is_known(tier: &Tier, origin: &str) -> bool {
    let log = tier.log(origin).expect("it has one");
    let since = log.rfind("origin.start").unwrap_or(0);
    let edge = |line: &&str| line.contains("link.open") && line.contains("edge=");
    log[since..].lines().filter(edge).count() >= 2
}

/// Tunnels that an origin carries.
pub(crate) fn carried(tier: &Tier, origin: &str) -> f64 {
    tier.metrics(origin).expect("it answers").total("baton_tunnels", &[])
}

/// CONNECTs that the brokers have seen.
pub(crate) fn connects(tier: &Tier) -> f64 {
    let brokers = [Role::BrokerSim, Role::Broker].into_iter().flat_map(|role| tier.names(role));
    brokers.map(|broker| tier.connects(&broker).expect("it says")).sum()
}

/// Drains an origin as a deploy does. Returns how many sessions moved: all that it carried, each make-before-break.
pub(crate) fn drain(tier: &mut Tier, origin: &str) -> f64 {
    let (planned, broken) = (moved(tier, "planned"), moved(tier, "broken"));
    let carried = carried(tier, origin);
    tier.terminate(origin).expect("it runs");
    let status = tier.exit(origin, PATIENCE).expect("it ends");
    let log = tier.log(origin).expect("it has one");
    let last = log.lines().rfind(|line| line.contains("origin.drain")).unwrap_or_default();
    assert!(status.success() && last.contains(&format!("moved={carried} left=0")), "{status}: {last}");
    // The last tunnel may have ended just before its edge heard that the next is accepted.
    until("its sessions have moved", || moved(tier, "planned") + moved(tier, "broken") >= planned + broken + carried);
    assert_eq!(moved(tier, "broken"), broken, "a move wasn't make-before-break");
    assert_eq!(moved(tier, "planned"), planned + carried, "each of its sessions moves once");
    carried
}
