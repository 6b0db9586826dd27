//! Whether the broker is well, and what follows from that.

use std::time::Duration;

use baton_protocol::attach::{Refused, Word};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::sleep,
};

use crate::support::{Sidecar, broker, hears, home, on_a_worker, probed, session, soon};

fn unreachable() -> Refused {
    Refused::by(&home(), Word::Unreachable)
}

#[test]
fn readiness_is_the_brokers() {
    on_a_worker(async {
        let (listener, url) = broker().await;
        let sidecar = Sidecar::start(&url, &[]).await;
        let _probe = probed(&listener).await;
        sidecar.until_ready(true).await;
        let tunnel = sidecar.open(1).await.expect("a session");
        let _session = session(&listener).await;
        let address = listener.local_addr().expect("it's bound");
        drop(listener);
        assert_eq!(sidecar.open(2).await.expect_err("the broker is away"), unreachable());
        sidecar.until_ready(false).await;
        let why = sidecar.health.readiness().expect_err("it isn't ready");
        assert!(why.contains(&url), "{why}");
        let back = TcpListener::bind(&address).await.expect("its old port");
        let _probe = probed(&back).await;
        sidecar.until_ready(true).await;
        let numbers = sidecar.metrics.encode();
        assert!(numbers.contains("baton_limit{name=\"sessions\"} 100000"), "{numbers}");
        assert!(numbers.contains("baton_broker_up 1"), "{numbers}");
        drop(tunnel);
    });
}

#[test]
fn a_broker_that_answers_nothing_is_refused_new_sessions_and_keeps_the_old() {
    on_a_worker(async {
        let (listener, url) = broker().await;
        let sidecar = Sidecar::start(&url, &["sidecar.probe_every=1s"]).await;
        let mut probe = probed(&listener).await;
        let _tunnel = sidecar.open(1).await.expect("a session");
        let mut kept = session(&listener).await;
        assert_eq!(hears(&mut probe).await, [0xc0, 0], "it asks on the connection that it has");
        probe.write_all(&[0xd0, 0]).await.expect("it listens");
        assert_eq!(hears(&mut probe).await, [0xc0, 0]);
        // From here on it takes connections, and says nothing.
        let _silent = session(&listener).await;
        sidecar.until_ready(false).await;
        assert_eq!(sidecar.open(2).await.expect_err("it would wait in vain"), unreachable());
        assert!(sidecar.metrics.encode().contains("baton_broker_up 0"));
        kept.write_all(b"still here").await.expect("its connection is left alone");
        let end = tokio::time::timeout(Duration::from_millis(200), kept.read_u8()).await;
        assert!(end.is_err(), "{end:?}");
        // It is asked again and again, and answers at last.
        let _probe = probed(&listener).await;
        sidecar.until_ready(true).await;
        sidecar.open(3).await.expect("a session");
    });
}

#[test]
fn a_broker_that_ends_the_question_is_asked_anew() {
    on_a_worker(async {
        let (listener, url) = broker().await;
        let sidecar = Sidecar::start(&url, &[]).await;
        drop(probed(&listener).await);
        let _probe = probed(&listener).await;
        sidecar.until_ready(true).await;
    });
}

#[test]
fn credentials_are_not_needed_to_be_well() {
    on_a_worker(async {
        let (listener, url) = broker().await;
        let sidecar = Sidecar::start(&url, &["sidecar.probe_every=1s"]).await;
        for _ in 0..2 {
            let mut probe = session(&listener).await;
            probe.write_all(&[0x20, 2, 0, 5]).await.expect("it listens");
            sidecar.until_ready(true).await;
        }
    });
}

#[test]
fn a_broker_of_mqtt_5_only_is_asked_in_it_from_then_on() {
    on_a_worker(async {
        let (listener, url) = broker().await;
        let sidecar = Sidecar::start(&url, &["sidecar.probe_every=1s"]).await;
        let mut probe = session(&listener).await;
        assert_eq!(hears(&mut probe).await, *b"\x10\x1e\0\x04MQTT\x04");
        drop(probe);
        // It wants credentials, which is no reason to ask otherwise.
        for _ in 0..2 {
            let mut probe = session(&listener).await;
            assert_eq!(hears(&mut probe).await, *b"\x10\x1f\0\x04MQTT\x05");
            probe.write_all(&[0x20, 3, 0, 0x87, 0]).await.expect("it listens");
            sidecar.until_ready(true).await;
        }
    });
}

#[test]
fn a_broker_that_says_that_it_is_unavailable_is_believed() {
    on_a_worker(async {
        let (listener, url) = broker().await;
        let sidecar = Sidecar::start(&url, &[]).await;
        for _ in 0..2 {
            let mut probe = session(&listener).await;
            assert_eq!(hears(&mut probe).await, *b"\x10\x1e\0\x04MQTT\x04");
            probe.write_all(&[0x20, 2, 0, 3]).await.expect("it listens");
            sidecar.until_ready(false).await;
            assert_eq!(sidecar.open(1).await.expect_err("it isn't available"), unreachable());
        }
    });
}

#[test]
fn a_broker_may_be_asked_to_take_connections_and_no_more() {
    on_a_worker(async {
        let (listener, url) = broker().await;
        let sidecar = Sidecar::start(&url, &["sidecar.probe=connect", "sidecar.probe_every=1s"]).await;
        for _ in 0..2 {
            let mut probe = session(&listener).await;
            assert_eq!(soon(probe.read(&mut [0; 1])).await.expect("an end"), 0, "it asks nothing");
        }
        sidecar.until_ready(true).await;
    });
}

#[test]
fn a_broker_that_is_not_there_at_the_start_is_waited_for() {
    on_a_worker(async {
        let (listener, url) = broker().await;
        let address = listener.local_addr().expect("it's bound");
        drop(listener);
        let sidecar = Sidecar::start(&url, &[]).await;
        while !sidecar.health.readiness().is_err_and(|why| why.contains("is not well")) {
            sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(sidecar.open(1).await.expect_err("nobody is there"), unreachable());
        let listener = TcpListener::bind(address).await.expect("its port");
        let _probe = probed(&listener).await;
        sidecar.until_ready(true).await;
    });
}
