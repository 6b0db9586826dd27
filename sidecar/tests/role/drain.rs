//! How it ends.

use std::{io::ErrorKind, time::Duration};

use baton_link::{LinkEnd, Trunk};
use baton_process::run::Exit;
use baton_protocol::{
    attach::{Refused, Word},
    capsule::{Close, CloseKind},
};
use tokio::{
    io::AsyncReadExt,
    net::TcpStream,
    time::{Instant, sleep},
};

use crate::support::{Sidecar, answer, broker, close, home, on_a_worker, probed, session, soon};

#[test]
fn a_drain_waits_for_the_sessions() {
    on_a_worker(async {
        let (listener, url) = broker().await;
        let sidecar = Sidecar::start(&url, &["limits.half_closed=100ms"]).await;
        let _probe = probed(&listener).await;
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
        let (listener, url) = broker().await;
        let sidecar = Sidecar::start(&url, &["drain.deadline=300ms"]).await;
        let _probe = probed(&listener).await;
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
        let (listener, url) = broker().await;
        let sidecar = Sidecar::start(&url, &["drain.deadline=100ms"]).await;
        let _probe = probed(&listener).await;
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
        let (listener, url) = broker().await;
        let sidecar = Sidecar::start(&url, &[]).await;
        let _probe = probed(&listener).await;
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
        let (listener, url) = broker().await;
        let sidecar = Sidecar::start(&url, &[]).await;
        let _probe = probed(&listener).await;
        sidecar.drain();
        assert_eq!(sidecar.exit().await, Exit::Done);
    });
}
