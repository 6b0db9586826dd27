//! Clients that aren't ours, while origins drain and die: none of them reconnects, each gets all of it in order.

use std::{
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, sync_channel},
    thread,
};

use baton_drill::tier::{Broker, Tier};

use crate::support::{PATIENCE, closed, connects, drain, edges_total, is_known, layout, moved, skip, start, until};

mod rumqttc;

before_both_brokers!(mosquitto_3_1 mosquitto_3_1_1 mosquitto_5 paho_3_1_1 paho_5);

/// Messages that are under way during each fault.
const BATCH: usize = 150;
/// Lines that a program may be ahead of its reader.
const LINES: usize = 1_024;

/// A client under test.
trait Foreign {
    /// Publishes so many messages.
    fn publish(&mut self, messages: usize);
    /// Waits until all of them have come, in order and once.
    fn has_all(&mut self);
    /// Leaves in order.
    fn leave(self);
}

/// Some origins drain, some die, and the client goes on. `connections`: as many as it makes, ever.
fn through_faults<F: Foreign>(broker: Broker, connections: u32, client: impl FnOnce(&Tier) -> Option<F>) {
    let Some(mut tier) = start(layout(broker, 2)) else { return };
    let Some(mut client) = client(&tier) else { return };
    client.publish(BATCH);
    client.has_all();
    // Each session is somewhere, so over both origins each fault meets it.
    for fault in [leaves as fn(&mut Tier, &str), dies] {
        for origin in ["origin-1", "origin-2"] {
            client.publish(BATCH);
            fault(&mut tier, origin);
            client.has_all();
            tier.restart(origin).expect("it comes back");
            until("the edges know it", || is_known(&tier, origin));
        }
    }
    assert!(moved(&tier, "planned") > 0.0 && moved(&tier, "broken") > 0.0);
    assert_eq!(edges_total(&tier, "baton_client_closes_total", &[]), 0.0);
    assert_eq!(connects(&tier), f64::from(connections), "it connected again");
    client.leave();
    // After DISCONNECT each side may be the first to close.
    until("it leaves in order", || closed(&tier, "client_left") + closed(&tier, "broker_left") == connections as f64);
}

fn leaves(tier: &mut Tier, origin: &str) {
    drain(tier, origin);
}

fn dies(tier: &mut Tier, origin: &str) {
    tier.kill(origin).expect("it ran");
}

/// A program that reads lines and writes lines.
struct Program {
    child: Child,
    input: Option<ChildStdin>,
    output: Receiver<String>,
}

impl Program {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let (sender, output) = sync_channel(LINES);
        let stdout = BufReader::new(child.stdout.take().expect("it was asked for"));
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { input: child.stdin.take(), child, output }
    }

    fn say(&mut self, line: impl std::fmt::Display) {
        let input = self.input.as_mut().expect("it is still told things");
        writeln!(input, "{line}").and_then(|()| input.flush()).expect("it listens");
    }

    fn line(&self) -> String {
        self.output.recv_timeout(PATIENCE).expect("it goes on")
    }

    /// Closes its input, and waits for its end.
    fn ends(mut self) {
        drop(self.input.take());
        let mut ended = false;
        until("it ends", || {
            ended |= self.child.try_wait().expect("it was started").inspect(|s| assert!(s.success(), "{s}")).is_some();
            ended
        });
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail only for a program that has ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// `mosquitto_pub`, which publishes what it reads, and `mosquitto_sub`, which writes what it hears.
struct Mosquitto {
    publisher: Program,
    subscriber: Program,
    published: usize,
    heard: usize,
}

impl Mosquitto {
    fn start(tier: &Tier, version: &str, qos: &str) -> Option<Self> {
        let installed = |program| Command::new(program).arg("--help").output().is_ok();
        if !installed("mosquitto_pub") || !installed("mosquitto_sub") {
            skip("mosquitto-clients are not installed");
            return None;
        }
        let ports: Vec<_> = tier.edges().iter().map(|edge| edge.port().to_string()).collect();
        let command = |program: &str, port: &str| {
            let mut command = Command::new("stdbuf");
            command.args(["-oL", program, "-i", program, "-h", "127.0.0.1", "-p", port, "-k", "5"]);
            command.args(["-V", version, "-q", qos, "-t", "mosquitto/lines"]);
            command
        };
        // With -d it tells of its subscription, and of much else; line by line even to a pipe, if made to.
        let subscriber = Program::start(command("mosquitto_sub", &ports[0]).arg("-d"));
        until("it has subscribed", || subscriber.line().starts_with("Subscribed"));
        let publisher = Program::start(command("mosquitto_pub", &ports[1]).arg("-l"));
        Some(Self { publisher, subscriber, published: 0, heard: 0 })
    }
}

impl Foreign for Mosquitto {
    fn publish(&mut self, messages: usize) {
        for _ in 0..messages {
            self.publisher.say(format_args!("line {}", self.published));
            self.published += 1;
        }
    }

    fn has_all(&mut self) {
        while self.heard < self.published {
            let line = self.subscriber.line();
            if let Some(number) = line.strip_prefix("line ") {
                assert_eq!(number.parse(), Ok(self.heard));
                self.heard += 1;
            }
        }
    }

    fn leave(self) {
        self.publisher.ends();
        let pid = rustix::process::Pid::from_child(&self.subscriber.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
        self.subscriber.ends();
    }
}

fn mosquitto_3_1(broker: Broker) {
    through_faults(broker, 2, |tier| Mosquitto::start(tier, "mqttv31", "2"));
}

fn mosquitto_3_1_1(broker: Broker) {
    through_faults(broker, 2, |tier| Mosquitto::start(tier, "mqttv311", "2"));
}

fn mosquitto_5(broker: Broker) {
    // Of Debian's mosquitto_sub 2.0.11, a burst at QoS 2 is too much in version 5, with nothing between it and its
    // broker: once the 20 that it may have under way have come, it calls the next a protocol error.
    through_faults(broker, 2, |tier| Mosquitto::start(tier, "mqttv5", "1"));
}

/// paho-mqtt, in `numbers.py`, which says what it does.
struct Paho {
    program: Program,
    batches: Vec<usize>,
}

impl Paho {
    fn start(tier: &Tier, version: &str) -> Option<Self> {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let python =
            std::env::var_os("BATON_PYTHON").map_or_else(|| root.join("target/tools/python/bin/python"), PathBuf::from);
        let has_paho = Command::new(&python).args(["-c", "import paho.mqtt"]).stderr(Stdio::null()).status();
        if !has_paho.is_ok_and(|status| status.success()) {
            skip("paho-mqtt is not installed; test.sh installs it");
            return None;
        }
        let port = tier.edges()[0].port().to_string();
        let script = root.join("tests/process/foreign/numbers.py");
        Some(Self { program: Program::start(Command::new(python).arg(script).args([&port, version])), batches: vec![] })
    }
}

impl Foreign for Paho {
    fn publish(&mut self, messages: usize) {
        self.program.say(messages);
        self.batches.push(messages);
    }

    fn has_all(&mut self) {
        for batch in self.batches.drain(..) {
            assert_eq!(self.program.line(), batch.to_string());
        }
    }

    fn leave(self) {
        self.program.ends();
    }
}

fn paho_3_1_1(broker: Broker) {
    through_faults(broker, 2, |tier| Paho::start(tier, "4"));
}

fn paho_5(broker: Broker) {
    through_faults(broker, 2, |tier| Paho::start(tier, "5"));
}
