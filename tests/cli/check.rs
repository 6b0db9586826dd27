//! `baton check`.

use std::fs;

use crate::{baton, stderr, tempdir};

fn write(directory: &str, name: &str, text: &str) -> String {
    let file = format!("{directory}/{name}");
    fs::write(&file, text).expect("written");
    file
}

#[test]
fn each_file_is_checked_for_the_roles_whose_sections_it_has() {
    let directory = tempdir("check");
    let edge = write(&directory, "edge.toml", "[edge]\nlisten = \"127.0.0.1:0\"\n");
    let tier = write(&directory, "tier.toml", "[origin]\n[sidecar]\n[limits]\nsessions = 9\n");
    let output = baton(&["check", "--config", &edge, "--config", &tier, "--set", "edge.name=e"], &[]);
    let says = format!("configuration ok for edge: {edge}\nconfiguration ok for origin, sidecar: {tier}\n");
    assert_eq!((String::from_utf8_lossy(&output.stdout).into_owned(), stderr(&output)), (says, String::new()));
    assert_eq!(output.status.code(), Some(0));
    let output = baton(&["check", "--config", &edge, "--role", "sidecar"], &[]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("configuration ok for sidecar: {edge}\n"));
    let output = baton(&["check", "--role", "edge", "--role", "origin"], &[]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "configuration ok for edge, origin\n");
}

#[test]
fn the_mistakes_of_all_files_are_in_one_report_and_the_environment_s_only_once() {
    let directory = tempdir("check-mistakes");
    let edge = write(&directory, "z-edge.toml", "[edge]\nnmae = \"e\"\n\n[log]\nlevel = \"loud\"\n");
    let origin = write(&directory, "a-origin.toml", "[origin]\nname = 1\n");
    let arguments =
        ["check", "--config", &edge, "--config", &origin, "--set", "edge.dcr=no", "--set", "sidecar.probe=x"];
    let output = baton(&arguments, &[("BATON_LOG__FORMAT", "xml"), ("BATON_BROKER_SIM__LISTEN", "nowhere")]);
    let report = stderr(&output);
    let places: Vec<_> = report.lines().map(|line| line.split(": expected ").next().expect("its place")).collect();
    let expected = [
        "--set: edge.dcr".to_owned(),
        // For neither file: each role's own check would refuse it too.
        "--set: sidecar.probe".into(),
        "--set: sidecar.probe".into(),
        "BATON_LOG__FORMAT: log.format".into(),
        format!("{edge}:2: edge.nmae"),
        format!("{edge}:5: log.level"),
        format!("{origin}:2: origin.name"),
    ];
    assert_eq!((places, output.status.code()), (expected.iter().map(String::as_str).collect(), Some(2)), "{report}");
    assert_eq!(&*output.stdout, b"", "nothing is ok where something isn't");
}

#[test]
fn what_a_role_refuses_check_refuses_with_the_same_words() {
    let file = write(&tempdir("check-same"), "edge.toml", "[edge]\norigins = []\n[limits]\nslow = \"1\"\n");
    let role = baton(&["edge", "--check", "--config", &file], &[("BATON_EDGE__USER_ID", "name")]);
    let check = baton(&["check", "--config", &file], &[("BATON_EDGE__USER_ID", "name")]);
    assert_eq!((stderr(&check).lines().count(), check.status.code()), (3, Some(2)));
    assert_eq!((stderr(&check), check.status), (stderr(&role), role.status));
}
