//! What edges and brokers have counted, as their metrics or logs show it.

use std::ops::Sub;

use baton_drill::tier::{Error, Role, Tier};

/// Sums since the processes started; edges and brokers run through the whole demo.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Books {
    /// CONNECTs at the brokers.
    pub(super) connects: u64,
    /// Wills that the brokers published.
    pub(super) wills: u64,
    /// Clients that edges closed, for whatever cause.
    pub(super) closes: u64,
    /// Sessions that moved make-before-break.
    pub(super) planned: u64,
    /// Sessions that moved after their tunnel was lost.
    pub(super) broken: u64,
}

impl Books {
    pub(super) fn take(tier: &Tier) -> Result<Self, Error> {
        let mut books = Self::default();
        for broker in [Role::BrokerSim, Role::Broker].into_iter().flat_map(|role| tier.names(role)) {
            books.connects += whole(tier.connects(&broker)?);
            books.wills += whole(tier.wills(&broker)?);
        }
        for edge in tier.names(Role::Edge) {
            let edge = tier.metrics(&edge)?;
            let moves = |kind| whole(edge.total("baton_moves_total", &[("kind", kind), ("outcome", "accepted")]));
            books.closes += whole(edge.total("baton_client_closes_total", &[]));
            books.planned += moves("planned");
            books.broken += moves("broken");
        }
        Ok(books)
    }
}

/// What was counted since an earlier look. A process that was started again meanwhile counts from 0.
impl Sub for Books {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            connects: self.connects.saturating_sub(earlier.connects),
            wills: self.wills.saturating_sub(earlier.wills),
            closes: self.closes.saturating_sub(earlier.closes),
            planned: self.planned.saturating_sub(earlier.planned),
            broken: self.broken.saturating_sub(earlier.broken),
        }
    }
}

/// Tunnels that an origin carries.
pub(super) fn tunnels(tier: &Tier, origin: &str) -> Result<u64, Error> {
    Ok(whole(tier.metrics(origin)?.total("baton_tunnels", &[])))
}

/// Metrics are floating-point; counts are far below 2^53.
#[expect(clippy::cast_possible_truncation, reason = "a float saturates when it is cast")]
pub(super) fn whole(value: f64) -> u64 {
    value as u64
}
