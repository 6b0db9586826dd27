//! What a measurement is made against: any MQTT address, or a tier of this very program.

use std::{
    error::Error,
    fmt,
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    time::Duration,
};

use baton_drill::{load::Tempo, mqtt::Qos, tier::Layout};
use clap::Args;

use super::{
    Figures, machine,
    measure::Cell,
    report::Report,
    stack::{Kind, Part, Stack},
};

/// How long an address may take to accept a first connection.
const REACH: Duration = Duration::from_secs(5);

/// Which.
#[derive(Args, Clone, Debug)]
pub(crate) struct Against {
    /// Where MQTT is spoken, IP:PORT; several are used in turn. Without any: edge, origin and sidecar of this program before
    /// a broker that does as little as it can, all started here
    #[arg(value_name = "IP:PORT")]
    addresses: Vec<SocketAddr>,
    /// A program on this machine to account for, with all processes that descend from it
    #[arg(long = "process", value_name = "NAME=PID", value_parser = part, requires = "addresses")]
    parts: Vec<Part>,
    /// Write the result here too, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What is published.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Publishers, each with a subscriber of its own
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pairs: u32,
    /// Quality of service: 0, 1 or 2
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    qos: u8,
    /// Bytes of payload
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(40..=1_048_576))]
    bytes: u32,
    /// Seconds that are measured
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
}

impl Load {
    pub(crate) fn cell(&self, tempo: Tempo) -> Cell {
        Cell {
            pairs: self.pairs,
            qos: Qos::from_level(self.qos).unwrap_or(Qos::ExactlyOnce),
            payload: usize::try_from(self.bytes).unwrap_or(usize::MAX),
            tempo,
            seconds: self.seconds,
        }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pairs, qos, bytes, seconds } = self;
        write!(f, "{seconds} s, {pairs} publishers, a subscriber each, QoS {qos}, {bytes} bytes")
    }
}

fn part(text: &str) -> Result<Part, String> {
    let expected = || "expected NAME=PID of a process on this machine".to_owned();
    let (name, pid) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(expected)?;
    let part = Part::new(name, pid.parse().map_err(|_| expected())?);
    part.look().map(|_| part).map_err(|error| format!("{pid}: {error}"))
}

/// Whether somebody listens there: a load's clients could only say that none of them got in.
fn reach(address: &SocketAddr) -> Result<(), String> {
    let refused = |error| format!("{address}: expected something that takes MQTT connections, got none: {error}");
    TcpStream::connect_timeout(address, REACH).map(drop).map_err(refused)
}

/// It, while it runs.
pub(crate) struct Subject {
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) parts: Vec<Part>,
    stack: Option<Stack>,
}

impl Subject {
    /// Whether it is a tier of this program.
    pub(crate) fn is_ours(&self) -> bool {
        self.stack.is_some()
    }
}

impl Against {
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    pub(crate) fn subject(&self) -> Result<Subject, Box<dyn Error>> {
        self.subject_as(Layout::new(machine::program()?))
    }

    /// It; where it is a tier of this program, as the layout says, but for its broker.
    pub(crate) fn subject_as(&self, layout: Layout) -> Result<Subject, Box<dyn Error>> {
        if !self.addresses.is_empty() {
            self.addresses.iter().try_for_each(reach)?;
            let addresses: Vec<_> = self.addresses.iter().map(ToString::to_string).collect();
            println!("set-up:  what listens at {}", addresses.join(", "));
            return Ok(Subject { addresses: self.addresses.clone(), parts: self.parts.clone(), stack: None });
        }
        let stack = Stack::start_with(Kind::Baton, layout)?;
        println!("set-up:  edge, origin and sidecar of this program before a broker that does as little as it can");
        let parts = stack.hops.iter().chain([&stack.broker]).cloned().collect();
        Ok(Subject { addresses: vec![stack.address], parts, stack: Some(stack) })
    }

    /// It, if it can take this.
    pub(crate) fn subject_under(&self, load: &Load) -> Result<Subject, Box<dyn Error>> {
        if self.addresses.is_empty() && load.qos == 2 {
            return Err(
                "--qos 2: the broker that is started here takes 0 and 1: give the IP:PORT of one that takes 2".into()
            );
        }
        self.subject()
    }

    /// Prints what came of it, and writes it where it is wanted.
    pub(crate) fn finish(&self, mut report: Report, faults: &[String]) -> Figures {
        report.faults(faults);
        report.finish(&machine::lines(), self.json.as_deref())?;
        Ok(Vec::new())
    }
}
