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

use std::{cell::Cell, error::Error, fs, path::PathBuf};

use clap::Args;

use self::{loads::Loads, rest::Rest};
use super::{Figures, figure::Figure, machine, stack::Kind};

#[derive(Args, Debug)]
pub struct Options {
    /// Rounds, in each of which every stack takes its turn
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Seconds that each turn under load is measured
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Rounds of what takes long at the others: their memory, their restarts
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    slow_rounds: u32,
    /// Only these stacks, by the beginning of their name; Baton is always there
    #[arg(long, value_name = "NAME", value_parser = stack_name)]
    stack: Vec<String>,
    /// Only these loads; none of what isn't a load
    #[arg(long, value_name = "PAIRS:QOS[:RATE]", value_parser = loads::ALL.map(|(name, ..)| name))]
    load: Vec<String>,
    /// Write the page and its plots into this directory
    #[arg(long, value_name = "DIRECTORY", value_parser = directory)]
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

/// The beginning of a stack's name.
fn stack_name(text: &str) -> Result<String, String> {
    let name = text.to_lowercase();
    if ALL.iter().any(|kind| kind.to_string().to_lowercase().starts_with(&name)) {
        return Ok(name);
    }
    let all: Vec<_> = ALL.iter().map(ToString::to_string).collect();
    Err(format!("expected the beginning of one of: {}", all.join(", ")))
}

/// A directory that can be written to: found out before an hour of measurements, not after it.
fn directory(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let trial = path.join(".baton-bench");
    let tried = fs::write(&trial, "").and_then(|()| fs::remove_file(&trial));
    tried.map_err(|error| format!("expected a directory to write to: {error}"))?;
    Ok(path)
}

impl Options {
    /// Whether nothing was left out by wish.
    fn is_whole(&self) -> bool {
        self.stack.is_empty() && self.load.is_empty()
    }

    /// Whether a load is to be played.
    fn wants(&self, load: &str) -> bool {
        self.load.is_empty() || self.load.iter().any(|wanted| wanted == load)
    }
}

/// Turns of Baton that failed, or in which anybody suffered: they count whether or not the turn itself does, or running it again
/// would hide them.
#[derive(Debug, Default)]
struct Wrongs(Cell<u32>);

impl Wrongs {
    /// What came of a try to play a turn, as it came.
    fn note<T>(&self, kind: Kind, tried: Tried<T>, suffered: impl Fn(&T) -> bool) -> Tried<T> {
        let wrong = tried.as_ref().map_or(true, |(result, _)| suffered(result));
        if kind == Kind::Baton && wrong {
            self.0.set(self.0.get() + 1);
        }
        tried
    }
}

/// A result, and what speaks against it.
type Tried<T> = Result<(T, Vec<String>), Box<dyn Error>>;

pub(super) fn run(options: &Options) -> Figures {
    let (stacks, left_out) = stacks(options);
    let began = machine::lines();
    let wrongs = Wrongs::default();
    let loads = Loads::play(&stacks, options, &wrongs);
    let rest = if options.load.is_empty() { Rest::play(&stacks, options, &wrongs) } else { Rest::default() };
    let mut figures = gates::judge(&stacks, options, &loads, &rest);
    let name = "turns of Baton, counted or not, that failed or made anybody suffer";
    figures.push(Figure::none(name, f64::from(wrongs.0.get())));
    if let Some(directory) = &options.write {
        let head = page::Head { stacks: &stacks, left_out: &left_out, began: &began, options };
        if let Err(error) = page::write(directory, &head, (&loads, &rest), &figures) {
            eprintln!("baton bench: {}: {error}", directory.display());
            figures.push(Figure::none("pages that couldn't be written", 1.0));
        }
    }
    Ok(figures)
}

/// Those that there are, and why others aren't, a line for each product.
fn stacks(options: &Options) -> (Vec<Kind>, Vec<String>) {
    let wanted = |kind: &Kind| {
        let name = kind.to_string().to_lowercase();
        *kind == Kind::Baton
            || options.stack.is_empty()
            || options.stack.iter().any(|beginning| name.starts_with(beginning))
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
        let last = values.len().saturating_sub(1);
        // Of an even number the middle is between two.
        Self { median: f64::midpoint(at(last / 2), at(values.len() / 2)), least: at(0), most: at(last) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_some_values() {
        assert_eq!(Middle::of([3.0, 1.0, 2.0]), Middle { median: 2.0, least: 1.0, most: 3.0 });
        assert_eq!(Middle::of([4.0, 1.0, 2.0, 9.0]), Middle { median: 3.0, least: 1.0, most: 9.0 });
        assert!(Middle::of([]).median.is_nan());
    }
}
