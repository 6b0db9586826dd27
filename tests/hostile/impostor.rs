//! An origin that isn't ours, at one of the addresses that an edge is told of: whatever it says, clients are served
//! through the others.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    time::Duration,
};

use baton_drill::{stage::Stage, tier::Role};
use baton_protocol::{
    attach::{Accepted, OPEN_PATH},
    capsule::Solicit,
    id::NodeName,
};
use bytes::{Bytes, BytesMut};
use h2::{RecvStream, SendStream, server::SendResponse};
use http::{Request, Response};
use tokio::{
    net::{TcpListener, TcpStream},
    task::spawn_local,
};

use crate::{
    scene::{Attack, Counted, Scene, layout, pause},
    support::{
        moved, sessions, tier, until,
        wire::{Wire, connect, packet},
    },
};

/// What it does with attaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// It drops each connection as soon as that has a control stream.
    Drops,
    /// The same, and each time it is another process, it says.
    DropsAnew,
    /// It says again and again that it wants to be left.
    Solicits,
    /// It refuses each with this status and these headers.
    Refuses(u16, &'static [(&'static str, &'static str)]),
    /// It takes each, and says nothing.
    Mute,
    /// It says that each new session lives at this home, goes on with these bytes, and hears nothing.
    Opens(&'static str, &'static [u8]),
}

/// For how long it is watched, and how often an edge may dial one address in that time: pauses begin at 50 ms and double.
const WATCHED: Duration = Duration::from_secs(2);
const DIALED: u32 = 40;

/// Clients that come in a second, at most, until enough of them are led to it: one for each look, and a line for each
/// that is closed.
const VICTIMS: f64 = 50.0;

/// DATA whose length is too small for its two numbers.
const NO_CAPSULE: &[u8] = b"\x7d\xc1\x01\x05";

/// Milliseconds for which sessions are kept without a tunnel, as it says.
const KEPT: u64 = 1_500;

/// What happens on its own thread.
struct Part {
    instance: String,
    manner: Cell<Manner>,
    connections: Cell<u32>,
    attaches: Cell<u32>,
    /// Attaches that it doesn't answer.
    kept: RefCell<Vec<SendResponse<Bytes>>>,
    /// Tunnels on which it doesn't listen.
    opened: RefCell<Vec<(SendStream<Bytes>, RecvStream)>>,
}

/// The impostor.
struct Impostor {
    stage: Stage<Part>,
}

impl Impostor {
    fn start(address: SocketAddr, instance: String, manner: Manner) -> Self {
        let part = Part {
            instance,
            manner: Cell::new(manner),
            connections: Cell::new(0),
            attaches: Cell::new(0),
            kept: RefCell::default(),
            opened: RefCell::default(),
        };
        let stage = Stage::new("impostor", || part).expect("a thread");
        stage.call(move |part| async move {
            let listener = TcpListener::bind(address).await.expect("the port is kept for it");
            spawn_local(async move {
                loop {
                    let (stream, _) = listener.accept().await.expect("it can");
                    spawn_local(serve(Rc::clone(&part), stream));
                }
            });
        });
        Self { stage }
    }

    fn connections(&self) -> u32 {
        self.stage.call(|part| async move { part.connections.get() })
    }

    fn attaches(&self) -> u32 {
        self.stage.call(|part| async move { part.attaches.get() })
    }

    fn opened(&self) -> usize {
        self.stage.call(|part| async move { part.opened.borrow().len() })
    }

    fn behaves(&self, manner: Manner) {
        self.stage.call(move |part| async move { part.manner.set(manner) });
    }
}

async fn serve(part: Rc<Part>, stream: TcpStream) {
    let mut builder = h2::server::Builder::new();
    builder.enable_connect_protocol();
    let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else { return };
    part.connections.set(part.connections.get() + 1);
    while let Some(Ok((request, respond))) = connection.accept().await {
        if request.uri().path() != "/dcr/1/control" {
            attach(&part, request, respond);
        } else if matches!(part.manner.get(), Manner::Drops | Manner::DropsAnew) {
            // The control stream stands before the connection goes: what is wanted is there, and then isn't.
            let _control = control(&part, respond);
            connection.graceful_shutdown();
        } else {
            spawn_local(solicits(Rc::clone(&part), control(&part, respond), request));
        }
    }
}

fn control(part: &Part, mut respond: SendResponse<Bytes>) -> SendStream<Bytes> {
    let mut instance = part.instance.clone();
    if part.manner.get() == Manner::DropsAnew {
        instance.push_str(&part.connections.get().to_string());
    }
    let response = Response::builder().header("dcr-instance", instance).body(());
    respond.send_response(response.expect("legal headers"), false).expect("the edge waits for it")
}

async fn solicits(part: Rc<Part>, mut send: SendStream<Bytes>, request: Request<RecvStream>) {
    let mut recv = request.into_body();
    if part.manner.get() == Manner::Solicits {
        let mut capsules = BytesMut::new();
        (0..1_000).for_each(|_| Solicit { spread: 0, deadline: 1, reason: 0 }.encode(&mut capsules));
        // Fails only for an edge that is gone.
        let _ = send.send_data(capsules.freeze(), false);
    }
    // For as long as the edge keeps it.
    while let Some(Ok(_)) = recv.data().await {}
}

fn attach(part: &Part, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    part.attaches.set(part.attaches.get() + 1);
    let (status, headers) = match part.manner.get() {
        Manner::Refuses(status, headers) => (status, headers),
        Manner::Mute => return part.kept.borrow_mut().push(respond),
        Manner::Opens(..) if request.uri().path() != OPEN_PATH => (502, &[][..]),
        Manner::Opens(home, bytes) => {
            let home = NodeName::new(home).expect("a legal name");
            let accepted = Accepted { home, recv: 0, window: 65_536, grace: KEPT };
            // Both fail only for an edge that is gone.
            let Ok(mut send) = respond.send_response(accepted.to_response(), false) else { return };
            let _ = send.send_data(Bytes::from_static(bytes), false);
            return part.opened.borrow_mut().push((send, request.into_body()));
        }
        Manner::Drops | Manner::DropsAnew | Manner::Solicits => return,
    };
    let response = Response::builder().status(status);
    let response = headers.iter().fold(response, |response, (name, value)| response.header(*name, *value));
    // Fails only for an edge that is gone.
    let _ = respond.send_response(response.body(()).expect("legal headers"), true);
}

/// A tier whose edge is told of a third origin, which isn't there yet; and where that will be.
fn scene() -> (Scene, SocketAddr) {
    // Sessions are without a tunnel for a while here.
    let mut tier = tier(layout().set(Role::BrokerSim, "anchor.grace", "60s")).expect("nothing need be installed");
    let address = tier.free_address().expect("a port");
    let mut origins: Vec<_> =
        tier.names(Role::Origin).iter().map(|name| tier.address(name).expect("it has one").to_string()).collect();
    origins.push(address.to_string());
    tier.set("edge-1", "edge.origins", &format!("{origins:?}")).expect("there is one");
    tier.start_all().expect("the tier starts");
    (Scene::with(tier), address)
}

/// The instance of an origin, as whoever connects to it can learn.
fn instance(scene: &Scene, origin: &str) -> String {
    let log = scene.tier.log(origin).expect("it has one");
    let start = log.lines().find(|line| line.contains("origin.start")).expect("it says so");
    let (_, rest) = start.split_once("instance=\"").expect("it names itself");
    rest.split('"').next().expect("a quote ends it").to_owned()
}

/// It takes connections and drops them, at once, for ever: it isn't dialed all the time.
#[test]
fn one_that_drops_connections() {
    let (scene, address) = scene();
    let impostor = Impostor::start(address, "impostor/0".into(), Manner::Drops);
    for manner in [Manner::Drops, Manner::DropsAnew] {
        impostor.behaves(manner);
        let counts = [("baton_link_closes_total", &[][..], 4.0)];
        scene.suffers(Attack { lines: 100, ..Attack::new("it drops connections", "edge-1", &counts) }, |scene| {
            let before = impostor.connections();
            until("it is connected to again and again", || impostor.connections() >= before + 4);
            let before = impostor.connections();
            pause(WATCHED);
            let dialed = impostor.connections() - before;
            assert!(dialed <= DIALED, "{manner:?}: dialed {dialed} times in {WATCHED:?}");
            scene.flows("connections are dropped");
        });
    }
    assert_eq!(moved(&scene.tier, "planned") + moved(&scene.tier, "broken"), 0.0);
    scene.ends_unnoticed();
}

/// It says that it wants to be left, and that it is somebody else.
#[test]
fn one_that_speaks_for_another() {
    let (scene, address) = scene();
    scene.suffers(Attack { lines: 40, ..Attack::new("forged SOLICIT", "edge-1", &[]) }, |scene| {
        let impostor = Impostor::start(address, instance(scene, "origin-1"), Manner::Solicits);
        until("it is believed to be leaving", || scene.tier.log_count("edge-1", "origin.solicits").expect("a log") > 0);
        scene.flows("it solicits");
        drop(impostor);
    });
    assert_eq!(moved(&scene.tier, "planned") + moved(&scene.tier, "broken"), 0.0, "a session was moved");
    scene.ends_unnoticed();
}

/// The only one that is there, for a while: what it says of a session, which only the session's home could know, is not
/// believed.
#[test]
fn one_that_refuses() {
    let (mut scene, address) = scene();
    let impostor = Impostor::start(address, "impostor/0".into(), Manner::Refuses(404, &[]));
    let manners = [
        Manner::Refuses(404, &[]),
        Manner::Refuses(404, &[("dcr-refuse", "gone")]),
        Manner::Refuses(409, &[("dcr-refuse", "stale"), ("dcr-epoch", "4611686018427387903")]),
        Manner::Refuses(503, &[("dcr-refuse", "busy"), ("retry-after-ms", "1")]),
    ];
    for manner in manners {
        impostor.behaves(manner);
        let attaches = impostor.attaches();
        let origins = ["origin-1", "origin-2"];
        origins.into_iter().for_each(|origin| scene.tier.kill(origin).expect("it runs"));
        let others = u32::try_from(scene.others()).expect("few");
        until("every session has asked it", || impostor.attaches() >= attaches + others);
        assert_eq!(sessions(&scene.tier, "live"), 0.0, "{manner:?}");
        origins.into_iter().for_each(|origin| scene.tier.restart(origin).expect("it comes back"));
        until(&format!("they are back after {manner:?}"), || sessions(&scene.tier, "live") == f64::from(others));
        scene.flows("they are back");
    }
    scene.ends_unnoticed();
}

/// The only one that is there, for a while, and then one of three: who waited for it must not wait for longer than the
/// others take to come back.
#[test]
fn one_that_never_answers() {
    let (mut scene, address) = scene();
    let impostor = Impostor::start(address, "impostor/0".into(), Manner::Mute);
    until("it is connected to", || impostor.connections() > 0);
    let attaches = impostor.attaches();
    let origins = ["origin-1", "origin-2"];
    origins.into_iter().for_each(|origin| scene.tier.kill(origin).expect("it runs"));
    until("it is asked again and again, and nobody else", || {
        impostor.attaches() >= attaches + 56 && sessions(&scene.tier, "live") == 0.0
    });
    let others = f64::from(u32::try_from(scene.others()).expect("few"));
    origins.into_iter().for_each(|origin| scene.tier.restart(origin).expect("it comes back"));
    until("all are back", || sessions(&scene.tier, "live") == others);
    scene.flows("they are back");
    scene.ends_unnoticed();
}

/// It takes sessions that it can't have: who came through it loses what it never had, for a cause that is counted, and
/// nobody else notices.
#[test]
fn one_that_opens_sessions() {
    let (scene, address) = scene();
    let edge = scene.tier.edges()[0];
    let nothing = Manner::Refuses(502, &[]);
    let impostor = Impostor::start(address, "impostor/0".into(), nothing);
    until("it is connected to", || impostor.connections() > 0);
    fn closes(cause: &'static [(&'static str, &'static str)]) -> Counted<'static> {
        ("baton_client_closes_total", cause, 3.0)
    }
    let cases: [(_, _, &[u8], Counted<'_>); 4] = [
        // The others know nothing of it where they look.
        ("garbage on a tunnel", "home-1", NO_CAPSULE, closes(&[("cause", "gone")])),
        // Nobody leads to it until nobody keeps it any more.
        ("a home that isn't there", "home-9", NO_CAPSULE, closes(&[("cause", "grace")])),
        // What was sent isn't acknowledged, so another way is tried; that there is none ends no session that has a tunnel.
        // SOLICIT says nothing on one.
        (
            "it hears nothing, and solicits on a tunnel",
            "home-1",
            b"\x7d\xc3\x03\0\x01\0",
            ("baton_attaches_total", &[("outcome", "gone")], 3.0),
        ),
        // Offset 2^20, where 0 is next.
        ("a gap", "home-1", b"\x7d\xc1\x06\x80\x10\0\0\0x", closes(&[("cause", "gone")])),
    ];
    for (what, home, bytes, counted) in cases {
        impostor.behaves(Manner::Opens(home, bytes));
        let counts = [counted];
        scene.suffers(Attack { lines_a_second: VICTIMS, ..Attack::new(what, "edge-1", &counts) }, |scene| {
            let (before, told) = (impostor.opened(), scene.counting("edge-1", counted));
            let mut victims = Vec::new();
            until("some come through it", || {
                let id = format!("victim-{}", victims.len());
                victims.push(Wire::saying(edge, &[connect(4, &id), packet(0x30, &[0; 20_000])].concat()));
                impostor.opened() > before + 2
            });
            impostor.behaves(nothing);
            // Those who came through honest origins stay until then.
            told.is_reached(what);
        });
    }
    assert_eq!(moved(&scene.tier, "planned"), 0.0, "a tunnel's SOLICIT moves nobody");
    scene.ends_unnoticed();
}
