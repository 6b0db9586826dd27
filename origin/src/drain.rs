//! Leaving without ending a session: the edges are asked to move their tunnels, and have the time that it takes.

use std::{rc::Rc, time::Duration};

use baton_process::{config::Drain, run::Exit};
use baton_protocol::limits::Millis;
use tokio::time::timeout;
use tracing::info;

use crate::origin::Origin;

/// Milliseconds over which even a few tunnels move: what the edges and the other origins do besides stays undisturbed.
const SPREAD_LEAST: Millis = 2_000;
/// Tunnels that move in a second: what the anchors and the other origins take with ease.
const MOVES_PER_SECOND: u64 = 5_000;
/// Spreads that fit before the deadline, and milliseconds beyond: for moves that fail and are tried again.
const DEADLINE: (u64, Millis) = (3, 10_000);

/// Spread and deadline for so many tunnels, as far as they aren't given.
fn schedule(given: Drain, tunnels: usize) -> (Millis, Millis) {
    let spread = given.spread.unwrap_or_else(|| SPREAD_LEAST.max(tunnels as u64 * 1_000 / MOVES_PER_SECOND));
    (spread, given.deadline.unwrap_or(DEADLINE.0 * spread + DEADLINE.1))
}

/// Waits for the edges to leave, and cuts off what is left at the deadline.
pub(crate) async fn drain(origin: &Rc<Origin>, given: Drain) -> Exit {
    let begun = origin.worker.now();
    let tunnels = origin.tunnels();
    let (spread, deadline) = schedule(given, tunnels);
    info!(
        event = "origin.drain",
        step = "begun",
        origin = %origin.name,
        tunnels,
        edges = origin.edges.len(),
        spread_ms = spread,
        deadline_ms = deadline,
    );
    origin.edges.solicit(begun, spread, deadline);
    // Whether the time was enough shows in what is left.
    let _ = timeout(Duration::from_millis(deadline), origin.edges.gone()).await;
    let left = origin.tunnels();
    origin.edges.cut();
    let (moved, ms) = (tunnels.saturating_sub(left), origin.worker.now() - begun);
    info!(event = "origin.drain", step = "done", origin = %origin.name, moved, left, ms);
    if left == 0 { Exit::Done } else { Exit::Left(left) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_grows_with_what_there_is_to_move() {
        let computed = Drain { spread: None, deadline: None };
        assert_eq!(schedule(computed, 0), (2_000, 16_000));
        assert_eq!(schedule(computed, 10_000), (2_000, 16_000));
        assert_eq!(schedule(computed, 50_000), (10_000, 40_000));
        assert_eq!(schedule(Drain { spread: Some(0), ..computed }, 50_000), (0, 10_000));
        assert_eq!(schedule(Drain { spread: Some(1_000), deadline: Some(500) }, 1), (1_000, 500));
    }
}
