//! A rule as a value, and as the text that it is read from.

use std::fmt;

use baton_process::config::show_duration;
use baton_protocol::limits::Millis;
use rmqtt_codec::v5::{ConnectAckReason, DisconnectReasonCode, Packet};

use super::{
    pattern::Pattern,
    words::{Share, reason_name},
};
use crate::kind::Kind;

/// What is done wrong, to which of those that it may be done to, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What, and to what.
    pub action: Action,
    /// Which of them.
    pub which: Which,
    /// Of which clients; none: of all. Of a resume it's the user id.
    pub client: Option<Pattern>,
    /// Each connection is counted by itself.
    pub per_connection: bool,
    /// How often at most.
    pub times: Option<u64>,
}

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The broker doesn't send it.
    Drop(Packets),
    /// The broker sends it so much later; others go before it.
    Delay(Millis, Packets),
    /// The broker sends it twice.
    Duplicate(Packets),
    /// The broker sends it after the one that follows it.
    Reorder(Packets),
    /// The broker behaves as if the client hadn't sent it.
    Ignore(Packets),
    /// A CONNECT is refused.
    Refuse(ConnectAckReason),
    /// A CONNACK says this of the session, whatever is true.
    SessionPresent(bool),
    /// Something happens to a connection.
    Connection(ConnAct, When),
    /// Something happens to the broker.
    Broker(BrokerAct, When),
    /// A home behaves so when a session is to be resumed.
    Resume(ResumeAct),
}

/// Kinds of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packets {
    /// Every packet.
    Any,
    /// Packets of one kind.
    Of(Kind),
}

impl Packets {
    pub(super) fn include(self, packet: &Packet) -> bool {
        match self {
            Self::Any => true,
            Self::Of(kind) => kind == Kind::of(packet),
        }
    }
}

/// What happens to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnAct {
    /// The broker says DISCONNECT, where the client's MQTT has it, and closes.
    Disconnect(DisconnectReasonCode),
    /// It is reset.
    Cut,
    /// The broker ends its own direction and goes on reading.
    HalfClose,
    /// The broker reads nothing for so long.
    StallReads(Millis),
    /// The broker writes nothing for so long.
    StallWrites(Millis),
    /// The broker writes so many bytes at a time, with a pause before the next ones.
    Dribble {
        /// So many.
        bytes: usize,
        /// The pause.
        pause: Millis,
    },
    /// The broker writes at most so many bytes at once, without a pause.
    Split(usize),
}

/// What happens to the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerAct {
    /// It loses its MQTT sessions; the connections of those that have one break.
    ForgetSessions,
    /// It loses its retained messages.
    ForgetRetained,
    /// It loses both.
    ForgetEverything,
    /// It is gone without a word.
    Crash,
}

/// When something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Once, as soon as the rule is in force, to the connections that there are.
    Now,
    /// When a connection begins.
    Open,
    /// When the client has sent such a packet, before the broker acts on it.
    On(Packets),
    /// When the broker has sent such a packet.
    After(Packets),
    /// So long after a connection began; of what happens to the broker: after the rule came in force.
    Time(Millis),
}

/// What becomes of a resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResumeAct {
    /// The home has lost the session.
    Refuse,
    /// The home answers so much later.
    Delay(Millis),
    /// The home never answers.
    Ignore,
}

/// Which of those that a rule may hit, by their number from 1 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Each.
    All,
    /// This one.
    Nth(u64),
    /// The first so many.
    First(u64),
    /// From this one on.
    From(u64),
    /// Each so-many-th.
    Every(u64),
    /// By chance.
    Share(Share),
}

impl Rule {
    /// When it happens, where that isn't given by what it happens to.
    pub(super) fn when(&self) -> Option<When> {
        match self.action {
            Action::Connection(_, when) | Action::Broker(_, when) => Some(when),
            _ => None,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.action, self.which)?;
        if let Some(client) = &self.client {
            write!(f, " client {client}")?;
        }
        if self.per_connection {
            f.write_str(" per connection")?;
        }
        self.times.map_or(Ok(()), |times| write!(f, " times {times}"))
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drop(packets) => write!(f, "drop {packets}"),
            Self::Delay(time, packets) => write!(f, "delay {} {packets}", show_duration(*time)),
            Self::Duplicate(packets) => write!(f, "duplicate {packets}"),
            Self::Reorder(packets) => write!(f, "reorder {packets}"),
            Self::Ignore(packets) => write!(f, "ignore {packets}"),
            Self::Refuse(reason) => write!(f, "connack {}", reason_name(u8::from(*reason))),
            Self::SessionPresent(present) => write!(f, "session-present {}", if *present { "yes" } else { "no" }),
            Self::Connection(act, when) => write!(f, "{act} {when}"),
            Self::Broker(act, when) => write!(f, "{act} {when}"),
            Self::Resume(ResumeAct::Refuse) => f.write_str("refuse resume"),
            Self::Resume(ResumeAct::Delay(time)) => write!(f, "delay {} resume", show_duration(*time)),
            Self::Resume(ResumeAct::Ignore) => f.write_str("ignore resume"),
        }
    }
}

impl fmt::Display for Packets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("packet"),
            Self::Of(kind) => kind.fmt(f),
        }
    }
}

impl fmt::Display for ConnAct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnect(reason) => write!(f, "disconnect {}", reason_name(u8::from(*reason))),
            Self::Cut => f.write_str("cut"),
            Self::HalfClose => f.write_str("half-close"),
            Self::StallReads(time) => write!(f, "stall reads {}", show_duration(*time)),
            Self::StallWrites(time) => write!(f, "stall writes {}", show_duration(*time)),
            Self::Dribble { bytes, pause } => write!(f, "dribble {bytes} per {}", show_duration(*pause)),
            Self::Split(bytes) => write!(f, "split {bytes}"),
        }
    }
}

impl fmt::Display for BrokerAct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ForgetSessions => "forget sessions",
            Self::ForgetRetained => "forget retained",
            Self::ForgetEverything => "forget everything",
            Self::Crash => "crash",
        })
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now => f.write_str("now"),
            Self::Open => f.write_str("on open"),
            Self::On(packets) => write!(f, "on {packets}"),
            Self::After(packets) => write!(f, "after {packets}"),
            Self::Time(time) => write!(f, "after {}", show_duration(*time)),
        }
    }
}

/// With a space before it, unless it is nothing.
impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => Ok(()),
            Self::Nth(n) => write!(f, " {n}"),
            Self::First(n) => write!(f, " first {n}"),
            Self::From(n) => write!(f, " from {n}"),
            Self::Every(n) => write!(f, " every {n}"),
            Self::Share(share) => write!(f, " {share}"),
        }
    }
}
