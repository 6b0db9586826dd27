//! Trunks over in-memory streams: what they carry, how they end, how often they write.

mod pair;
mod session;

use std::{future::Future, rc::Rc, time::Duration};

use baton_link::{LinkEnd, Trunk, Worker, budget::Budget, trunk};
use baton_process::{clock::Clock, metrics::Metrics};
use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, duplex},
    runtime::{Builder, LocalOptions},
    task::spawn_local,
    time::{Instant, sleep, timeout},
};

/// Bytes in flight between the two ends of an in-memory stream.
const PIPE: usize = 1 << 20;

/// Runs a future on a worker's runtime whose clock only moves when nothing else does.
fn on_a_worker<F: Future>(test: impl FnOnce(Rc<Worker>) -> F) -> F::Output {
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build_local(LocalOptions::default());
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async {
        let budget = Budget::new(1 << 30, "sessions", &Metrics::new("edge"));
        test(Worker::start(Clock::start(), budget)).await
    })
}

#[test]
fn a_peer_that_says_nothing_is_found_out_before_the_first_attach() {
    let (end, took) = on_a_worker(|worker| async move {
        let (ours, _theirs) = duplex(PIPE);
        let began = Instant::now();
        (Trunk::connect(ours, &worker).await.expect_err("nobody answers"), began.elapsed())
    });
    assert_eq!(end, LinkEnd::Silent);
    assert!(took <= Duration::from_secs(5), "{took:?}");
}

#[test]
fn a_peer_that_falls_silent_is_dead_within_five_seconds() {
    let took = on_a_worker(|worker| async move {
        let (pair, cable) = pair::Pair::over_a_cable(&worker).await;
        sleep(Duration::from_secs(60)).await;
        assert!(!pair.client.state().ended(), "an idle trunk whose peer answers its PINGs lives");
        let cut_at = Instant::now();
        cable.stall();
        assert_eq!(pair.ended.await, Ok(LinkEnd::Silent));
        cut_at.elapsed()
    });
    assert!(took <= Duration::from_millis(5_500), "{took:?}");
}

#[test]
fn what_is_no_http2_is_garbage() {
    let end = on_a_worker(|worker| async move {
        let (mut client, server) = duplex(PIPE);
        client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("room");
        trunk::accept(server, &worker).await.expect_err("that is no preface")
    });
    assert!(matches!(end, LinkEnd::Garbage(_)), "{end}");
}

#[test]
fn a_server_that_takes_no_extended_connect_is_refused() {
    let end = on_a_worker(|worker| async move {
        let (client, server) = duplex(PIPE);
        spawn_local(async move {
            let mut plain = h2::server::handshake(server).await.expect("HTTP/2");
            while plain.accept().await.is_some() {}
        });
        Trunk::connect(client, &worker).await.expect_err("no tunnel can be made")
    });
    assert!(matches!(end, LinkEnd::Garbage(_)), "{end}");
}

#[test]
fn what_many_tunnels_send_in_one_turn_leaves_in_one_write() {
    const TUNNELS: usize = 64;
    let (before, after) = on_a_worker(|worker| async move {
        let (pair, cable) = pair::Pair::over_a_cable(&worker).await;
        let mut streams = Vec::new();
        for _ in 0..TUNNELS {
            streams.push(pair.raw_stream().await);
        }
        let before = cable.writes();
        for (send, _) in &mut streams {
            send.reserve_capacity(2_000);
            send.send_data(Bytes::from(vec![7; 2_000]), false).expect("an open stream");
        }
        let arrived = async {
            for (_, recv) in &mut streams {
                let echoed = recv.data().await.expect("the echo").expect("no error");
                assert!(!echoed.is_empty());
            }
        };
        timeout(Duration::from_secs(5), arrived).await.expect("all of it arrives");
        (before, cable.writes())
    });
    // What goes out is one gathered write, cut by the cable's own reads of 64 KiB; 128 KiB of it.
    assert!(after - before <= 4, "{} writes for {TUNNELS} tunnels", after - before);
}

#[test]
fn going_away_leaves_tunnels_alone_and_takes_no_new_ones() {
    on_a_worker(|worker| async move {
        let (pair, _cable) = pair::Pair::over_a_cable(&worker).await;
        let (mut send, mut recv) = pair.raw_stream().await;
        pair.server.go_away();
        sleep(Duration::from_secs(1)).await;
        send.send_data(Bytes::from_static(b"still"), false).expect("the tunnel goes on");
        assert_eq!(recv.data().await.expect("the echo").expect("no error"), "still");
        assert!(pair.try_raw_stream().await.is_err(), "no new tunnel");
        send.send_data(Bytes::new(), true).expect("an end");
        while recv.data().await.is_some() {}
        drop((send, recv));
        assert_eq!(pair.ended.await, Ok(LinkEnd::Closed));
    });
}

#[test]
fn a_cut_trunk_ends_at_once() {
    on_a_worker(|worker| async move {
        let (pair, _cable) = pair::Pair::over_a_cable(&worker).await;
        let (_send, mut recv) = pair.raw_stream().await;
        pair.server.cut();
        assert!(recv.data().await.expect("an error").is_err());
        assert!(pair.server.ended());
    });
}

/// What the tests' cables are made of, checked once: bytes pass, and a stalled cable passes none.
#[test]
fn a_cable_passes_bytes_until_it_stalls() {
    on_a_worker(|_| async {
        let (mut left, mut right, cable) = pair::cable();
        left.write_all(b"ab").await.expect("room");
        let mut got = [0; 2];
        right.read_exact(&mut got).await.expect("two bytes");
        assert_eq!((&got, cable.writes()), (b"ab", 1));
        cable.stall();
        left.write_all(b"c").await.expect("room");
        let nothing = timeout(Duration::from_secs(1), right.read_u8()).await;
        assert!(nothing.is_err(), "{nothing:?}");
    });
}
