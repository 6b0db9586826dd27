//! What a tunnel does to bytes, ends and resets.

use baton_protocol::attach::Word;
use h2::Reason;

use crate::{
    on_a_worker,
    tier::{End, Ended, Tier, open, until},
};

/// A window of one stream, and so the most that any of the places on the way may hold.
const WINDOW: usize = 256 * 1024 + 16 * 1024;

const IDLE: &str = "baton_tunnels{role=\"origin\"} 0";

#[test]
fn bytes_pass_both_ways_and_each_direction_ends_by_itself() {
    on_a_worker(async {
        let (tier, edge, mut anchor) = Tier::whole(&[]).await;
        let (mut near, mut far) = edge.tunnel(&mut anchor).await;
        assert!(tier.shows("baton_tunnels{role=\"origin\"} 1"));
        near.send(b"up").await;
        assert_eq!(far.receive(2).await, b"up");
        near.send(b"last").await;
        near.end();
        assert_eq!(far.receive(4).await, b"last");
        assert_eq!(far.ended().await, Ended::EndStream);
        far.send(b"down goes on").await;
        assert_eq!(near.receive(12).await, b"down goes on");
        far.end();
        assert_eq!(near.ended().await, Ended::EndStream);
        until(|| tier.shows(IDLE)).await;
    });
}

#[test]
fn an_anchor_may_be_the_first_to_end() {
    on_a_worker(async {
        let (tier, edge, mut anchor) = Tier::whole(&[]).await;
        let (mut near, mut far) = edge.tunnel(&mut anchor).await;
        far.end();
        assert_eq!(near.ended().await, Ended::EndStream);
        near.send(b"late").await;
        assert_eq!(far.receive(4).await, b"late");
        near.end();
        assert_eq!(far.ended().await, Ended::EndStream);
        until(|| tier.shows(IDLE)).await;
    });
}

#[test]
fn a_reset_of_either_side_resets_the_other() {
    on_a_worker(async {
        let (tier, edge, mut anchor) = Tier::whole(&[]).await;
        let (mut near, mut far) = edge.tunnel(&mut anchor).await;
        near.send.send_reset(Reason::CANCEL);
        assert_eq!(far.ended().await, Ended::Reset(Reason::CANCEL));
        let (mut near, mut far) = edge.tunnel(&mut anchor).await;
        far.send.send_reset(Reason::INTERNAL_ERROR);
        assert_eq!(near.ended().await, Ended::Reset(Reason::CANCEL));
        until(|| tier.shows(IDLE)).await;
    });
}

#[test]
fn a_side_that_has_ended_its_direction_is_still_heard_when_it_resets() {
    on_a_worker(async {
        let (tier, edge, mut anchor) = Tier::whole(&[]).await;
        let (mut near, mut far) = edge.tunnel(&mut anchor).await;
        near.end();
        assert_eq!(far.ended().await, Ended::EndStream);
        near.send.send_reset(Reason::CANCEL);
        assert_eq!(far.reset().await, Reason::CANCEL);
        let (mut near, mut far) = edge.tunnel(&mut anchor).await;
        far.end();
        assert_eq!(near.ended().await, Ended::EndStream);
        far.send.send_reset(Reason::CANCEL);
        assert_eq!(near.reset().await, Reason::CANCEL);
        until(|| tier.shows(IDLE)).await;
    });
}

#[test]
fn a_lost_connection_is_a_reset_to_the_other_side_and_never_an_end() {
    on_a_worker(async {
        let (tier, edge, mut anchor) = Tier::whole(&[]).await;
        let (mut near, _far) = edge.tunnel(&mut anchor).await;
        anchor.crash();
        assert_eq!(near.ended().await, Ended::Reset(Reason::CANCEL), "the edge's own connection is well");
        until(|| tier.shows(IDLE)).await;

        let (tier, edge, mut anchor) = Tier::whole(&[]).await;
        let (near, mut far) = edge.tunnel(&mut anchor).await;
        let other = tier.edge("edge-2").await;
        let (mut other_near, mut other_far) = other.tunnel(&mut anchor).await;
        drop((near, edge));
        assert_eq!(far.ended().await, Ended::Reset(Reason::CANCEL));
        other_near.send(b"x").await;
        assert_eq!(other_far.receive(1).await, b"x", "the other edge's tunnel shares the anchor's connection");
    });
}

#[test]
fn a_receiver_that_stalls_is_held_for_within_bounds_and_stalls_nobody_else() {
    on_a_worker(async {
        let (tier, edge, mut anchor) = Tier::whole(&[]).await;
        let (mut stuck, mut stuck_far) = edge.tunnel(&mut anchor).await;
        let (mut near, mut far) = edge.tunnel(&mut anchor).await;
        let sent = stuck.send_until_stuck().await;
        // The anchor's window is full, and so, as far as HTTP/2 hands credit back in small change, is the origin's.
        assert!((3 * WINDOW / 2..=2 * WINDOW).contains(&sent), "{sent}");
        assert!(tier.shows(&format!("baton_buffered_bytes{{where=\"splice\"}} {}", sent - WINDOW)));
        transfer(&mut near, &mut far, 4 << 20).await;
        transfer(&mut far, &mut near, 4 << 20).await;
        assert_eq!(stuck_far.receive(sent).await, vec![0; sent]);
        until(|| tier.shows("baton_buffered_bytes{where=\"splice\"} 0")).await;
        transfer(&mut stuck, &mut stuck_far, 1 << 20).await;
    });
}

#[test]
fn a_reset_is_passed_on_though_bytes_wait() {
    on_a_worker(async {
        let (tier, edge, mut anchor) = Tier::whole(&[]).await;
        let (mut near, mut far) = edge.tunnel(&mut anchor).await;
        near.send_until_stuck().await;
        near.send.send_reset(Reason::CANCEL);
        assert_eq!(far.reset().await, Reason::CANCEL);
        until(|| tier.shows(IDLE) && tier.shows("baton_buffered_bytes{where=\"splice\"} 0")).await;
    });
}

#[test]
fn an_end_waits_for_the_bytes_before_it() {
    on_a_worker(async {
        let (_tier, edge, mut anchor) = Tier::whole(&[]).await;
        let (mut near, mut far) = edge.tunnel(&mut anchor).await;
        let sent = near.send_until_stuck().await;
        near.end();
        assert_eq!(far.receive(sent).await.len(), sent);
        assert_eq!(far.ended().await, Ended::EndStream);
    });
}

#[test]
fn many_small_frames_arrive_as_they_were_sent() {
    on_a_worker(async {
        let (_tier, edge, mut anchor) = Tier::whole(&[]).await;
        let (mut near, mut far) = edge.tunnel(&mut anchor).await;
        let bytes: Vec<u8> = (0..20_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        for byte in bytes.chunks(1) {
            near.send(byte).await;
        }
        // Nothing has been read so far: some of it waits in the origin.
        assert_eq!(far.receive(bytes.len()).await, bytes);
    });
}

#[test]
fn the_tunnel_that_holds_most_goes_when_too_much_is_held() {
    on_a_worker(async {
        let sets = ["limits.buffered_bytes=1MiB", "limits.window=64KiB"];
        let (tier, edge, mut anchor) = Tier::whole(&sets).await;
        let mut tunnels = Vec::new();
        for _ in 0..5 {
            tunnels.push(edge.tunnel(&mut anchor).await);
        }
        let mut small = edge.tunnel(&mut anchor).await;
        for (near, _) in &mut tunnels[..4] {
            near.send_until_stuck().await;
        }
        assert!(tier.shows("baton_tunnels{role=\"origin\"} 6"));
        let refused = edge.attach(&open("bob")).refused().await;
        assert_eq!((refused.word, refused.home), (Some(Word::Busy), None), "new work goes first");
        tunnels[4].0.send(&vec![0; WINDOW + 128 * 1024]).await;
        until(|| tier.shows("baton_tunnels{role=\"origin\"} 5")).await;
        small.0.send(b"still here").await;
        assert_eq!(small.1.receive(10).await, b"still here");
    });
}

/// Sends bytes that can be told apart, while the other end reads.
async fn transfer(from: &mut End, to: &mut End, len: usize) {
    let bytes: Vec<u8> = (0_u64..).flat_map(|n| (n.wrapping_mul(0x9e37_79b9)).to_le_bytes()).take(len).collect();
    let ((), received) = tokio::join!(from.send(&bytes), to.receive(len));
    assert!(received == bytes, "what arrives is what was sent");
}
