//! `baton check`: whether configurations can be used, told without using them.

use std::{path::PathBuf, process::ExitCode};

use baton_process::{
    config::{Reader, Report, Shared, roles_in},
    role::Role,
    run,
};
use clap::{
    ArgGroup, Args,
    builder::{PossibleValuesParser, TypedValueParser},
};

use crate::flags::{Source, reader};

#[derive(Args, Debug)]
#[command(group(ArgGroup::new("what").args(["config", "role"]).required(true).multiple(true)))]
pub(crate) struct Options {
    /// Check this TOML file, with the environment and --set, for each role whose sections it has; once or several times
    #[arg(long, value_name = "FILE")]
    config: Vec<PathBuf>,
    /// Check for this role whatever sections there are; without a file, the environment and --set alone
    #[arg(long, value_name = "ROLE", value_parser = role())]
    role: Vec<Role>,
    /// Set one key for every file, as the role's own --set does
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

fn role() -> impl TypedValueParser<Value = Role> {
    let named = |word: String| Role::ALL.into_iter().find(|role| role.word() == word).expect("one of the words");
    PossibleValuesParser::new(Role::ALL.map(Role::word)).map(named)
}

/// Reports what is wrong with all the files, or names the roles that each will do for.
pub(crate) fn run(options: &Options) -> ExitCode {
    let files: Vec<_> = options.config.iter().map(|path| Source::read(path)).collect();
    let checks = if files.is_empty() {
        vec![(None, options.role.clone())]
    } else {
        files.iter().map(|file| (Some(file), options.roles(file))).collect()
    };
    let reports = checks.iter().filter_map(|(file, roles)| {
        let others = checks.iter().flat_map(|(_, roles)| roles).filter(|role| !roles.contains(role));
        let sets = options.sets_but_of(&others.copied().collect::<Vec<_>>(), roles);
        let mut reader = reader(*file, sets, Vec::new());
        roles.iter().for_each(|role| read(*role, &mut reader));
        reader.finish().err()
    });
    if let Some(report) = Report::join(reports) {
        return run::mistaken(&report);
    }
    for (file, roles) in &checks {
        let words: Vec<_> = roles.iter().map(|role| role.word()).collect();
        let file = file.map_or_else(String::new, |file| format!(": {}", file.name));
        println!("configuration ok for {}{file}", words.join(", "));
    }
    ExitCode::SUCCESS
}

impl Options {
    /// The roles that a file is checked for.
    fn roles(&self, file: &Source) -> Vec<Role> {
        if self.role.is_empty() { roles_in(file.text.as_deref().unwrap_or_default()) } else { self.role.clone() }
    }

    /// The `--set`s without those that are meant for another file: of keys that none of `roles` reads, and one of `others`.
    fn sets_but_of(&self, others: &[Role], roles: &[Role]) -> Vec<String> {
        let in_section_of = |set: &str, roles: &[Role]| {
            let section = set.split('.').next().unwrap_or_default().trim();
            roles.iter().any(|role| role.sections().contains(&section))
        };
        let meant = |set: &&String| !in_section_of(set, others) || in_section_of(set, roles);
        self.set.iter().filter(meant).cloned().collect()
    }
}

/// Reads what a process of this role would.
fn read(role: Role, reader: &mut Reader) {
    Shared::read(reader, role);
    match role {
        Role::Edge => drop(baton_edge::Config::read(reader)),
        Role::Origin => drop(baton_origin::Config::read(reader)),
        Role::Sidecar => drop(baton_sidecar::Config::read(reader)),
        Role::BrokerSim => drop(baton_broker_sim::config::Config::read(reader)),
    }
}
