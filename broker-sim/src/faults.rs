//! Faults by rule: what the broker is to do wrong, to whom, and when.
//!
//! | Module | Holds |
//! |---|---|
//! | `rule` | a rule as a value, and as text |
//! | `parse` | text to rules: every mistake with its line and column |
//! | `armed` | a rule in force: what it might hit, and what it does |
//! | `engine` | which packets and connections the rules hit; no IO, clock or randomness of its own |
//! | `pattern` | client ids with `*` and `?` |
//! | `words` | what reasons and shares are called |

mod armed;
mod engine;
mod parse;
mod pattern;
mod rule;
mod words;

pub use self::{
    armed::Status,
    engine::{DELAYED, Effect, Engine, HELD_FOR, Refused, Verdict},
    parse::{LINE_BYTES, Mistake, Script},
    pattern::Pattern,
    rule::{Action, BrokerAct, ConnAct, Packets, ResumeAct, Rule, When, Which},
};

/// Rules in force at a time: each packet is compared with each of them.
pub const RULES: usize = 1000;
