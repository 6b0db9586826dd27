//! A sidecar, and what the tests play around it: an origin and a broker.

use std::{future::poll_fn, net::SocketAddr, rc::Rc, task::Poll, time::Duration};

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
    net::{SocketReach, TcpKind, TcpListen},
    phase::{Phase, Phases},
    role::Role,
    run::Exit,
};
use baton_protocol::{
    attach::{Attach, Open, Refused, Resume},
    capsule::{Close, Piece},
    id::{Epoch, NodeName, SessionKey, UserId},
};
use baton_sidecar::Config;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::{Builder, LocalOptions},
    task::{JoinHandle, spawn_local},
    time::{sleep, timeout},
};

/// Longest wait for what takes milliseconds, or one probe of the broker.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn on_a_worker<F: Future<Output = ()>>(test: F) {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    runtime.expect("a runtime").block_on(test);
}

pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("it must come")
}

/// Where the edge says that its client is.
pub(crate) const CLIENT: &str = "203.0.113.7:55123";

pub(crate) struct Sidecar {
    pub(crate) worker: Rc<Worker>,
    pub(crate) address: SocketAddr,
    pub(crate) trunk: Trunk,
    pub(crate) metrics: Metrics,
    pub(crate) health: Health,
    pub(crate) phases: Phases,
    pub(crate) exit: JoinHandle<std::io::Result<Exit>>,
}

impl Sidecar {
    /// A sidecar before the broker at this URL, and a trunk to it.
    pub(crate) async fn start(broker: &str, sets: &[&str]) -> Self {
        let broker = format!("sidecar.broker={broker}");
        let sets = [broker.as_str()].iter().chain(sets).map(|set| (*set).to_owned()).collect();
        let mut reader = Reader::new(&Inputs { sets, ..Inputs::default() });
        let (shared, config) = (Shared::read(&mut reader, Role::Sidecar), Config::read(&mut reader));
        reader.finish().expect("no mistake");
        let env = Env::new(Role::Sidecar, shared);
        let (metrics, phases) = (env.metrics.clone(), env.phases.clone());
        let health = Health::new(&phases, &env.ready, env.clock);
        let listener = TcpListen::bind("edge.listen", "127.0.0.1:0", TcpKind::Link, &metrics).expect("a port");
        let address = listener.local_addr().expect("it's bound");
        let reach = SocketReach::new(&config.sources).expect("this machine's addresses");
        let exit = spawn_local(baton_sidecar::run(config, env, listener, reach));
        let worker = Worker::start(Clock::start(), Budget::new(1 << 30, "test", &Metrics::new("test")));
        let stream = TcpStream::connect(address).await.expect("it listens");
        let trunk = Trunk::connect(stream, &worker).await.expect("it takes trunks").trunk;
        Self { worker, address, trunk, metrics, health, phases, exit }
    }

    pub(crate) async fn open(&self, key: u8) -> Result<Tunnel, Refused> {
        let key = SessionKey::from_bytes([key; 32]);
        let open = Open { user: UserId::new("alice"), key, window: 65_536, client: Some(CLIENT.into()) };
        answer(self.attach(Epoch::FIRST, &Attach::Open(open))).await
    }

    /// Asks for another tunnel of the session that `open` began with this key.
    pub(crate) fn resume(&self, key: u8, epoch: u64, recv: u64) -> Attempt {
        let (key, epoch) = (SessionKey::from_bytes([key; 32]), Epoch(epoch));
        self.attach(epoch, &Attach::Resume(Resume { home: home(), key, epoch, recv }))
    }

    pub(crate) fn attach(&self, epoch: Epoch, attach: &Attach) -> Attempt {
        Attempt::send(&self.trunk, epoch, attach, "home").expect("the trunk is up")
    }

    pub(crate) async fn until_ready(&self, ready: bool) {
        let waiting = async {
            while self.health.readiness().is_ok() != ready {
                sleep(Duration::from_millis(10)).await;
            }
        };
        soon(waiting).await;
    }

    pub(crate) fn drain(&self) {
        assert!(self.phases.enter(Phase::Draining));
    }

    pub(crate) async fn exit(self) -> Exit {
        soon(self.exit).await.expect("no panic").expect("its listener works")
    }
}

pub(crate) fn home() -> NodeName {
    NodeName::new("home-1").expect("a name")
}

pub(crate) async fn answer(mut attempt: Attempt) -> Result<Tunnel, Refused> {
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
pub(crate) async fn close(tunnel: &mut Tunnel) -> Close {
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

pub(crate) async fn broker() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("tcp://{}", listener.local_addr().expect("it's bound"));
    (listener, url)
}

/// The next connection.
pub(crate) async fn session(broker: &TcpListener) -> TcpStream {
    let (stream, _) = soon(broker.accept()).await.expect("a connection");
    stream
}

/// Takes a connection that asks whether the broker is well, and says that it is. It stays open, to ask again.
pub(crate) async fn probed(broker: &TcpListener) -> TcpStream {
    let mut probe = session(broker).await;
    assert_eq!(hears(&mut probe).await, *b"\x10\x1e\0\x04MQTT\x04\x02");
    let _keep_alive: [u8; 2] = hears(&mut probe).await;
    assert_eq!(hears(&mut probe).await, *b"\0\x12baton-probe-home-1");
    probe.write_all(&[0x20, 2, 0, 0]).await.expect("it listens");
    probe
}

/// The next bytes.
pub(crate) async fn hears<const LENGTH: usize>(stream: &mut (impl AsyncRead + Unpin)) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    soon(stream.read_exact(&mut bytes)).await.expect("they come");
    bytes
}
