//! The origins: connections to them, which of them a session attaches through, and when it may.
//!
//! A task per configured origin keeps a connection up that has room and isn't solicited; each connection has a task
//! that listens on its control stream. Sessions ask here for leave to attach.

pub(crate) mod link;

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::{Rc, Weak},
    task::{Context, Waker},
    time::Duration,
};

use baton_link::{LinkEnd, Trunk, Worker, control::Control, rate::Rate, settings::TUNNELS_PER_TRUNK, trunk::Connected};
use baton_process::{health::Ready, metrics::Metrics, net::Dial};
use baton_protocol::{capsule::Solicit, id::NodeName, limits::Millis};
use rand::{RngExt, rngs::SmallRng};
use tokio::{
    sync::{Notify, oneshot},
    task::spawn_local,
    time::{sleep, timeout},
};
use tracing::{info, warn};

pub(crate) use self::link::{Link, Permission, Waiting};
use crate::{
    backoff::Backoff,
    choice::{Avoid, Candidate, Health, choose},
    pacing::{Homes, Outcome, homes::HOMES},
};

/// Time for a connection to an origin to be made.
const DIAL: Duration = Duration::from_secs(3);
/// Longest wait before an origin is dialed again: one that restarts is back within about a second.
const REDIAL_MAX: Millis = 1_000;
/// Milliseconds that a connection must have lived for the next to be dialed without a wait: an origin that takes
/// connections and drops them would have us dial all the time.
const LIVED: Millis = 2_000;
/// Tunnels short of a trunk's limit at which a further one is opened.
const SPARE_TUNNELS: usize = TUNNELS_PER_TRUNK / 8;
/// What GOAWAY, or a control stream that ended, stands for where there was no SOLICIT.
const UNANNOUNCED: Solicit = Solicit { spread: 10_000, deadline: 30_000, reason: 0 };

/// What every session's task has in common: how to reach it.
#[derive(Debug, Default)]
struct Sessions {
    wakers: RefCell<BTreeMap<u64, Waker>>,
    next: Cell<u64>,
}

/// The origins, as the sessions of one worker see them.
#[derive(Debug)]
pub(crate) struct Origins {
    pub(crate) edge: NodeName,
    pub(crate) worker: Rc<Worker>,
    pub(crate) metrics: Metrics,
    pub(crate) chance: RefCell<SmallRng>,
    addresses: Vec<String>,
    ready: Ready,
    links: RefCell<Vec<Rc<Link>>>,
    health: RefCell<Vec<Health>>,
    homes: RefCell<Homes>,
    /// The homes' names, for sessions to share; as many as there may be homes.
    names: RefCell<BTreeSet<NodeName>>,
    open_rate: RefCell<Rate>,
    /// Sessions that wait to open, as they came; only the first asks.
    opening: RefCell<BTreeMap<u64, Waker>>,
    /// Sessions that found no origin to attach through.
    stranded: RefCell<BTreeMap<u64, Waker>>,
    sessions: Sessions,
    /// Per origin: another connection may be wanted.
    wanted: Vec<Notify>,
}

impl Origins {
    pub(crate) fn new(
        edge: NodeName,
        addresses: Vec<String>,
        worker: Rc<Worker>,
        metrics: Metrics,
        ready: Ready,
        opens_per_second: u32,
        chance: SmallRng,
    ) -> Rc<Self> {
        let (health, wanted) = addresses.iter().map(|_| (Health::new(), Notify::new())).unzip();
        Rc::new(Self {
            edge,
            worker,
            metrics,
            chance: RefCell::new(chance),
            addresses,
            ready,
            links: RefCell::default(),
            health: RefCell::new(health),
            homes: RefCell::default(),
            names: RefCell::default(),
            open_rate: RefCell::new(Rate::new(opens_per_second)),
            opening: RefCell::default(),
            stranded: RefCell::default(),
            sessions: Sessions::default(),
            wanted,
        })
    }

    /// Starts to keep connections to all origins.
    pub(crate) fn start<D: Dial>(self: &Rc<Self>, dial: &D) {
        self.ready.clear("no origin is up");
        for origin in 0..self.addresses.len() {
            spawn_local(keep(Rc::clone(self), origin, dial.clone()));
        }
    }

    /// Where an origin's links are.
    pub(crate) fn address(&self, origin: usize) -> &str {
        &self.addresses[origin]
    }

    // ---- sessions

    /// A number for a session, by which it queues.
    pub(crate) fn number(&self) -> u64 {
        self.sessions.next.replace(self.sessions.next.get() + 1)
    }

    /// Lets a session be woken when an origin wants to be left, or the process ends.
    pub(crate) fn enroll(&self, number: u64, waker: &Waker) {
        self.sessions.wakers.borrow_mut().insert(number, waker.clone());
    }

    /// The session is over.
    pub(crate) fn forget(&self, number: u64) {
        self.sessions.wakers.borrow_mut().remove(&number);
        self.stranded.borrow_mut().remove(&number);
        self.leave_opening(number);
    }

    /// Wakes every session.
    pub(crate) fn wake_all(&self) {
        self.sessions.wakers.borrow().values().for_each(Waker::wake_by_ref);
    }

    /// Returns when the homes have heard of every session with a tunnel that it is over, or the link's time for that has
    /// passed.
    pub(crate) async fn settled(&self) {
        let links = self.links.borrow().clone();
        for link in links {
            link.trunk.state().empty().await;
        }
    }

    /// This name, held once for all sessions of the home.
    pub(crate) fn shared(&self, home: NodeName) -> NodeName {
        let mut names = self.names.borrow_mut();
        if let Some(held) = names.get(&home) {
            return held.clone();
        }
        if names.len() < HOMES {
            names.insert(home.clone());
        }
        home
    }

    // ---- leave to attach

    fn choose(&self, avoid: Avoid<'_>) -> Option<Rc<Link>> {
        let (links, health) = (self.links.borrow(), self.health.borrow());
        let candidates: Vec<Candidate<'_>> = links.iter().map(|link| link.candidate(&health[link.origin])).collect();
        let chosen = choose(&candidates, avoid, self.worker.now(), &mut *self.chance.borrow_mut())?;
        let link = Rc::clone(&links[chosen]);
        if !link.has_room(SPARE_TUNNELS) {
            self.wanted[link.origin].notify_one();
        }
        Some(link)
    }

    /// Nothing takes an attach now: because no origin is up, or because what is up is full, and then a further
    /// connection is wanted.
    fn strand(&self, number: u64, cx: &Context<'_>) {
        self.stranded.borrow_mut().insert(number, cx.waker().clone());
        self.wanted.iter().for_each(Notify::notify_one);
    }

    fn wake_stranded(&self) {
        let stranded = std::mem::take(&mut *self.stranded.borrow_mut());
        stranded.into_values().for_each(Waker::wake);
    }

    /// Leave for an open. The session is in the queue from its first call until it has leave or is forgotten.
    pub(crate) fn poll_open(&self, number: u64, failed: Option<usize>, cx: &Context<'_>) -> Leave {
        let first = {
            let mut opening = self.opening.borrow_mut();
            opening.entry(number).or_insert_with(|| cx.waker().clone());
            opening.keys().next() == Some(&number)
        };
        // Nobody is held up by those before it where nobody can go: T_open runs for all alike.
        if !self.links.borrow().iter().any(|link| link.is_usable()) {
            self.strand(number, cx);
            return Leave::NoOrigin;
        }
        if !first {
            return Leave::Queued;
        }
        let Some(link) = self.choose(Avoid { failed, leaving: None }) else {
            self.strand(number, cx);
            return Leave::NoOrigin;
        };
        // Asked before the rate: what the rate admits must start.
        let Some(permission) = link.try_open() else { return Leave::After(OPEN_RETRY) };
        if let Err(wait) = self.open_rate.borrow_mut().admit(self.worker.now()) {
            return Leave::After(wait);
        }
        self.leave_opening(number);
        Leave::Granted(permission)
    }

    /// The session doesn't wait to open any more; the next one asks.
    fn leave_opening(&self, number: u64) {
        let mut opening = self.opening.borrow_mut();
        if opening.remove(&number).is_some() {
            opening.values().take(1).for_each(Waker::wake_by_ref);
        }
    }

    /// A place in the queue for a resume to `home`, on the connection that suits best.
    pub(crate) fn queue_resume(&self, number: u64, ask: &Resuming<'_>, cx: &Context<'_>) -> Result<Waiting, Leave> {
        if let Err(wait) = self.homes.borrow_mut().may_try(ask.home, self.worker.now()) {
            return Err(Leave::After(wait));
        }
        let Some(link) = self.choose(Avoid { failed: ask.failed, leaving: ask.leaving }) else {
            self.strand(number, cx);
            return Err(Leave::NoOrigin);
        };
        let turn = (u8::from(!ask.unacked), number);
        Ok(Waiting::new(link, ask.home, turn, cx.waker()))
    }

    /// What an attach through `origin` came to.
    pub(crate) fn record(&self, origin: usize, home: Option<&NodeName>, outcome: Outcome, origin_at_fault: bool) {
        let now = self.worker.now();
        let health = &mut self.health.borrow_mut()[origin];
        match outcome {
            Outcome::Accepted | Outcome::Answered => health.record_success(now),
            Outcome::TimedOut | Outcome::Unreachable => health.record_failure(now),
            Outcome::Other if origin_at_fault => health.record_failure(now),
            Outcome::Other => {}
        }
        if let Some(home) = home
            && self.homes.borrow_mut().record(home, origin, outcome, now)
        {
            self.wake_all();
        }
    }

    /// A random point of the time until `leave_by`.
    pub(crate) fn move_at(&self, leave_by: Millis, now: Millis) -> Millis {
        now + self.chance.borrow_mut().random_range(0..=leave_by.saturating_sub(now))
    }

    // ---- connections

    /// Those who wait on a connection whose attaches get no answer choose again, where there is another to choose: each
    /// of those before them takes T_attach, and all of them together may take longer than the grace time.
    pub(crate) fn disperse_mute(&self) {
        let links = self.links.borrow();
        if links.iter().any(|link| link.is_usable() && !link.is_mute()) {
            links.iter().filter(|link| link.is_mute()).for_each(|link| link.disperse());
        }
    }

    fn has_room(&self, origin: usize) -> bool {
        self.links.borrow().iter().any(|link| link.origin == origin && link.has_room(SPARE_TUNNELS))
    }

    fn is_leaving(&self, origin: usize, instance: &str) -> bool {
        self.links.borrow().iter().any(|link| link.is_to(origin, instance) && link.leave_by.get().is_some())
    }

    fn add(&self, link: Rc<Link>) {
        info!(event = "link.open", origin = %self.addresses[link.origin], instance = link.instance);
        self.links.borrow_mut().push(link);
        self.show_readiness();
        self.wake_stranded();
        self.disperse_mute();
    }

    fn remove(&self, link: &Rc<Link>, end: &LinkEnd) {
        self.links.borrow_mut().retain(|other| !Rc::ptr_eq(other, link));
        let announced = link.leave_by.get().is_some();
        if !announced {
            self.health.borrow_mut()[link.origin].record_loss(self.worker.now());
        }
        self.metrics.link_closed(end.word());
        info!(event = "link.close", origin = %self.addresses[link.origin], instance = link.instance, how = %end, announced);
        self.show_readiness();
        self.wanted[link.origin].notify_one();
        // Those that waited for a slot here must look elsewhere.
        self.wake_all();
    }

    fn show_readiness(&self) {
        if self.links.borrow().iter().any(|link| link.is_usable()) {
            self.ready.set();
        } else {
            self.ready.clear("no origin is up");
        }
    }

    /// The connection takes no more attaches, and nobody said why.
    pub(crate) fn goes_away(&self, link: &Link) {
        if link.leave_by.get().is_none() {
            self.solicited(link, UNANNOUNCED);
        }
    }

    /// The instance wants to be left: so for every connection to it, since what counts is the process. One at another
    /// address that claims to be the same may be an impostor, and can speak for itself.
    fn solicited(&self, by: &Link, solicit: Solicit) {
        let (origin, instance) = (by.origin, by.instance.as_str());
        let leave_by = self.worker.now().saturating_add(solicit.spread.min(SPREAD_MAX));
        info!(event = "origin.solicits", instance, spread_ms = solicit.spread, deadline_ms = solicit.deadline);
        for link in self.links.borrow().iter().filter(|link| link.is_to(origin, instance)) {
            link.leave_by.set(Some(leave_by));
            self.wanted[link.origin].notify_one();
        }
        self.show_readiness();
        self.wake_all();
    }
}

/// Milliseconds of spread that are believed: a million tunnels at the pace that origins reckon with need 200 s.
const SPREAD_MAX: Millis = 600_000;
/// Least milliseconds between two SOLICITs of one connection that are heeded: each wakes every session.
const SOLICIT_EVERY: Millis = 1_000;
/// Milliseconds after which the first of the queue looks again whether its connection takes another open.
const OPEN_RETRY: Millis = 5;

/// Whether an attach may start.
#[derive(Debug)]
pub(crate) enum Leave {
    /// Now, over this link.
    Granted(Permission),
    /// Others are first; the session is woken.
    Queued,
    /// No origin is up; the session is woken.
    NoOrigin,
    /// Not before so many milliseconds.
    After(Millis),
}

/// A resume that wants leave.
#[derive(Debug)]
pub(crate) struct Resuming<'a> {
    pub(crate) home: &'a NodeName,
    /// Bytes are out that the anchor hasn't acknowledged.
    pub(crate) unacked: bool,
    /// The origin that failed this session last.
    pub(crate) failed: Option<usize>,
    /// The instance that it is to leave.
    pub(crate) leaving: Option<&'a str>,
}

/// Keeps a connection to one origin up that has room for more tunnels.
async fn keep<D: Dial>(origins: Rc<Origins>, origin: usize, dial: D) {
    let (mut backoff, mut said, mut last) = (Backoff::new(), false, None::<(Millis, Weak<Link>)>);
    loop {
        while origins.has_room(origin) {
            // There may be room because some have left since others found none.
            origins.wake_stranded();
            origins.wanted[origin].notified().await;
        }
        match last.take() {
            // One that is only full lives.
            Some((since, link))
                if origins.worker.now() - since < LIVED && !link.upgrade().is_some_and(|link| link.is_usable()) =>
            {
                let wait = backoff.next(&mut *origins.chance.borrow_mut()).min(REDIAL_MAX);
                sleep(Duration::from_millis(wait)).await;
            }
            Some(_) => backoff = Backoff::new(),
            None => {}
        }
        match connect(&origins, origin, &dial).await {
            // A process that is about to go still answers; its successor will be at the same address.
            Ok((control, _)) if origins.is_leaving(origin, control.instance()) => {}
            Ok((control, connected)) => {
                said = false;
                let link = Rc::new(Link::new(origin, control.instance(), connected.trunk));
                origins.add(Rc::clone(&link));
                // Not the link: a connection ends with the last who holds it.
                last = Some((origins.worker.now(), Rc::downgrade(&link)));
                spawn_local(watch(Rc::clone(&origins), link, control, connected.ended));
                continue;
            }
            Err(why) if !said => {
                said = true;
                warn!(event = "origin.unreachable", origin = %origins.addresses[origin], why, "further tries are silent");
            }
            Err(_) => {}
        }
        let wait = backoff.next(&mut *origins.chance.borrow_mut()).min(REDIAL_MAX);
        sleep(Duration::from_millis(wait)).await;
    }
}

async fn connect<D: Dial>(origins: &Rc<Origins>, origin: usize, dial: &D) -> Result<(Control, Connected), String> {
    let address = &origins.addresses[origin];
    let making = async {
        let stream = dial.dial(address).await.map_err(|e| e.to_string())?;
        let connected = Trunk::connect(stream, &origins.worker).await.map_err(|e| e.to_string())?;
        let control = Control::open(&connected.trunk, &origins.edge, address).await.map_err(|e| e.to_string())?;
        Ok((control, connected))
    };
    timeout(DIAL, making).await.unwrap_or_else(|_| Err("timed out".into()))
}

/// Listens to what the origin says about itself, until the connection is gone.
async fn watch(origins: Rc<Origins>, link: Rc<Link>, mut control: Control, mut ended: oneshot::Receiver<LinkEnd>) {
    let mut heeded: Option<Millis> = None;
    let end = loop {
        tokio::select! {
            biased;
            // First what the origin said: it may have gone right after, if no tunnel of ours kept it.
            solicit = control.next() => match solicit {
                Some(solicit) => {
                    let now = origins.worker.now();
                    if heeded.is_none_or(|last| now - last >= SOLICIT_EVERY) {
                        heeded = Some(now);
                        origins.solicited(&link, solicit);
                    }
                }
                None => {
                    if !link.trunk.state().ended() {
                        origins.goes_away(&link);
                    }
                    control.end();
                    break ended.await.unwrap_or(LinkEnd::Closed);
                }
            },
            end = &mut ended => break end.unwrap_or(LinkEnd::Closed),
        }
    };
    origins.remove(&link, &end);
}
