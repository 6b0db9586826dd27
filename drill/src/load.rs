//! The standard load: many counted clients that publish to each other, on a thread of their own.
//!
//! A drill goes: [`Load::start`], [`Load::ready`], [`Load::publish`], faults, [`Load::finish`].

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::time::timeout;

use crate::{
    client::{Board, Client, Counts, Options, Pace, Publishing, State},
    ledger::{Dropped, Gap, Ledger, Timeline, Totals, Verdict, Window},
    mqtt::{Qos, encode::Will},
    stage::Stage,
};

/// Clients between their first SYN and being ready, at once: below any listener's backlog, mosquitto's 100 among them;
/// a SYN over it costs a second.
const STARTING: u32 = 64;
/// How long clients that were told to leave may take.
const LEAVING: Duration = Duration::from_secs(10);

/// Who publishes to whom. Each publisher has a topic of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Nobody publishes.
    Idle,
    /// Clients 2i and 2i+1 publish to each other.
    Pairs,
    /// Client 2i publishes to client 2i+1.
    OneWay,
    /// Groups of one publisher and this many receivers.
    Fans(u32),
    /// Each client publishes to itself: no one's messages depend on anybody else.
    Selves,
}

/// How fast.
#[derive(Clone, Copy, Debug)]
pub enum Tempo {
    /// Messages published per second, by all together.
    Rate(u32),
    /// Each publisher keeps this many messages under way.
    Closed(u32),
}

/// A load.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where to connect, in turn.
    pub addresses: Vec<SocketAddr>,
    /// Number of clients.
    pub clients: u32,
    /// Who publishes to whom.
    pub shape: Shape,
    /// Qualities of service, in turn; not empty.
    pub mix: Vec<Qos>,
    /// How fast.
    pub tempo: Tempo,
    /// Bytes of payload.
    pub payload: usize,
    /// MQTT keep alive in seconds.
    pub keep_alive: u16,
    /// Whether each client has a will, to the topic that it publishes to: a broker that publishes one shows in the
    /// verdict as a stray.
    pub wills: bool,
    /// Begins client ids and topics, so that loads don't meet.
    pub name: String,
    /// Local addresses 127.0.0.1 … to connect from; 0 leaves it to the kernel.
    pub sources: u8,
    /// How long a client waits for its CONNACK.
    pub patience: Duration,
    /// Time after which a client that was dropped connects again; `None`: never.
    pub returning: Option<Duration>,
    /// Whether a client that connects again is another one in the ledger ([`Options::reborn`]); for clients that are
    /// heard by nobody else only.
    pub reborn: bool,
    /// MQTT user name of all of them.
    pub username: Option<String>,
}

impl Plan {
    /// Pairs with small messages of all qualities of service, one a second per client.
    pub fn new(name: &str, addresses: &[SocketAddr], clients: u32) -> Self {
        Self {
            addresses: addresses.to_vec(),
            clients,
            shape: Shape::Pairs,
            mix: Qos::ALL.to_vec(),
            tempo: Tempo::Rate(clients),
            payload: 64,
            keep_alive: 60,
            wills: false,
            name: name.to_owned(),
            sources: 0,
            patience: Duration::from_secs(30),
            returning: None,
            reborn: false,
            username: None,
        }
    }

    /// The MQTT client id of a client.
    pub fn client_id(&self, number: u32) -> String {
        format!("{}-{number:05}", self.name)
    }

    /// Clients that receive what one client publishes.
    fn receivers(&self, number: u32) -> u32 {
        match self.shape {
            Shape::Idle => 0,
            Shape::Pairs => u32::from(number ^ 1 < self.clients),
            Shape::OneWay => u32::from(number.is_multiple_of(2) && number + 1 < self.clients),
            Shape::Fans(fan) if number.is_multiple_of(fan + 1) => fan.min(self.clients - 1 - number),
            Shape::Fans(_) => 0,
            Shape::Selves => 1,
        }
    }

    /// Whose messages a client receives.
    fn publisher(&self, number: u32) -> Option<u32> {
        match self.shape {
            Shape::Idle => None,
            Shape::Pairs => Some(number ^ 1).filter(|partner| *partner < self.clients),
            Shape::OneWay => (number % 2 == 1).then(|| number - 1),
            Shape::Fans(fan) => Some(number - number % (fan + 1)).filter(|publisher| *publisher != number),
            Shape::Selves => Some(number),
        }
    }

    /// Clients that kept their connection, or got one as somebody else.
    fn survivors(&self, ledger: &Ledger) -> u32 {
        let lost = u32::try_from(ledger.ended().len()).unwrap_or(u32::MAX);
        if self.reborn { self.clients } else { self.clients.saturating_sub(lost) }
    }

    fn publishers(&self) -> u32 {
        (0..self.clients).map(|number| u32::from(self.receivers(number) > 0)).sum()
    }

    fn options(&self, number: u32, publishers: u32) -> Options {
        let address = self.addresses[usize::try_from(number).unwrap_or(0) % self.addresses.len()];
        let receivers = self.receivers(number);
        let pace = match self.tempo {
            Tempo::Rate(rate) => {
                let interval = Duration::from_secs(publishers.into()) / rate.max(1);
                Pace::Every { interval, offset: interval.mul_f64(f64::from(number) / f64::from(self.clients)) }
            }
            Tempo::Closed(window) => Pace::Closed { window, receivers },
        };
        let publishing =
            (receivers > 0).then(|| Publishing { payload: self.payload, ..Publishing::new(number, &self.mix, pace) });
        let [.., low] = number.to_be_bytes();
        let source =
            low.checked_rem(self.sources).map(|nth| IpAddr::V4(Ipv4Addr::new(127, 0, 0, nth.saturating_add(1))));
        Options {
            source,
            keep_alive: self.keep_alive,
            subscriptions: self.publisher(number).into_iter().collect(),
            // No higher than it needs, for brokers that haven't all three.
            subscribed_at: self.mix.iter().copied().max().unwrap_or(Qos::ExactlyOnce),
            publishing,
            will: self.wills.then(|| Will {
                topic: Board::topic_of(&self.name, number),
                payload: b"the will".to_vec(),
                qos: Qos::AtLeastOnce,
            }),
            patience: self.patience,
            returning: self.returning,
            reborn: self.reborn.then_some(self.clients),
            username: self.username.clone(),
            ..Options::new(number, address, self.client_id(number))
        }
    }
}

/// How a load stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Clients by state; those that weren't started yet are in none.
    pub counts: Counts,
    /// Messages so far.
    pub totals: Totals,
}

/// Something didn't happen in time.
#[derive(Clone, Debug)]
pub struct Late {
    /// How the load stood then.
    pub progress: Progress,
    /// The first thing that went wrong, if anything did.
    pub first_fault: Option<String>,
}

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Progress { counts, totals } = self.progress;
        write!(
            f,
            "the load didn't get there in time: clients are {} starting, {} ready, {} dropped, {} gone; {} messages sent, {} \
             received",
            counts.starting, counts.ready, counts.dropped, counts.left, totals.sent, totals.received
        )?;
        self.first_fault.iter().try_for_each(|fault| write!(f, "; first fault: {fault}"))
    }
}

impl std::error::Error for Late {}

/// The end of a load.
#[derive(Clone, Debug)]
pub struct Report {
    /// The judgement of everything.
    pub verdict: Verdict,
    /// The judgement of what passed between clients that kept their connection.
    pub survivors: Verdict,
    /// Clients that lost their connection, and how.
    pub ended: Vec<(u32, Dropped)>,
    /// Long waits for a message.
    pub gaps: Vec<Gap>,
    /// How many there were beyond those.
    pub gaps_beyond: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.verdict.fmt(f)
    }
}

struct Cast {
    plan: Plan,
    board: Rc<Board>,
    clients: std::cell::RefCell<Vec<Client>>,
}

impl Cast {
    async fn enter(self: Rc<Self>) {
        let publishers = self.plan.publishers();
        for number in 0..self.plan.clients {
            self.board.until(|| self.board.counts().starting < STARTING).await;
            let client = Client::start(self.plan.options(number, publishers), &self.board);
            self.clients.borrow_mut().push(client);
        }
    }

    fn progress(&self) -> Progress {
        Progress { counts: self.board.counts(), totals: self.board.with_ledger(|ledger| ledger.totals()) }
    }

    async fn until(&self, patience: Duration, condition: impl Fn(&Progress) -> bool) -> Result<Progress, Late> {
        match timeout(patience, self.board.until(|| condition(&self.progress()))).await {
            Ok(()) => Ok(self.progress()),
            Err(_) => {
                let first_fault = self.board.with_ledger(|ledger| ledger.verdict(0).first_fault);
                Err(Late { progress: self.progress(), first_fault })
            }
        }
    }

    async fn finish(&self, patience: Duration) -> Report {
        self.clients.borrow().iter().for_each(Client::stop_publishing);
        // What hasn't settled by then shows in the verdict.
        drop(timeout(patience, self.board.until(|| self.board.with_ledger(|ledger| ledger.settled()))).await);
        let report = self.board.with_ledger(|ledger| {
            for (number, client) in (0..).zip(self.clients.borrow().iter()) {
                if matches!(client.state(), State::Connecting | State::Subscribing) {
                    ledger.dropped(number, "never ready", self.board.now());
                }
            }
            Report {
                verdict: ledger.verdict(self.plan.clients),
                survivors: ledger.verdict_of_survivors(self.plan.survivors(ledger)),
                ended: ledger.ended().iter().map(|(number, dropped)| (*number, *dropped)).collect(),
                gaps: ledger.gaps().to_vec(),
                gaps_beyond: ledger.gaps_beyond(),
            }
        });
        self.clients.borrow().iter().for_each(Client::leave);
        let gone = || {
            let counts = self.board.counts();
            counts.starting + counts.ready == 0
        };
        // Clients that the other side keeps end with the stage.
        drop(timeout(LEAVING, self.board.until(gone)).await);
        report
    }
}

/// A load that runs. Dropping it drops its clients' connections.
#[derive(Debug)]
pub struct Load {
    stage: Stage<Cast>,
    plan: Plan,
}

impl Load {
    /// Begins to connect the clients, a bounded number at once.
    ///
    /// # Errors
    /// If no thread can be had.
    ///
    /// # Panics
    /// If the plan has no address or no quality of service, or clients that are reborn and publish to others.
    pub fn start(plan: Plan) -> io::Result<Self> {
        assert!(!plan.addresses.is_empty() && !plan.mix.is_empty(), "a load needs an address and a quality of service");
        assert!(!plan.reborn || matches!(plan.shape, Shape::Selves | Shape::Idle), "others don't know of a new topic");
        let cast = plan.clone();
        let stage = Stage::new(&plan.name, move || {
            let board = Board::new(&cast.name);
            Cast { plan: cast, board, clients: Default::default() }
        })?;
        stage.call(|cast| async move { drop(tokio::task::spawn_local(cast.enter())) });
        Ok(Self { stage, plan })
    }

    /// What it was asked to be.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Waits until every client is connected and subscribed.
    ///
    /// # Errors
    /// If that takes longer than `patience`, or a client was dropped.
    pub fn ready(&self, patience: Duration) -> Result<(), Late> {
        let clients = self.plan.clients;
        let settled = move |p: &Progress| p.counts.ready + p.counts.dropped == clients;
        let progress = self.until(patience, settled)?;
        if progress.counts.dropped == 0 {
            return Ok(());
        }
        self.until(Duration::ZERO, |_| false).map(drop)
    }

    /// Waits until `condition` holds, looking at every change.
    ///
    /// # Errors
    /// If that takes longer than `patience`.
    pub fn until(
        &self,
        patience: Duration,
        condition: impl Fn(&Progress) -> bool + Send + 'static,
    ) -> Result<Progress, Late> {
        self.stage.call(move |cast| async move { cast.until(patience, condition).await })
    }

    /// Waits until `messages` more have been received.
    ///
    /// # Errors
    /// If that takes longer than `patience`.
    pub fn received(&self, messages: u64, patience: Duration) -> Result<Progress, Late> {
        let target = self.progress().totals.received + messages;
        self.until(patience, move |progress| progress.totals.received >= target)
    }

    /// All publishers begin, or go on.
    pub fn publish(&self) {
        self.each(Client::publish);
    }

    /// All publishers stop; messages under way go on.
    pub fn stop(&self) {
        self.each(Client::stop_publishing);
    }

    /// How it stands.
    pub fn progress(&self) -> Progress {
        self.stage.call(|cast| async move { cast.progress() })
    }

    /// When the clock of its ledger stood at zero.
    pub fn zero(&self) -> Instant {
        self.stage.call(|cast| async move { cast.board.zero() })
    }

    /// Microseconds on the clock of its ledger.
    pub fn now(&self) -> u64 {
        self.stage.call(|cast| async move { cast.board.now() })
    }

    /// What has happened until now, tick by tick.
    pub fn timeline(&self) -> Timeline {
        self.stage.call(|cast| async move {
            let now = cast.board.now();
            cast.board.with_ledger(|ledger| ledger.timeline(now))
        })
    }

    /// What has happened since this was last asked.
    pub fn take_window(&self) -> Window {
        self.stage.call(|cast| async move {
            let now = cast.board.now();
            cast.board.with_ledger(|ledger| ledger.take_window(now))
        })
    }

    /// The first thing that went wrong so far.
    pub fn first_fault(&self) -> Option<String> {
        self.stage.call(|cast| async move { cast.board.with_ledger(|ledger| ledger.verdict(0).first_fault) })
    }

    /// Directs one client, or looks at it: `load.client(3, Client::pause_reading)`. `None` while it isn't started.
    pub fn client<R: Send + 'static>(
        &self,
        number: u32,
        direct: impl FnOnce(&Client) -> R + Send + 'static,
    ) -> Option<R> {
        let at = usize::try_from(number).ok()?;
        self.stage.call(move |cast| async move { cast.clients.borrow().get(at).map(direct) })
    }

    /// Stops publishing, waits up to `patience` until everything between the clients that are left has arrived and
    /// been acknowledged, lets all leave in order, and judges.
    pub fn finish(self, patience: Duration) -> Report {
        self.stage.call(move |cast| async move { cast.finish(patience).await })
    }

    fn each(&self, direct: fn(&Client)) {
        self.stage.call(move |cast| async move { cast.clients.borrow().iter().for_each(direct) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(shape: Shape, clients: u32) -> Plan {
        Plan { shape, ..Plan::new("plan", &[SocketAddr::from((Ipv4Addr::LOCALHOST, 1883))], clients) }
    }

    #[test]
    fn whoever_publishes_is_heard_by_as_many_as_it_believes() {
        for shape in [Shape::Idle, Shape::Pairs, Shape::OneWay, Shape::Fans(1), Shape::Fans(3), Shape::Selves] {
            for clients in 0..12 {
                let plan = plan(shape, clients);
                for publisher in 0..clients {
                    let heard = (0..clients).filter(|number| plan.publisher(*number) == Some(publisher)).count();
                    assert_eq!(u32::try_from(heard), Ok(plan.receivers(publisher)), "{plan:?} {publisher}");
                }
            }
        }
        assert_eq!(plan(Shape::Pairs, 10).publishers(), 10);
        assert_eq!(plan(Shape::OneWay, 10).publishers(), 5);
        assert_eq!(plan(Shape::Fans(4), 10).publishers(), 2);
    }

    #[test]
    fn a_rate_is_shared_and_spread() {
        let plan = Plan { tempo: Tempo::Rate(100), sources: 3, ..plan(Shape::OneWay, 8) };
        let options = plan.options(4, plan.publishers());
        let pace = options.publishing.expect("4 publishes").pace;
        assert!(matches!(pace, Pace::Every { interval, offset }
            if interval == Duration::from_millis(40) && offset == Duration::from_millis(20)));
        assert_eq!(options.source, Some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2))));
        assert!(plan.options(5, plan.publishers()).publishing.is_none());
    }
}
