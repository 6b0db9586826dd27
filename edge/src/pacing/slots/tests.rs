use proptest::prelude::*;

use super::*;

fn home(n: u8) -> NodeName {
    NodeName::new(&format!("home-{n}")).unwrap()
}

/// Starts resumes to the home until one must wait, which then leaves.
fn take_all(slots: &mut Slots, home: &NodeName) -> Vec<Permit> {
    let mut permits = Vec::new();
    loop {
        let place = slots.wait(home);
        match slots.try_take(place) {
            Ok(permit) => permits.push(permit),
            Err(place) => {
                slots.leave(place);
                return permits;
            }
        }
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap()
}

#[test]
fn a_home_that_never_answered_has_a_quarter() {
    let mut slots = Slots::new();
    assert_eq!([1, 2, 3, 4, 5].map(|n| take_all(&mut slots, &home(n)).len()), [16, 16, 16, 16, 0]);
}

#[test]
fn one_that_answers_has_all_but_a_quarter_while_it_waits_alone() {
    let mut slots = Slots::new();
    let mut first = take_all(&mut slots, &home(1));
    slots.release(first.pop().unwrap(), Outcome::Answered);
    first.extend(take_all(&mut slots, &home(1)));
    assert_eq!(first.len(), 48);
    let other = slots.wait(&home(2));
    assert_eq!(take_all(&mut slots, &home(1)).len(), 0);
    first.drain(20..).for_each(|permit| slots.release(permit, Outcome::Other));
    assert_eq!(take_all(&mut slots, &home(1)).len(), 0, "20 are over a quarter while another waits");
    let other = slots.try_take(other).unwrap();
    assert_eq!(take_all(&mut slots, &home(1)).len(), 28, "nobody waits any more");
    assert_eq!(take_all(&mut slots, &home(2)).len(), 15);
    slots.release(other, Outcome::Other);
}

#[test]
fn a_home_that_ceases_to_answer_goes_back_to_a_quarter() {
    let mut slots = Slots::new();
    let mut permits = take_all(&mut slots, &home(1));
    slots.release(permits.pop().unwrap(), Outcome::Answered);
    slots.release(permits.pop().unwrap(), Outcome::Unreachable);
    assert_eq!(take_all(&mut slots, &home(1)).len(), 2);
}

#[test]
fn the_limit_follows_what_comes_back() {
    let mut slots = Slots::new();
    for permit in take_all(&mut slots, &home(1)) {
        slots.release(permit, Outcome::Accepted);
    }
    assert_eq!(slots.limit(), 80);
    for outcome in [Outcome::Answered, Outcome::Unreachable, Outcome::Other] {
        take_all(&mut slots, &home(1)).into_iter().for_each(|permit| slots.release(permit, outcome));
        assert_eq!(slots.limit(), 80, "{outcome:?}");
    }
    for limit in [40, 20, 10, 8, 8] {
        take_all(&mut slots, &home(1)).into_iter().for_each(|permit| slots.release(permit, Outcome::TimedOut));
        assert_eq!(slots.limit(), limit, "one wave of timeouts halves once");
    }
    for _ in 0..2_000 {
        take_all(&mut slots, &home(1)).into_iter().for_each(|permit| slots.release(permit, Outcome::Accepted));
    }
    assert_eq!(slots.limit(), SLOTS_MAX);
}

#[test]
fn an_open_starts_only_when_no_resume_waits() {
    let mut slots = Slots::new();
    assert!((0..OPENS).all(|_| slots.try_open()));
    assert!(!slots.try_open());
    slots.release_open();
    let (permits, place) = (take_all(&mut slots, &home(1)), slots.wait(&home(1)));
    assert!(!slots.try_open(), "a resume waits");
    assert_eq!(slots.attaching(), 63 + 16 + 1);
    slots.leave(place);
    assert!(slots.try_open(), "resumes in flight don't matter");
    drop(permits);
}

/// Milliseconds until so many sessions of `homes` homes are moved at this round trip; the first home, if `dead`,
/// never answers and its sessions aren't waited for.
fn moves(sessions: u32, homes: u8, dead: bool, round_trip: u64) -> u64 {
    let mut slots = Slots::new();
    let mut lines: Vec<Vec<Place>> =
        (0..homes).map(|n| (0..sessions).map(|_| slots.wait(&home(n))).collect()).collect();
    let (mut hung, mut rounds) = (Vec::new(), 0);
    while lines.iter().skip(usize::from(dead)).any(|line| !line.is_empty()) {
        rounds += 1;
        let mut flight = Vec::new();
        for (n, line) in lines.iter_mut().enumerate() {
            while let Some(place) = line.pop() {
                match slots.try_take(place) {
                    Ok(permit) if dead && n == 0 => hung.push(permit),
                    Ok(permit) => flight.push(permit),
                    Err(place) => {
                        line.push(place);
                        break;
                    }
                }
            }
        }
        assert!(!flight.is_empty(), "no livelock");
        flight.into_iter().for_each(|permit| slots.release(permit, Outcome::Accepted));
    }
    assert!(count(hung.len()) <= slots.limit() / SHARES);
    rounds * round_trip
}

#[test]
fn ten_thousand_moves_within_five_seconds() {
    for homes in 1..=8 {
        let took = moves(10_000 / u32::from(homes), homes, false, 150);
        assert!(took <= 5_000, "{took} ms with {homes} homes");
    }
    let took = moves(10_000, 1, false, 150);
    assert!(took <= 3_000, "{took} ms with the one home that there is");
}

#[test]
fn a_dead_home_delays_no_other() {
    let (with, without) = (moves(3_000, 4, true, 20), moves(3_000, 3, false, 20));
    assert!(with <= without + without / 5, "{with} ms rather than {without}");
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Wait(u8),
    Take(prop::sample::Index),
    Leave(prop::sample::Index),
    Release(prop::sample::Index, Outcome),
    Open,
    OpenDone,
}

fn step() -> impl Strategy<Value = Step> {
    use Outcome::{Accepted, Answered, Other, TimedOut, Unreachable};
    let outcome = prop::sample::select(vec![Accepted, Accepted, Accepted, Answered, TimedOut, Unreachable, Other]);
    prop_oneof![
        6 => (0..5u8).prop_map(Step::Wait),
        6 => any::<prop::sample::Index>().prop_map(Step::Take),
        1 => any::<prop::sample::Index>().prop_map(Step::Leave),
        3 => (any::<prop::sample::Index>(), outcome).prop_map(|(index, outcome)| Step::Release(index, outcome)),
        1 => Just(Step::Open),
        1 => Just(Step::OpenDone),
    ]
}

proptest! {
    /// A plain list of who waits and who flies is kept beside the slots and compared after each step.
    #[test]
    fn shares_and_bounds_hold(steps in prop::collection::vec(step(), 0..600)) {
        let (mut slots, mut places, mut permits, mut opens) = (Slots::new(), Vec::new(), Vec::<Permit>::new(), 0);
        for step in steps {
            match step {
                Step::Wait(n) => places.push(slots.wait(&home(n))),
                Step::Take(index) if !places.is_empty() => {
                    let place: Place = places.swap_remove(index.index(places.len()));
                    let mine = count(permits.iter().filter(|permit| permit.home == *place.home()).count());
                    let contended = places.iter().any(|other| other.home() != place.home());
                    let (limit, free) = (slots.limit(), slots.limit().saturating_sub(count(permits.len())));
                    match slots.try_take(place) {
                        Ok(permit) => {
                            permits.push(permit);
                            prop_assert!(free > 0);
                            let most = if contended { limit / SHARES } else { limit - limit / SHARES };
                            prop_assert!(mine < most, "{mine} of {limit}");
                        }
                        Err(place) => {
                            prop_assert!(free == 0 || mine >= limit / SHARES, "a home has its quarter");
                            places.push(place);
                        }
                    }
                }
                Step::Leave(index) if !places.is_empty() => {
                    slots.leave(places.swap_remove(index.index(places.len())));
                }
                Step::Release(index, outcome) if !permits.is_empty() => {
                    let before = slots.limit();
                    slots.release(permits.swap_remove(index.index(permits.len())), outcome);
                    let after = slots.limit();
                    prop_assert!(after <= before || (outcome == Outcome::Accepted && after == before + 1));
                    prop_assert!(after >= before || outcome == Outcome::TimedOut);
                }
                Step::Open => {
                    let started = slots.try_open();
                    prop_assert_eq!(started, places.is_empty() && opens < OPENS);
                    opens += u32::from(started);
                }
                Step::OpenDone if opens > 0 => {
                    slots.release_open();
                    opens -= 1;
                }
                _ => {}
            }
            prop_assert!((SLOTS_MIN..=SLOTS_MAX).contains(&slots.limit()));
            prop_assert_eq!(slots.attaching(), count(places.len() + permits.len()) + opens);
            prop_assert!(slots.homes.len() <= places.len() + permits.len(), "dead entries are removed");
        }
    }
}
