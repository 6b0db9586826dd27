//! An origin that isn't ours, at one of the addresses that an edge is told of: whatever it says, clients are served
//! through the others.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
};

use baton_drill::{stage::Stage, tier::Role};
use baton_protocol::capsule::Solicit;
use bytes::{Bytes, BytesMut};
use h2::{RecvStream, SendStream, server::SendResponse};
use http::{Request, Response};
use tokio::{
    net::{TcpListener, TcpStream},
    task::spawn_local,
};

use crate::{
    scene::{Attack, Scene, layout},
    support::{moved, sessions, tier, until},
};

/// What it does with attaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// It drops each connection as soon as that has a control stream.
    Drops,
    /// It says again and again that it wants to be left.
    Solicits,
    /// It refuses each with this status and these headers.
    Refuses(u16, &'static [(&'static str, &'static str)]),
    /// It takes each, and says nothing.
    Mute,
}

/// What happens on its own thread.
struct Part {
    instance: String,
    manner: Cell<Manner>,
    connections: Cell<u32>,
    attaches: Cell<u32>,
    /// Attaches that it doesn't answer.
    kept: RefCell<Vec<SendResponse<Bytes>>>,
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
            attach(&part, respond);
        } else if part.manner.get() == Manner::Drops {
            // The control stream stands before the connection goes: what is wanted is there, and then isn't.
            let _control = control(&part, respond);
            connection.graceful_shutdown();
        } else {
            spawn_local(solicits(Rc::clone(&part), control(&part, respond), request));
        }
    }
}

fn control(part: &Part, mut respond: SendResponse<Bytes>) -> SendStream<Bytes> {
    let response = Response::builder().header("dcr-instance", part.instance.as_str()).body(());
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

fn attach(part: &Part, mut respond: SendResponse<Bytes>) {
    part.attaches.set(part.attaches.get() + 1);
    let (status, headers) = match part.manner.get() {
        Manner::Refuses(status, headers) => (status, headers),
        Manner::Mute => return part.kept.borrow_mut().push(respond),
        Manner::Drops | Manner::Solicits => return,
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
    scene.suffers(Attack { lines: 40, ..Attack::new("it drops connections", "edge-1", &[]) }, |scene| {
        let impostor = Impostor::start(address, "impostor/0".into(), Manner::Drops);
        until("it is connected to again and again", || impostor.connections() >= 8);
        scene.flows("connections are dropped");
    });
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
