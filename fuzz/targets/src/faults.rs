//! Fault scripts: the parser, what it says of mistakes, and the engine that follows the rules.

use baton_broker_sim::{
    broker::{Broker, Limits},
    faults::{Engine, Mistake, RULES, Script},
};
use rmqtt_codec::v5::{Connect, ConnectAck, Packet};

/// Every mistake is a line that says where it stands. The lines that are rules are shown as text that is read as the same
/// rules again, and an engine follows them through a small conversation and comes to rest.
pub fn faults(data: &[u8]) -> bool {
    let text = String::from_utf8_lossy(data);
    let script = Script::parse("script", &text).unwrap_or_else(|mistakes| {
        assert!(!mistakes.is_empty());
        mistakes.iter().for_each(|mistake| check(mistake, &text));
        rules_of(&text)
    });
    let shown: String = script.rules.iter().map(|rule| format!("{rule}\n")).collect();
    assert_eq!(Script::parse("shown", &shown).map(|again| again.rules), Ok(script.rules.clone()), "{shown}");
    let any = !script.rules.is_empty();
    play(script);
    any
}

fn check(mistake: &Mistake, text: &str) {
    let line = text.lines().nth(mistake.line - 1).expect("a line of the script");
    assert!((1..=line.chars().count() + 1).contains(&mistake.column), "{mistake}");
    assert!(!mistake.expected.is_empty() && !mistake.got.is_empty(), "{mistake}");
    assert!(!mistake.to_string().chars().any(char::is_control), "{mistake}");
}

/// Those lines that are rules by themselves, up to as many as there may be.
fn rules_of(text: &str) -> Script {
    let lines = text.lines().filter_map(|line| Script::parse("line", line).ok());
    Script { rules: lines.flat_map(|line| line.rules).take(RULES).collect(), seed: None }
}

/// Two connections say and hear a few packets; then time passes until nothing is held back.
fn play(script: Script) {
    let mut broker = Broker::new(Limits::default());
    let conns = [broker.connected(0), broker.connected(0)];
    let mut engine = Engine::new(script.seed.unwrap_or(0));
    engine.add(script.rules, [(conns[0], "a".into(), 0)], 0).expect("no more than there may be");
    let (mut given, mut done) = (0, 0);
    engine.opened(conns[1], 0);
    for (now, conn) in (0..4).zip(conns.into_iter().cycle()) {
        engine.received(conn, &Packet::Connect(Box::new(Connect { client_id: "b".into(), ..Connect::default() })));
        for packet in [Packet::ConnectAck(Box::<ConnectAck>::default()), Packet::PingResponse] {
            engine.sending(conn, packet, 1, now);
            given += 1;
        }
        engine.resume("a");
    }
    while let Some(due) = engine.poll_timeout() {
        engine.handle_timeout(due);
    }
    while let Some(effect) = engine.poll_effect() {
        use baton_broker_sim::faults::Effect::{Send, Unsent};
        // What is sent twice counts once.
        done += if let Send(_, _, bytes) | Unsent(_, bytes) = effect { bytes } else { 0 };
    }
    assert_eq!(done, given, "each packet is sent, or it is said that it isn't");
}
