//! The trunks to the homes' anchors: one for each, kept up at all times, and further ones above a number of tunnels.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    time::Duration,
};

use baton_link::{
    LinkEnd, Trunk, Worker,
    settings::TUNNELS_PER_TRUNK,
    trunk::{Connected, TrunkState},
};
use baton_process::{config, health::Ready, metrics::Metrics, net::Dial};
use baton_protocol::{
    attach::{OPEN_PATH, RESUME_PATH},
    id::NodeName,
    limits::Millis,
};
use http::Uri;
use rand::{Rng, RngExt, SeedableRng, rngs::SmallRng};
use tokio::{
    sync::{Notify, oneshot},
    task::spawn_local,
    time::{sleep, timeout},
};
use tracing::{info, warn};

/// Time for a trunk to be made: connection and first round trip.
const DIAL: Duration = Duration::from_secs(5);
/// Milliseconds up to which the first wait after a failed dial lasts; then twice that, and so on.
const RETRY_FIRST: Millis = 50;
/// Milliseconds up to which any wait lasts: a home that is back should be found soon.
const RETRY_LONGEST: Millis = 2_000;
/// Doublings after which `RETRY_LONGEST` is reached.
const DOUBLINGS: u32 = 6;
/// Milliseconds that a trunk must have lived for the next to be dialed without a wait.
const LIVED: Millis = 2_000;
/// Tunnels short of a trunk's limit at which a further one is opened: it's there when it is needed.
const SPARE_TUNNELS: usize = TUNNELS_PER_TRUNK / 8;
/// Trunks to one home: at 4,096 tunnels each more than a process has sessions.
const TRUNKS_PER_HOME: usize = 32;
/// Tunnels on one trunk while no other can be had: HTTP/2 itself stops at 20,000.
const TUNNELS_AT_MOST: usize = 4 * TUNNELS_PER_TRUNK;

const _: () = assert!(RETRY_FIRST << DOUBLINGS >= RETRY_LONGEST);

/// Milliseconds for which no open is sent to a home that has refused one for its broker's or its own sake, where there
/// is another home for it: it is asked again with the next open after that.
const REFUSING: Millis = 2_000;

/// One home's anchor, and the trunks to it.
pub(crate) struct Home {
    pub(crate) name: NodeName,
    address: String,
    /// What the requests ask for; made once, for it's the same for each.
    pub(crate) open: Uri,
    pub(crate) resume: Uri,
    trunks: RefCell<Vec<Trunk>>,
    /// Another trunk may be wanted.
    wanted: Notify,
    /// Until then it counts as one that takes no opens.
    refuses_until: Cell<Millis>,
}

impl Home {
    fn new(home: config::Home) -> Self {
        let uri =
            |path| format!("http://{}{path}", home.address).parse().expect("an address was checked when it was read");
        Self {
            open: uri(OPEN_PATH),
            resume: uri(RESUME_PATH),
            name: home.name,
            address: home.address,
            trunks: RefCell::default(),
            wanted: Notify::new(),
            refuses_until: Cell::new(0),
        }
    }

    /// The trunk with the fewest tunnels.
    pub(crate) fn trunk(&self) -> Result<Trunk, NoTrunk> {
        let trunks = self.trunks.borrow();
        let up = trunks.iter().filter(|trunk| !trunk.state().ended());
        let trunk = up.min_by_key(|trunk| trunk.state().tunnels()).ok_or(NoTrunk::Down)?;
        let tunnels = trunk.state().tunnels();
        if tunnels + SPARE_TUNNELS >= TUNNELS_PER_TRUNK {
            self.wanted.notify_one();
        }
        if tunnels < TUNNELS_AT_MOST { Ok(trunk.clone()) } else { Err(NoTrunk::Full) }
    }

    /// The trunk takes no more tunnels (GOAWAY): another takes its place, while what is on it goes on.
    pub(crate) fn retire(&self, trunk: &Rc<TrunkState>) {
        self.trunks.borrow_mut().retain(|other| !Rc::ptr_eq(other.state(), trunk));
        self.wanted.notify_one();
    }

    pub(crate) fn is_up(&self) -> bool {
        self.trunks.borrow().iter().any(|trunk| !trunk.state().ended())
    }

    /// Whether an open may go there, as far as is known.
    pub(crate) fn takes_opens(&self, now: Millis) -> bool {
        self.is_up() && self.refuses_until.get() <= now
    }

    /// It has taken an open, and may take others.
    pub(crate) fn took_an_open(&self) {
        self.refuses_until.set(0);
    }

    /// It has refused an open for its broker's sake or its own, and is likely to refuse others.
    pub(crate) fn refuses_opens(&self, now: Millis) {
        self.refuses_until.set(now + REFUSING);
    }

    /// Whether no further trunk is wanted.
    fn has_room(&self) -> bool {
        let trunks = self.trunks.borrow();
        let room = |trunk: &Trunk| trunk.state().tunnels() + SPARE_TUNNELS < TUNNELS_PER_TRUNK;
        trunks.len() >= TRUNKS_PER_HOME || trunks.iter().any(room)
    }
}

/// Why there is no trunk for a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoTrunk {
    /// The home can't be reached.
    Down,
    /// Its trunks are full.
    Full,
}

/// All homes, by name.
pub(crate) struct Homes {
    by_name: BTreeMap<NodeName, Rc<Home>>,
    worker: Rc<Worker>,
    metrics: Metrics,
    ready: Ready,
    any_up: Cell<bool>,
}

impl Homes {
    /// Starts to keep trunks to all of them.
    pub(crate) fn keep<D: Dial>(
        homes: Vec<config::Home>,
        dial: &D,
        worker: &Rc<Worker>,
        metrics: &Metrics,
        ready: &Ready,
        chance: &mut SmallRng,
    ) -> Rc<Self> {
        let by_name = homes.into_iter().map(|home| (home.name.clone(), Rc::new(Home::new(home)))).collect();
        let (worker, metrics, ready) = (Rc::clone(worker), metrics.clone(), ready.clone());
        ready.clear(NONE_UP);
        let homes = Rc::new(Self { by_name, worker, metrics, ready, any_up: Cell::new(false) });
        for home in homes.by_name.values() {
            let chance = SmallRng::from_rng(chance);
            spawn_local(keep(Rc::clone(&homes), Rc::clone(home), dial.clone(), chance));
        }
        homes
    }

    /// A home of the table.
    pub(crate) fn get(&self, name: &NodeName) -> Option<&Rc<Home>> {
        self.by_name.get(name)
    }

    fn show_readiness(&self) {
        let any_up = self.by_name.values().any(|home| home.is_up());
        if self.any_up.replace(any_up) == any_up {
            return;
        }
        if any_up {
            self.ready.set();
            info!(event = "origin.ready");
        } else {
            self.ready.clear(NONE_UP);
            warn!(event = "origin.unready", why = NONE_UP);
        }
    }

    /// Counts and tells how a trunk ended. It holds no handle of the trunk: a retired one ends with its last tunnel.
    async fn watch(self: Rc<Self>, home: Rc<Home>, trunk: Rc<TrunkState>, ended: oneshot::Receiver<LinkEnd>) {
        let end = ended.await.unwrap_or(LinkEnd::Closed);
        self.metrics.link_closed(end.word());
        info!(event = "link.close", home = %home.name, address = home.address, how = %end);
        home.retire(&trunk);
        self.show_readiness();
    }
}

const NONE_UP: &str = "no home is up";

/// Keeps a trunk up that has room.
async fn keep<D: Dial>(homes: Rc<Homes>, home: Rc<Home>, dial: D, mut chance: SmallRng) {
    let (mut failures, mut said, mut last_up) = (0, false, None);
    loop {
        while home.has_room() {
            home.wanted.notified().await;
        }
        let now = homes.worker.now();
        if last_up.is_some_and(|at| now - at >= LIVED) {
            failures = 0;
        }
        if failures > 0 {
            sleep(Duration::from_millis(pause(failures, &mut chance))).await;
        }
        // A trunk that comes up and goes at once counts as well: it would be dialed without end.
        failures = (failures + 1).min(DOUBLINGS + 1);
        match connect(&homes, &home, &dial).await {
            Ok(Connected { trunk, ended }) => {
                (said, last_up) = (false, Some(homes.worker.now()));
                info!(event = "link.open", home = %home.name, address = home.address);
                spawn_local(Rc::clone(&homes).watch(Rc::clone(&home), Rc::clone(trunk.state()), ended));
                home.trunks.borrow_mut().push(trunk);
                homes.show_readiness();
            }
            Err(why) if !said => {
                (said, last_up) = (true, None);
                warn!(event = "home.unreachable", home = %home.name, address = home.address, why, "further tries are silent");
            }
            Err(_) => last_up = None,
        }
    }
}

async fn connect<D: Dial>(homes: &Homes, home: &Home, dial: &D) -> Result<Connected, String> {
    let making = async {
        let stream = dial.dial(&home.address).await.map_err(|e| e.to_string())?;
        Trunk::connect(stream, &homes.worker).await.map_err(|e| e.to_string())
    };
    timeout(DIAL, making).await.unwrap_or_else(|_| Err("timed out".into()))
}

/// Milliseconds to wait after so many failures in a row: the upper half of a doubling range, so that origins which lost
/// a home together don't return together.
fn pause(failures: u32, chance: &mut impl Rng) -> Millis {
    let ceiling = (RETRY_FIRST << (failures - 1).min(DOUBLINGS)).min(RETRY_LONGEST);
    chance.random_range(ceiling / 2..=ceiling)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_two_seconds() {
        let mut chance = SmallRng::seed_from_u64(1);
        let ceilings = [50, 100, 200, 400, 800, 1_600, 2_000, 2_000];
        for (failures, ceiling) in (1..).zip(ceilings) {
            let waits: Vec<_> = (0..500).map(|_| pause(failures, &mut chance)).collect();
            assert!(waits.iter().all(|wait| (ceiling / 2..=ceiling).contains(wait)), "{failures}: {waits:?}");
            assert!(waits.iter().max() > waits.iter().min());
        }
    }
}
