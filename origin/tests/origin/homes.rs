//! The trunks to the homes: kept up, replaced, added to.

use std::time::Duration;

use baton_link::settings::TUNNELS_PER_TRUNK;
use baton_protocol::attach::{Refused, Word};
use tokio::time::{Instant, sleep};

use crate::{
    on_a_worker,
    tier::{Tier, open, until},
};

#[test]
fn a_home_that_comes_back_is_found_soon() {
    on_a_worker(async {
        let tier = Tier::start(&[]);
        sleep(Duration::from_secs(30)).await;
        assert_eq!(tier.health.readiness(), Err("no home is up".into()));
        let anchor = tier.anchor(7201);
        let began = Instant::now();
        until(|| tier.health.readiness().is_ok()).await;
        assert!(began.elapsed() <= Duration::from_millis(2_100), "{:?}", began.elapsed());
        sleep(Duration::from_secs(30)).await;
        anchor.crash();
        until(|| tier.health.readiness().is_err()).await;
        let mut anchor = tier.anchor(7201);
        let began = Instant::now();
        until(|| tier.health.readiness().is_ok()).await;
        assert!(began.elapsed() <= Duration::from_millis(200), "it was gone for a moment only: {:?}", began.elapsed());
        tier.edge("edge-1").await.tunnel(&mut anchor).await;
    });
}

#[test]
fn one_home_is_enough_to_be_ready() {
    on_a_worker(async {
        let (tier, _edge, anchor) = Tier::whole(&["origin.homes.b=127.0.0.1:7202"]).await;
        let other = tier.anchor(7202);
        until(|| other.up() == 1).await;
        anchor.crash();
        sleep(Duration::from_secs(10)).await;
        assert_eq!(tier.health.readiness(), Ok(()));
        other.crash();
        until(|| tier.health.readiness().is_err()).await;
    });
}

#[test]
fn an_anchor_that_wants_to_go_keeps_its_tunnels_and_gets_no_more() {
    on_a_worker(async {
        let (_tier, edge, mut anchor) = Tier::whole(&[]).await;
        let (mut near, mut far) = edge.tunnel(&mut anchor).await;
        anchor.trunks.borrow()[0].go_away();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(edge.attach(&open("bob")).refused().await, Refused::of(Word::Unreachable));
        until(|| anchor.up() == 2).await;
        edge.tunnel(&mut anchor).await;
        near.send(b"x").await;
        assert_eq!(far.receive(1).await, b"x");
        drop((near, far));
        until(|| anchor.up() == 1).await;
    });
}

#[test]
fn a_further_trunk_is_opened_before_the_first_is_full() {
    on_a_worker(async {
        let (tier, edge, mut anchor) = Tier::whole(&[]).await;
        sleep(Duration::from_secs(10)).await;
        let mut tunnels = Vec::new();
        for _ in 0..TUNNELS_PER_TRUNK + 16 {
            tunnels.push(edge.tunnel(&mut anchor).await);
        }
        assert_eq!(anchor.up(), 2, "they have room for half again as many");
        drop(tunnels);
        until(|| tier.shows("baton_tunnels{role=\"origin\"} 0")).await;
        sleep(Duration::from_secs(10)).await;
        assert_eq!(anchor.up(), 2, "connections are cheap, and come and go no faster than they must");
    });
}
