//! A rogue edge: it speaks HTTP/2 as it should, and lies about sessions, its own and those of others.

use std::{net::SocketAddr, net::TcpListener, rc::Rc};

use baton_drill::stage::Stage;
use baton_protocol::{
    attach::{self, Attach, Open, Resume},
    capsule::{Solicit, encode_data_head},
    id::{Epoch, SessionKey, UserId},
};
use bytes::{Bytes, BytesMut};
use h2::{RecvStream, SendStream, client::SendRequest, ext::Protocol};
use http::{HeaderMap, HeaderName, Method, Request, StatusCode};
use tokio::{net::TcpStream, task::spawn_local};

use crate::{
    scene::{Attack, Scene, apart},
    support::{start, wire::connect},
};

/// A connection to an origin, with its control stream, or to a home.
struct Rogue {
    send: SendRequest<Bytes>,
    _control: Option<(SendStream<Bytes>, RecvStream)>,
}

/// What an attach came to.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    send: SendStream<Bytes>,
    recv: RecvStream,
}

impl Answer {
    /// Status and word.
    fn told(&self) -> (u16, String) {
        let word = self.headers.get("dcr-refuse").and_then(|word| word.to_str().ok());
        (self.status.as_u16(), word.unwrap_or("-").to_owned())
    }

    fn says(&mut self, bytes: BytesMut) {
        self.send.send_data(bytes.freeze(), false).expect("the stream is there");
    }

    /// All that comes until the stream ends: the bytes, and whether it ended in order.
    async fn last_words(mut self) -> (Vec<u8>, bool) {
        let mut bytes = Vec::new();
        while let Some(data) = self.recv.data().await {
            let Ok(data) = data else { return (bytes, false) };
            bytes.extend_from_slice(&data);
        }
        (bytes, true)
    }
}

impl Rogue {
    /// As an origin before a home.
    async fn before(home: SocketAddr) -> Self {
        let stream = TcpStream::connect(home).await.expect("somebody listens");
        let (mut send, connection) = h2::client::handshake(stream).await.expect("it is HTTP/2");
        spawn_local(async move { drop(connection.await) });
        // Extended CONNECT is allowed by SETTINGS, which come before the first answer.
        let request = Request::get("http://tier/nothing").body(()).expect("a legal request");
        let (response, _) = send.send_request(request, true).expect("there is room");
        assert_eq!(response.await.expect("an answer").status(), 400);
        Self { send, _control: None }
    }

    /// As an edge before an origin.
    async fn to(address: SocketAddr, name: &str) -> Self {
        let Self { mut send, .. } = Self::before(address).await;
        let mut request = Request::connect("http://tier/dcr/1/control").body(()).expect("a legal request");
        request.headers_mut().insert("dcr-edge", format!("\"{name}\"").parse().expect("a legal value"));
        request.extensions_mut().insert(Protocol::from_static(attach::CONTROL));
        let (response, control) = send.send_request(request, false).expect("there is room");
        let response = response.await.expect("an answer");
        assert_eq!(response.status(), 200);
        Self { send, _control: Some((control, response.into_body())) }
    }

    async fn asks(&self, attach: &Attach, change: impl FnOnce(&mut Request<()>)) -> Answer {
        let mut request = attach.to_request("tier");
        request.extensions_mut().insert(Protocol::from_static(attach::TUNNEL));
        change(&mut request);
        let (response, send) = self.send.clone().send_request(request, false).expect("there is room");
        let (parts, recv) = response.await.expect("an answer").into_parts();
        Answer { status: parts.status, headers: parts.headers, send, recv }
    }
}

fn open(key: u8) -> Attach {
    let key = SessionKey::from_bytes([key; 32]);
    Attach::Open(Open { user: UserId::new("rogue"), key, window: 65_536, client: None })
}

/// A resume of the session with this key.
fn resume(opened: &Answer, key: u8, epoch: u64, recv: u64) -> Attach {
    let home = attach::name(&opened.headers, &attach::header::HOME).expect("a 200 names its home");
    Attach::Resume(Resume { home, key: SessionKey::from_bytes([key; 32]), epoch: Epoch(epoch), recv })
}

fn set(name: &'static str, value: &str) -> impl FnOnce(&mut Request<()>) + use<> {
    let value = value.parse().expect("a legal value");
    move |request| drop(request.headers_mut().insert(HeaderName::from_static(name), value))
}

fn same(_: &mut Request<()>) {}

fn data(offset: u64, ack: u64, payload: &[u8]) -> BytesMut {
    let mut capsule = BytesMut::new();
    encode_data_head(&mut capsule, offset, ack, payload.len());
    capsule.extend_from_slice(payload);
    capsule
}

fn told(status: u16, word: &str) -> (u16, String) {
    (status, word.to_owned())
}

/// Attaches that ask for what they may not have.
async fn attaches(origin: SocketAddr, elsewhere: SocketAddr) {
    let (one, other) = (Rogue::to(origin, "rogue-1").await, Rogue::to(origin, "rogue-2").await);
    let opened = one.asks(&open(1), same).await;
    assert_eq!(opened.told(), told(200, "-"));

    // Names are names of a table, and nothing else is one.
    let elsewhere = elsewhere.to_string();
    for (home, expected) in [
        ("\"127.0.0.1\"", told(421, "wrong-home")),
        ("\"localhost\"", told(421, "wrong-home")),
        ("\"home-9\"", told(421, "wrong-home")),
        (&*format!("\"{elsewhere}\""), told(400, "malformed")),
        (&*format!("\"http://{elsewhere}/\""), told(400, "malformed")),
    ] {
        let answer = one.asks(&resume(&opened, 1, 2, 0), set("dcr-home", home)).await;
        assert_eq!(answer.told(), expected, "{home}");
    }

    // A session is found by its key, and is its edge's.
    assert_eq!(one.asks(&resume(&opened, 9, 2, 0), same).await.told(), told(404, "gone"), "a guess");
    assert_eq!(other.asks(&resume(&opened, 1, 2, 0), same).await.told(), told(404, "gone"), "another edge's");
    let forged = set("dcr-edge", "\"rogue-1\"");
    assert_eq!(other.asks(&resume(&opened, 1, 2, 0), forged).await.told(), told(404, "gone"), "a forged name");
    assert_eq!(other.asks(&open(1), same).await.told(), told(400, "malformed"), "a key that is taken");

    // An attach is good once, and only with what can be true.
    assert_eq!(one.asks(&resume(&opened, 1, 2, 1 << 40), same).await.told(), told(400, "malformed"), "never sent");
    let resumed = one.asks(&resume(&opened, 1, 2, 0), same).await;
    assert_eq!(resumed.told(), told(200, "-"));
    let replayed = one.asks(&resume(&opened, 1, 2, 0), same).await;
    assert_eq!((replayed.told(), replayed.headers["dcr-epoch"].as_bytes()), (told(409, "stale"), &b"2"[..]));
    assert!(opened.last_words().await.1, "the older tunnel ends in order");

    // What isn't an attach of this protocol.
    let path = |path: &str| {
        let uri = format!("http://tier{path}").parse().expect("a legal address");
        move |request: &mut Request<()>| *request.uri_mut() = uri
    };
    for odd in ["/dcr/2/open", "/dcr/1/", "/dcr/1/control"] {
        assert_eq!(one.asks(&open(2), path(odd)).await.told(), told(400, "malformed"), "{odd}");
    }
    let user = format!(":{}:", "QUFB".repeat(90));
    assert_eq!(one.asks(&open(2), set("dcr-user", &user)).await.told(), told(400, "malformed"), "a long user id");
    assert_eq!(one.asks(&open(2), set("dcr-user", "alice")).await.told(), told(400, "malformed"));
    assert_eq!(one.asks(&open(2), set("dcr-key", ":AAAA:")).await.told(), told(400, "malformed"));
    assert_eq!(one.asks(&open(2), set("dcr-window", "-1")).await.told(), told(400, "malformed"));
}

#[test]
fn attaches_that_ask_for_too_much() {
    let scene = Scene::begin();
    let origin = scene.tier.address("origin-1").expect("it has one");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("it can be");
    let elsewhere = listener.local_addr().expect("it is bound");
    let stage = Stage::new("rogue", || ()).expect("a thread");
    let counts = [("baton_refused_input_total", &[("what", "attach")][..], 8.0)];
    scene.suffers(Attack { lines: 6, ..Attack::new("attaches", "origin-1", &counts) }, |_| {
        stage.call(move |_: Rc<()>| attaches(origin, elsewhere));
        drop(stage);
    });
    let dialed = listener.accept().map(drop).map_err(|error| error.kind());
    assert_eq!(dialed, Err(std::io::ErrorKind::WouldBlock), "an origin dialed what a header said");
    scene.ends_unnoticed();
}

/// Lies on a tunnel: they cost the liar its tunnel, or its session.
async fn lies(origin: SocketAddr) {
    let rogue = Rogue::to(origin, "rogue").await;
    let says_abort = |words: &[u8]| words.windows(2).any(|two| two == [0x7d, 0xc2]);

    let mut liar = rogue.asks(&open(11), same).await;
    liar.says(data(0, 1 << 30, b""));
    let (words, in_order) = liar.last_words().await;
    assert!(in_order && says_abort(&words), "an acknowledgement of what was never sent: {words:?}");

    // Once may be a middlebox's fault, twice isn't.
    let mut first = rogue.asks(&open(12), same).await;
    let again = resume(&first, 12, 2, 0);
    first.says(data(1 << 20, 0, b"x"));
    assert!(!first.last_words().await.1, "a gap breaks the tunnel");
    let mut second = rogue.asks(&again, same).await;
    assert_eq!(second.told(), told(200, "-"));
    second.says(data(1 << 20, 0, b"x"));
    let (words, in_order) = second.last_words().await;
    assert!(in_order && says_abort(&words), "a second gap: {words:?}");

    let mut long = rogue.asks(&open(13), same).await;
    let again = resume(&long, 13, 2, 0);
    // A length of 2^30 - 1.
    long.says(BytesMut::from(&b"\x7d\xc1\xbf\xff\xff\xff"[..]));
    assert!(!long.last_words().await.1, "a huge length breaks the tunnel");
    assert_eq!(rogue.asks(&again, same).await.told(), told(200, "-"), "and not the session");
}

/// Attaches at a home itself, by somebody who says that it is an origin.
async fn at_home(home: SocketAddr) {
    let one = Rogue::before(home).await;
    let edge = |name: &'static str| set("dcr-edge", name);
    let opened = one.asks(&open(21), edge("\"rogue-1\"")).await;
    assert_eq!(opened.told(), told(200, "-"));

    // What isn't an extended CONNECT of this protocol is no attach, whatever its headers say.
    let protocol = |name: &'static str| {
        move |request: &mut Request<()>| drop(request.extensions_mut().insert(Protocol::from_static(name)))
    };
    assert_eq!(one.asks(&open(22), protocol("websocket")).await.told(), told(400, "malformed"));
    assert_eq!(one.asks(&open(22), protocol(attach::CONTROL)).await.told(), told(400, "malformed"));
    let get = |request: &mut Request<()>| {
        request.extensions_mut().remove::<Protocol>();
        *request.method_mut() = Method::GET;
    };
    assert_eq!(one.asks(&open(22), get).await.told(), told(400, "malformed"));

    // A session is its edge's, and an attach is good once, here too.
    let resume = |key, epoch, recv| resume(&opened, key, epoch, recv);
    assert_eq!(one.asks(&resume(29, 2, 0), edge("\"rogue-1\"")).await.told(), told(404, "gone"), "a guess");
    assert_eq!(one.asks(&resume(21, 2, 0), edge("\"rogue-2\"")).await.told(), told(404, "gone"), "another edge's");
    assert_eq!(one.asks(&resume(21, 2, 1 << 40), edge("\"rogue-1\"")).await.told(), told(400, "malformed"));
    assert_eq!(one.asks(&resume(21, 2, 0), edge("\"rogue-1\"")).await.told(), told(200, "-"));
    assert_eq!(one.asks(&resume(21, 2, 0), edge("\"rogue-1\"")).await.told(), told(409, "stale"), "replayed");
    let elsewhere = set("dcr-home", "\"home-9\"");
    assert_eq!(one.asks(&resume(21, 3, 0), elsewhere).await.told(), told(421, "wrong-home"));
}

#[test]
fn attaches_at_a_sidecar() {
    let scene = Scene::with(start(apart()).expect("nothing need be installed"));
    let home = scene.tier.address("home-1").expect("it has one");
    let stage = Stage::new("rogue", || ()).expect("a thread");
    let counts = [("baton_refused_input_total", &[("what", "attach")][..], 4.0)];
    scene.suffers(Attack { lines: 6, ..Attack::new("attaches", "home-1", &counts) }, |_| {
        stage.call(move |_: Rc<()>| at_home(home));
        drop(stage);
    });
    scene.ends_unnoticed();
}

#[test]
fn lies_on_a_tunnel() {
    let scene = Scene::begin();
    let origin = scene.tier.address("origin-1").expect("it has one");
    let stage = Stage::new("rogue", || ()).expect("a thread");
    let counts = [("baton_client_closes_total", &[("cause", "protocol")][..], 2.0)];
    scene.suffers(Attack::new("lies", "broker-1", &counts), |_| {
        stage.call(move |_: Rc<()>| lies(origin));
        drop(stage);
    });
    scene.ends_unnoticed();
}

/// Capsules that are legal and say nothing, as fast as can be: they cost their sender's tunnel nothing but time, and nobody
/// else that.
async fn empty_words(origin: SocketAddr) {
    let rogue = Rogue::to(origin, "rogue").await;
    let mut opened = rogue.asks(&open(31), same).await;
    assert_eq!(opened.told(), told(200, "-"));
    let (mut nothing, mut unknown, mut solicits) = (BytesMut::new(), BytesMut::new(), BytesMut::new());
    for _ in 0..200_000 {
        nothing.unsplit(data(0, 0, b""));
        // Of a type that nobody knows (RFC 9297, section 3.2), three bytes.
        unknown.extend_from_slice(b"\x3f\x03abc");
    }
    (0..1_000).for_each(|_| Solicit { spread: 0, deadline: 1, reason: 0 }.encode(&mut solicits));
    [nothing, unknown, solicits].into_iter().for_each(|words| opened.says(words));
    // And still it is a session.
    opened.says(data(0, 0, &connect(4, "rogue")));
    let connack = data(0, 0, b"").len() + 4;
    let mut heard = Vec::new();
    while !heard.windows(4).any(|four| four == [0x20, 2, 0, 0]) {
        let data = opened.recv.data().await.expect("it isn't over").expect("it isn't broken");
        opened.recv.flow_control().release_capacity(data.len()).expect("it has come");
        heard.extend_from_slice(&data);
        assert!(heard.len() < 100 * connack, "{heard:02x?}");
    }
}

#[test]
fn words_that_say_nothing() {
    let scene = Scene::begin();
    let origin = scene.tier.address("origin-1").expect("it has one");
    let stage = Stage::new("rogue", || ()).expect("a thread");
    let counts = [("baton_attaches_total", &[("kind", "open")][..], 1.0)];
    scene.suffers(Attack::new("empty, unknown and misplaced capsules", "broker-1", &counts), |_| {
        stage.call(move |_: Rc<()>| empty_words(origin));
        drop(stage);
    });
    scene.ends_unnoticed();
}
