//! paho-mqtt and MQTT.js, each in a script of its own: `numbers.py`, which says what both do, and `numbers.js`.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use super::{Client, Seat, Told};
use crate::program::Program;

struct Script {
    program: Program,
    batches: Vec<usize>,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn python() -> Command {
    let python = std::env::var_os("BATON_PYTHON").map(PathBuf::from);
    Command::new(python.unwrap_or_else(|| root().join("target/tools/python/bin/python")))
}

pub(crate) fn node() -> Command {
    let mut node = Command::new("node");
    if std::env::var_os("NODE_PATH").is_none() {
        node.env("NODE_PATH", root().join("target/tools/node/node_modules"));
    }
    node
}

fn has(command: &mut Command, package: &str) -> Told {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    let found = status.is_ok_and(|status| status.success());
    found.then_some(()).ok_or(format!("{package} is not installed; test.sh installs it"))
}

pub(crate) fn paho_is_installed() -> Told {
    has(python().args(["-c", "import paho.mqtt"]), "paho-mqtt")
}

pub(crate) fn aiomqtt_is_installed() -> Told {
    has(python().args(["-c", "import aiomqtt"]), "aiomqtt")
}

pub(crate) fn mqtt_js_is_installed() -> Told {
    has(node().args(["-e", "require.resolve('mqtt')"]), "mqtt")
}

pub(super) fn paho(seat: &Seat) -> Told<Box<dyn Client>> {
    start(python(), "numbers.py", seat)
}

pub(super) fn mqtt_js(seat: &Seat) -> Told<Box<dyn Client>> {
    start(node(), "numbers.js", seat)
}

fn start(mut command: Command, script: &str, seat: &Seat) -> Told<Box<dyn Client>> {
    command.arg(root().join("tests/interop/client").join(script)).arg(&seat.name);
    let numbers = [seat.subscriber.port(), seat.publisher.port(), seat.version.level().into(), seat.qos.level().into()];
    let program = Program::start(command.args(numbers.map(|number| number.to_string())));
    match program.line()?.as_str() {
        "ready" => Ok(Box::new(Script { program, batches: Vec::new() })),
        what => Err(what.into()),
    }
}

impl Client for Script {
    fn publish(&mut self, messages: usize) -> Told {
        self.batches.push(messages);
        self.program.say(messages)
    }

    fn has_all(&mut self) -> Told {
        for batch in self.batches.drain(..) {
            let line = self.program.line()?;
            if line != batch.to_string() {
                return Err(line);
            }
        }
        Ok(())
    }

    fn leave(self: Box<Self>) -> Told {
        self.program.ends()
    }
}
