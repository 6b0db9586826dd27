//! `mosquitto_pub`, which publishes what it reads, and `mosquitto_sub`, which writes what it hears.

use std::{mem, process::Command};

use super::{Client, Seat, Told, Version};
use crate::program::Program;

struct Mosquitto {
    publisher: Program,
    published: usize,
    subscriber: Subscriber,
}

struct Subscriber {
    program: Program,
    /// Whether it has begun to.
    connected: bool,
    heard: usize,
}

pub(crate) fn installed() -> Told {
    let is_there = |program| Command::new(program).arg("--help").output().is_ok();
    let all = ["stdbuf", "mosquitto_pub", "mosquitto_sub", "mosquitto_rr"].into_iter().all(is_there);
    all.then_some(()).ok_or("mosquitto-clients are not installed".into())
}

pub(super) fn start(seat: &Seat) -> Told<Box<dyn Client>> {
    let qos = seat.qos.level().to_string();
    let version = match seat.version {
        Version::V3_1 => "mqttv31",
        Version::V3_1_1 => "mqttv311",
        Version::V5 => "mqttv5",
    };
    let command = |program: &str, role: &str, port: u16| {
        // Line by line even to a pipe.
        let mut command = Command::new("stdbuf");
        command.args(["-oL", program, "-i", &format!("{}-{role}", seat.name), "-h", "127.0.0.1", "-k", "5"]);
        command.args(["-p", &port.to_string(), "-V", version, "-q", &qos, "-t", &seat.name]);
        command
    };
    // With -d it tells of its subscription, and of much else.
    let subscriber = Program::start(command("mosquitto_sub", "sub", seat.subscriber.port()).arg("-d"));
    let mut subscriber = Subscriber { program: subscriber, connected: false, heard: 0 };
    let granted = subscriber.hears("Subscribed ")?;
    if !granted.ends_with(&format!(": {qos}")) {
        return Err(format!("asked for QoS {qos}, granted {granted}"));
    }
    let publisher = Program::start(command("mosquitto_pub", "pub", seat.publisher.port()).arg("-l"));
    Ok(Box::new(Mosquitto { publisher, subscriber, published: 0 }))
}

impl Subscriber {
    /// What follows this in the next line that begins with it.
    fn hears(&mut self, word: &str) -> Told<String> {
        loop {
            let line = self.program.line()?;
            if let Some(rest) = line.strip_prefix(word) {
                return Ok(rest.to_owned());
            }
            // It would go on for ever.
            if line.ends_with("sending CONNECT") && mem::replace(&mut self.connected, true) {
                return Err("it connects again".into());
            }
        }
    }
}

impl Client for Mosquitto {
    fn publish(&mut self, messages: usize) -> Told {
        for _ in 0..messages {
            self.publisher.say(format_args!("line {}", self.published))?;
            self.published += 1;
        }
        Ok(())
    }

    fn has_all(&mut self) -> Told {
        while self.subscriber.heard < self.published {
            let number = self.subscriber.hears("line ")?;
            if number.parse() != Ok(self.subscriber.heard) {
                return Err(format!("{number} came instead of {}", self.subscriber.heard));
            }
            self.subscriber.heard += 1;
        }
        Ok(())
    }

    fn leave(self: Box<Self>) -> Told {
        self.publisher.ends()?;
        self.subscriber.program.terminate()?;
        self.subscriber.program.ends()
    }
}
