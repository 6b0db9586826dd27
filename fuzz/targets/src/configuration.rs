//! Every role's configuration, from any file, environment and command line.

use baton_process::{
    config::{Inputs, Place, Reader, Shared},
    role::Role,
};
use baton_protocol::limits;

/// What stands in the input, behind the role's byte: the file, and then, behind a 0 each, variables (`BATON_...=value`)
/// and `--set`s.
fn inputs(bytes: &[u8]) -> Inputs {
    let mut parts = bytes.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned());
    let file = parts.next().filter(|text| !text.is_empty()).map(|text| ("baton.toml".into(), text));
    let (variables, sets): (Vec<_>, Vec<_>) = parts.partition(|part| part.starts_with("BATON_"));
    let variable = |part: String| {
        let (name, value) = part.split_once('=').unwrap_or((&part, ""));
        (name.to_owned(), value.to_owned())
    };
    Inputs { file, variables: variables.into_iter().map(variable).collect(), sets, ..Inputs::default() }
}

fn read(role: Role, reader: &mut Reader) -> Shared {
    let shared = Shared::read(reader, role);
    match role {
        Role::Edge => drop(baton_edge::Config::read(reader)),
        Role::Origin => drop(baton_origin::Config::read(reader)),
        Role::Sidecar => drop(baton_sidecar::Config::read(reader)),
        Role::BrokerSim => drop(baton_broker_sim::config::Config::read(reader)),
    }
    shared
}

/// The first byte is the role. Either the configuration can be used, and then it's within its bounds, or every mistake
/// is a line that says where it stands, what was expected and what was found.
pub fn configuration(data: &[u8]) -> bool {
    let Some((role, bytes)) = data.split_first() else { return false };
    let role = [Role::Edge, Role::Origin, Role::Sidecar, Role::BrokerSim][usize::from(role % 4)];
    let inputs = inputs(bytes);
    let mut reader = Reader::new(&inputs);
    let shared = read(role, &mut reader);
    // Whatever is wrong, what was read is fit for use.
    assert!((16 * 1024..=limits::WINDOW).contains(&shared.limits.window));
    assert!(shared.limits.sessions > 0 && shared.limits.connect_bytes >= 1024);
    let Err(report) = reader.finish() else { return true };
    let text = report.to_string();
    assert!(!report.mistakes().is_empty());
    assert_eq!(text.lines().count(), report.mistakes().len(), "{text}");
    for mistake in report.mistakes() {
        let about_no_key = mistake.expected == "TOML" || mistake.place == Place::Set;
        assert!(!mistake.key.is_empty() || about_no_key, "{mistake}");
        assert!(!mistake.expected.is_empty() && !mistake.got.is_empty(), "{mistake}");
        assert!(!mistake.to_string().chars().any(char::is_control), "{mistake}");
    }
    report.mistakes().iter().all(|mistake| mistake.expected != "TOML")
}
