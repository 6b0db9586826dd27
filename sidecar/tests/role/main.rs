//! A sidecar between an origin and a broker that the tests play, over real sockets.

use std::{future::poll_fn, io::ErrorKind, net::SocketAddr, rc::Rc, task::Poll, time::Duration};

use baton_link::{
    LinkEnd, Trunk, Tunnel, Worker,
    budget::Budget,
    tunnel::{Answer, Attempt},
};
use baton_process::{
    clock::Clock,
    config::{Inputs, Reader, Shared},
    env::Env,
    health::Health,
    metrics::Metrics,
    net::{TcpDial, TcpKind, TcpListen},
    phase::{Phase, Phases},
    role::Role,
    run::Exit,
};
use baton_protocol::{
    attach::{Attach, Open, Refused, Resume, Word},
    capsule::{Close, CloseKind, Piece},
    id::{Epoch, NodeName, SessionKey, UserId},
};
use baton_sidecar::Config;
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
    runtime::{Builder, LocalOptions},
    task::{JoinHandle, spawn_local},
    time::{Instant, sleep, timeout},
};

/// Longest wait for what takes milliseconds, or one probe of the broker.
const PATIENCE: Duration = Duration::from_secs(20);

fn on_a_worker<F: Future<Output = ()>>(test: F) {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    runtime.expect("a runtime").block_on(test);
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("it must come")
}

struct Sidecar {
    worker: Rc<Worker>,
    address: SocketAddr,
    trunk: Trunk,
    metrics: Metrics,
    health: Health,
    phases: Phases,
    exit: JoinHandle<std::io::Result<Exit>>,
}

impl Sidecar {
    /// A sidecar before the broker at this address, and a trunk to it.
    async fn start(broker: &str, sets: &[&str]) -> Self {
        let broker = format!("sidecar.broker=tcp://{broker}");
        let sets = [broker.as_str()].iter().chain(sets).map(|set| (*set).to_owned()).collect();
        let mut reader = Reader::new(&Inputs { sets, ..Inputs::default() });
        let (shared, config) = (Shared::read(&mut reader, Role::Sidecar), Config::read(&mut reader));
        reader.finish().expect("no mistake");
        let env = Env::new(Role::Sidecar, shared);
        let (metrics, phases) = (env.metrics.clone(), env.phases.clone());
        let health = Health::new(&phases, &env.ready, env.clock);
        let listener = TcpListen::bind("127.0.0.1:0", TcpKind::Link, &metrics).expect("a port");
        let address = listener.local_addr().expect("it's bound");
        let exit = spawn_local(baton_sidecar::run(config, env, listener, TcpDial::new(TcpKind::Session)));
        let worker = Worker::start(Clock::start(), Budget::new(1 << 30, "test", &Metrics::new("test")));
        let stream = TcpStream::connect(address).await.expect("it listens");
        let trunk = Trunk::connect(stream, &worker).await.expect("it takes trunks").trunk;
        Self { worker, address, trunk, metrics, health, phases, exit }
    }

    async fn open(&self, key: u8) -> Result<Tunnel, Refused> {
        let key = SessionKey::from_bytes([key; 32]);
        let open = Open { user: UserId::new("alice"), key, window: 65_536, client: None };
        answer(self.attach(Epoch::FIRST, &Attach::Open(open))).await
    }

    /// Asks for another tunnel of the session that `open` began with this key.
    fn resume(&self, key: u8, epoch: u64, recv: u64) -> Attempt {
        let (key, epoch) = (SessionKey::from_bytes([key; 32]), Epoch(epoch));
        self.attach(epoch, &Attach::Resume(Resume { home: home(), key, epoch, recv }))
    }

    fn attach(&self, epoch: Epoch, attach: &Attach) -> Attempt {
        Attempt::send(&self.trunk, epoch, attach, "home").expect("the trunk is up")
    }

    async fn until_ready(&self, ready: bool) {
        let waiting = async {
            while self.health.readiness().is_ok() != ready {
                sleep(Duration::from_millis(10)).await;
            }
        };
        soon(waiting).await;
    }

    fn drain(&self) {
        assert!(self.phases.enter(Phase::Draining));
    }

    async fn exit(self) -> Exit {
        soon(self.exit).await.expect("no panic").expect("its listener works")
    }
}

fn home() -> NodeName {
    NodeName::new("home-1").expect("a name")
}

async fn answer(mut attempt: Attempt) -> Result<Tunnel, Refused> {
    match soon(poll_fn(|cx| attempt.poll_answer(cx))).await {
        Answer::Accepted(accepted, tunnel) => {
            assert_eq!(accepted.home, home());
            Ok(tunnel)
        }
        Answer::Refused(refused) => Err(refused),
        Answer::Lost(loss) => panic!("{loss:?}"),
    }
}

/// The first CLOSE that the tunnel brings.
async fn close(tunnel: &mut Tunnel) -> Close {
    let mut close = None;
    let dry = poll_fn(|cx| {
        let dry = tunnel.poll_pieces(cx, |piece| {
            if let Piece::Close(piece) = piece {
                close.get_or_insert(piece);
            }
        });
        if close.is_some() { Poll::Ready(None) } else { dry.map(Some) }
    });
    let dry = soon(dry).await;
    close.unwrap_or_else(|| panic!("{dry:?}"))
}

async fn broker() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("it's bound").to_string();
    (listener, address)
}

/// The next connection.
async fn session(broker: &TcpListener) -> TcpStream {
    let (stream, _) = soon(broker.accept()).await.expect("a connection");
    stream
}

/// Takes the first connection, which asks whether the broker is there.
async fn probed(broker: &TcpListener) {
    let mut probe = session(broker).await;
    assert_eq!(soon(probe.read(&mut [0; 1])).await.expect("an end"), 0, "it asks nothing else");
}

#[test]
fn readiness_is_the_brokers() {
    on_a_worker(async {
        let (listener, address) = broker().await;
        let sidecar = Sidecar::start(&address, &[]).await;
        probed(&listener).await;
        sidecar.until_ready(true).await;
        let tunnel = sidecar.open(1).await.expect("a session");
        let _session = session(&listener).await;
        drop(listener);
        let refused = sidecar.open(2).await.expect_err("the broker is away");
        assert_eq!(refused, Refused::by(&home(), Word::Unreachable));
        sidecar.until_ready(false).await;
        let why = sidecar.health.readiness().expect_err("it isn't ready");
        assert!(why.contains(&address), "{why}");
        let back = TcpListener::bind(&address).await.expect("its old port");
        probed(&back).await;
        sidecar.until_ready(true).await;
        assert!(sidecar.metrics.encode().contains("baton_limit{name=\"sessions\"} 100000"));
        drop(tunnel);
    });
}

#[test]
fn a_drain_waits_for_the_sessions() {
    on_a_worker(async {
        let (listener, address) = broker().await;
        let sidecar = Sidecar::start(&address, &["limits.half_closed=100ms"]).await;
        probed(&listener).await;
        let _tunnel = sidecar.open(1).await.expect("a session");
        let session = session(&listener).await;
        sidecar.drain();
        sidecar.until_ready(false).await;
        let refused = sidecar.open(2).await.expect_err("nobody new");
        assert_eq!(refused.word, Some(Word::Draining));
        assert!(!sidecar.exit.is_finished());
        // The broker leaves; its FIN is on its way to a client that never answers, which has 100 ms to do so.
        drop(session);
        assert_eq!(sidecar.exit().await, Exit::Done);
    });
}

#[test]
fn sessions_that_stay_are_dropped_at_the_deadline() {
    on_a_worker(async {
        let (listener, address) = broker().await;
        let sidecar = Sidecar::start(&address, &["drain.deadline=300ms"]).await;
        probed(&listener).await;
        let mut tunnels = [sidecar.open(1).await.expect("a session"), sidecar.open(2).await.expect("a session")];
        let mut sessions = [session(&listener).await, session(&listener).await];
        let began = Instant::now();
        sidecar.drain();
        for session in &mut sessions {
            let end = soon(session.read(&mut [0; 1])).await.expect_err("its will is to be published");
            assert_eq!(end.kind(), ErrorKind::ConnectionReset);
        }
        assert!(began.elapsed() >= Duration::from_millis(300));
        for tunnel in &mut tunnels {
            let Close { kind, reason, .. } = close(tunnel).await;
            assert_eq!((kind, &reason[..]), (CloseKind::Abort, &b"shutdown"[..]));
        }
        drop(tunnels);
        let metrics = sidecar.metrics.clone();
        assert_eq!(sidecar.exit().await, Exit::Left(2));
        let numbers = metrics.encode();
        assert!(numbers.contains("baton_client_closes_total{cause=\"shutdown\"} 2"), "{numbers}");
    });
}

#[test]
fn an_origin_that_comes_back_at_once_puts_off_no_end() {
    on_a_worker(async {
        let (listener, address) = broker().await;
        let sidecar = Sidecar::start(&address, &["drain.deadline=100ms"]).await;
        probed(&listener).await;
        // A tunnel that isn't taken to its end keeps its trunk, and with it the process.
        let tunnel = sidecar.open(1).await.expect("a session");
        let late = TcpStream::connect(sidecar.address).await.expect("it listens");
        sidecar.drain();
        let refused = async {
            while TcpStream::connect(sidecar.address).await.is_ok() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        soon(refused).await;
        assert!(!sidecar.exit.is_finished(), "it still has to tell how the session ended");
        // Who had connected before is sent away as well.
        match soon(Trunk::connect(late, &sidecar.worker)).await {
            Ok(connected) => drop(soon(connected.ended).await),
            Err(end) => assert_eq!(end, LinkEnd::Closed),
        }
        drop(tunnel);
        assert_eq!(sidecar.exit().await, Exit::Left(1));
    });
}

#[test]
fn a_resume_that_meets_the_end_is_told_so() {
    on_a_worker(async {
        let (listener, address) = broker().await;
        let sidecar = Sidecar::start(&address, &[]).await;
        probed(&listener).await;
        let mut tunnel = sidecar.open(1).await.expect("a session");
        session(&listener).await.set_zero_linger().expect("an option");
        assert_eq!(close(&mut tunnel).await.kind, CloseKind::Reset);
        // The first acknowledges the RESET, which ends the session; the second has come with it.
        let (first, second) = (sidecar.resume(1, 2, 1), sidecar.resume(1, 3, 1));
        answer(first).await.expect("it was there");
        assert_eq!(answer(second).await.expect_err("it is over"), Refused::by(&home(), Word::Gone));
    });
}

#[test]
fn nothing_to_wait_for_is_nothing_waited() {
    on_a_worker(async {
        let (listener, address) = broker().await;
        let sidecar = Sidecar::start(&address, &[]).await;
        probed(&listener).await;
        sidecar.drain();
        assert_eq!(sidecar.exit().await, Exit::Done);
    });
}
