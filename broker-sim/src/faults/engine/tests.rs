//! Rules, what happens, and what is done.

use std::num::NonZeroU16;

use rmqtt_codec::{
    types::{Publish, QoS},
    v5::{Connect, ConnectAck, Packet, PublishAck, PublishAck2, SubscribeAck},
};

use super::*;
use crate::{
    broker::{Broker, Limits},
    faults::Script,
};

/// Steps, and the effects of each behind a colon. `1 open`; `1 connect NAME` and `1 < KIND` come in, `1 > KIND` is to go
/// out; `1 close`; `at MS`. A packet of the same kind has the next number as its id. Effects: `+KIND-ID` sent, `-`
/// unsent, `!ACT` at once, `~ACT` in order, `broker ACT`; a verdict other than pass as `ignored` or `refused`.
fn play(rules: &str, steps: &str) {
    let mut stage = Stage::new(rules);
    for step in steps.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (step, expected) = step.split_once(':').unwrap_or((step, ""));
        let got = stage.step(step.trim());
        assert_eq!(got.join(" "), expected.trim(), "{rules}: {step}");
    }
}

struct Stage {
    engine: Engine,
    conns: Vec<ConnId>,
    now: Millis,
    ids: BTreeMap<Kind, u16>,
}

impl Stage {
    fn new(rules: &str) -> Self {
        Self::seeded(rules, 1)
    }

    fn seeded(rules: &str, seed: u64) -> Self {
        let mut engine = Engine::new(seed);
        let rules = rules.replace("; ", "\n");
        engine.add(Script::parse("t", &rules).expect("rules").rules, [], 0).expect("few");
        let mut broker = Broker::new(Limits::default());
        Self { engine, conns: (0..9).map(|_| broker.connected(0)).collect(), now: 0, ids: BTreeMap::new() }
    }

    fn step(&mut self, step: &str) -> Vec<String> {
        let words: Vec<_> = step.split(' ').collect();
        let mut shown = Vec::new();
        if let ["at", time] = words[..] {
            self.now = time.parse().unwrap();
            self.engine.handle_timeout(self.now);
        } else {
            let conn = self.conns[words[0].parse::<usize>().unwrap()];
            match words[1..] {
                ["open"] => self.engine.opened(conn, self.now),
                ["close"] => self.engine.closed(conn),
                ["connect", name] => shown.extend(verdict(self.engine.received(conn, &connect(name)))),
                ["<", kind] => {
                    let packet = self.packet(kind);
                    shown.extend(verdict(self.engine.received(conn, &packet)));
                }
                [">", kind] => {
                    let packet = self.packet(kind);
                    self.engine.sending(conn, packet, 10, self.now);
                }
                _ => panic!("{step}"),
            }
        }
        while let Some(effect) = self.engine.poll_effect() {
            shown.extend(show(&effect));
        }
        shown
    }

    fn packet(&mut self, kind: &str) -> Packet {
        let id = self.ids.entry(Kind::named(kind).expect("a kind")).or_default();
        *id += 1;
        let packet_id = NonZeroU16::new(*id).unwrap();
        match kind {
            "publish" => Packet::Publish(Box::new(Publish {
                dup: false,
                retain: false,
                qos: QoS::AtLeastOnce,
                topic: "t".into(),
                packet_id: Some(packet_id),
                payload: "x".into(),
                properties: None,
            })),
            "puback" => Packet::PublishAck(PublishAck { packet_id, ..PublishAck::default() }),
            "pubrel" => Packet::PublishRelease(PublishAck2 { packet_id, ..PublishAck2::default() }),
            "suback" => Packet::SubscribeAck(SubscribeAck {
                packet_id,
                properties: Vec::new(),
                reason_string: None,
                status: Vec::new(),
            }),
            "connack" => Packet::ConnectAck(Box::default()),
            "pingreq" => Packet::PingRequest,
            "pingresp" => Packet::PingResponse,
            _ => panic!("{kind}"),
        }
    }
}

fn connect(client: &str) -> Packet {
    Packet::Connect(Box::new(Connect { client_id: client.into(), ..Connect::default() }))
}

fn verdict(verdict: Verdict) -> Option<String> {
    match verdict {
        Verdict::Pass => None,
        Verdict::Ignore => Some("ignored".into()),
        Verdict::Refuse(reason) => Some(format!("refused-{:#x}", u8::from(reason))),
    }
}

fn show(effect: &Effect) -> Option<String> {
    let id = |packet: &Packet| match packet {
        Packet::Publish(publish) => publish.packet_id.unwrap().to_string(),
        Packet::PublishAck(ack) => ack.packet_id.to_string(),
        Packet::PublishRelease(ack) => ack.packet_id.to_string(),
        Packet::SubscribeAck(ack) => ack.packet_id.to_string(),
        Packet::ConnectAck(ack) => ack.session_present.to_string(),
        _ => String::new(),
    };
    Some(match effect {
        Effect::Send(_, packet, 10) => format!("+{}-{}", Kind::of(packet), id(packet)),
        Effect::Send(_, packet, bytes) => format!("+{}-{}({bytes})", Kind::of(packet), id(packet)),
        Effect::Unsent(_, bytes) => format!("-{bytes}"),
        Effect::InOrder(_, act) => format!("~{}", act.to_string().replace(' ', "-")),
        Effect::AtOnce(_, act) => format!("!{}", act.to_string().replace(' ', "-")),
        Effect::Broker(act, None) => format!("broker-{}", act.to_string().replace(' ', "-")),
        Effect::Broker(act, Some(of)) => format!("broker-{}({of})", act.to_string().replace(' ', "-")),
        Effect::BrokerInOrder(_, act, _) => format!("~broker-{}", act.to_string().replace(' ', "-")),
        Effect::Did { .. } => return None,
    })
}

#[test]
fn packets_that_the_broker_sends() {
    play("drop puback 2", "1 > puback: +puback-1\n 1 > puback: -10\n 1 > puback: +puback-3\n 1 > suback: +suback-1");
    play("duplicate publish first 1", "1 > publish: +publish-1 +publish-1(0)\n 1 > publish: +publish-2");
    play("delay 2s suback", "1 open\n at 100\n 1 > suback\n 1 > puback: +puback-1\n at 2099\n at 2100: +suback-1");
    play("delay 2s suback", "1 > suback\n 1 close\n at 9999");
    play(
        "reorder publish",
        "1 > publish\n 1 > publish: +publish-2 +publish-1\n 1 > publish\n 1 > pingresp: +pingresp- +publish-3",
    );
    play("reorder publish", "1 > publish\n at 999\n at 1000: +publish-1\n 1 > puback: +puback-1");
    play("session-present yes", "1 > connack: +connack-true\n 1 > suback: +suback-1");
    play("drop packet every 2", "1 > connack: +connack-false\n 1 > puback: -10\n 1 > suback: +suback-1");
}

#[test]
fn the_first_rule_that_hits_decides() {
    play("drop puback 1; duplicate puback first 1", "1 > puback: -10\n 1 > puback: +puback-2 +puback-2(0)");
    play("session-present yes; drop connack 1", "1 > connack: -10\n 1 > connack: +connack-true");
}

#[test]
fn packets_that_the_client_sends() {
    play("ignore publish 2", "1 < publish\n 1 < publish: ignored\n 1 < publish");
    play("connack not-authorized first 1", "1 connect a: refused-0x87\n 2 connect a\n 2 < publish");
    play("ignore connect client a", "1 connect a: ignored\n 2 connect b");
    // A second CONNECT renames nobody.
    play("drop puback client a", "1 connect a\n 1 connect b\n 1 > puback: -10");
    play("ignore packet from 2 per connection", "1 connect a\n 2 connect b\n 1 < publish: ignored");
}

#[test]
fn which_and_how_often() {
    for (which, hit) in [
        ("", "111111"),
        ("3", "001000"),
        ("first 2", "110000"),
        ("from 4", "000111"),
        ("every 3", "001001"),
        ("every 2 times 2", "010100"),
        ("times 1", "100000"),
        ("100%", "111111"),
        ("client other", "000000"),
        ("client m?", "111111"),
    ] {
        let mut stage = Stage::new(&format!("drop puback {which}"));
        stage.step("1 connect me");
        let got: String = (0..6).map(|_| if stage.step("1 > puback") == ["-10"] { '1' } else { '0' }).collect();
        assert_eq!(got, hit, "{which}");
    }
}

#[test]
fn counts_are_of_all_connections_unless_each_is_counted_by_itself() {
    play("drop puback 2", "1 > puback: +puback-1\n 2 > puback: -10\n 1 > puback: +puback-3");
    play("drop puback 1 per connection", "1 > puback: -10\n 2 > puback: -10\n 1 > puback: +puback-3");
}

#[test]
fn what_happens_to_connections() {
    play("cut on publish 2", "1 < publish\n 1 < publish: !cut\n 1 < publish");
    play("cut after puback", "1 > puback: +puback-1 ~cut");
    play("split 3 on open", "1 open: !split-3\n 1 connect a");
    play("stall reads 5s after 2s client a", "1 open\n 2 open\n 1 connect a\n 2 connect b\n at 2000: !stall-reads-5s");
    play("disconnect server-busy on packet 2 per connection", "1 connect a\n 1 < pingreq: !disconnect-server-busy");
    play("half-close after connack; cut after connack", "1 > connack: +connack-false ~half-close ~cut");
    // One that isn't sent is no occasion; one that is sent twice is two.
    play(
        "drop puback 1; duplicate puback; cut after puback",
        "1 > puback: -10\n 1 > puback: +puback-2 ~cut +puback-2(0) ~cut",
    );
    play("cut after 1s", "1 open\n 1 close\n at 1000");
}

#[test]
fn what_happens_to_the_broker() {
    play("forget sessions after 5s client a*", "at 4999\n at 5000: broker-forget-sessions(a*)\n at 10000");
    play("crash on publish 2", "1 < publish\n 1 < publish: broker-crash");
    play("forget retained now", "at 0: broker-forget-retained");
}

#[test]
fn now_is_for_the_connections_that_there_are() {
    let mut stage = Stage::new("drop puback");
    let there = [(stage.conns[1], "a".into(), 0), (stage.conns[2], "b".into(), 400)];
    let rules = Script::parse("t", "cut now client a\nsplit 1 after 500ms\nstall writes 1s after 450ms").unwrap().rules;
    assert_eq!(stage.engine.add(rules, there, 500), Ok(2));
    assert_eq!(stage.step("at 500"), ["!cut", "!split-1"], "and what is due for one that began 500 ms ago");
    assert_eq!(stage.step("at 850"), ["!stall-writes-1s"], "past for the older one");
    assert_eq!(stage.step("at 900"), ["!split-1"]);
    let hits: Vec<_> = stage.engine.status().iter().map(|status| (status.number, status.seen, status.hits)).collect();
    assert_eq!(hits, [(1, 0, 0), (2, 1, 1), (3, 2, 2), (4, 1, 1)]);
}

#[test]
fn resumes() {
    let mut engine = Engine::new(1);
    let rules = "refuse resume 2 client a\ndelay 1s resume client a\nignore resume client b times 1";
    engine.add(Script::parse("t", rules).unwrap().rules, [], 0).unwrap();
    let late = Some(ResumeAct::Delay(1000));
    let got: Vec<_> = ["a", "a", "a", "b", "b", "c"].map(|user| engine.resume(user)).into();
    assert_eq!(got, [late, Some(ResumeAct::Refuse), late, Some(ResumeAct::Ignore), None, None]);
}

#[test]
fn chance_is_repeated_by_its_seed_and_is_each_rules_own() {
    let run = |rules: &str, seed| {
        let mut stage = Stage::seeded(rules, seed);
        (0..1000).map(|_| stage.step("1 > puback") == ["-10"]).collect::<Vec<_>>()
    };
    let one = run("drop puback 10%", 7);
    let dropped = one.iter().filter(|dropped| **dropped).count();
    assert!((60..140).contains(&dropped), "{dropped} of 1000");
    assert_eq!(run("drop puback 10%", 7), one);
    assert_ne!(run("drop puback 10%", 8), one);
    assert_eq!(run("drop puback 10%; drop suback 50%", 7), one);
}

#[test]
fn what_is_held_back_is_bounded() {
    let mut stage = Stage::new("delay 1h publish");
    for _ in 0..DELAYED {
        assert_eq!(stage.step("1 > publish"), [] as [&str; 0]);
    }
    assert_eq!(stage.step("1 > publish"), ["+publish-1001"]);
    assert_eq!(stage.step("2 > publish"), [] as [&str; 0], "each connection has its own bound");
    assert_eq!(stage.step("at 3600000").len(), DELAYED + 1);
    assert_eq!(stage.step("1 > publish"), [] as [&str; 0], "there is room again");
}

#[test]
fn who_is_gone_leaves_nothing_behind() {
    let mut stage = Stage::new("cut after 1h client nobody; delay 1h publish; reorder puback");
    for step in ["1 open", "1 > publish", "1 > puback", "1 close"] {
        assert_eq!(stage.step(step), [] as [&str; 0]);
    }
    assert_eq!(stage.engine.poll_timeout(), None);
    assert_eq!(stage.engine.remove(None), 3);
    assert!(stage.engine.is_idle());
}

#[test]
fn what_is_held_has_its_own_time() {
    let mut stage = Stage::new("reorder puback");
    stage.step("1 > puback");
    stage.step("at 900");
    assert_eq!(stage.step("1 > suback"), ["+suback-1", "+puback-1"]);
    stage.step("at 950");
    assert_eq!(stage.step("1 > puback"), [] as [&str; 0]);
    assert_eq!(stage.step("at 1000"), [] as [&str; 0], "that was the first one's");
    assert_eq!(stage.step("at 1950"), ["+puback-2"]);
}

#[test]
fn rules_end_and_what_they_hold_back_goes_in_its_time() {
    let mut stage = Stage::new("delay 1s puback; drop suback");
    assert_eq!(stage.step("1 > puback"), [] as [&str; 0]);
    assert_eq!((stage.engine.remove(Some(1)), stage.engine.remove(Some(9))), (1, 0));
    assert_eq!(stage.step("1 > puback"), ["+puback-2"]);
    assert_eq!(stage.engine.remove(None), 1);
    assert!(!stage.engine.is_idle());
    assert_eq!(stage.step("at 1000"), ["+puback-1"]);
    assert!(stage.engine.is_idle());
    let rule = Script::parse("t", "drop puback").unwrap().rules;
    assert_eq!(stage.engine.add(rule.clone(), [], 0), Ok(3), "numbers aren't used again");
    assert_eq!(stage.engine.add(vec![rule[0].clone(); RULES], [], 0), Err(Refused));
    assert_eq!(stage.engine.status().len(), 1);
}

#[test]
fn a_client_without_an_id_has_the_one_that_the_broker_makes_up() {
    let mut stage = Stage::new("drop puback client auto-*");
    stage.step("1 connect ");
    let ack = ConnectAck { assigned_client_id: Some("auto-1".into()), ..ConnectAck::default() };
    stage.engine.sending(stage.conns[1], Packet::ConnectAck(Box::new(ack)), 10, 0);
    assert_eq!(stage.step("1 > puback"), ["+connack-false", "-10"]);
}
