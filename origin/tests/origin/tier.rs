//! The origin under test, and the edges and anchors around it.

use std::{cell::RefCell, future::poll_fn, io, rc::Rc, time::Duration};

use baton_link::{
    LinkEnd, Trunk, Worker,
    budget::Budget,
    control::Control,
    trunk::{self, Connected, TrunkState},
};
use baton_origin::Config;
use baton_process::{
    config::{Inputs, Reader, Shared},
    env::Env,
    health::Health,
    metrics::Metrics,
    net::{Dial, Listen},
    phase::{Phase, Phases},
    role::Role,
    run::Exit,
};
use baton_protocol::{
    attach::{self, Accepted, Attach, Open, Refused, Resume},
    id::{Epoch, NodeName, SessionKey, UserId},
};
use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream, client::ResponseFuture, server::SendResponse};
use http::{HeaderMap, Request, Response};
use tokio::{
    sync::{mpsc, oneshot},
    task::{JoinHandle, spawn_local},
    time::{sleep, timeout},
};

use crate::net::{Listener, Network};

/// Longest wait, on the test's clock, for something that must come.
const PATIENCE: Duration = Duration::from_secs(60);
/// Attaches that wait for the test to look at them.
const ATTACHES: usize = 8_192;
const ORIGIN: &str = "127.0.0.1:7101";

/// Waits for what must come.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("it must come")
}

/// Waits until something holds.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    soon(async {
        while !condition() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

pub(crate) fn name(name: &str) -> NodeName {
    NodeName::new(name).expect("a legal name")
}

/// An origin with the home "a".
pub(crate) struct Tier {
    pub(crate) network: Network,
    pub(crate) worker: Rc<Worker>,
    pub(crate) metrics: Metrics,
    pub(crate) health: Health,
    phases: Phases,
    exit: JoinHandle<io::Result<Exit>>,
}

impl Tier {
    /// An origin, with these settings besides.
    pub(crate) fn start(sets: &[&str]) -> Self {
        let sets = ["origin.homes.a=127.0.0.1:7201"].iter().chain(sets).map(|set| (*set).to_owned()).collect();
        let mut reader = Reader::new(&Inputs { sets, ..Inputs::default() });
        let (shared, config) = (Shared::read(&mut reader, Role::Origin), Config::read(&mut reader));
        reader.finish().expect("no mistake");
        let env = Env::simulated(Role::Origin, shared, 7);
        let network = Network::default();
        let (metrics, phases) = (env.metrics.clone(), env.phases.clone());
        let health = Health::new(&phases, &env.ready, env.clock);
        let worker = Worker::start(env.clock, Budget::new(1 << 30, "test", &Metrics::new("test")));
        let exit = spawn_local(baton_origin::run(config, env, network.listen(ORIGIN), network.clone()));
        Self { network, worker, metrics, health, phases, exit }
    }

    /// An origin with one edge and the anchor of home "a", connected.
    pub(crate) async fn whole(sets: &[&str]) -> (Self, Edge, Anchor) {
        let tier = Self::start(sets);
        let anchor = tier.anchor(7201);
        until(|| tier.health.readiness().is_ok()).await;
        let edge = tier.edge("edge-1").await;
        (tier, edge, anchor)
    }

    /// Starts the anchor of a home.
    pub(crate) fn anchor(&self, port: u16) -> Anchor {
        let (sender, attaches) = mpsc::channel(ATTACHES);
        let trunks = Rc::new(RefCell::default());
        let listener = self.network.listen(&format!("127.0.0.1:{port}"));
        let task = spawn_local(serve(listener, Rc::clone(&self.worker), sender, Rc::clone(&trunks)));
        Anchor { attaches, trunks, task }
    }

    /// Connects, without a word about who it is.
    pub(crate) async fn connect(&self) -> Connected {
        let stream = self.network.dial(ORIGIN).await.expect("it listens");
        Trunk::connect(stream, &self.worker).await.expect("it takes trunks")
    }

    /// Connects an edge.
    pub(crate) async fn edge(&self, edge: &str) -> Edge {
        let Connected { trunk, ended } = self.connect().await;
        let control = Control::open(&trunk, &name(edge), "origins").await.expect("a control stream");
        Edge { trunk, control, ended }
    }

    /// As SIGTERM does.
    pub(crate) fn drain(&self) {
        assert!(self.phases.enter(Phase::Draining));
    }

    pub(crate) async fn exit(self) -> Exit {
        soon(self.exit).await.expect("it doesn't panic").expect("its listener works")
    }

    /// Whether a line is among the metrics.
    pub(crate) fn shows(&self, line: &str) -> bool {
        self.metrics.encode().lines().any(|found| found == line)
    }
}

/// An edge: one trunk.
pub(crate) struct Edge {
    pub(crate) trunk: Trunk,
    pub(crate) control: Control,
    pub(crate) ended: oneshot::Receiver<LinkEnd>,
}

impl Edge {
    /// Sends an attach.
    pub(crate) fn attach(&self, attach: &Attach) -> Pending {
        send(&self.trunk, attach.to_request("origins"))
    }

    /// A tunnel through to the anchor.
    pub(crate) async fn tunnel(&self, anchor: &mut Anchor) -> (End, End) {
        let pending = self.attach(&open("alice"));
        let far = anchor.next().await.accept("a");
        (pending.accepted().await.1, far)
    }
}

pub(crate) fn send(trunk: &Trunk, request: Request<()>) -> Pending {
    let (response, send) = trunk.request(request, attach::TUNNEL).expect("the trunk is up");
    Pending { response, send }
}

pub(crate) fn key() -> SessionKey {
    SessionKey::from_bytes([7; 32])
}

pub(crate) fn open(user: &str) -> Attach {
    Attach::Open(Open { user: UserId::new(user), key: key(), window: 65_536, client: Some("192.0.2.1:9".into()) })
}

pub(crate) fn resume(home: &str) -> Attach {
    Attach::Resume(Resume { home: name(home), key: key(), epoch: Epoch(5), recv: 77 })
}

/// An attach that waits for its answer.
pub(crate) struct Pending {
    pub(crate) response: ResponseFuture,
    pub(crate) send: SendStream<Bytes>,
}

impl Pending {
    pub(crate) async fn answer(self) -> (Response<RecvStream>, SendStream<Bytes>) {
        (soon(self.response).await.expect("an answer"), self.send)
    }

    pub(crate) async fn accepted(self) -> (HeaderMap, End) {
        let (response, send) = self.answer().await;
        assert_eq!(response.status(), 200);
        let (parts, recv) = response.into_parts();
        (parts.headers, End { send, recv })
    }

    pub(crate) async fn refused(self) -> Refused {
        let (response, _) = self.answer().await;
        assert!(!response.status().is_success());
        Refused::from_response(&response)
    }
}

/// A home's anchor.
pub(crate) struct Anchor {
    attaches: mpsc::Receiver<Arrived>,
    /// The connections that it has taken.
    pub(crate) trunks: Rc<RefCell<Vec<Rc<TrunkState>>>>,
    task: JoinHandle<()>,
}

impl Anchor {
    /// The next attach that arrives.
    pub(crate) async fn next(&mut self) -> Arrived {
        soon(self.attaches.recv()).await.expect("the anchor lives")
    }

    pub(crate) fn has_more(&self) -> bool {
        !self.attaches.is_empty()
    }

    /// The connections that are up.
    pub(crate) fn up(&self) -> usize {
        self.trunks.borrow().iter().filter(|trunk| !trunk.ended()).count()
    }

    /// Ends all connections without a word, and takes no more.
    pub(crate) fn crash(self) {
        self.task.abort();
        self.trunks.borrow().iter().for_each(|trunk| trunk.cut());
    }
}

async fn serve(
    mut listener: Listener,
    worker: Rc<Worker>,
    attaches: mpsc::Sender<Arrived>,
    trunks: Rc<RefCell<Vec<Rc<TrunkState>>>>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let accepted = trunk::accept(stream, &worker).await.expect("an origin's trunk");
        trunks.borrow_mut().push(accepted.state());
        let attaches = attaches.clone();
        spawn_local(accepted.run(move |request, respond| {
            attaches.try_send(Arrived { request, respond }).expect("room for an attach");
        }));
    }
}

/// An attach as the anchor sees it.
pub(crate) struct Arrived {
    pub(crate) request: Request<RecvStream>,
    pub(crate) respond: SendResponse<Bytes>,
}

impl Arrived {
    /// connect_ack by this home.
    pub(crate) fn accept(self, home: &str) -> End {
        let accepted = Accepted { home: name(home), recv: 0, window: 65_536, grace: 60_000 };
        self.answer(accepted.to_response()).expect("a 200")
    }

    /// Any answer; the stream is kept if it's a 200.
    pub(crate) fn answer(mut self, response: Response<()>) -> Option<End> {
        let refused = !response.status().is_success();
        let send = self.respond.send_response(response, refused).expect("the attach wasn't given up");
        (!refused).then(|| End { send, recv: self.request.into_body() })
    }

    /// Waits until the attach is given up.
    pub(crate) async fn given_up(mut self) -> Reason {
        soon(poll_fn(|cx| self.respond.poll_reset(cx))).await.expect("the connection lives")
    }
}

/// One end of a tunnel.
pub(crate) struct End {
    pub(crate) send: SendStream<Bytes>,
    pub(crate) recv: RecvStream,
}

/// How the other end left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    EndStream,
    Reset(Reason),
    Connection,
}

impl End {
    /// Sends as fast as flow control lets it.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let mut left = Bytes::copy_from_slice(bytes);
        while !left.is_empty() {
            let sent = soon(self.send_some(&mut left)).await;
            assert!(sent > 0);
        }
    }

    async fn send_some(&mut self, left: &mut Bytes) -> usize {
        self.send.reserve_capacity(left.len());
        while self.send.capacity() == 0 {
            poll_fn(|cx| self.send.poll_capacity(cx)).await.expect("the stream lives").expect("the stream lives");
        }
        let piece = left.split_to(self.send.capacity().min(left.len()));
        let sent = piece.len();
        self.send.send_data(piece, false).expect("the stream lives");
        sent
    }

    /// Sends zeros until nothing has been taken for ten seconds; how many bytes were.
    pub(crate) async fn send_until_stuck(&mut self) -> usize {
        let mut sent = 0;
        let mut left = Bytes::from(vec![0; 8 << 20]);
        while let Ok(some) = timeout(Duration::from_secs(10), self.send_some(&mut left)).await {
            sent += some;
        }
        self.send.reserve_capacity(0);
        sent
    }

    pub(crate) fn end(&mut self) {
        self.send.send_data(Bytes::new(), true).expect("the stream lives");
    }

    /// The next so many bytes.
    pub(crate) async fn receive(&mut self, n: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < n {
            let data = soon(self.recv.data()).await.expect("more is to come").expect("the stream lives");
            self.recv.flow_control().release_capacity(data.len()).expect("it was received");
            bytes.extend_from_slice(&data);
        }
        assert_eq!(bytes.len(), n, "no more than was sent");
        bytes
    }

    /// Reads and drops everything to the end.
    pub(crate) async fn ended(&mut self) -> Ended {
        loop {
            match soon(self.recv.data()).await {
                Some(Ok(data)) => self.recv.flow_control().release_capacity(data.len()).expect("it was received"),
                Some(Err(error)) if error.is_reset() && error.is_remote() => {
                    return Ended::Reset(error.reason().expect("a reset has a reason"));
                }
                Some(Err(_)) => return Ended::Connection,
                None => return Ended::EndStream,
            }
        }
    }

    /// The reason for which the other end reset the stream.
    pub(crate) async fn reset(&mut self) -> Reason {
        soon(poll_fn(|cx| self.send.poll_reset(cx))).await.expect("the connection lives")
    }
}
