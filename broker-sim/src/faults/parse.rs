//! Text to rules: a rule a line, and every mistake with its place.

use std::{fmt, ops::RangeInclusive};

use baton_protocol::limits::Millis;
use rmqtt_codec::v5::{ConnectAckReason, DisconnectReasonCode};

use super::{
    RULES,
    pattern::Pattern,
    rule::{Action, BrokerAct, ConnAct, Packets, ResumeAct, Rule, When, Which},
    words::{Share, Time, reason},
};
use crate::kind::Kind;

/// Bytes of a line: the longest rule with the longest pattern fits, a file that isn't a script doesn't.
pub const LINE_BYTES: usize = 1024;
/// Times of a rule: what is longer than a test takes is a slip of the pen.
const TIMES: RangeInclusive<Millis> = 1..=3_600_000;
/// Bytes at a time of `dribble` and `split`: as much as is written at once anyway.
const PIECE: RangeInclusive<u64> = 1..=65_536;
/// Numbers that count packets.
const COUNT: RangeInclusive<u64> = 1..=1_000_000_000;
/// Characters of a mistaken word that are shown.
const SHOWN: usize = 60;

const ACTIONS: &str = "drop, delay, duplicate, reorder, ignore, connack, session-present, disconnect, cut, half-close, \
    stall, dribble, split, forget, crash or refuse";
const WHEN: &str = "when: now, on open, on PACKET, after PACKET or after TIME";
const TIME: &str = "a time from 1ms to 1h, such as 200ms or 2s";

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
    /// The first mistake of each line.
    pub fn parse(source: &str, text: &str) -> Result<Self, Vec<Mistake>> {
        let (mut script, mut mistakes) = (Self::default(), Vec::new());
        for (line, text) in (1..).zip(text.lines()) {
            if let Err(Wrong { column, expected, got }) = script.line(text) {
                mistakes.push(Mistake { source: source.to_owned(), line, column, expected, got });
            }
            // Everything beyond is one mistake.
            if script.rules.len() > RULES {
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

/// A mistake within a line.
struct Wrong {
    column: usize,
    expected: String,
    got: String,
}

impl Wrong {
    fn new(column: usize, expected: String, got: String) -> Self {
        Self { column, expected, got }
    }
}

/// The words of a line, each with its column.
struct Words<'a> {
    words: std::iter::Peekable<std::vec::IntoIter<(usize, &'a str)>>,
    /// The column behind the last of them.
    end: usize,
}

impl<'a> Words<'a> {
    fn new(line: &'a str) -> Self {
        let mut words = Vec::new();
        let (mut column, mut end) = (1, 1);
        for piece in line.split_inclusive(char::is_whitespace) {
            let word = piece.trim_end_matches(char::is_whitespace);
            if word.starts_with('#') {
                break;
            }
            if !word.is_empty() {
                words.push((column, word));
                end = column + word.chars().count();
            }
            column += piece.chars().count();
        }
        Self { words: words.into_iter().peekable(), end }
    }

    fn peek(&mut self) -> Option<&'a str> {
        self.words.peek().map(|(_, word)| *word)
    }

    fn column(&mut self) -> usize {
        self.words.peek().map_or(self.end, |(column, _)| *column)
    }

    /// Takes the next word if it is this one.
    fn take(&mut self, word: &str) -> bool {
        self.words.next_if(|(_, next)| *next == word).is_some()
    }

    /// What the next word means.
    fn next<T>(&mut self, expected: &str, meaning: impl FnOnce(&'a str) -> Option<T>) -> Result<T, Wrong> {
        match self.peek().and_then(meaning) {
            Some(meant) => {
                self.words.next();
                Ok(meant)
            }
            None => Err(self.wrong(expected)),
        }
    }

    fn wrong(&mut self, expected: &str) -> Wrong {
        let shown = |word: &str| {
            let word: String = word.chars().take(SHOWN).collect();
            format!("\"{}\"", word.escape_debug())
        };
        let got = self.peek().map_or("the end of the line".to_owned(), shown);
        Wrong::new(self.column(), expected.to_owned(), got)
    }

    fn end(&mut self, expected: &str) -> Result<(), Wrong> {
        if self.peek().is_none() { Ok(()) } else { Err(self.wrong(expected)) }
    }

    fn number(&mut self, range: RangeInclusive<u64>) -> Result<u64, Wrong> {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        self.next(&expected, |word| number(word).filter(|number| range.contains(number)))
    }

    fn time(&mut self) -> Result<Millis, Wrong> {
        self.next(TIME, time)
    }

    /// A kind of packet that the broker sends.
    fn sent(&mut self, or: &str) -> Result<Packets, Wrong> {
        let expected = format!("a packet that a broker sends ({}, or packet for any){or}", list(Kind::is_brokers));
        self.next(&expected, |word| packets(word, Kind::is_brokers))
    }

    /// A kind of packet that the client sends.
    fn received(&mut self, or: &str) -> Result<Packets, Wrong> {
        let expected = format!("a packet that a client sends ({}, or packet for any){or}", list(Kind::is_clients));
        self.next(&expected, |word| packets(word, Kind::is_clients))
    }
}

fn number(word: &str) -> Option<u64> {
    word.bytes().all(|byte| byte.is_ascii_digit()).then(|| word.parse().ok())?
}

fn time(word: &str) -> Option<Millis> {
    Time::parse(word).map(|time| time.0).filter(|time| TIMES.contains(time))
}

fn packets(word: &str, whose: fn(Kind) -> bool) -> Option<Packets> {
    match word {
        "packet" => Some(Packets::Any),
        _ => Kind::named(word).filter(|kind| whose(*kind)).map(Packets::Of),
    }
}

fn list(whose: fn(Kind) -> bool) -> String {
    let words: Vec<_> = Kind::ALL.into_iter().filter(|kind| whose(*kind)).map(Kind::word).collect();
    words.join(" ")
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
    let verb = words.next(ACTIONS, Verb::named)?;
    Ok(match verb {
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

impl Verb {
    fn named(word: &str) -> Option<Self> {
        Some(match word {
            "drop" => Self::Drop,
            "delay" => Self::Delay,
            "duplicate" => Self::Duplicate,
            "reorder" => Self::Reorder,
            "ignore" => Self::Ignore,
            "refuse" => Self::Refuse,
            "connack" => Self::Connack,
            "session-present" => Self::SessionPresent,
            "disconnect" => Self::Disconnect,
            "cut" => Self::Cut,
            "half-close" => Self::HalfClose,
            "stall" => Self::Stall,
            "dribble" => Self::Dribble,
            "split" => Self::Split,
            "forget" => Self::Forget,
            "crash" => Self::Crash,
            _ => return None,
        })
    }
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

impl Words<'_> {
    /// A number behind a word.
    fn counted(&mut self, word: &str) -> Result<u64, Wrong> {
        self.take(word);
        self.number(COUNT)
    }
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
mod tests {
    use super::*;

    fn one(text: &str) -> Rule {
        let script = Script::parse("t", text).unwrap_or_else(|mistakes| panic!("{text}: {}", mistakes[0]));
        script.rules.into_iter().next().unwrap_or_else(|| panic!("no rule in {text}"))
    }

    /// Each is written as it is shown.
    #[test]
    fn rules_are_shown_as_they_are_written() {
        for text in [
            "drop puback",
            "drop puback 3",
            "drop packet 0.5%",
            "delay 2s suback first 1 client dev-*",
            "delay 1500ms publish from 10 per connection",
            "duplicate publish every 3 times 2",
            "reorder publish client a?c per connection times 7",
            "ignore subscribe 1 per connection",
            "ignore pingreq",
            "connack not-authorized first 2",
            "session-present yes",
            "session-present no client x",
            "disconnect server-busy on packet 10 per connection",
            "disconnect administrative-action after 2s",
            "disconnect session-taken-over now client x",
            "cut on publish 3",
            "cut after puback 10%",
            "half-close after connack",
            "stall reads 5s on subscribe",
            "stall writes 200ms on open",
            "dribble 1 per 10ms on open",
            "split 2 after connack",
            "forget sessions now client a*",
            "forget retained after 1m",
            "forget everything on disconnect 2",
            "crash after suback",
            "crash now",
            "refuse resume 50% client x",
            "delay 1s resume",
            "ignore resume first 1",
        ] {
            assert_eq!(one(text).to_string(), text);
        }
    }

    #[test]
    fn there_is_more_than_one_way_to_write_some() {
        for (written, shown) in [
            ("connack 0x87", "connack not-authorized"),
            ("connack 0x05", "connack not-authorized"),
            ("connack 0x97", "connack quota-exceeded"),
            ("disconnect now", "disconnect administrative-action now"),
            ("disconnect 0x8b after 60s", "disconnect server-shutting-down after 1m"),
            ("  drop\tpuback   3  # the third", "drop puback 3"),
            ("drop puback 10.0% times 2 client x", "drop puback 10% client x times 2"),
            ("drop puback client a#b", "drop puback client a#b"),
        ] {
            assert_eq!(one(written).to_string(), shown, "{written}");
        }
    }

    #[test]
    fn a_script_has_comments_and_a_seed() {
        let script = Script::parse("t", "# first\n\nseed 7\n  drop puback # 3\r\ncrash now\n").unwrap();
        assert_eq!((script.rules.len(), script.seed), (2, Some(7)));
        assert_eq!(Script::parse("t", ""), Ok(Script::default()));
    }

    #[test]
    fn mistakes_say_where_what_was_expected_and_what_is_there() {
        for (text, column, expected, got) in [
            ("explode", 1, "drop, delay", "\"explode\""),
            ("drop", 5, "a packet that a broker sends (connack publish", "the end of the line"),
            ("drop subscribe", 6, "a packet that a broker sends", "\"subscribe\""),
            ("ignore suback", 8, "a packet that a client sends (connect publish", "\"suback\""),
            ("delay puback", 7, "a time from 1ms to 1h", "\"puback\""),
            ("delay 0s puback", 7, "a time", "\"0s\""),
            ("delay 2h puback", 7, "a time", "\"2h\""),
            ("delay 2s connect", 10, "or resume", "\"connect\""),
            ("connack success", 9, "a reason to refuse", "\"success\""),
            ("connack 0x8b", 9, "a reason to refuse", "\"0x8b\""),
            ("connack 0x00", 9, "a reason to refuse", "\"0x00\""),
            ("disconnect banned now", 12, "or when: now", "\"banned\""),
            ("disconnect", 11, "or when: now", "the end of the line"),
            ("cut", 4, "when: now, on open", "the end of the line"),
            ("cut on suback", 8, "a packet that a client sends", "\"suback\""),
            ("cut after subscribe", 11, "or a time", "\"subscribe\""),
            ("cut now 3", 9, "client PATTERN, the end", "\"3\""),
            ("cut now times 3", 9, "client PATTERN, the end", "\"times\""),
            ("cut on open client x", 13, "another time than open", "\"client\""),
            ("stall 2s on open", 7, "reads or writes", "\"2s\""),
            ("dribble 0 per 1s on open", 9, "from 1 to 65536", "\"0\""),
            ("dribble 1 1s on open", 11, "per", "\"1s\""),
            ("forget it now", 8, "sessions, retained or everything", "\"it\""),
            ("refuse puback", 8, "resume", "\"puback\""),
            ("refuse resume per connection", 15, "which (N, first N", "\"per\""),
            ("drop puback 0", 13, "from 1 to 1000000000", "\"0\""),
            ("drop puback 3x", 13, "from 1 to", "\"3x\""),
            ("drop puback first", 18, "from 1 to", "the end of the line"),
            ("drop puback 101%", 13, "a share above 0%", "\"101%\""),
            ("drop puback clients x", 13, "client PATTERN", "\"clients\""),
            ("drop puback client", 19, "a client id", "the end of the line"),
            ("drop puback client x client y", 22, "per connection, times N, the end", "\"client\""),
            ("drop puback per client", 17, "connection", "\"client\""),
            ("seed x", 6, "a whole number", "\"x\""),
            ("seed 1 2", 8, "the end of the line", "\"2\""),
            ("drop  ü", 7, "a packet", "\"ü\""),
        ] {
            let mistakes = Script::parse("f", text).expect_err(text);
            let mistake = &mistakes[0];
            assert_eq!((mistake.line, mistake.column, &*mistake.got), (1, column, got), "{mistake}");
            assert!(mistake.expected.contains(expected), "{mistake}");
        }
    }

    /// Every block of rules in the documentation, and every rule of a command line there.
    #[test]
    fn the_rules_of_the_documentation_are_rules() {
        let text = include_str!("../../../docs/broker-sim.md");
        let blocks: Vec<_> = text.split("```faults\n").skip(1).filter_map(|rest| rest.split_once("```")).collect();
        let flags: Vec<_> = text.split("--fault '").skip(1).filter_map(|rest| rest.split_once('\'')).collect();
        assert!(blocks.len() >= 2 && flags.len() >= 5, "{} blocks, {} flags", blocks.len(), flags.len());
        // One that is shown with what is said of it.
        let wrong = ["delay puback"];
        for (rules, _) in blocks.into_iter().chain(flags).filter(|(rules, _)| !wrong.contains(rules)) {
            let script = Script::parse("docs", rules).unwrap_or_else(|mistakes| panic!("{rules}: {}", mistakes[0]));
            assert!(!script.rules.is_empty(), "{rules}");
        }
    }

    #[test]
    fn all_mistakes_come_at_once() {
        let mistakes = Script::parse("f.faults", "seed 1\nblow up\ndrop puback\nseed 2\ncut\n").expect_err("three");
        let lines: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
        assert!(lines[0].starts_with("f.faults:2:1: expected drop, "), "{lines:?}");
        assert_eq!(lines[1], "f.faults:4:6: expected one seed, got another");
        assert_eq!(lines[2], format!("f.faults:5:4: expected {WHEN}, got the end of the line"));
    }

    #[test]
    fn rules_and_lines_are_bounded() {
        let most = "drop puback\n".repeat(RULES);
        assert_eq!(Script::parse("f", &most).unwrap().rules.len(), RULES);
        let mistakes = Script::parse("f", &(most + "drop puback\ndrop puback\n")).expect_err("too many");
        assert_eq!(mistakes.len(), 1);
        assert_eq!((mistakes[0].line, &*mistakes[0].expected), (RULES + 1, "at most 1000 rules"));
        let long = format!("drop puback # {}", "x".repeat(LINE_BYTES));
        assert!(Script::parse("f", &long).expect_err("too long")[0].expected.contains("at most 1024 bytes"));
    }
}
