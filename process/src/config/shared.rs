//! The sections that every role has.

use baton_protocol::limits::{self, Millis};
use tracing::level_filters::LevelFilter;

use super::reader::Reader;
use crate::{
    log::{Format, UserShow},
    role::Role,
};

/// `[log]`, `[admin]`, `[drain]` and `[limits]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    /// `[log]`.
    pub log: Log,
    /// `[admin]`.
    pub admin: Admin,
    /// `[drain]`.
    pub drain: Drain,
    /// `[limits]`.
    pub limits: Limits,
}

/// `[log]`: what goes to standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// For people or for machines.
    pub format: Format,
    /// The least important level that is shown.
    pub level: LevelFilter,
    /// How much of a user id is shown.
    pub user_id: UserShow,
}

/// `[admin]`: health and numbers over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// `ip:port`.
    pub listen: String,
}

/// `[drain]`: how a process ends. What isn't given is worked out from what there is to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// Milliseconds over which sessions are asked to move.
    pub spread: Option<Millis>,
    /// Milliseconds after which what is left is cut off.
    pub deadline: Option<Millis>,
}

/// `[limits]`. Each stands for one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a CONNECT packet.
    pub connect_bytes: usize,
    /// Milliseconds for a whole CONNECT to arrive.
    pub connect_time: Millis,
    /// Bytes that a session may have under way in one direction; at most what a stream of HTTP/2 has room for here.
    pub window: u64,
    /// Payload bytes held, all sessions together.
    pub buffered_bytes: u64,
    /// Sessions at a time; the next is refused.
    pub sessions: usize,
    /// Milliseconds that a client may wait for a home.
    pub open_wait: Millis,
    /// Least milliseconds without any progress to a client after which it's too slow.
    pub slow: Millis,
    /// Milliseconds that the other direction may go without progress after one was closed.
    pub half_closed: Millis,
    /// Sessions opened but never used that one home keeps.
    pub orphans: usize,
    /// Opens a second that an edge starts.
    pub opens_per_second: u64,
    /// Opens a second that a home takes.
    pub home_opens_per_second: u64,
}

const SECOND: Millis = 1_000;
const HOUR: Millis = 3_600 * SECOND;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

impl Shared {
    /// Reads the sections, and leaves those of other roles alone.
    pub fn read(reader: &mut Reader, role: Role) -> Self {
        reader.serve(role);
        // Asked for here, so that a file that permits it serves roles without such links as well.
        reader.remote_links();
        Self {
            log: Log::read(reader),
            admin: Admin::read(reader, role),
            drain: Drain::read(reader),
            limits: Limits::read(reader),
        }
    }
}

impl Log {
    fn read(reader: &mut Reader) -> Self {
        let levels = [
            ("error", LevelFilter::ERROR),
            ("warn", LevelFilter::WARN),
            ("info", LevelFilter::INFO),
            ("debug", LevelFilter::DEBUG),
            ("trace", LevelFilter::TRACE),
        ];
        let shows = [("plain", UserShow::Plain), ("hash", UserShow::Hash), ("off", UserShow::Off)];
        Self {
            format: reader.choice("log.format", Format::Text, &[("text", Format::Text), ("json", Format::Json)]),
            level: reader.choice("log.level", LevelFilter::INFO, &levels),
            user_id: reader.choice("log.user_id", UserShow::Plain, &shows),
        }
    }
}

impl Admin {
    fn read(reader: &mut Reader, role: Role) -> Self {
        let default = format!("127.0.0.1:{}", role.admin_port());
        Self { listen: reader.listen_unprotected("admin.listen", &default, "admin.allow_remote") }
    }
}

impl Drain {
    fn read(reader: &mut Reader) -> Self {
        Self {
            spread: reader.optional_duration("drain.spread", 0..=HOUR),
            deadline: reader.optional_duration("drain.deadline", 0..=24 * HOUR),
        }
    }
}

impl Limits {
    fn read(reader: &mut Reader) -> Self {
        let limits = Self {
            connect_bytes: as_usize(reader.size("limits.connect_bytes", limits::CONNECT_BYTES as u64, KIB..=256 * MIB)),
            connect_time: reader.duration("limits.connect_time", limits::CONNECT, 100..=300 * SECOND),
            window: reader.size("limits.window", limits::WINDOW, 16 * KIB..=limits::WINDOW),
            buffered_bytes: reader.size("limits.buffered_bytes", GIB, MIB..=1024 * GIB),
            sessions: as_usize(reader.count("limits.sessions", 100_000, 1..=10_000_000)),
            open_wait: reader.duration("limits.open_wait", limits::OPEN, 100..=limits::OPEN_MAX),
            slow: reader.duration("limits.slow", limits::SLOW, SECOND..=24 * HOUR),
            half_closed: reader.duration("limits.half_closed", limits::HALF_CLOSED, 100..=HOUR),
            orphans: as_usize(reader.count("limits.orphans", 1_000, 1..=1_000_000)),
            opens_per_second: reader.count("limits.opens_per_second", 1_000, 1..=1_000_000),
            home_opens_per_second: reader.count("limits.home_opens_per_second", 500, 1..=1_000_000),
        };
        if limits.buffered_bytes < limits.window {
            reader.refuse("limits.buffered_bytes", "at least limits.window", &limits.buffered_bytes.to_string());
        }
        limits
    }
}

fn as_usize(value: u64) -> usize {
    usize::try_from(value).expect("every range here fits 32 bits")
}
