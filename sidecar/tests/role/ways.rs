//! The ways to the broker, and what its connections begin with.

use std::net::Ipv4Addr;

use baton_process::net::SocketReach;
use baton_protocol::attach::Word;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, UnixListener},
};

use crate::support::{CLIENT, Sidecar, broker, hears, on_a_worker, probed, session, soon};

#[test]
fn a_unix_socket_is_a_way() {
    on_a_worker(async {
        let path = std::env::temp_dir().join(format!("baton-sidecar-{}.sock", std::process::id()));
        // Of an earlier process of the same number that failed.
        drop(std::fs::remove_file(&path));
        let listener = UnixListener::bind(&path).expect("a path of this process's own");
        let sidecar = Sidecar::start(&format!("unix://{}", path.display()), &[]).await;
        let (mut probe, _) = soon(listener.accept()).await.expect("a connection");
        assert_eq!(hears(&mut probe).await, [0x10]);
        probe.write_all(&[0x20, 2, 0, 0]).await.expect("it listens");
        sidecar.until_ready(true).await;
        sidecar.open(1).await.expect("a session");
        soon(listener.accept()).await.expect("its connection");
        std::fs::remove_file(path).expect("it's still there");
        assert_eq!(sidecar.open(2).await.expect_err("nobody is there").word, Some(Word::Unreachable));
    });
}

#[test]
fn sessions_are_dealt_out_to_addresses_and_sources() {
    on_a_worker(async {
        let (one, url) = broker().await;
        let (other, other_url) = broker().await;
        let sidecar = Sidecar::start(&format!("{url},{other_url}"), &["sidecar.sources=127.0.0.7,127.0.0.8"]).await;
        let _probe = probed(&one).await;
        let mut tunnels = Vec::new();
        for key in 1..=4 {
            tunnels.push(sidecar.open(key).await.expect("a session"));
        }
        for listener in [&one, &other] {
            let (first, second) = (soon(listener.accept()).await, soon(listener.accept()).await);
            let mut from = [first, second].map(|accepted| accepted.expect("a connection").1.ip());
            from.sort();
            assert_eq!(from, [Ipv4Addr::new(127, 0, 0, 7), Ipv4Addr::new(127, 0, 0, 8)]);
        }
    });
}

#[test]
fn an_address_that_is_away_costs_nobody_a_session() {
    on_a_worker(async {
        let (away, away_url) = broker().await;
        let (here, url) = broker().await;
        let sidecar = Sidecar::start(&format!("{away_url},{url}"), &[]).await;
        let _probe = probed(&away).await;
        drop(away);
        let mut kept = Vec::new();
        for key in 1..=3 {
            let tunnel = sidecar.open(key).await.expect("a session, at the other address");
            kept.push((tunnel, session(&here).await));
        }
    });
}

#[test]
fn a_source_that_leads_nowhere_costs_nobody_a_session() {
    on_a_worker(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("it's bound").port();
        // Nobody listens on ::1, whether the name has that address or not.
        let sets = ["sidecar.sources=::1,127.0.0.7"];
        let sidecar = Sidecar::start(&format!("tcp://localhost:{port}"), &sets).await;
        let _probe = probed(&listener).await;
        sidecar.until_ready(true).await;
        let mut kept = Vec::new();
        for key in 1..=4 {
            let tunnel = sidecar.open(key).await.expect("a session, from the other source");
            kept.push((tunnel, session(&listener).await));
        }
    });
}

#[test]
fn the_broker_is_told_who_the_client_is() {
    on_a_worker(async {
        let (listener, url) = broker().await;
        let sidecar = Sidecar::start(&url, &["sidecar.proxy_protocol=true"]).await;
        let mut probe = session(&listener).await;
        assert_eq!(hears(&mut probe).await, *b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0\x10\x1e", "LOCAL, then a CONNECT");
        probe.write_all(&[0x20, 2, 0, 0]).await.expect("it listens");
        let _tunnel = sidecar.open(1).await.expect("a session");
        let mut session = session(&listener).await;
        assert_eq!(hears(&mut session).await, *b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c");
        let addresses: [u8; 12] = hears(&mut session).await;
        let ip = |at: usize| Ipv4Addr::from([addresses[at], addresses[at + 1], addresses[at + 2], addresses[at + 3]]);
        let port = |at: usize| u16::from_be_bytes([addresses[at], addresses[at + 1]]);
        assert_eq!(format!("{}:{}", ip(0), port(8)), CLIENT);
        assert_eq!(format!("tcp://{}:{}", ip(4), port(10)), url);
    });
}

#[test]
fn a_broker_that_takes_no_local_header_is_told_where_we_are() {
    on_a_worker(async {
        let (listener, url) = broker().await;
        let sidecar = Sidecar::start(&url, &["sidecar.proxy_protocol=true"]).await;
        let mut probe = session(&listener).await;
        assert_eq!(hears(&mut probe).await, *b"\r\n\r\n\0\r\nQUIT\n\x20\0");
        drop(probe);
        let mut probe = session(&listener).await;
        assert_eq!(hears(&mut probe).await, *b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01");
        let _ports: [u8; 4] = hears(&mut probe).await;
        assert_eq!(hears(&mut probe).await, [0x10, 0x1e]);
        probe.write_all(&[0x20, 2, 0, 0]).await.expect("it listens");
        sidecar.until_ready(true).await;
    });
}

#[test]
fn a_source_that_is_not_ours_is_said_at_the_start() {
    let error = SocketReach::new(&[Ipv4Addr::new(203, 0, 113, 1).into()]).expect_err("it's nobody's").to_string();
    assert!(error.starts_with("no connection can be made from 203.0.113.1: "), "{error}");
}
