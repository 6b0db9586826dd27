//! `mosquitto_pub`, which publishes what it reads, and `mosquitto_sub`, which writes what it hears.

use std::process::Command;

use super::{Client, Seat, Told, Version};
use crate::program::Program;

struct Mosquitto {
    publisher: Program,
    subscriber: Program,
    published: usize,
    heard: usize,
}

pub(super) fn installed() -> Told {
    let is_there = |program| Command::new(program).arg("--help").output().is_ok();
    let all = ["stdbuf", "mosquitto_pub", "mosquitto_sub"].into_iter().all(is_there);
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
    loop {
        let line = subscriber.line()?;
        match line.strip_prefix("Subscribed ") {
            Some(granted) if granted.ends_with(&format!(": {qos}")) => break,
            Some(granted) => return Err(format!("asked for QoS {qos}, {granted}")),
            None if line.starts_with("Connection error") => return Err(line),
            None => {}
        }
    }
    let publisher = Program::start(command("mosquitto_pub", "pub", seat.publisher.port()).arg("-l"));
    Ok(Box::new(Mosquitto { publisher, subscriber, published: 0, heard: 0 }))
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
        while self.heard < self.published {
            let line = self.subscriber.line()?;
            if let Some(number) = line.strip_prefix("line ") {
                if number.parse() != Ok(self.heard) {
                    return Err(format!("{number} came instead of {}", self.heard));
                }
                self.heard += 1;
            }
        }
        Ok(())
    }

    fn leave(self: Box<Self>) -> Told {
        self.publisher.ends()?;
        self.subscriber.terminate()?;
        self.subscriber.ends()
    }
}
