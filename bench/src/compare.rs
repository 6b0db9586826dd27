//! Baton beside what people would put there instead: every stack of fresh processes in turn, round after round, before the
//! same broker and under the same clients.
//!
//! | Module | Holds |
//! |---|---|
//! | `loads` | loads, and what came of them by stack |
//! | `rest` | what isn't a load: memory, connecting, a restart |
//! | `gates` | the ratios that Baton is held to |
//! | `page` | all of it as a page, with plots |

mod gates;
mod loads;
mod page;
mod plot;
mod rest;

use std::{error::Error, path::PathBuf};

use clap::Args;

use self::{loads::Loads, rest::Rest};
use super::{Figures, stack::Kind};

#[derive(Args, Debug)]
pub struct Options {
    /// Rounds, in each of which every stack takes its turn
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Seconds that each turn under load is measured
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Rounds of what takes long and varies little: memory, connecting, restarts
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    slow_rounds: u32,
    /// Only these stacks, by the beginning of their name; Baton is always there
    #[arg(long, value_name = "NAME")]
    stack: Vec<String>,
    /// Only these loads, such as 1000:1 or 100:0:5000; none of what isn't a load
    #[arg(long, value_name = "PAIRS:QOS[:RATE]")]
    load: Vec<String>,
    /// Write the page and its plots into this directory
    #[arg(long, value_name = "DIRECTORY")]
    write: Option<PathBuf>,
}

const ALL: [Kind; 10] = [
    Kind::Direct,
    Kind::Haproxy(1),
    Kind::Baton,
    Kind::Nginx(1),
    Kind::Relay(1),
    Kind::Envoy(1),
    Kind::Haproxy(2),
    Kind::Nginx(2),
    Kind::Relay(2),
    Kind::Envoy(2),
];

pub(super) fn run(options: &Options) -> Figures {
    let (stacks, left_out) = stacks(options);
    let loads = Loads::play(&stacks, options)?;
    let rest = if options.load.is_empty() { Rest::play(&stacks, options)? } else { Rest::default() };
    let figures = gates::judge(&loads, &rest);
    if let Some(directory) = &options.write {
        let head = page::Head { stacks: &stacks, left_out: &left_out, options };
        page::write(directory, &head, (&loads, &rest), &figures)?;
    }
    Ok(figures)
}

/// Those that there are, and why others aren't, a line for each product.
fn stacks(options: &Options) -> (Vec<Kind>, Vec<String>) {
    let wanted = |kind: &Kind| {
        let name = kind.to_string().to_lowercase();
        *kind == Kind::Baton
            || options.stack.is_empty()
            || options.stack.iter().any(|w| name.starts_with(&w.to_lowercase()))
    };
    let (mut stacks, mut left_out) = (Vec::new(), Vec::new());
    for kind in ALL.into_iter().filter(wanted) {
        match kind.version() {
            Some(Err(why)) => left_out.push(format!("{} is left out: {why}", kind.product())),
            Some(Ok(version)) => {
                println!("stack:   {kind}: {version}");
                stacks.push(kind);
            }
            None => stacks.push(kind),
        }
    }
    left_out.sort();
    left_out.dedup();
    left_out.iter().for_each(|line| println!("stack:   {line}"));
    (stacks, left_out)
}

/// The middle one, the least and the most of some values.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Middle {
    median: f64,
    least: f64,
    most: f64,
}

impl Middle {
    fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        Self { median: at(values.len() / 2), least: at(0), most: at(values.len().saturating_sub(1)) }
    }
}

/// Tries until nothing speaks against what comes out, a few times; what speaks against the last try is said.
fn valid<T>(
    what: &str,
    mut turn: impl FnMut() -> Result<(T, Vec<String>), Box<dyn Error>>,
) -> Result<Option<T>, Box<dyn Error>> {
    const TRIES: u32 = 3;
    for _ in 0..TRIES {
        let (result, faults) = turn()?;
        if faults.is_empty() {
            return Ok(Some(result));
        }
        println!("     {what}: NOT VALID, run again: {}", faults.join("; "));
    }
    println!("     {what}: left out of this round");
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_some_values() {
        assert_eq!(Middle::of([3.0, 1.0, 2.0]), Middle { median: 2.0, least: 1.0, most: 3.0 });
        assert!(Middle::of([]).median.is_nan());
    }

    #[test]
    fn what_is_not_valid_is_tried_again_and_left_out_at_last() {
        let mut tries = 0;
        let mut turn = |good| {
            valid("a turn", || {
                tries += 1;
                Ok((tries, if tries >= good { vec![] } else { vec!["late".to_owned()] }))
            })
        };
        assert_eq!(turn(2).unwrap(), Some(2));
        assert_eq!(turn(9).unwrap(), None);
    }
}
