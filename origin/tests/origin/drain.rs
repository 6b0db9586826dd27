//! Leaving: what edges are told, when connections end, and what is left at the deadline.

use std::time::Duration;

use baton_link::LinkEnd;
use baton_process::{net::Dial, run::Exit};
use baton_protocol::{
    attach::{Refused, Word},
    capsule::Solicit,
};
use tokio::{
    io::AsyncReadExt,
    time::{Instant, sleep},
};

use crate::{
    on_a_worker,
    tier::{Ended, Tier, open, resume, soon, until},
};

#[test]
fn edges_are_asked_and_each_tunnel_moves_in_order() {
    on_a_worker(async {
        let (tier, mut edge, mut anchor) = Tier::whole(&[]).await;
        let (mut one, mut one_far) = edge.tunnel(&mut anchor).await;
        let (mut two, mut two_far) = edge.tunnel(&mut anchor).await;
        let mut idle = tier.edge("edge-2").await;
        tier.drain();
        let asked = soon(edge.control.next()).await;
        assert_eq!(asked, Some(Solicit { spread: 2_000, deadline: 16_000, reason: 0 }));
        assert_eq!(soon(idle.control.next()).await, asked);
        assert_eq!(soon(idle.control.next()).await, None, "nothing holds its connection");
        assert_eq!(soon(idle.ended).await, Ok(LinkEnd::Closed));

        one.send(b"still spliced").await;
        assert_eq!(one_far.receive(13).await, b"still spliced");
        for (near, far) in [(&mut one, &mut one_far), (&mut two, &mut two_far)] {
            assert!(!edge.trunk.state().ended());
            // As a move goes: the anchor ends the old tunnel, then the edge does.
            far.end();
            assert_eq!(near.ended().await, Ended::EndStream);
            near.end();
            assert_eq!(far.ended().await, Ended::EndStream);
        }
        assert_eq!(soon(edge.control.next()).await, None);
        assert_eq!(soon(&mut edge.ended).await, Ok(LinkEnd::Closed));
        assert_eq!(tier.exit().await, Exit::Done);
    });
}

#[test]
fn an_attach_that_comes_too_late_is_sent_elsewhere() {
    on_a_worker(async {
        let (tier, edge, mut anchor) = Tier::whole(&[]).await;
        let (near, far) = edge.tunnel(&mut anchor).await;
        let under_way = edge.attach(&resume("a"));
        let arrived = anchor.next().await;
        tier.drain();
        // Sent before GOAWAY gets here.
        assert_eq!(edge.attach(&open("bob")).refused().await, Refused::of(Word::Draining));
        let _far = arrived.accept("a");
        let (_, mut moved) = under_way.accepted().await;
        drop((near, far));
        assert!(!edge.trunk.state().ended(), "what was under way may still become a tunnel");
        moved.end();
        drop(moved);
        assert_eq!(soon(edge.ended).await, Ok(LinkEnd::Closed));
        assert_eq!(tier.exit().await, Exit::Done);
    });
}

#[test]
fn what_is_left_at_the_deadline_is_cut() {
    on_a_worker(async {
        let (tier, mut edge, mut anchor) = Tier::whole(&["drain.spread=100ms", "drain.deadline=700ms"]).await;
        let (mut stays, mut stays_far) = edge.tunnel(&mut anchor).await;
        let (moves, moves_far) = edge.tunnel(&mut anchor).await;
        tier.drain();
        let began = Instant::now();
        assert_eq!(soon(edge.control.next()).await, Some(Solicit { spread: 100, deadline: 700, reason: 0 }));
        drop((moves, moves_far));
        sleep(Duration::from_millis(690)).await;
        stays.send(b"x").await;
        assert_eq!(stays_far.receive(1).await, b"x");
        assert_eq!(tier.exit().await, Exit::Left(1));
        let took = began.elapsed();
        assert!((Duration::from_millis(700)..Duration::from_millis(720)).contains(&took), "{took:?}");
        soon(edge.ended).await.expect("an end");
        assert_eq!(stays.ended().await, Ended::Connection);
        assert!(matches!(stays_far.ended().await, Ended::Reset(_)));
    });
}

#[test]
fn without_edges_there_is_nothing_to_wait_for() {
    on_a_worker(async {
        let tier = Tier::start(&[]);
        let _anchor = tier.anchor(7201);
        until(|| tier.health.readiness().is_ok()).await;
        let began = Instant::now();
        tier.drain();
        assert_eq!(tier.health.readiness(), Err("draining".into()));
        let network = tier.network.clone();
        assert_eq!(tier.exit().await, Exit::Done);
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert!(network.dial("127.0.0.1:7101").await.is_err(), "nobody listens any more");
    });
}

#[test]
fn a_connection_that_has_said_nothing_holds_nothing_up() {
    on_a_worker(async {
        let (tier, mut edge, mut anchor) = Tier::whole(&[]).await;
        let tunnel = edge.tunnel(&mut anchor).await;
        let mut silent = tier.network.dial("127.0.0.1:7101").await.expect("it listens");
        let nameless = tier.connect().await;
        let began = Instant::now();
        tier.drain();
        assert!(soon(edge.control.next()).await.is_some());
        assert_eq!(soon(nameless.ended).await, Ok(LinkEnd::Closed));
        assert_eq!(soon(silent.read(&mut [0; 1])).await.expect("an end"), 0, "it could only come too late");
        assert!(!edge.trunk.state().ended());
        drop(tunnel);
        assert!(soon(edge.control.next()).await.is_none());
        edge.control.end();
        assert_eq!(tier.exit().await, Exit::Done);
        assert!(began.elapsed() < Duration::from_secs(1));
    });
}
