//! Text to rules: a rule a line, and every mistake with its place.

mod line;

use std::{fmt, ops::RangeInclusive};

use baton_protocol::limits::Millis;
use rmqtt_codec::v5::{ConnectAckReason, DisconnectReasonCode};

use self::line::{COUNT, Words, Wrong};
use super::{
    RULES,
    pattern::Pattern,
    rule::{Action, BrokerAct, ConnAct, ResumeAct, Rule, When, Which},
    words::{Share, reason},
};

/// Mistakes that are told of one script.
const MISTAKES: usize = 100;
/// Bytes of a line: the longest rule with the longest pattern fits, a file that isn't a script doesn't.
pub const LINE_BYTES: usize = 1024;
/// Bytes at a time of `dribble` and `split`: as much as is written at once anyway.
const PIECE: RangeInclusive<u64> = 1..=65_536;

const WHEN: &str = "when: now, on open, on PACKET, after PACKET or after TIME";

/// What a text says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// The rules, in their order.
    pub rules: Vec<Rule>,
    /// What repeats chance.
    pub seed: Option<u64>,
}

/// What is wrong with a script, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The file, the flag or the request that it came in.
    pub source: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What could stand there.
    pub expected: String,
    /// What stands there.
    pub got: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, line, column, expected, got } = self;
        write!(f, "{source}:{line}:{column}: expected {expected}, got {got}")
    }
}

impl Script {
    /// Reads a rule a line, and `seed N`; what follows a `#` is for people. `source` is what mistakes name.
    ///
    /// # Errors
    /// The first mistake of each line, up to 100.
    pub fn parse(source: &str, text: &str) -> Result<Self, Vec<Mistake>> {
        let (mut script, mut mistakes) = (Self::default(), Vec::new());
        for (line, text) in (1..).zip(text.lines()) {
            if let Err(Wrong { column, expected, got }) = script.line(text) {
                mistakes.push(Mistake { source: source.to_owned(), line, column, expected, got });
            }
            // Everything beyond is one mistake; and whoever has made so many hasn't written a script.
            if script.rules.len() > RULES || mistakes.len() == MISTAKES {
                break;
            }
        }
        if mistakes.is_empty() { Ok(script) } else { Err(mistakes) }
    }

    fn line(&mut self, text: &str) -> Result<(), Wrong> {
        if text.len() > LINE_BYTES {
            return Err(Wrong::new(1, format!("at most {LINE_BYTES} bytes in a line"), text.len().to_string()));
        }
        let mut words = Words::new(text);
        if words.peek().is_none() {
            return Ok(());
        }
        if words.take("seed") {
            let column = words.column();
            let seed = words.next("a whole number", |word| word.parse().ok())?;
            if self.seed.replace(seed).is_some() {
                return Err(Wrong::new(column, "one seed".into(), "another".into()));
            }
        } else {
            let rule = rule(&mut words)?;
            self.rules.push(rule);
            if self.rules.len() > RULES {
                return Err(Wrong::new(1, format!("at most {RULES} rules"), "one more".into()));
            }
        }
        words.end("the end of the line")
    }
}

fn rule(words: &mut Words<'_>) -> Result<Rule, Wrong> {
    let action = action(words)?;
    let mut rule = Rule { action, which: Which::All, client: None, per_connection: false, times: None };
    let at_once = rule.when() == Some(When::Now);
    if !at_once {
        rule.which = which(words)?;
    }
    selectors(words, &mut rule, at_once)?;
    Ok(rule)
}

fn action(words: &mut Words<'_>) -> Result<Action, Wrong> {
    Ok(match verb(words)? {
        Verb::Drop => Action::Drop(words.sent("")?),
        Verb::Delay => {
            let time = words.time()?;
            if words.take("resume") {
                Action::Resume(ResumeAct::Delay(time))
            } else {
                Action::Delay(time, words.sent(" or resume")?)
            }
        }
        Verb::Duplicate => Action::Duplicate(words.sent("")?),
        Verb::Reorder => Action::Reorder(words.sent("")?),
        Verb::Ignore if words.take("resume") => Action::Resume(ResumeAct::Ignore),
        Verb::Ignore => Action::Ignore(words.received(" or resume")?),
        Verb::Refuse => words.next("resume", |word| (word == "resume").then_some(Action::Resume(ResumeAct::Refuse)))?,
        Verb::Connack => Action::Refuse(words.next(
            "the name or number of a reason to refuse, such as not-authorized, 0x87 or, as 3.1.1 has it, 0x05",
            refusal,
        )?),
        Verb::SessionPresent => Action::SessionPresent(words.next("yes or no", yes_or_no)?),
        Verb::Disconnect => Action::Connection(disconnect(words)?, when(words)?),
        Verb::Cut => Action::Connection(ConnAct::Cut, when(words)?),
        Verb::HalfClose => Action::Connection(ConnAct::HalfClose, when(words)?),
        Verb::Stall => Action::Connection(stall(words)?, when(words)?),
        Verb::Dribble => Action::Connection(dribble(words)?, when(words)?),
        Verb::Split => Action::Connection(ConnAct::Split(piece(words)?), when(words)?),
        Verb::Forget => Action::Broker(words.next("sessions, retained or everything", forgotten)?, when(words)?),
        Verb::Crash => Action::Broker(BrokerAct::Crash, when(words)?),
    })
}

#[derive(Clone, Copy)]
enum Verb {
    Drop,
    Delay,
    Duplicate,
    Reorder,
    Ignore,
    Refuse,
    Connack,
    SessionPresent,
    Disconnect,
    Cut,
    HalfClose,
    Stall,
    Dribble,
    Split,
    Forget,
    Crash,
}

/// What a rule begins with.
const VERBS: [(&str, Verb); 16] = [
    ("drop", Verb::Drop),
    ("delay", Verb::Delay),
    ("duplicate", Verb::Duplicate),
    ("reorder", Verb::Reorder),
    ("ignore", Verb::Ignore),
    ("connack", Verb::Connack),
    ("session-present", Verb::SessionPresent),
    ("disconnect", Verb::Disconnect),
    ("cut", Verb::Cut),
    ("half-close", Verb::HalfClose),
    ("stall", Verb::Stall),
    ("dribble", Verb::Dribble),
    ("split", Verb::Split),
    ("forget", Verb::Forget),
    ("crash", Verb::Crash),
    ("refuse", Verb::Refuse),
];

fn verb(words: &mut Words<'_>) -> Result<Verb, Wrong> {
    let (last, others) = VERBS.split_last().expect("there are some");
    let others: Vec<_> = others.iter().map(|(word, _)| *word).collect();
    let expected = format!("{} or {}", others.join(", "), last.0);
    words.next(&expected, |word| VERBS.iter().find(|(known, _)| *known == word).map(|(_, verb)| *verb))
}

/// A reason of MQTT 5, or one of the numbers of 3.1.1, for which there is one of 5.
fn refusal(word: &str) -> Option<ConnectAckReason> {
    let of_311 = |code| match code {
        1 => Some(ConnectAckReason::UnsupportedProtocolVersion),
        2 => Some(ConnectAckReason::ClientIdentifierNotValid),
        3 => Some(ConnectAckReason::ServerUnavailable),
        4 => Some(ConnectAckReason::BadUserNameOrPassword),
        5 => Some(ConnectAckReason::NotAuthorized),
        _ => None,
    };
    let code = reason(word)?;
    of_311(code).or_else(|| ConnectAckReason::try_from(code).ok().filter(|_| code >= 0x80))
}

fn yes_or_no(word: &str) -> Option<bool> {
    match word {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

fn forgotten(word: &str) -> Option<BrokerAct> {
    match word {
        "sessions" => Some(BrokerAct::ForgetSessions),
        "retained" => Some(BrokerAct::ForgetRetained),
        "everything" => Some(BrokerAct::ForgetEverything),
        _ => None,
    }
}

/// The reason may be left out.
fn disconnect(words: &mut Words<'_>) -> Result<ConnAct, Wrong> {
    if matches!(words.peek(), Some("now" | "on" | "after")) {
        return Ok(ConnAct::Disconnect(DisconnectReasonCode::AdministrativeAction));
    }
    let expected = format!("the name or number of a reason, such as server-busy or 0x89, or {WHEN}");
    let known = |word| reason(word).filter(|code| *code >= 0x80).and_then(|code| code.try_into().ok());
    words.next(&expected, known).map(ConnAct::Disconnect)
}

fn stall(words: &mut Words<'_>) -> Result<ConnAct, Wrong> {
    let act: fn(Millis) -> ConnAct = words.next("reads or writes", |word| match word {
        "reads" => Some(ConnAct::StallReads as fn(Millis) -> ConnAct),
        "writes" => Some(ConnAct::StallWrites),
        _ => None,
    })?;
    words.time().map(act)
}

fn dribble(words: &mut Words<'_>) -> Result<ConnAct, Wrong> {
    let bytes = piece(words)?;
    words.next("per", |word| (word == "per").then_some(()))?;
    Ok(ConnAct::Dribble { bytes, pause: words.time()? })
}

fn piece(words: &mut Words<'_>) -> Result<usize, Wrong> {
    words.number(PIECE).map(|bytes| usize::try_from(bytes).expect("within the range"))
}

fn when(words: &mut Words<'_>) -> Result<When, Wrong> {
    match words.next(WHEN, |word| ["now", "on", "after"].into_iter().find(|known| *known == word))? {
        "now" => Ok(When::Now),
        "on" if words.take("open") => Ok(When::Open),
        "on" => words.received(" or open").map(When::On),
        _ if words.peek().is_some_and(|word| word.starts_with(|c: char| c.is_ascii_digit())) => {
            words.time().map(When::Time)
        }
        _ => words.sent(" or a time").map(When::After),
    }
}

fn which(words: &mut Words<'_>) -> Result<Which, Wrong> {
    Ok(match words.peek() {
        Some("first") => Which::First(words.counted("first")?),
        Some("from") => Which::From(words.counted("from")?),
        Some("every") => Which::Every(words.counted("every")?),
        Some(word) if word.ends_with('%') => {
            Which::Share(words.next("a share above 0% and up to 100%, such as 10% or 0.5%", Share::parse)?)
        }
        Some(word) if word.starts_with(|c: char| c.is_ascii_digit()) => Which::Nth(words.number(COUNT)?),
        _ => Which::All,
    })
}

/// Each at most once, in any order.
fn selectors(words: &mut Words<'_>, rule: &mut Rule, at_once: bool) -> Result<(), Wrong> {
    let by_connection = match rule.action {
        Action::Resume(_) | Action::Broker(_, When::Time(_)) => false,
        _ => !at_once,
    };
    let nameless = rule.when() == Some(When::Open);
    while words.peek().is_some() {
        let column = words.column();
        if rule.client.is_none() && words.take("client") {
            if nameless {
                let got = "\"client\"".to_owned();
                return Err(Wrong::new(
                    column,
                    "another time than open: a connection has no client id yet".into(),
                    got,
                ));
            }
            rule.client = Some(words.next("a client id, in which * and ? stand for any characters", Pattern::new)?);
        } else if by_connection && !rule.per_connection && words.take("per") {
            rule.per_connection = words.next("connection", |word| (word == "connection").then_some(true))?;
        } else if !at_once && rule.times.is_none() && words.take("times") {
            rule.times = Some(words.number(COUNT)?);
        } else {
            return Err(words.wrong(&further(rule, by_connection, at_once)));
        }
    }
    Ok(())
}

/// What may still follow.
fn further(rule: &Rule, by_connection: bool, at_once: bool) -> String {
    let mut may = Vec::new();
    let plain = rule.client.is_none() && !rule.per_connection && rule.times.is_none();
    if !at_once && plain && rule.which == Which::All {
        may.push("which (N, first N, from N, every N, P%)");
    }
    if rule.client.is_none() && rule.when() != Some(When::Open) {
        may.push("client PATTERN");
    }
    if by_connection && !rule.per_connection {
        may.push("per connection");
    }
    if !at_once && rule.times.is_none() {
        may.push("times N");
    }
    may.push("the end of the line");
    may.join(", ")
}

#[cfg(test)]
mod tests;
