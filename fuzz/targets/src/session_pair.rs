//! Both halves of a session, by sequences of what may happen to them.

#[path = "../../../protocol/tests/pair/world/mod.rs"]
mod world;

use baton_protocol::session::edge::MoveReason;
use world::{Action, Manner, Side, World};

/// Actions of one sequence: longer ones find nothing that shorter ones don't.
const ACTIONS: usize = 300;

/// When the clock goes on by jumps only: sessions end of age, which traffic alone must not bring about.
const OLD: u64 = 12_000;

/// One thing that happens; as often as in the tests of `protocol`, which draw from the same kinds. The first byte says
/// what, the others with which numbers.
fn action([what, a, b]: [u8; 3], manner: Manner) -> Action {
    let (side, n) = (if a & 1 == 0 { Side::Edge } else { Side::Anchor }, usize::from(b));
    let (closing, anything) = (manner != Manner::Harmless, manner == Manner::Anything);
    match what {
        0..24 => Action::Read(side, 1 + n % 89),
        24..48 => Action::Write(side, 1 + n % 59),
        48..80 => Action::Frame(side, 30 + n % 90, a & 2 == 0),
        80..128 => Action::Deliver(side, usize::from(a >> 1) % 8, 1 + n % 69),
        128..140 => Action::Attach([MoveReason::Solicited, MoveReason::BlackHole, MoveReason::Lost][n % 3]),
        140..172 => Action::Answer(n % 8),
        172..176 => Action::Cut(n % 8),
        176..178 => Action::Refuse(n % 8),
        178..184 => Action::Advance(1 + (u64::from(a) << 8 | u64::from(b)) % 399),
        184..188 => Action::Handover(side),
        188..190 => Action::Thaw,
        190..196 if closing => Action::ShutDown(side),
        196..198 if closing => Action::Eof(side),
        198 if anything => Action::ReadError(side),
        199 if anything => Action::WriteError(side),
        200 if anything => Action::Abort(side),
        201..205 if anything => Action::Jump,
        _ => action([what % 190, a, b], manner),
    }
}

/// The first byte says what may happen at all, every three that follow what happens. A fair schedule ends it, and then
/// everything must have arrived, or be over at both ends.
pub fn session_pair(data: &[u8]) -> bool {
    let Some((manner, rest)) = data.split_first() else { return false };
    let manner = [Manner::Harmless, Manner::Closing, Manner::Anything][usize::from(manner % 3)];
    let mut world = World::new();
    for bytes in rest.as_chunks().0.iter().take(ACTIONS) {
        match action(*bytes, manner) {
            Action::Advance(_) if world.now > OLD => {}
            action => drop(world.act(&action)),
        }
    }
    let gave = Side::BOTH.iter().any(|side| world.local(*side).gave > 0);
    world.end(manner);
    gave
}
