//! `baton demo`: a whole tier on this machine, counted clients, three deploys, a crash, and a verdict.
//!
//! | Module | Does |
//! |---|---|
//! | [`arm`] | one arm: a tier with DCR or without, and what came of it |
//! | [`story`] | what happens, step by step |
//! | [`bridge`] | two mosquittos that share their topics, for `--broker mosquitto` |
//! | [`books`] | what edges and broker counted meanwhile |
//! | [`verdict`] | what has to come of it |
//! | [`console`], [`live`] | lines for people; the one that is rewritten |
//! | [`plot`] | the drawing of both arms |
//! | [`page`] | the tier as a page with buttons, for `--page` |
//! | [`keep`] | what goes on afterwards, for `--keep` |
//! | [`interrupt`] | Ctrl-C |

mod arm;
mod books;
mod bridge;
mod console;
mod interrupt;
mod keep;
mod live;
mod page;
mod plot;
mod story;
mod verdict;

use std::{error::Error, net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use baton_drill::{
    load::{Plan, Tempo},
    tier::{Broker, Layout, Role, Tier},
};
use clap::{Args, ValueEnum};

use self::{arm::Arm, console::Console, interrupt::Interrupt, page::Page, verdict::Contrast};
use baton_bench::machine;

/// Why there is no verdict.
type Failure = Box<dyn Error>;

const EDGES: u16 = 2;
const ORIGINS: u16 = 3;
const HOMES: u16 = 3;
/// Messages that each client publishes in a second, unless a rate is asked for.
const PACE: u32 = 4;
/// What a client without a session to resume does about a lost connection: the habit of common MQTT libraries.
const RETURN: Duration = Duration::from_secs(1);
/// How long an origin waits for tunnels that can't move before it cuts them off.
const CUT_OFF: &str = "3s";

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Clients, which publish to each other in pairs
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(20..=5_000))]
    clients: u32,
    /// Messages a second, of all clients together [default: 4 for each client]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: Option<u32>,
    /// Seconds for which messages just pass, before the first event and after each
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Play both arms, first without DCR, then with it, and draw what clients noticed
    #[arg(long, value_name = "FILE.svg", conflicts_with = "without_dcr")]
    plot: Option<PathBuf>,
    /// For contrast: edges that close a client whose tunnel is lost, as a plain proxy would
    #[arg(long)]
    without_dcr: bool,
    /// The brokers behind the tier
    #[arg(long, default_value = "sim")]
    broker: WhichBroker,
    /// Leave everything running afterwards, with commands to paste, until Ctrl-C
    #[arg(long)]
    keep: bool,
    /// Show it on a page for browsers on this machine, with buttons that deploy and kill origins afterwards; implies --keep
    /// [default port: any]
    #[arg(long, value_name = "IP:PORT", num_args = 0..=1, default_missing_value = "127.0.0.1:0", value_parser = loopback)]
    page: Option<SocketAddr>,
}

/// Whoever reaches the page can end processes.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse().ok().filter(|address: &SocketAddr| address.ip().is_loopback());
    address.ok_or_else(|| "expected IP:PORT on loopback, such as 127.0.0.1:8080".to_owned())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum WhichBroker {
    /// broker-sim, the homes within
    Sim,
    /// Two mosquittos, if it is installed, bridged to each other, with three sidecars
    Mosquitto,
}

impl WhichBroker {
    /// What stands behind the origins, for people.
    fn words(self) -> &'static str {
        match self {
            Self::Sim => "a broker with 3 homes",
            Self::Mosquitto => "3 sidecars before 2 mosquittos",
        }
    }
}

impl Options {
    fn layout(&self, dcr: bool) -> Result<Layout, Failure> {
        let program = machine::program()?;
        let layout = Layout { edges: EDGES, origins: ORIGINS, homes: HOMES, ..Layout::new(program) };
        let layout = match self.broker {
            WhichBroker::Sim => layout,
            WhichBroker::Mosquitto => Layout { broker: Broker::Mosquitto, brokers: 2, bridged: true, ..layout },
        };
        if dcr {
            return Ok(layout);
        }
        Ok(layout.set(Role::Edge, "edge.dcr", "false").set(Role::Origin, "drain.deadline", CUT_OFF))
    }

    /// Messages a second, of all clients together.
    fn rate(&self) -> u32 {
        self.rate.unwrap_or(self.clients * PACE)
    }

    fn plan(&self, name: &str, tier: &Tier, returning: bool) -> Plan {
        Plan {
            tempo: Tempo::Rate(self.rate()),
            wills: true,
            returning: returning.then_some(RETURN),
            ..Plan::new(name, &tier.edges(), self.clients)
        }
    }
}

/// Plays it: 0 if everything came out as it must.
pub(crate) fn run(options: &Options) -> ExitCode {
    match play(options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("baton demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn play(options: &Options) -> Result<bool, Failure> {
    options.plot.as_deref().map_or(Ok(()), plot::try_out)?;
    machine::raise_open_files()?;
    let cannot = |address, error| format!("--page: can't listen on {address}: {error}; choose another port");
    let page = options.page.map(|address| Page::serve(address).map_err(|error| cannot(address, error))).transpose()?;
    let console = Console::start(page);
    let interrupt = Interrupt::watch()?;
    introduce(options, &console)?;
    let arm = |dcr| Arm { options, console: &console, interrupt: &interrupt, dcr };
    let (mut tier, good) = if options.plot.is_some() { both(&arm)? } else { one(&arm(!options.without_dcr))? };
    if options.keep || options.page.is_some() {
        // From here on Ctrl-C is the way to end, with what was found out so far.
        interrupt.ends_with(!good);
        keep::go_on(options, &console, &interrupt, &mut tier)?;
    }
    Ok(good)
}

/// Plays one arm: its tier, and whether it came out as it must.
fn one(arm: &Arm<'_>) -> Result<(Tier, bool), Failure> {
    let (tier, played) = arm.play()?;
    let good = played.verdict.is_as_it_must_be();
    if good && !arm.dcr {
        arm.console.say("This contrast is what was asked for: exit status 0. `baton demo` plays the same with DCR.")?;
    }
    Ok((tier, good))
}

/// Plays both, one after the other, for together they would take each other's processors; draws them, and compares.
fn both<'a>(arm: &impl Fn(bool) -> Arm<'a>) -> Result<(Tier, bool), Failure> {
    let (tier, without) = arm(false).play()?;
    drop(tier);
    let Arm { options, console, .. } = arm(true);
    console.blank()?;
    let (tier, with) = arm(true).play()?;
    let contrast = Contrast { without: &without.verdict, with: &with.verdict };
    console.blank()?;
    contrast.table().iter().try_for_each(|row| console.say(row))?;
    console.blank()?;
    if let Some(file) = &options.plot {
        plot::draw(file, &without, &with)?;
        console.say(&format!("Drawn in {}", file.display()))?;
    }
    console.verdict(&contrast.to_string(), contrast.is_as_it_must_be())?;
    Ok((tier, contrast.is_as_it_must_be()))
}

fn introduce(options: &Options, console: &Console) -> Result<(), Failure> {
    let words = options.broker.words();
    console.say(&format!("mqtt clients ---> 2 edges ===> 3 origins ===> {words}  (all on this machine)"))?;
    console.say("Each origin is deployed in turn, then one is killed. Every message is numbered.")?;
    if let Some(page) = console.page() {
        console.say(&format!("To look at, and then to try: {}", page.url()))?;
    }
    // An odd one has no partner.
    let publishers = u64::from(options.clients - options.clients % 2);
    let every = console::span(publishers * 1_000_000 / u64::from(options.rate()));
    Ok(console.say(&format!("A client is due one every {every}: a longest gap of about that is no gap at all."))?)
}
