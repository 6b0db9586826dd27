//! `baton broker-sim`: a simulated broker behind its own plain port, for clients under test, and behind one anchor for
//! each home, for a tier.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use baton_broker_sim::{
    admin,
    config::Config,
    faults::{Mistake, Pattern, RULES, Script},
    run::run_tcp,
    transcript::{Filter, ShowError, show},
};
use baton_process::{role::Role, run::run_role};
use clap::{Args, Subcommand};

use crate::flags::{Flags, contents};

const ROLE: Role = Role::BrokerSim;
/// The exit code for flags, rules or a configuration that can't be used.
const MISTAKEN: u8 = 2;

/// The role's flags, or a verb of its own.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    flags: Flags,
    /// Take MQTT and MQTT over WebSocket here (broker_sim.listen)
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<String>,
    /// Do this wrong, such as "drop puback 3"; docs/broker-sim.md has all rules
    #[arg(long, value_name = "RULE")]
    fault: Vec<String>,
    /// Do wrong what this file says, a rule a line
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// Repeat what rules do by chance; beats a seed in the file
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Write down every packet here, and what the rules did; the file begins anew
    #[arg(long, value_name = "FILE")]
    transcript: Option<PathBuf>,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Print a transcript, a line for each packet
    Show {
        /// A file that --transcript wrote
        file: PathBuf,
        /// Only what is about these clients; * and ? stand for any characters
        #[arg(long, value_name = "PATTERN", value_parser = pattern)]
        client: Option<Pattern>,
        /// Only packets of this type, such as PUBLISH
        #[arg(long = "type", value_name = "PACKET")]
        packet: Option<String>,
    },
}

fn pattern(text: &str) -> Result<Pattern, String> {
    Pattern::new(text).ok_or_else(|| "expected a client id".to_owned())
}

/// Runs the role until it has drained, or shows a transcript.
pub(crate) fn run(options: Options) -> ExitCode {
    if let Some(Verb::Show { file, client, packet }) = options.verb {
        return print(&file, &Filter { client, packet });
    }
    let Options { mut flags, listen, fault, faults, seed, transcript, .. } = options;
    if let Some(listen) = listen {
        flags.set("--listen", "broker_sim.listen", &listen);
    }
    let script = match read_rules(&fault, faults.as_deref()) {
        Ok(script) => script,
        Err(report) => {
            eprint!("{report}");
            return ExitCode::from(MISTAKEN);
        }
    };
    match flags.read(ROLE, Config::read) {
        Ok((shared, config)) => {
            let config = Config { faults: script.rules, seed: seed.or(script.seed), transcript, ..config };
            let (routes, requests) = admin::routes();
            run_role(ROLE, shared, routes, |env| run_tcp(config, env, requests))
        }
        Err(code) => code,
    }
}

/// The rules of the file and then those of the flags, or a line for each mistake.
fn read_rules(flags: &[String], file: Option<&Path>) -> Result<Script, String> {
    let (mut all, mut report) = (Script::default(), String::new());
    let mut take = |parsed: Result<Script, Vec<Mistake>>| match parsed {
        Ok(script) => {
            all.rules.extend(script.rules);
            all.seed = all.seed.or(script.seed);
        }
        Err(mistakes) => mistakes.iter().for_each(|mistake| report.push_str(&format!("{mistake}\n"))),
    };
    if let Some(path) = file {
        match contents(path) {
            Ok(text) => take(Script::parse(&path.display().to_string(), &text)),
            Err(why) => return Err(format!("--faults: expected a file to read, got {}: {why}\n", path.display())),
        }
    }
    for (n, rule) in flags.iter().enumerate() {
        let name = if flags.len() == 1 { "--fault".to_owned() } else { format!("--fault {}", n + 1) };
        take(Script::parse(&name, rule));
    }
    if report.is_empty() && all.rules.len() > RULES {
        report = format!("--faults, --fault: expected at most {RULES} rules in all, got {}\n", all.rules.len());
    }
    if report.is_empty() { Ok(all) } else { Err(report) }
}

fn print(path: &Path, filter: &Filter) -> ExitCode {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) => {
            eprintln!("show: expected a file to read, got {}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    };
    let mut to = BufWriter::new(io::stdout().lock());
    // What is before a broken line is shown.
    let shown = show(BufReader::new(file), filter, &mut to);
    match to.flush().map_err(ShowError::Io).and(shown) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has had enough.
        Err(ShowError::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", path.display());
            ExitCode::FAILURE
        }
    }
}
