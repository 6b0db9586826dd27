//! Configuration as people get it wrong, and right.

use baton_process::{
    config::{Inputs, Place, Reader, Report, Shared},
    log::{Format, UserShow},
    role::Role,
};

fn file(text: &str) -> Inputs {
    Inputs { file: Some(("baton.toml".into(), text.into())), ..Inputs::default() }
}

fn sets(sets: &[&str]) -> Inputs {
    Inputs { sets: sets.iter().map(ToString::to_string).collect(), ..Inputs::default() }
}

/// Reads what an edge, an origin and a broker-sim between them read, so that each kind of getter is there.
fn read(inputs: &Inputs) -> (Shared, Result<(), Report>) {
    let mut reader = Reader::new(inputs);
    let shared = Shared::read(&mut reader, Role::Edge);
    reader.node_name("edge.name", "edge-1");
    reader.listen("edge.listen", "0.0.0.0:1883");
    reader.link_addresses("edge.origins", &["127.0.0.1:7101"]);
    reader.choice("edge.user_id", 0, &[("client_id", 0), ("username", 1)]);
    reader.flag("edge.dcr", true);
    reader.link_listen("origin.listen", "127.0.0.1:7101");
    reader.homes("origin.homes", &[("home-1", "127.0.0.1:7201")]);
    reader.count("origin.ring.vnodes", 500, 1..=10_000);
    reader.link_listens("broker_sim.homes", &[("home-1", "127.0.0.1:7201")]);
    (shared, reader.finish())
}

#[test]
fn every_mistake_is_in_one_report() {
    let text = include_str!("golden/mistakes.toml");
    let variables =
        [("BATON_EDGE__DCR", "perhaps"), ("BATON_DRAIN__SPEED", "3"), ("BATON_COMMIT", "abc"), ("HOME", "/")];
    let inputs = Inputs {
        variables: variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        sets: vec!["edge.user_id=\u{1b}[31mred".into(), "nonsense".into(), "sidecar.broker=tcp://h:1".into()],
        ..file(text)
    };
    let report = read(&inputs).1.expect_err("hardly anything is right").to_string();
    if std::env::var_os("GOLDEN").is_some() {
        std::fs::write("tests/golden/mistakes.report", &report).expect("written");
    }
    assert_eq!(report, include_str!("golden/mistakes.report"), "GOLDEN=1 writes it anew");
}

#[test]
fn what_is_not_toml_is_one_mistake_with_its_line() {
    let report = read(&file("[edge]\nname = \"a\"\nlisten = \n")).1.expect_err("no TOML");
    assert_eq!(report.mistakes().len(), 1);
    assert_eq!(report.mistakes()[0].place, Place::File { name: "baton.toml".into(), line: 3, column: Some(10) });
}

#[test]
fn the_command_line_beats_the_environment_beats_the_file_beats_the_default() {
    let name = |inputs: &Inputs| {
        let mut reader = Reader::new(inputs);
        let name = reader.node_name("edge.name", "default");
        reader.finish().expect("no mistake");
        name.as_str().to_owned()
    };
    let mut inputs = Inputs::default();
    assert_eq!(name(&inputs), "default");
    inputs.file = Some(("f".into(), "[edge]\nname = \"file\"".into()));
    assert_eq!(name(&inputs), "file");
    inputs.variables.push(("BATON_EDGE__NAME".into(), "variable".into()));
    assert_eq!(name(&inputs), "variable");
    inputs.sets.push("edge.name=set".into());
    assert_eq!(name(&inputs), "set");
    inputs.sets.push("edge.name = \"later\"".into());
    assert_eq!(name(&inputs), "later");
}

#[test]
fn a_value_may_leave_its_quotes_out_on_the_command_line_but_not_in_the_file() {
    let mut reader = Reader::new(&sets(&["edge.name=7", "edge.origins=127.0.0.1:1, [::1]:2", "limits.window=65536"]));
    assert_eq!(reader.node_name("edge.name", "x").as_str(), "7");
    assert_eq!(reader.link_addresses("edge.origins", &[]), ["127.0.0.1:1", "[::1]:2"]);
    assert_eq!(reader.size("limits.window", 1, 1..=1 << 20), 65536);
    reader.finish().expect("no mistake");
    read(&file("[edge]\nname = 7")).1.expect_err("a number is no name");
    read(&file("[edge]\norigins = \"127.0.0.1:1\"")).1.expect_err("a text is no list");
}

#[test]
fn homes_come_with_or_without_a_weight_and_merge_by_name() {
    let mut inputs = file("[origin.homes]\na = \"127.0.0.1:1\"\n\"b.c\" = { address = \"127.0.0.1:2\", weight = 3 }");
    inputs.sets = vec!["origin.homes.a.weight=2".into(), "origin.homes.a.address=127.0.0.1:9".into()];
    let mut reader = Reader::new(&inputs);
    let homes = reader.homes("origin.homes", &[("home-1", "127.0.0.1:7201")]);
    reader.finish().expect("no mistake");
    let shown: Vec<_> = homes.iter().map(|home| (home.name.as_str(), home.address.as_str(), home.weight)).collect();
    assert_eq!(shown, [("a", "127.0.0.1:9", 2), ("b.c", "127.0.0.1:2", 3)]);
}

#[test]
fn a_home_has_an_address_a_weight_and_nothing_else() {
    let mut reader = Reader::new(&file("[origin.homes]\na = { address = \"127.0.0.1:1\", colour = \"red\" }"));
    reader.homes("origin.homes", &[]);
    let report = reader.finish().expect_err("no colour");
    assert_eq!(report.mistakes()[0].key, "origin.homes.a.colour");
    assert_eq!(report.mistakes()[0].expected, "one of address, weight");
}

#[test]
fn a_file_for_all_roles_serves_each_but_a_set_must_be_for_this_one() {
    let whole = "[edge]\nname = \"e\"\n[sidecar]\nbroker = \"tcp://127.0.0.1:1883\"\n[anchor]\ngrace = \"5m\"";
    read(&file(whole)).1.expect("other roles' sections are theirs");
    let report = read(&sets(&["sidecar.broker=tcp://127.0.0.1:1883"])).1.expect_err("not an edge's");
    assert_eq!(report.mistakes()[0].place, Place::Set);
}

#[test]
fn what_is_open_to_the_network_without_protection_must_be_asked_for() {
    let open = ["admin.listen=0.0.0.0:9101", "origin.listen=0.0.0.0:7101", "edge.origins=10.0.0.1:7101"];
    assert_eq!(read(&sets(&open)).1.expect_err("not asked for").mistakes().len(), 3);
    let asked = [&open[..], &["admin.allow_remote=true", "links.allow_remote=true"]].concat();
    read(&sets(&asked)).1.expect("asked for");
    read(&sets(&["edge.listen=0.0.0.0:1883"])).1.expect("clients come from the network");
}

#[test]
fn the_shared_sections_have_the_documented_defaults_and_names() {
    let (shared, result) = read(&Inputs::default());
    result.expect("no mistake");
    assert_eq!((shared.log.format, shared.log.user_id), (Format::Text, UserShow::Plain));
    assert_eq!((shared.drain.spread, shared.drain.deadline), (None, None));
    assert_eq!(shared.admin.listen, "127.0.0.1:9101");
    assert_eq!((shared.limits.connect_bytes, shared.limits.sessions), (256 * 1024, 100_000));
    let given = [
        "log.format=json",
        "log.level=debug",
        "log.user_id=hash",
        "drain.spread=0s",
        "drain.deadline=1m",
        "limits.connect_time=200ms",
        "limits.buffered_bytes=2GiB",
    ];
    let (shared, result) = read(&sets(&given));
    result.expect("no mistake");
    assert_eq!((shared.log.format, shared.log.user_id), (Format::Json, UserShow::Hash));
    assert_eq!((shared.drain.spread, shared.drain.deadline), (Some(0), Some(60_000)));
    assert_eq!((shared.limits.connect_time, shared.limits.buffered_bytes), (200, 2 << 30));
}
