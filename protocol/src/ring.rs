//! User id to home, the same answer on every origin, version and platform.
//!
//! Consistent hashing: each home owns `vnodes × weight` points on a circle of 2^64, and a user belongs to the owner of
//! the first point at or after the user's own. A home that comes or goes moves only the users that it gains or loses.
//!
//! What is hashed is part of the interface between origins, so it is spelled out in bytes here and left neither to
//! `#[derive(Hash)]` nor to std's hashers: SipHash-2-4 under the key zero over `0x70`, seed, vnode, name for a point
//! and over `0x75`, seed, user id for a user; the seed is 8 bytes, the vnode 4, both little-endian.

use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};

use hashring::{DefaultHashBuilder, HashRing};
use sha2::{Digest, Sha256};

use crate::id::{NodeName, UserId};

/// Points of a home of weight 1, by default: the fullest of ten homes then holds about 4 % more than the mean.
pub const VNODES: u32 = 500;
/// Points of a ring, at most: 40 bytes each, two thousand homes by default.
pub const POINTS: u64 = 1 << 20;

/// Which home a user belongs to.
#[derive(Clone)]
pub struct Ring {
    seed: u64,
    /// Sorted by name, so that the order in which a configuration lists them means nothing.
    members: Vec<NodeName>,
    ring: HashRing<Point, BuildHasherDefault<AsIs>>,
    /// What `ring` holds, in its order: it offers no walk.
    points: Vec<Point>,
}

/// No ring can be made of these members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RingError {
    /// There are none.
    Empty,
    /// Two have the same name.
    Duplicate(NodeName),
    /// One has a weight of zero; leave it out instead.
    NoWeight(NodeName),
    /// A home of weight 1 would have no point.
    NoVnodes,
    /// They would have more points than [`POINTS`].
    TooManyPoints(u64),
}

impl Ring {
    /// The ring of these members and their weights.
    ///
    /// # Errors
    /// See [`RingError`].
    pub fn new(members: &[(NodeName, u32)], vnodes: u32, seed: u64) -> Result<Self, RingError> {
        let mut members = members.to_vec();
        members.sort();
        check(&members, vnodes)?;

        let mut points = Vec::new();
        for (member, (name, weight)) in (0..).zip(&members) {
            let vnodes = 0..vnodes * weight; // at most POINTS
            points.extend(vnodes.map(|vnode| Point { place: place_of_vnode(seed, name, vnode), member }));
        }
        points.sort_by_key(|point| point.place); // stable, as the ring's own: equals stay in order
        let mut ring = HashRing::with_hasher(BuildHasherDefault::new());
        ring.batch_add(points.clone());
        Ok(Self { seed, members: members.into_iter().map(|(name, _)| name).collect(), ring, points })
    }

    /// The home of a user.
    pub fn home(&self, user: &UserId) -> &NodeName {
        let point = Point { place: place_of_user(self.seed, user), member: 0 };
        self.name(self.ring.get(&point).expect("a ring has at least one point"))
    }

    /// Every home, once each, in the order in which they follow on the ring; the first is the user's own.
    pub fn successors(&self, user: &UserId) -> impl Iterator<Item = &NodeName> {
        let place = place_of_user(self.seed, user);
        let (before, after) = self.points.split_at(self.points.partition_point(|point| point.place < place));
        let mut seen = vec![false; self.members.len()];
        let first_time = move |point: &&Point| !std::mem::replace(&mut seen[point.member as usize], true);
        after.iter().chain(before).filter(first_time).take(self.members.len()).map(|point| self.name(point))
    }

    /// A number that two rings share if and only if they answer alike: the start of the SHA-256 over all points in
    /// order, each as its place (8 bytes, big-endian), the length of its home's name (1 byte) and the name.
    pub fn digest(&self) -> u64 {
        let mut sha = Sha256::new();
        for point in &self.points {
            let name = self.name(point).as_str();
            sha.update(point.place.to_be_bytes());
            sha.update([u8::try_from(name.len()).expect("names have at most 64 bytes")]);
            sha.update(name);
        }
        let digest = sha.finalize();
        u64::from_be_bytes(*digest.first_chunk().expect("a SHA-256 has 32 bytes"))
    }

    fn name(&self, point: &Point) -> &NodeName {
        &self.members[point.member as usize]
    }
}

/// Finds what is wrong with the sorted members.
fn check(members: &[(NodeName, u32)], vnodes: u32) -> Result<(), RingError> {
    if members.is_empty() {
        return Err(RingError::Empty);
    }
    if vnodes == 0 {
        return Err(RingError::NoVnodes);
    }
    if let Some((name, _)) = members.iter().find(|(_, weight)| *weight == 0) {
        return Err(RingError::NoWeight(name.clone()));
    }
    if let Some(pair) = members.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(RingError::Duplicate(pair[0].0.clone()));
    }
    let weights: u64 = members.iter().map(|(_, weight)| u64::from(*weight)).fold(0, u64::saturating_add);
    match weights.saturating_mul(vnodes.into()) {
        points if points > POINTS => Err(RingError::TooManyPoints(points)),
        _ => Ok(()),
    }
}

/// Where on the circle these bytes lie.
fn place(parts: &[&[u8]]) -> u64 {
    let mut hasher = DefaultHashBuilder.build_hasher();
    parts.iter().for_each(|part| hasher.write(part));
    hasher.finish()
}

fn place_of_vnode(seed: u64, name: &NodeName, vnode: u32) -> u64 {
    place(&[b"p", &seed.to_le_bytes(), &vnode.to_le_bytes(), name.as_str().as_bytes()])
}

fn place_of_user(seed: u64, user: &UserId) -> u64 {
    place(&[b"u", &seed.to_le_bytes(), user.as_str().as_bytes()])
}

/// A place that a home owns.
#[derive(Clone)]
struct Point {
    place: u64,
    member: u32,
}

impl Hash for Point {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.place);
    }
}

/// Lets the ring take places as they are: they are hashes already.
#[derive(Clone, Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |place, byte| place << 8 | u64::from(*byte));
    }

    fn write_u64(&mut self, place: u64) {
        self.0 = place;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = format_args!("{:016x}", self.digest());
        f.debug_struct("Ring")
            .field("members", &self.members)
            .field("seed", &self.seed)
            .field("digest", &digest)
            .finish()
    }
}

impl fmt::Display for RingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the ring has no homes"),
            Self::Duplicate(name) => write!(f, "home {name} is listed twice"),
            Self::NoWeight(name) => write!(f, "home {name} has a weight of 0; leave it out instead"),
            Self::NoVnodes => f.write_str("vnodes is 0; homes would have no place on the ring"),
            Self::TooManyPoints(points) => write!(f, "vnodes times all weights is {points}, more than {POINTS}"),
        }
    }
}

impl std::error::Error for RingError {}
