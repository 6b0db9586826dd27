//! MQTT over WebSocket, on the port of plain MQTT: well behaved, and not.

use std::{net::SocketAddr, time::Duration};

use baton_broker_sim::{Config, broker::Limits, start};
use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest, protocol::frame::coding::CloseCode},
};

use crate::faults::{CONNACK, Client, PING, PONG, broker};

const WITHIN: Duration = Duration::from_secs(20);
const CONNECT: &[u8] = b"\x10\x0d\0\x04MQTT\x04\x02\0\0\0\x01w";
const UPGRADE: &str = "GET /mqtt HTTP/1.1\r\nhost: b\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

type Socket = WebSocketStream<TcpStream>;

async fn dial(addr: SocketAddr, subprotocols: Option<&str>) -> Result<(Socket, Option<String>), Error> {
    let mut request = format!("ws://{addr}/mqtt").into_client_request().unwrap();
    if let Some(subprotocols) = subprotocols {
        request.headers_mut().insert("sec-websocket-protocol", subprotocols.parse().unwrap());
    }
    let (socket, response) = client_async(request, TcpStream::connect(addr).await.unwrap()).await?;
    let chosen = response.headers().get("sec-websocket-protocol");
    Ok((socket, chosen.map(|value| value.to_str().unwrap().to_owned())))
}

async fn send(socket: &mut Socket, bytes: &[u8]) {
    socket.send(Message::binary(bytes.to_vec())).await.unwrap();
}

/// The next message; none at the end.
async fn next(socket: &mut Socket) -> Option<Message> {
    timeout(WITHIN, socket.next()).await.expect("in time").and_then(Result::ok)
}

/// The bytes of binary messages until there are so many, and how many messages those were.
async fn bytes(socket: &mut Socket, many: usize) -> (Vec<u8>, usize) {
    let (mut got, mut frames) = (Vec::new(), 0);
    while got.len() < many {
        match next(socket).await {
            Some(Message::Binary(bytes)) => got.extend_from_slice(&bytes),
            other => panic!("{other:?}"),
        }
        frames += 1;
    }
    (got, frames)
}

async fn close_code(socket: &mut Socket) -> CloseCode {
    match next(socket).await {
        Some(Message::Close(Some(close))) => close.code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn packets_span_frames_and_share_them() {
    let broker = broker("");
    let (mut socket, _) = dial(broker.addr(), Some("mqtt")).await.unwrap();
    for byte in CONNECT {
        send(&mut socket, &[*byte]).await;
    }
    assert_eq!(bytes(&mut socket, CONNACK.len()).await.0, CONNACK);
    send(&mut socket, b"").await;
    socket.send(Message::Ping("p".into())).await.unwrap();
    assert_eq!(next(&mut socket).await, Some(Message::Pong("p".into())));
    send(&mut socket, &[b"\x82\x06\0\x01\0\x01t\0", PING, PING].concat()).await;
    let expected = [b"\x90\x03\0\x01\0", PONG, PONG].concat();
    assert_eq!(bytes(&mut socket, expected.len()).await.0, expected);
    // A client on the same port without WebSocket publishes to it.
    Client::join(&broker, b'p').await.send(b"\x30\x04\0\x01tx").await;
    assert_eq!(bytes(&mut socket, 6).await.0, b"\x30\x04\0\x01tx");
    send(&mut socket, b"\xe0\0").await;
    assert_eq!(close_code(&mut socket).await, CloseCode::Normal);
}

#[tokio::test]
async fn large_packets_both_ways() {
    const SIZE: usize = 1_000_000;
    let broker = broker("");
    let (mut socket, _) = dial(broker.addr(), Some("mqtt")).await.unwrap();
    send(&mut socket, &[CONNECT, b"\x82\x06\0\x01\0\x01t\0"].concat()).await;
    bytes(&mut socket, 9).await;
    // Remaining length 1,000,003: 0xc3 0x84 0x3d.
    let mut message = b"\x30\xc3\x84\x3d\0\x01t".to_vec();
    message.resize(7 + SIZE, b'x');
    send(&mut socket, &message).await;
    assert!(bytes(&mut socket, message.len()).await.0 == message);
}

#[tokio::test]
async fn split_writes_are_frames_of_their_own() {
    let broker = broker("split 1 on open");
    let (mut socket, _) = dial(broker.addr(), Some("mqtt")).await.unwrap();
    send(&mut socket, CONNECT).await;
    assert_eq!(bytes(&mut socket, 4).await, (CONNACK.to_vec(), 4));
    broker.faults().add("cut now").unwrap();
    let end = timeout(WITHIN, socket.next()).await.expect("in time");
    assert!(matches!(end, Some(Err(_))), "a reset without a Close: {end:?}");
}

#[tokio::test]
async fn the_subprotocol_is_mqtt() {
    let broker = broker("");
    for (offered, chosen) in
        [("mqtt", "mqtt"), ("x, mqtt", "mqtt"), ("mqttv3.1", "mqttv3.1"), ("mqtt,mqttv3.1", "mqtt")]
    {
        assert_eq!(dial(broker.addr(), Some(offered)).await.unwrap().1.as_deref(), Some(chosen), "{offered}");
    }
    for offered in [None, Some("mqtt5"), Some("MQTT"), Some("chat, superchat")] {
        match dial(broker.addr(), offered).await {
            Err(Error::Http(response)) => {
                assert_eq!(response.status(), 400);
                let body = String::from_utf8(response.body().clone().unwrap_or_default()).unwrap();
                assert!(body.contains("the subprotocol mqtt"), "{body}");
            }
            other => panic!("{offered:?}: {:?}", other.map(|(_, chosen)| chosen)),
        }
    }
}

#[tokio::test]
async fn a_text_frame_is_refused() {
    let broker = broker("");
    let (mut socket, _) = dial(broker.addr(), Some("mqtt")).await.unwrap();
    send(&mut socket, CONNECT).await;
    bytes(&mut socket, 4).await;
    socket.send(Message::text("hello")).await.unwrap();
    assert_eq!(close_code(&mut socket).await, CloseCode::Unsupported);
}

/// Sends raw bytes after an upgrade; the code of the Close that comes.
async fn after_upgrade(addr: SocketAddr, frames: &[u8]) -> Option<u16> {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(format!("{UPGRADE}sec-websocket-protocol: mqtt\r\n\r\n").as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    stream.write_all(frames).await.unwrap();
    let mut close = [0; 4];
    timeout(WITHIN, stream.read_exact(&mut close)).await.expect("in time").unwrap();
    (close[0] == 0x88).then(|| u16::from_be_bytes([close[2], close[3]]))
}

#[tokio::test]
async fn frames_that_break_websocket() {
    let broker = broker("");
    let large_ping = [&b"\x89\xfe\x01\0mask"[..], &[0; 256]].concat();
    for (what, frames, code) in [
        ("unmasked", &b"\x82\x02\xc0\0"[..], 1002),
        ("a giant frame", b"\x82\xff\0\0\0\x01\0\0\0\0mask", 1009),
        ("a frame over the limit", b"\x82\xff\0\0\0\0\0\x40\0\x01mask", 1009),
        ("reserved bits", b"\xf2\x80mask", 1002),
        ("a reserved opcode", b"\x83\x80mask", 1002),
        ("a continuation of nothing", b"\x80\x80mask", 1002),
        ("a large ping", &large_ping, 1002),
    ] {
        assert_eq!(after_upgrade(broker.addr(), frames).await, Some(code), "{what}");
    }
    // Whoever behaves is still served.
    Client::join(&broker, b'c').await;
}

#[tokio::test]
async fn upgrades_that_are_none() {
    let broker = broker("");
    let with = |more: &str| format!("{UPGRADE}{more}\r\n");
    for (what, request) in [
        ("no upgrade", "GET / HTTP/1.1\r\nhost: b\r\n\r\n".to_owned()),
        ("HTTP/1.0", with("sec-websocket-protocol: mqtt\r\n").replacen("HTTP/1.1", "HTTP/1.0", 1)),
        ("no key", with("sec-websocket-protocol: mqtt\r\n").replacen("sec-websocket-key", "x", 1)),
        ("an old version", with("sec-websocket-protocol: mqtt\r\n").replacen("13", "8", 1)),
        ("no subprotocol", with("")),
        ("no HTTP", "GARBAGE\r\n\r\n".to_owned()),
        ("endless headers", with(&format!("x: {}\r\n", "y".repeat(20_000)))),
    ] {
        let mut stream = TcpStream::connect(broker.addr()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(WITHIN, stream.read_to_string(&mut answer)).await.expect("in time").unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{what}: {answer}");
    }
    Client::join(&broker, b'c').await;
}

/// The time for an upgrade is that for a CONNECT.
#[tokio::test]
async fn an_upgrade_that_never_ends() {
    let limits = Limits { connect: 500, ..Limits::default() };
    let broker = start(Config { limits, ..Config::default() }).unwrap();
    let request = format!("{UPGRADE}sec-websocket-protocol: mqtt\r\n\r\n");
    // A byte now and then, a request but for its end, and an upgrade without a CONNECT.
    for (what, bytes, dribbles) in [
        ("dribbled", &request.as_bytes()[..1], true),
        ("unfinished", &request.as_bytes()[..request.len() - 2], false),
        ("idle", request.as_bytes(), false),
    ] {
        let begun = Instant::now();
        let mut stream = TcpStream::connect(broker.addr()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let (mut reading, mut writing) = stream.split();
        let dribble = async {
            let mut more = request.bytes().skip(1).cycle();
            let mut every = tokio::time::interval(Duration::from_millis(20));
            while dribbles && let Some(byte) = more.next() {
                every.tick().await;
                if writing.write_all(&[byte]).await.is_err() {
                    break;
                }
            }
            std::future::pending::<()>().await;
        };
        let mut rest = Vec::new();
        tokio::select! {
            read = timeout(WITHIN, reading.read_to_end(&mut rest)) => drop(read.expect("it is closed")),
            () = dribble => {}
        }
        let took = begun.elapsed();
        assert!((Duration::from_millis(450)..Duration::from_secs(8)).contains(&took), "{what}: {took:?}");
    }
    assert_eq!(broker.counts().connects, 0);
}
