//! A sidecar between an origin and a broker that the tests play, over real sockets.

use std::{future::poll_fn, io::ErrorKind, rc::Rc, time::Duration};

use baton_link::{
    Trunk, Tunnel, Worker,
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
    attach::{Attach, Open, Refused, Word},
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
    _worker: Rc<Worker>,
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
        Self { _worker: worker, trunk, metrics, health, phases, exit }
    }

    async fn open(&self, key: u8) -> Result<Tunnel, Refused> {
        let key = SessionKey::from_bytes([key; 32]);
        let open = Open { user: UserId::new("alice"), key, window: 65_536, client: None };
        let attempt = Attempt::send(&self.trunk, Epoch::FIRST, &Attach::Open(open), "home");
        let mut attempt = attempt.expect("the trunk is up");
        match soon(poll_fn(|cx| attempt.poll_answer(cx))).await {
            Answer::Accepted(accepted, tunnel) => {
                assert_eq!(accepted.home, NodeName::new("home-1").expect("a name"));
                Ok(tunnel)
            }
            Answer::Refused(refused) => Err(refused),
            Answer::Lost(loss) => panic!("{loss:?}"),
        }
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
        assert_eq!(refused, Refused::by(&NodeName::new("home-1").expect("a name"), Word::Unreachable));
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
        let _tunnels = [sidecar.open(1).await.expect("a session"), sidecar.open(2).await.expect("a session")];
        let mut sessions = [session(&listener).await, session(&listener).await];
        let began = Instant::now();
        sidecar.drain();
        for session in &mut sessions {
            let end = soon(session.read(&mut [0; 1])).await.expect_err("its will is to be published");
            assert_eq!(end.kind(), ErrorKind::ConnectionReset);
        }
        assert!(began.elapsed() >= Duration::from_millis(300));
        assert_eq!(sidecar.exit().await, Exit::Left(2));
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
