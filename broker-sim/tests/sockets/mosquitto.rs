//! The clients of mosquitto, where they are installed.

use std::process::{Command, Stdio};

use crate::Running;

#[test]
fn every_version_and_qos() {
    if Command::new("mosquitto_pub").arg("--help").output().is_err() {
        return println!("skipped: mosquitto_pub is not installed");
    }
    let broker = Running::start(&[]);
    let port = broker.plain.port().to_string();
    let run = |program: &str, arguments: &[&str]| {
        let at = ["-h", "127.0.0.1", "-p", &port];
        let output = Command::new(program).args(at).args(arguments).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    for version in ["mqttv31", "mqttv311", "mqttv5"] {
        for qos in ["0", "1", "2"] {
            let topic = format!("{version}/{qos}");
            run("mosquitto_pub", &["-V", version, "-q", qos, "-t", &topic, "-r", "-m", "kept"]);
            let got = run("mosquitto_sub", &["-V", version, "-q", qos, "-t", &topic, "-C", "1", "-W", "20", "-v"]);
            assert_eq!(got, format!("{topic} kept\n"));
        }
    }
    let got = run("mosquitto_sub", &["-V", "mqttv5", "-q", "1", "-t", "#", "-C", "9", "-W", "20"]);
    assert_eq!(got, "kept\n".repeat(9));
    broker.stop();
}
