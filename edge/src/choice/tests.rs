use proptest::prelude::*;
use rand::{SeedableRng, rngs::SmallRng};

use super::*;

fn failing(times: u32, now: Millis) -> Health {
    let mut health = Health::new();
    (0..times).for_each(|_| health.record_failure(now));
    health
}

fn idle(origin: usize, health: &Health) -> Candidate<'_> {
    let instance = ["origin-0/a", "origin-1/a", "origin-2/a", "origin-3/a"][origin];
    Candidate { origin, instance, ready: true, mute: false, solicited: false, tunnels: 0, attaching: 0, health }
}

/// How often each of the candidates is chosen in 1,000 draws.
fn shares(candidates: &[Candidate<'_>], avoid: Avoid<'_>, now: Millis) -> Vec<u32> {
    let mut rng = SmallRng::seed_from_u64(7);
    let mut shares = vec![0; candidates.len()];
    for _ in 0..1_000 {
        if let Some(chosen) = choose(candidates, avoid, now, &mut rng) {
            shares[chosen] += 1;
        }
    }
    shares
}

#[test]
fn more_than_half_of_twenty_is_bad_for_a_second() {
    assert!(!failing(10, 0).is_bad(0));
    let mut health = failing(11, 100);
    assert!(health.is_bad(100) && health.is_bad(1_099));
    assert!(!health.is_bad(1_100));
    // Ten of the last twenty are not more than half, whatever came before those.
    health = failing(10, 0);
    (0..11).for_each(|_| health.record_success(0));
    (0..10).for_each(|_| health.record_failure(0));
    assert!(!health.is_bad(0));
    health.record_failure(0);
    assert!(health.is_bad(0));
}

#[test]
fn penalties_double_up_to_a_minute_and_are_forgotten_after_one() {
    let (mut health, mut now) = (Health::new(), 0);
    for penalty in [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000] {
        (0..11).for_each(|_| health.record_failure(now));
        assert!(health.is_bad(now + penalty - 1) && !health.is_bad(now + penalty), "{penalty}");
        now += penalty;
    }
    now += PENALTY_MAX;
    (0..11).for_each(|_| health.record_failure(now));
    assert!(health.is_bad(now) && !health.is_bad(now + PENALTY));
}

#[test]
fn stragglers_of_one_outage_earn_one_penalty() {
    let health = failing(1_000, 50);
    assert!(health.is_bad(1_049) && !health.is_bad(1_050));
    let mut health = health;
    health.record_failure(1_050);
    assert!(!health.is_bad(1_050));
}

#[test]
fn two_losses_in_a_minute_are_bad() {
    let mut health = Health::new();
    health.record_loss(0);
    health.record_loss(60_000);
    assert!(!health.is_bad(60_000));
    health.record_loss(119_999);
    assert!(health.is_bad(119_999) && !health.is_bad(120_999));
}

#[test]
fn the_score_is_load_over_success() {
    let health = Health::new();
    assert_eq!([0, 1, 99].map(|load| health.score(load, 0)), [1, 2, 100]);
    let dead = failing(1_000, 0);
    assert_eq!(dead.score(0, 0), 100, "success has a floor of 0.01");
    assert!(dead.score(9, FORGIVE) <= 20, "half is forgiven: {}", dead.score(9, FORGIVE));
    assert_eq!(dead.score(9, 20 * FORGIVE), 10, "all is");
    let mut busy = dead.clone();
    busy.record_failure(FORGIVE - 1);
    assert!(busy.score(9, FORGIVE) <= 20, "news in between don't put it off");
    assert_eq!(dead.score(9, Millis::MAX), 10);
    assert_eq!(dead.score(u64::MAX, 0), u64::MAX / u64::from(FLOOR));
}

#[test]
fn a_mostly_failing_origin_is_chosen_less() {
    let (good, shaky) = (Health::new(), failing(9, 0));
    let (mut a, mut b) = (idle(0, &good), idle(1, &shaky));
    (a.tunnels, b.tunnels) = (20, 10);
    assert_eq!(shares(&[a, b], Avoid::default(), 0), [1_000, 0]);
    a.tunnels = 40;
    assert_eq!(shares(&[a, b], Avoid::default(), 0), [0, 1_000]);
}

#[test]
fn who_is_left() {
    let (good, bad) = (Health::new(), failing(11, 0));
    let [a, b, c] = [idle(0, &good), idle(1, &bad), idle(2, &good)];
    let failed = |origin| Avoid { failed: Some(origin), leaving: None };
    let solicited = Candidate { solicited: true, ..a };
    let closed = Candidate { ready: false, ..a };
    let leaving = Avoid { failed: None, leaving: Some(a.instance) };
    let chosen = |candidates: &[_], avoid| shares(candidates, avoid, 0).iter().map(|n| *n > 0).collect::<Vec<_>>();
    let mute = Candidate { mute: true, ..a };
    let table: [(&str, &[Candidate<'_>], Avoid<'_>, &[bool]); 13] = [
        ("nobody", &[], failed(0), &[]),
        ("equals share", &[a, c], Avoid::default(), &[true, true]),
        ("mute, with others", &[mute, c], Avoid::default(), &[false, true]),
        ("mute, and no other", &[mute], Avoid::default(), &[true]),
        ("bad, with others", &[a, b, c], Avoid::default(), &[true, false, true]),
        ("bad, alone", &[b], Avoid::default(), &[true]),
        ("failed, with others", &[a, c], failed(0), &[false, true]),
        ("failed, alone", &[a], failed(0), &[true]),
        ("failed or bad", &[a, b], failed(0), &[false, true]),
        ("failed and bad", &[b, closed], failed(1), &[true, false]),
        ("solicited, alone", &[solicited], Avoid::default(), &[false]),
        ("not ready, alone", &[closed], Avoid::default(), &[false]),
        ("the instance that is left, over another connection", &[a, a], leaving, &[false, false]),
    ];
    for (case, candidates, avoid, expected) in table {
        assert_eq!(chosen(candidates, avoid), expected, "{case}");
    }
}

#[test]
fn ten_thousand_sessions_spread_evenly() {
    let health = Health::new();
    let mut candidates = [0, 1, 2, 3].map(|origin| idle(origin, &health));
    candidates[3].tunnels = 1_000;
    let mut rng = SmallRng::seed_from_u64(3);
    for _ in 0..10_000 {
        let chosen = choose(&candidates, Avoid::default(), 0, &mut rng).unwrap();
        candidates[chosen].attaching += 1;
    }
    for candidate in candidates {
        let load = candidate.tunnels + candidate.attaching;
        assert!((2_700..=2_800).contains(&load), "{load} of 11,000 over four");
    }
}

prop_compose! {
    fn any_health()(events in prop::collection::vec((0..4u8, 0..20_000u64), 0..60)) -> (Health, Millis) {
        let (mut health, mut now) = (Health::new(), 0);
        for (event, passed) in events {
            now += passed / 10;
            match event {
                0 => health.record_success(now),
                1 | 2 => health.record_failure(now),
                _ => health.record_loss(now),
            }
        }
        (health, now)
    }
}

proptest! {
    #[test]
    fn a_score_rises_with_load_within_a_factor_of_a_hundred((health, now) in any_health(), load in 0..1_000_000u64) {
        let score = health.score(load, now);
        prop_assert!(score > load && score <= (load + 1) * 101, "{score}");
        prop_assert!(health.score(load + 1, now) >= score);
        prop_assert!(health.score(load, now + FORGIVE) <= score);
        prop_assert!(!health.is_bad(now + PENALTY_MAX));
    }

    #[test]
    fn what_is_chosen_may_be_chosen(
        parts in prop::collection::vec((0..4usize, any::<bool>(), any::<bool>(), any::<bool>(), 0..9u32), 0..8),
        failed in prop::option::of(0..4usize),
        leaving in prop::option::of(0..4usize),
        seed in any::<u64>(),
    ) {
        let (good, bad) = (Health::new(), failing(11, 0));
        let candidates: Vec<_> = parts.iter().map(|&(origin, ready, solicited, is_bad, tunnels)| {
            Candidate { ready, solicited, tunnels, ..idle(origin, if is_bad { &bad } else { &good }) }
        }).collect();
        let avoid = Avoid { failed, leaving: leaving.map(|origin| idle(origin, &good).instance) };
        let allowed = |c: &Candidate<'_>| c.ready && !c.solicited && leaving != Some(c.origin);
        let chosen = choose(&candidates, avoid, 0, &mut SmallRng::seed_from_u64(seed)).map(|i| candidates[i]);
        prop_assert_eq!(chosen.is_some(), candidates.iter().any(allowed));
        if let Some(chosen) = chosen {
            prop_assert!(allowed(&chosen));
            let fresh = |c: &Candidate<'_>| allowed(c) && failed != Some(c.origin);
            prop_assert!(fresh(&chosen) || !candidates.iter().any(fresh));
            let glad = |c: &Candidate<'_>| fresh(c) && !c.health.is_bad(0);
            prop_assert!(glad(&chosen) || !candidates.iter().any(glad));
        }
    }
}
