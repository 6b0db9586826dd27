//! What a measurement is made against: any MQTT address, or a tier of this very program.

use std::{error::Error, net::SocketAddr};

use clap::Args;

use super::stack::{Kind, Part, Stack};

/// Which.
#[derive(Args, Clone, Debug)]
pub(crate) struct Against {
    /// Where MQTT is spoken, IP:PORT; several are used in turn. Without any: edge, origin and sidecar of this program before
    /// a broker that does as little as it can, all started here
    #[arg(value_name = "IP:PORT")]
    addresses: Vec<SocketAddr>,
    /// A program on this machine to account for, with all processes of its group
    #[arg(long = "process", value_name = "NAME=PID", value_parser = part, requires = "addresses")]
    parts: Vec<Part>,
}

fn part(text: &str) -> Result<Part, String> {
    let expected = || "expected NAME=PID of a process on this machine".to_owned();
    let (name, pid) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(expected)?;
    let part = Part::new(name, pid.parse().map_err(|_| expected())?);
    part.look().map(|_| part).map_err(|error| format!("{pid}: {error}"))
}

/// It, while it runs.
pub(crate) struct Subject {
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) parts: Vec<Part>,
    pub(crate) stack: Option<Stack>,
}

impl Against {
    pub(crate) fn subject(&self) -> Result<Subject, Box<dyn Error>> {
        if !self.addresses.is_empty() {
            let addresses: Vec<_> = self.addresses.iter().map(ToString::to_string).collect();
            println!("set-up:  what listens at {}", addresses.join(", "));
            return Ok(Subject { addresses: self.addresses.clone(), parts: self.parts.clone(), stack: None });
        }
        let stack = Stack::start(Kind::Baton)?;
        println!("set-up:  edge, origin and sidecar of this program before a broker that does as little as it can");
        let parts = stack.hops.iter().chain([&stack.broker]).cloned().collect();
        Ok(Subject { addresses: vec![stack.address], parts, stack: Some(stack) })
    }
}
