//! What clients' bytes pass through on their way to the sink broker: a tier of ours, two hops of another proxy, or nothing.
//! All of a stack's processes are on this machine.

mod envoy;
mod haproxy;
mod nginx;

use std::{error::Error, fmt, net::SocketAddr, path::PathBuf, time::Duration};

use baton_drill::{
    proc::Family,
    tier::{Broker, Layout, Role, Signal, Tier},
};

use super::machine;

/// Which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The broker alone.
    Direct,
    /// Edge, origin, sidecar.
    Baton,
    /// The relay of `relay.rs` twice, with so many threads each.
    Relay(u8),
    /// HAProxy twice.
    Haproxy(u8),
    /// nginx with its stream module twice.
    Nginx(u8),
    /// Envoy twice, with HTTP/2 CONNECT between the two.
    Envoy(u8),
}

impl Kind {
    /// The program that isn't ours, if it needs one: what it calls itself, or why there is none.
    pub(crate) fn version(self) -> Option<Result<String, String>> {
        match self {
            Self::Direct | Self::Baton | Self::Relay(_) => None,
            Self::Haproxy(_) => Some(haproxy::version()),
            Self::Nginx(_) => Some(nginx::version()),
            Self::Envoy(_) => Some(envoy::version()),
        }
    }

    /// The product, whatever its threads.
    pub(crate) fn product(self) -> &'static str {
        match self {
            Self::Direct => "broker alone",
            Self::Baton => "Baton",
            Self::Relay(_) => "tokio relay",
            Self::Haproxy(_) => "HAProxy",
            Self::Nginx(_) => "nginx",
            Self::Envoy(_) => "Envoy",
        }
    }

    /// How the hop in the middle is restarted without refusing anybody, in the best way that it offers.
    pub(crate) fn reload(self) -> &'static str {
        match self {
            Self::Direct | Self::Baton => "-",
            Self::Relay(_) => "SIGTERM, started again",
            Self::Haproxy(_) => "SIGUSR2, hard-stop-after 5s",
            Self::Nginx(_) => "SIGHUP, shutdown_timeout 5s",
            Self::Envoy(_) => "hot restart, parent ends at 6 s",
        }
    }

    /// Programs between the clients and the broker.
    pub(crate) fn hops(self) -> usize {
        match self {
            Self::Direct => 0,
            Self::Baton => 3,
            Self::Relay(_) | Self::Haproxy(_) | Self::Nginx(_) | Self::Envoy(_) => 2,
        }
    }

    fn threads(self) -> Option<u8> {
        match self {
            Self::Direct | Self::Baton => None,
            Self::Relay(n) | Self::Haproxy(n) | Self::Nginx(n) | Self::Envoy(n) => Some(n),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.threads() {
            None => f.pad(self.product()),
            Some(n) => f.pad(&format!("{} x{n}", self.product())),
        }
    }
}

/// A program of the stack, with all its processes.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// What it is in the stack.
    pub(crate) name: String,
    pids: Vec<u32>,
}

impl Part {
    /// This process, with all that descend from it.
    pub(crate) fn new(name: &str, pid: u32) -> Self {
        Self { name: name.to_owned(), pids: vec![pid] }
    }

    /// All of a tier's processes of a role.
    pub(crate) fn role(tier: &Tier, role: Role) -> Result<Self, baton_drill::tier::Error> {
        let pids = tier.names(role).iter().map(|node| tier.pid(node)).collect::<Result<_, _>>()?;
        Ok(Self { name: role.word().to_owned(), pids })
    }

    pub(crate) fn look(&self) -> std::io::Result<Family> {
        self.pids.iter().map(|pid| Family::of(*pid)).sum()
    }
}

/// A stack that runs. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Stack {
    kind: Kind,
    /// Where clients connect.
    pub(crate) address: SocketAddr,
    /// What stands between clients and broker, from the clients on.
    pub(crate) hops: Vec<Part>,
    /// The broker.
    pub(crate) broker: Part,
    pub(crate) tier: Tier,
    _behind: Tier,
}

/// The paces at which Baton lets clients in.
const OPENS: [(Role, &str); 2] =
    [(Role::Edge, "limits.opens_per_second"), (Role::Sidecar, "limits.home_opens_per_second")];

/// Baton's tier, which lets clients in as fast as it can.
pub(crate) fn unpaced() -> Result<Layout, Box<dyn Error>> {
    let layout = Layout::new(machine::program()?);
    Ok(OPENS.into_iter().fold(layout, |layout, (role, limit)| layout.set(role, limit, "1000000")))
}

/// How long a program may take to end.
const PATIENCE: Duration = Duration::from_secs(10);
/// What the hop in the middle is called in the tier.
pub(crate) const MIDDLE: &str = "middle";
const ENTRY: &str = "entry";

impl Drop for Stack {
    fn drop(&mut self) {
        if let (Kind::Envoy(_), Ok(listen)) = (self.kind, self.tier.address(MIDDLE)) {
            envoy::clear(listen);
        }
    }
}

impl Stack {
    /// Starts one, of fresh processes.
    pub(crate) fn start(kind: Kind) -> Result<Self, Box<dyn Error>> {
        Self::start_with(kind, Layout::new(machine::program()?))
    }

    /// The same; Baton's tier as `layout` says, but for its broker.
    pub(crate) fn start_with(kind: Kind, layout: Layout) -> Result<Self, Box<dyn Error>> {
        let program = machine::program()?;
        let mut behind = Tier::new(Layout::empty(&program))?;
        let sink = behind.free_address()?;
        let words = ["bench", "sink", &sink.to_string()].map(str::to_owned);
        behind.add("broker", sink, [vec![text(&program)], words.to_vec()].concat())?;
        behind.start_all()?;
        let broker = Part::new("broker", behind.pid("broker")?);
        if kind == Kind::Baton {
            return Self::baton(Layout { broker: Broker::At(sink), ..layout }, behind, broker);
        }
        let mut tier = Tier::new(Layout::empty(&program))?;
        if kind == Kind::Direct {
            return Ok(Self { kind, address: sink, hops: Vec::new(), broker, tier, _behind: behind });
        }
        let (entry, middle) = (tier.free_address()?, tier.free_address()?);
        add(&mut tier, kind, MIDDLE, middle, sink)?;
        add(&mut tier, kind, ENTRY, entry, middle)?;
        tier.start_all()?;
        let hops = vec![Part::new(ENTRY, tier.pid(ENTRY)?), Part::new(MIDDLE, tier.pid(MIDDLE)?)];
        Ok(Self { kind, address: entry, hops, broker, tier, _behind: behind })
    }

    /// Restarts the hop in the middle as [`Kind::reload`] says.
    pub(crate) fn reload(&mut self) -> Result<(), Box<dyn Error>> {
        let tier = &mut self.tier;
        match self.kind {
            Kind::Direct | Kind::Baton => return Err("this has no such hop".into()),
            Kind::Relay(_) => {
                tier.terminate(MIDDLE)?;
                tier.exit(MIDDLE, PATIENCE)?;
                tier.restart(MIDDLE)?;
            }
            Kind::Haproxy(_) => tier.signal(MIDDLE, Signal::USR2)?,
            Kind::Nginx(_) => tier.signal(MIDDLE, Signal::HUP)?,
            Kind::Envoy(threads) => {
                let (listen, directory) = (tier.address(MIDDLE)?, tier.directory().join(MIDDLE));
                tier.add("middle, next", listen, envoy::next(&directory, listen, threads)?)?;
                tier.start("middle, next")?;
            }
        }
        Ok(())
    }

    fn baton(layout: Layout, behind: Tier, broker: Part) -> Result<Self, Box<dyn Error>> {
        // What is measured isn't how fast clients are let in; where it is, the layout says more.
        let mut layout = layout;
        let opens = |(role, limit): (Role, &str)| (role, limit.to_owned(), "5000".to_owned());
        layout.settings.splice(0..0, OPENS.map(opens));
        let mut tier = Tier::new(layout)?;
        tier.start_all()?;
        let hops = [("edge", "edge-1"), ("origin", "origin-1"), ("sidecar", "home-1")];
        let hops = hops.into_iter().map(|(name, node)| Ok(Part::new(name, tier.pid(node)?)));
        let hops = hops.collect::<Result<_, baton_drill::tier::Error>>()?;
        Ok(Self { kind: Kind::Baton, address: tier.edges()[0], hops, broker, tier, _behind: behind })
    }
}

/// Tunnels on an origin; none if it isn't there.
pub(crate) fn tunnels_on(tier: &Tier, origin: &str) -> f64 {
    tier.metrics(origin).map_or(0.0, |samples| samples.total("baton_tunnels", &[]))
}

/// The origin with the most tunnels, and how many.
pub(crate) fn busiest_origin(tier: &Tier) -> Result<(String, f64), Box<dyn Error>> {
    let origins = tier.names(Role::Origin).into_iter().map(|name| (tunnels_on(tier, &name), name));
    let (tunnels, name) = origins.max_by(|a, b| a.0.total_cmp(&b.0)).ok_or("no origin")?;
    Ok((name, tunnels))
}

/// Adds one hop of a proxy.
fn add(tier: &mut Tier, kind: Kind, name: &str, listen: SocketAddr, to: SocketAddr) -> Result<(), Box<dyn Error>> {
    let directory = tier.directory().join(name);
    std::fs::create_dir_all(&directory)?;
    let command = match kind {
        Kind::Direct | Kind::Baton => unreachable!("these have no such hop"),
        Kind::Relay(threads) => {
            let words = ["bench", "relay", &listen.to_string(), &to.to_string(), &threads.to_string()];
            [vec![text(&machine::program()?)], words.map(str::to_owned).to_vec()].concat()
        }
        Kind::Haproxy(threads) => haproxy::command(&directory, listen, to, threads)?,
        Kind::Nginx(threads) => nginx::command(&directory, listen, to, threads)?,
        Kind::Envoy(threads) => envoy::command(&directory, listen, to, threads, name == ENTRY)?,
    };
    tier.add(name, listen, command)?;
    Ok(())
}

fn text(path: &std::path::Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A program on the PATH, or where Debian puts what users don't look for.
fn program(name: &str) -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let further = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let mut places = std::env::split_paths(&path).chain(further).map(|place| place.join(name));
    places.find(|program| program.is_file()).ok_or_else(|| format!("{name} is not installed"))
}

/// The first line that a program says with these arguments, on either output.
fn says(program: &std::path::Path, arguments: &[&str]) -> Result<String, String> {
    let output = std::process::Command::new(program).args(arguments).output();
    let output = output.map_err(|error| format!("{}: {error}", program.display()))?;
    let said = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    let line = String::from_utf8_lossy(&said).lines().find(|line| !line.trim().is_empty()).map(str::to_owned);
    line.ok_or_else(|| format!("{} doesn't tell its version", program.display()))
}
