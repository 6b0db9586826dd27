//! The ring: pinned answers that no release may change, and what consistent hashing promises.

use std::collections::BTreeMap;

use baton_protocol::id::{NodeName, UserId};
use baton_protocol::ring::{POINTS, Ring, RingError, VNODES};
use proptest::collection::btree_map;
use proptest::prelude::*;

fn name(name: &str) -> NodeName {
    NodeName::new(name).expect("a legal name")
}

fn ring(members: &[(&str, u32)]) -> Ring {
    let members: Vec<_> = members.iter().map(|(member, weight)| (name(member), *weight)).collect();
    Ring::new(&members, VNODES, 0).expect("a legal ring")
}

/// The ring of the pinned answers: one home counts double.
fn pinned() -> Ring {
    ring(&[("home-1", 1), ("home-2", 1), ("home-3", 1), ("home-4", 2), ("broker.example-5", 1)])
}

fn users(count: u32) -> impl Iterator<Item = UserId> {
    (0..count).map(|n| UserId::new(&format!("device-{n}")))
}

fn shares(ring: &Ring, count: u32) -> BTreeMap<String, u32> {
    let mut shares = BTreeMap::new();
    for user in users(count) {
        *shares.entry(ring.home(&user).to_string()).or_default() += 1;
    }
    shares
}

/// Users whose homes are pinned.
const USERS: [&str; 20] = [
    "alice",
    "bob",
    "carol",
    "",
    "device-0",
    "device-1",
    "device-2",
    "device-3",
    "device-4",
    "device-5",
    "sensor/7/temperature",
    "müller",
    "日本語",
    "a b c",
    "AAAAAAAAAAAAAAAAAAAAAAA",
    "mosq-7c1Xo6vVqE3Zl2",
    "anon:000102030405060708090a0b0c0d0e0f",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "\u{10ffff}",
    "0",
];

/// Origins of different releases and machines answer alike, or one client's sessions land on two brokers. If this
/// fails, the ring has changed for everybody: see "Ring" in docs/interfaces.md.
#[test]
fn pinned_answers() {
    let ring = pinned();
    let answer = |user: &&str| format!("{user:?} {}\n", ring.home(&UserId::new(user)));
    let small = Ring::new(&[(name("a"), 1), (name("b"), 1)], 2, 7).unwrap();
    let digests = [&ring, &small].map(|ring| format!("digest {:016x}\n", ring.digest()));
    let found: String = USERS.iter().map(answer).chain(digests).collect();
    assert_eq!(found, include_str!("golden/ring-v1.txt"));
}

/// The same answers from nothing but the interface's description and another SipHash-2-4.
#[test]
fn the_description_suffices() {
    #[expect(deprecated, reason = "std's SipHasher is SipHash-2-4 under the key zero, and its successors needn't be")]
    let sip = |bytes: &[u8]| {
        use std::hash::Hasher;
        let mut hasher = std::hash::SipHasher::new();
        hasher.write(bytes);
        hasher.finish()
    };
    let seed = 0x0102_0304_0506_0708_u64;
    let members = [("a", 1_u32), ("b", 3)];
    let mut points = Vec::new();
    for (member, weight) in members {
        for vnode in 0..100 * weight {
            let bytes = [&[0x70][..], &seed.to_le_bytes(), &vnode.to_le_bytes(), member.as_bytes()].concat();
            points.push((sip(&bytes), member));
        }
    }
    points.sort_unstable();
    let ring = Ring::new(&members.map(|(member, weight)| (name(member), weight)), 100, seed).unwrap();
    for user in users(1_000) {
        let place = sip(&[&[0x75][..], &seed.to_le_bytes(), user.as_str().as_bytes()].concat());
        let (_, home) = points.iter().find(|(point, _)| *point >= place).unwrap_or(&points[0]);
        assert_eq!(ring.home(&user).as_str(), *home, "{user:?}");
    }
}

#[test]
fn homes_are_equally_full() {
    let names: Vec<_> = (1..=10).map(|n| format!("home-{n}")).collect();
    let members: Vec<_> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let shares = shares(&ring(&members), 100_000);
    assert_eq!(shares.len(), 10);
    for (home, share) in shares {
        assert!((9_000..=11_000).contains(&share), "{home} has {share} of 100,000 users");
    }
}

#[test]
fn a_weight_counts() {
    let shares = shares(&ring(&[("a", 1), ("b", 2), ("c", 1)]), 100_000);
    for (home, expected) in [("a", 25_000), ("b", 50_000), ("c", 25_000)] {
        assert!(shares[home].abs_diff(expected) < expected / 10, "{home} has {} of 100,000 users", shares[home]);
    }
}

#[test]
fn mistakes_are_named() {
    let a = |weight| (name("a"), weight);
    let points = (1 << 32) * u64::from(u32::MAX);
    for (members, vnodes, error, text) in [
        (vec![], VNODES, RingError::Empty, "the ring has no homes"),
        (vec![a(1), (name("b"), 1), a(2)], VNODES, RingError::Duplicate(name("a")), "home a is listed twice"),
        (vec![a(0)], VNODES, RingError::NoWeight(name("a")), "home a has a weight of 0; leave it out instead"),
        (vec![a(1)], 0, RingError::NoVnodes, "vnodes is 0; homes would have no place on the ring"),
        (
            vec![a(1), (name("b"), u32::MAX)],
            u32::MAX,
            RingError::TooManyPoints(points),
            &format!("vnodes times all weights is {points}, more than {POINTS}"),
        ),
        (
            vec![a(1)],
            u32::try_from(POINTS + 1).unwrap(),
            RingError::TooManyPoints(POINTS + 1),
            &format!("vnodes times all weights is {}, more than {POINTS}", POINTS + 1),
        ),
    ] {
        assert_eq!(error.to_string(), text);
        assert_eq!(Ring::new(&members, vnodes, 0).err(), Some(error), "{members:?}");
    }
}

/// One to eight homes of weight 1 to 3.
fn members() -> impl Strategy<Value = Vec<(NodeName, u32)>> {
    btree_map("[a-z][a-z0-9.-]{0,8}", 1..4_u32, 1..9)
        .prop_map(|members| members.into_iter().map(|(member, weight)| (name(&member), weight)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_order_of_members_means_nothing(
        (members, shuffled) in members().prop_flat_map(|members| (Just(members.clone()), Just(members).prop_shuffle())),
        seed in any::<u64>(),
    ) {
        let (one, other) = (Ring::new(&members, 20, seed).unwrap(), Ring::new(&shuffled, 20, seed).unwrap());
        prop_assert_eq!(one.digest(), other.digest());
        for user in users(200) {
            prop_assert!(one.successors(&user).eq(other.successors(&user)));
        }
    }

    #[test]
    fn successors_begin_at_home_and_name_each_once(members in members(), seed in any::<u64>()) {
        let ring = Ring::new(&members, 20, seed).unwrap();
        for user in users(200) {
            let mut order: Vec<_> = ring.successors(&user).cloned().collect();
            prop_assert_eq!(&order[0], ring.home(&user));
            order.sort();
            prop_assert!(order.iter().eq(members.iter().map(|(member, _)| member)));
        }
    }

    /// Whoever a home's leaving moves was that home's, and goes where `successors` said.
    #[test]
    fn a_home_that_leaves_moves_its_own_users_only(members in members(), which in any::<prop::sample::Index>()) {
        prop_assume!(members.len() > 1);
        let mut rest = members.clone();
        let (gone, _) = rest.remove(which.index(rest.len()));
        let (before, after) = (Ring::new(&members, 20, 0).unwrap(), Ring::new(&rest, 20, 0).unwrap());
        prop_assert_ne!(before.digest(), after.digest());
        for user in users(200) {
            let expected = before.successors(&user).find(|home| **home != gone);
            prop_assert_eq!(Some(after.home(&user)), expected);
        }
    }

    #[test]
    fn a_home_that_gains_weight_moves_users_to_itself_only(members in members(), which in any::<prop::sample::Index>()) {
        let mut heavier = members.clone();
        let heavy = which.index(heavier.len());
        heavier[heavy].1 += 1;
        let (before, after) = (Ring::new(&members, 20, 0).unwrap(), Ring::new(&heavier, 20, 0).unwrap());
        for user in users(200) {
            let (old, new) = (before.home(&user), after.home(&user));
            prop_assert!(old == new || *new == heavier[heavy].0, "{:?} went from {} to {}", user, old, new);
        }
    }
}

#[test]
fn the_seed_deals_anew() {
    let members = [(name("a"), 1), (name("b"), 1)];
    let (one, other) = (Ring::new(&members, VNODES, 0).unwrap(), Ring::new(&members, VNODES, 1).unwrap());
    let moved = users(1_000).filter(|user| one.home(user) != other.home(user)).count();
    assert!((400..600).contains(&moved), "{moved} of 1,000");
    assert_ne!(one.digest(), other.digest());
}
