//! mosquitto's own command lines: `mosquitto_pub`, `mosquitto_sub` and `mosquitto_rr`. They live for one errand each, so
//! their list is another one.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use baton_drill::tier::{PASSWORD, USER};

use super::{Outcomes, outcome_of};
use crate::{client::Told, program::Program};

/// What a command line says of itself with `-d`, besides what it hears.
const ASIDES: [&str; 2] = ["Client ", "Subscribed "];

/// One broker, one version of MQTT, and a topic.
struct Desk<'a> {
    broker: SocketAddr,
    version: &'static str,
    topic: String,
    /// Where files may be written.
    directory: &'a Path,
}

/// An errand: its name, the versions of MQTT in which it makes sense, and what is done.
type Errand = (&'static str, &'static [&'static str], fn(&Desk<'_>) -> Told);

const EACH: &[&str] = &["mqttv31", "mqttv311", "mqttv5"];
const NEW: &[&str] = &["mqttv5"];

const ERRANDS: [Errand; 13] = [
    ("qos_0", EACH, |desk| in_order(desk, "0")),
    ("qos_1", EACH, |desk| in_order(desk, "1")),
    ("qos_2", EACH, |desk| in_order(desk, "2")),
    ("lines", EACH, lines),
    ("file", EACH, file),
    ("retained", EACH, retained),
    ("will", EACH, will),
    ("session_kept", EACH, session_kept),
    ("wrong_password", EACH, wrong_password),
    ("request_and_response", EACH, request_and_response),
    ("response_topic", NEW, response_topic),
    ("properties", NEW, properties),
    ("shared_subscription", NEW, shared_subscription),
];

/// All errands, in all their versions.
pub(super) fn plays(broker: SocketAddr, directory: &Path) -> Outcomes {
    let mut outcomes = Outcomes::new();
    for (name, versions, act) in ERRANDS {
        for version in versions {
            let topic = format!("errands/{name}/{version}");
            let desk = Desk { broker, version, topic, directory };
            outcomes.insert(outcome_of(name, version), act(&desk));
        }
    }
    outcomes
}

impl Desk<'_> {
    /// A command with what each of them is told.
    fn command(&self, program: &str, more: &[&str]) -> Command {
        // Line by line even to a pipe.
        let mut command = Command::new("stdbuf");
        command.args(["-oL", program, "-h", "127.0.0.1", "-p", &self.broker.port().to_string(), "-V", self.version]);
        command.args(["-u", USER, "-P", PASSWORD]).args(more);
        command
    }

    /// A subscriber that is subscribed.
    fn subscriber(&self, more: &[&str]) -> Told<Program> {
        let program = Program::start(self.command("mosquitto_sub", &["-d"]).args(more));
        while !program.line()?.starts_with("Subscribed ") {}
        Ok(program)
    }

    /// A subscriber to the topic, at QoS 1.
    fn listener(&self) -> Told<Program> {
        self.subscriber(&["-t", &self.topic, "-q", "1"])
    }

    /// Publishes to the topic, or to another one if it is told so.
    fn publish(&self, more: &[&str]) -> Told {
        let mut command = self.command("mosquitto_pub", &[]);
        if !more.contains(&"-t") {
            command.args(["-t", &self.topic]);
        }
        let output = command.args(more).output().map_err(|error| error.to_string())?;
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }

    /// The options for a session that is kept, of this client id.
    fn kept<'a>(&self, id: &'a str) -> Vec<&'a str> {
        let expiry: &[&str] = if self.version == "mqttv5" { &["-x", "600"] } else { &[] };
        [&["-c", "-i", id], expiry].concat()
    }
}

/// The next thing that it hears, which has to be this.
fn hears(subscriber: &Program, wanted: &str) -> Told {
    loop {
        let line = subscriber.line()?;
        if ASIDES.iter().any(|aside| line.starts_with(aside)) {
            continue;
        }
        return if line == wanted { Ok(()) } else { Err(format!("{line:?} instead of {wanted:?}")) };
    }
}

fn in_order(desk: &Desk<'_>, qos: &str) -> Told {
    let subscriber = desk.subscriber(&["-t", &desk.topic, "-q", qos, "-F", "%q %p"])?;
    for payload in ["one", "two", "three"] {
        desk.publish(&["-q", qos, "-m", payload])?;
        hears(&subscriber, &format!("{qos} {payload}"))?;
    }
    Ok(())
}

fn lines(desk: &Desk<'_>) -> Told {
    let subscriber = desk.listener()?;
    let mut publisher = Program::start(&mut desk.command("mosquitto_pub", &["-t", &desk.topic, "-q", "1", "-l"]));
    for number in 0..50 {
        publisher.say(format_args!("line {number}"))?;
    }
    (0..50).try_for_each(|number| hears(&subscriber, &format!("line {number}")))?;
    publisher.ends()
}

fn file(desk: &Desk<'_>) -> Told {
    let path = desk.directory.join("payload");
    fs::write(&path, "x".repeat(200_000)).map_err(|error| error.to_string())?;
    let subscriber = desk.subscriber(&["-t", &desk.topic, "-q", "1", "-F", "%l"])?;
    desk.publish(&["-q", "1", "-f", &path.to_string_lossy()])?;
    hears(&subscriber, "200000")
}

fn retained(desk: &Desk<'_>) -> Told {
    desk.publish(&["-q", "1", "-r", "-m", "kept"])?;
    let subscriber = desk.subscriber(&["-t", &desk.topic, "-q", "1", "-F", "%r %p"])?;
    hears(&subscriber, "1 kept")?;
    desk.publish(&["-q", "1", "-r", "-n"])?;
    hears(&subscriber, "0 ")?;
    desk.publish(&["-q", "1", "-m", "the end"])?;
    let late = desk.subscriber(&["-t", &desk.topic, "-q", "1", "-F", "%r %p"])?;
    desk.publish(&["-q", "1", "-m", "after it"])?;
    hears(&late, "0 after it")
}

fn will(desk: &Desk<'_>) -> Told {
    let subscriber = desk.listener()?;
    let options = ["--will-topic", &desk.topic, "--will-payload", "gone", "--will-qos", "1"];
    let mortal = desk.subscriber(&[&["-t", "errands/nothing"], &options[..]].concat())?;
    // Killed, it says nothing.
    drop(mortal);
    hears(&subscriber, "gone")
}

fn session_kept(desk: &Desk<'_>) -> Told {
    let id = format!("kept-{}", desk.version);
    let options = [&["-t", &desk.topic, "-q", "1"], &desk.kept(&id)[..]].concat();
    desk.subscriber(&[&options[..], &["-E"]].concat())?.ends()?;
    for payload in ["one", "two"] {
        desk.publish(&["-q", "1", "-m", payload])?;
    }
    // They come before it has subscribed again.
    let back = Program::start(&mut desk.command("mosquitto_sub", &options));
    ["one", "two"].into_iter().try_for_each(|payload| hears(&back, payload))?;
    back.terminate()?;
    back.ends()
}

fn wrong_password(desk: &Desk<'_>) -> Told {
    match desk.publish(&["-m", "m", "-P", "wrong"]) {
        Ok(()) => Err("it was let in".into()),
        // Which of two reasons it is differs between brokers.
        Err(why) if ["authori", "password"].iter().any(|word| why.to_lowercase().contains(word)) => Ok(()),
        Err(why) => Err(why),
    }
}

/// `mosquitto_rr` asks, and is answered on the topic that it listens to.
fn request_and_response(desk: &Desk<'_>) -> Told {
    let answers = format!("{}/answers", desk.topic);
    let server = desk.listener()?;
    let options = ["-t", &desk.topic, "-e", &answers, "-q", "1", "-m", "question"];
    let asking = Program::start(&mut desk.command("mosquitto_rr", &options));
    hears(&server, "question")?;
    desk.publish(&["-t", &answers, "-q", "1", "-m", "answer"])?;
    hears(&asking, "answer")?;
    asking.ends()
}

/// In MQTT 5 it says where to.
fn response_topic(desk: &Desk<'_>) -> Told {
    let answers = format!("{}/answers", desk.topic);
    let server = desk.subscriber(&["-t", &desk.topic, "-q", "1", "-F", "%R %D %p"])?;
    let correlation = ["-D", "publish", "correlation-data", "number-5"];
    let options = [&["-t", &desk.topic, "-e", &answers, "-m", "question"], &correlation[..]].concat();
    let asking = Program::start(&mut desk.command("mosquitto_rr", &options));
    hears(&server, &format!("{answers} number-5 question"))?;
    desk.publish(&[&["-t", &answers, "-m", "answer"], &correlation[..]].concat())?;
    hears(&asking, "answer")?;
    asking.ends()
}

fn properties(desk: &Desk<'_>) -> Told {
    let identifier = ["-D", "subscribe", "subscription-identifier", "4711"];
    let format = ["-t", &desk.topic, "-q", "1", "-F", "%C %F %P %S %p"];
    let subscriber = desk.subscriber(&[&format, &identifier[..]].concat())?;
    let content = ["-D", "publish", "content-type", "text/plain"];
    let indicator = ["-D", "publish", "payload-format-indicator", "1"];
    let user = ["-D", "publish", "user-property", "one", "1"];
    desk.publish(&[&["-q", "1", "-m", "m"], &content[..], &indicator, &user].concat())?;
    hears(&subscriber, "text/plain 1 one:1 4711 m")
}

/// Each message goes to one of them.
fn shared_subscription(desk: &Desk<'_>) -> Told {
    let filter = format!("$share/group/{}", desk.topic);
    let share = || desk.subscriber(&["-t", &filter, "-q", "1"]);
    let (first, second) = (share()?, share()?);
    for number in 0..4 {
        desk.publish(&["-q", "1", "-m", &number.to_string()])?;
    }
    for (number, subscriber) in [&first, &second, &first, &second].into_iter().enumerate() {
        hears(subscriber, &number.to_string())?;
    }
    Ok(())
}
