//! Bytes that sessions or tunnels hold, against one limit for the process. When all hold too much, those that hold most
//! go: they are the ones that stand still.
//!
//! Only those that hold 4 KiB or more are in the table: an idle one, or one whose messages flow, costs nothing here.

use std::{
    cell::{Cell, RefCell},
    cmp::Reverse,
    collections::BTreeMap,
    rc::Rc,
    task::{Context, Waker},
};

use baton_process::metrics::{Gauge, Metrics};

/// Bytes from which on a session or a tunnel is known by itself: a few ordinary messages are less.
const HEAVY: usize = 4 * 1024;
/// Of the limit, what is left after some were cut: one search frees so much that the next is far away.
const AFTER_CUT: (u64, u64) = (7, 8);

#[derive(Debug)]
struct Holder {
    bytes: usize,
    cut: bool,
    waker: Waker,
}

/// What all hold together.
#[derive(Debug)]
pub struct Budget {
    limit: u64,
    held: Cell<u64>,
    holders: RefCell<BTreeMap<u64, Holder>>,
    next: Cell<u64>,
    buffered: Gauge,
    used: Gauge,
}

/// What one session or tunnel holds.
#[derive(Debug)]
pub struct Share {
    budget: Rc<Budget>,
    id: u64,
    bytes: usize,
}

impl Budget {
    /// A budget of `limit` bytes (`limits.buffered_bytes`), shown in the metrics as held in `place`.
    pub fn new(limit: u64, place: &'static str, metrics: &Metrics) -> Rc<Self> {
        Rc::new(Self {
            limit,
            held: Cell::new(0),
            holders: RefCell::default(),
            next: Cell::new(0),
            buffered: metrics.buffered_bytes(place),
            used: metrics.limit("buffered_bytes", limit),
        })
    }

    /// Whether new work is to be refused: half is in use, and what is there may yet grow.
    pub fn is_short(&self) -> bool {
        self.held.get() > self.limit / 2
    }

    /// The part of one more session or tunnel.
    pub fn share(self: &Rc<Self>) -> Share {
        let id = self.next.replace(self.next.get() + 1);
        Share { budget: Rc::clone(self), id, bytes: 0 }
    }

    fn set_held(&self, held: u64) {
        self.held.set(held);
        let shown = i64::try_from(held).unwrap_or(i64::MAX);
        self.buffered.set(shown);
        self.used.set(shown);
    }

    /// Bytes held now.
    pub fn held(&self) -> u64 {
        self.held.get()
    }

    /// Tells those that hold most to go.
    fn cut_largest(&self) {
        let mut holders = self.holders.borrow_mut();
        let going: u64 = holders.values().filter(|holder| holder.cut).map(|holder| holder.bytes as u64).sum();
        let mut held = self.held.get() - going;
        if held <= self.limit {
            return;
        }
        let mut largest: Vec<_> =
            holders.iter().filter(|(_, holder)| !holder.cut).map(|(id, holder)| (Reverse(holder.bytes), *id)).collect();
        largest.sort_unstable();
        for (Reverse(bytes), id) in largest {
            if held <= self.limit / AFTER_CUT.1 * AFTER_CUT.0 {
                break;
            }
            held -= bytes as u64;
            if let Some(holder) = holders.get_mut(&id) {
                holder.cut = true;
                holder.waker.wake_by_ref();
            }
        }
        tracing::warn!(event = "budget.exceeded", held = self.held.get(), limit = self.limit);
    }
}

impl Share {
    /// It holds so many bytes now. False: too much is held altogether, and this one is to go.
    pub fn hold(&mut self, bytes: usize, cx: &Context<'_>) -> bool {
        if bytes == self.bytes {
            return bytes < HEAVY || !self.is_cut();
        }
        let before = std::mem::replace(&mut self.bytes, bytes);
        let budget = &self.budget;
        let held = budget.held.get() + bytes as u64 - before as u64;
        budget.set_held(held);
        if bytes < HEAVY {
            return before < HEAVY || !budget.holders.borrow_mut().remove(&self.id).is_some_and(|holder| holder.cut);
        }
        let mut holders = budget.holders.borrow_mut();
        let holder = holders.entry(self.id);
        let holder = holder.or_insert_with(|| Holder { bytes, cut: false, waker: cx.waker().clone() });
        holder.bytes = bytes;
        drop(holders);
        if bytes > before && held > budget.limit {
            budget.cut_largest();
        }
        !self.is_cut()
    }

    fn is_cut(&self) -> bool {
        self.budget.holders.borrow().get(&self.id).is_some_and(|holder| holder.cut)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.bytes > 0 {
            // At most one entry, and none for a light one.
            self.budget.holders.borrow_mut().remove(&self.id);
            self.budget.set_held(self.budget.held.get() - self.bytes as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    const KIB: usize = 1024;

    #[test]
    fn the_largest_go_when_all_hold_too_much() {
        let metrics = Metrics::new("origin");
        let budget = Budget::new(800 * KIB as u64, "splice", &metrics);
        let cx = &Context::from_waker(Waker::noop());
        let mut shares: Vec<_> = (0..4).map(|_| budget.share()).collect();
        let held = [100, 300, 150, 250].map(|n| n * KIB);
        assert!(shares.iter_mut().zip(held).all(|(share, bytes)| share.hold(bytes, cx)), "800 is within the limit");
        assert!(budget.is_short());
        assert!(shares[0].hold(101 * KIB, cx), "the one that went over isn't the largest");
        let again = [101, 300, 150, 250].map(|n| n * KIB);
        let kept: Vec<_> = shares.iter_mut().zip(again).map(|(share, bytes)| share.hold(bytes, cx)).collect();
        assert_eq!(kept, [true, false, true, true], "one is enough to get below 7/8");
        assert!(shares[0].hold(199 * KIB, cx) && shares[3].hold(250 * KIB, cx), "what is on its way out doesn't count");
        shares.remove(1);
        assert_eq!(budget.held(), 599 * KIB as u64);
        let shown = format!("baton_buffered_bytes{{where=\"splice\"}} {}", 599 * KIB);
        assert!(metrics.encode().contains(&shown));
        shares.iter_mut().for_each(|share| assert!(share.hold(0, cx)));
        assert!(!budget.is_short() && budget.holders.borrow().is_empty());
        drop(shares);
        assert_eq!(budget.held(), 0);
    }

    #[test]
    fn what_was_cut_stays_cut() {
        let budget = Budget::new(80 * KIB as u64, "splice", &Metrics::new("origin"));
        let cx = &Context::from_waker(Waker::noop());
        let (mut large, mut small) = (budget.share(), budget.share());
        assert!(large.hold(60 * KIB, cx));
        assert!(small.hold(21 * KIB, cx));
        assert!(!large.hold(0, cx), "even if its destination has taken everything meanwhile");
        assert!(small.hold(30 * KIB, cx));
    }

    #[test]
    fn the_light_are_counted_and_not_listed() {
        let budget = Budget::new(1 << 30, "sessions", &Metrics::new("edge"));
        let cx = &Context::from_waker(Waker::noop());
        let mut share = budget.share();
        for (bytes, listed) in [(10, 0), (HEAVY, 1), (HEAVY - 1, 0), (0, 0), (2 * HEAVY, 1)] {
            assert!(share.hold(bytes, cx));
            assert_eq!((budget.held(), budget.holders.borrow().len()), (bytes as u64, listed));
        }
        drop(share);
        assert_eq!((budget.held(), budget.holders.borrow().len()), (0, 0));
    }
}
