//! `baton demo`: a whole tier on this machine, counted clients, three deploys, a crash, and a verdict.
//!
//! | Module | Does |
//! |---|---|
//! | [`story`] | what happens, step by step |
//! | [`bridge`] | two mosquittos that share their topics, for `--broker mosquitto` |
//! | [`books`] | what edges and broker counted meanwhile |
//! | [`verdict`] | what has to come of it |
//! | [`console`] | lines for people |
//! | [`keep`] | what goes on afterwards, for `--keep` |
//! | [`interrupt`] | Ctrl-C |

mod books;
mod bridge;
mod console;
mod interrupt;
mod keep;
mod story;
mod verdict;

use std::{error::Error, process::ExitCode, time::Duration};

use baton_drill::{
    load::{Load, Plan, Tempo},
    tier::{self, Broker, Layout, Role, Tier},
};
use clap::{Args, ValueEnum};

use self::{console::Console, interrupt::Interrupt, story::Story};
use baton_bench::machine;

/// Why there is no verdict.
type Failure = Box<dyn Error>;

const EDGES: u16 = 2;
const ORIGINS: u16 = 3;
const HOMES: u16 = 3;
/// Messages that each client publishes in a second.
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
    /// For contrast: edges that close a client whose tunnel is lost, as a plain proxy would
    #[arg(long)]
    without_dcr: bool,
    /// The brokers behind the tier
    #[arg(long, default_value = "sim")]
    broker: WhichBroker,
    /// Leave everything running afterwards, with commands to paste, until Ctrl-C
    #[arg(long)]
    keep: bool,
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
    fn layout(&self) -> Result<Layout, Failure> {
        let program = machine::program()?;
        let layout = Layout { edges: EDGES, origins: ORIGINS, homes: HOMES, ..Layout::new(program) };
        let layout = match self.broker {
            WhichBroker::Sim => layout,
            WhichBroker::Mosquitto => Layout { broker: Broker::Mosquitto, brokers: 2, bridged: true, ..layout },
        };
        if !self.without_dcr {
            return Ok(layout);
        }
        Ok(layout.set(Role::Edge, "edge.dcr", "false").set(Role::Origin, "drain.deadline", CUT_OFF))
    }

    fn plan(&self, name: &str, tier: &Tier, returning: bool) -> Plan {
        Plan {
            tempo: Tempo::Rate(self.clients * PACE),
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
    machine::raise_open_files()?;
    let console = Console::start();
    let mut tier = Tier::new(options.layout()?).map_err(|error| match error {
        tier::Error::NotInstalled(program) => {
            format!("{error}: `apt install {program}`, or leave out --broker {program}").into()
        }
        error => Failure::from(error),
    })?;
    let interrupt = Interrupt::watch(tier.directory())?;
    introduce(options, &console)?;
    tier.start_all()?;
    let words = options.broker.words();
    console.step(&format!("{EDGES} edges, {ORIGINS} origins and {words} are up, a process each"))?;
    if options.broker == WhichBroker::Mosquitto {
        bridge::until_up(&tier)?;
        console.step("broker-1 and broker-2 share their topics over a bridge")?;
    }
    let load = Load::start(options.plan("demo", &tier, options.without_dcr))?;
    let verdict = Story { console: &console, tier: &mut tier, load, dcr: !options.without_dcr }.tell()?;
    console.blank()?;
    for fault in verdict.faults() {
        console.say(&format!("NOT AS IT MUST BE: {fault}"))?;
    }
    console.verdict(&verdict.to_string(), verdict.is_as_it_must_be())?;
    if options.without_dcr && verdict.is_as_it_must_be() {
        console.say("This contrast is what was asked for: exit status 0. `baton demo` plays the same with DCR.")?;
    }
    if options.keep {
        // From here on Ctrl-C is the way to end, with what was found out so far.
        interrupt.ends_with(!verdict.is_as_it_must_be());
        keep::go_on(options, &console, &mut tier)?;
    }
    Ok(verdict.is_as_it_must_be())
}

fn introduce(options: &Options, console: &Console) -> Result<(), Failure> {
    let words = options.broker.words();
    console.say(&format!("mqtt clients ---> 2 edges ===> 3 origins ===> {words}  (all on this machine)"))?;
    console.say("Each origin is deployed in turn, then one is killed. Every message is numbered.")?;
    if options.without_dcr {
        console.say(&format!(
            "WITHOUT DCR: an edge closes a client whose tunnel is lost, as a plain proxy would; the client connects \
             again after 1 s, as MQTT libraries do. An origin that leaves cuts its tunnels off after {CUT_OFF}."
        ))?;
    } else {
        console.say("A client that loses its connection doesn't come back: one would be enough to fail this.")?;
    }
    console.blank()?;
    Ok(())
}
