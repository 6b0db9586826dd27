use super::*;

fn one(text: &str) -> Rule {
    let script = Script::parse("t", text).unwrap_or_else(|mistakes| panic!("{text}: {}", mistakes[0]));
    script.rules.into_iter().next().unwrap_or_else(|| panic!("no rule in {text}"))
}

/// Each is written as it is shown.
#[test]
fn rules_are_shown_as_they_are_written() {
    for text in [
        "drop puback",
        "drop puback 3",
        "drop packet 0.5%",
        "delay 2s suback first 1 client dev-*",
        "delay 1500ms publish from 10 per connection",
        "duplicate publish every 3 times 2",
        "reorder publish client a?c per connection times 7",
        "ignore subscribe 1 per connection",
        "ignore pingreq",
        "connack not-authorized first 2",
        "session-present yes",
        "session-present no client x",
        "disconnect server-busy on packet 10 per connection",
        "disconnect administrative-action after 2s",
        "disconnect session-taken-over now client x",
        "cut on publish 3",
        "cut after puback 10%",
        "half-close after connack",
        "stall reads 5s on subscribe",
        "stall writes 200ms on open",
        "dribble 1 per 10ms on open",
        "split 2 after connack",
        "forget sessions now client a*",
        "forget retained after 1m",
        "forget everything on disconnect 2",
        "crash after suback",
        "crash now",
        "refuse resume 50% client x",
        "delay 1s resume",
        "ignore resume first 1",
    ] {
        assert_eq!(one(text).to_string(), text);
    }
}

#[test]
fn there_is_more_than_one_way_to_write_some() {
    for (written, shown) in [
        ("connack 0x87", "connack not-authorized"),
        ("connack 0x05", "connack not-authorized"),
        ("connack 0x97", "connack quota-exceeded"),
        ("disconnect now", "disconnect administrative-action now"),
        ("disconnect 0x8b after 60s", "disconnect server-shutting-down after 1m"),
        ("  drop\tpuback   3  # the third", "drop puback 3"),
        ("drop puback 10.0% times 2 client x", "drop puback 10% client x times 2"),
        ("drop puback client a#b", "drop puback client a#b"),
    ] {
        assert_eq!(one(written).to_string(), shown, "{written}");
    }
}

#[test]
fn a_script_has_comments_and_a_seed() {
    let script = Script::parse("t", "# first\n\nseed 7\n  drop puback # 3\r\ncrash now\n").unwrap();
    assert_eq!((script.rules.len(), script.seed), (2, Some(7)));
    assert_eq!(Script::parse("t", ""), Ok(Script::default()));
}

#[test]
fn mistakes_say_where_what_was_expected_and_what_is_there() {
    for (text, column, expected, got) in [
        ("explode", 1, "drop, delay", "\"explode\""),
        ("drop", 5, "a packet that a broker sends (connack publish", "the end of the line"),
        ("drop subscribe", 6, "a packet that a broker sends", "\"subscribe\""),
        ("ignore suback", 8, "a packet that a client sends (connect publish", "\"suback\""),
        ("delay puback", 7, "a time from 1ms to 1h", "\"puback\""),
        ("delay 0s puback", 7, "a time", "\"0s\""),
        ("delay 2h puback", 7, "a time", "\"2h\""),
        ("delay 2s connect", 10, "or resume", "\"connect\""),
        ("connack success", 9, "a reason to refuse", "\"success\""),
        ("connack 0x8b", 9, "a reason to refuse", "\"0x8b\""),
        ("connack 0x00", 9, "a reason to refuse", "\"0x00\""),
        ("disconnect banned now", 12, "or when: now", "\"banned\""),
        ("disconnect", 11, "or when: now", "the end of the line"),
        ("cut", 4, "when: now, on open", "the end of the line"),
        ("cut on suback", 8, "a packet that a client sends", "\"suback\""),
        ("cut after subscribe", 11, "or a time", "\"subscribe\""),
        ("cut now 3", 9, "client PATTERN, the end", "\"3\""),
        ("cut now times 3", 9, "client PATTERN, the end", "\"times\""),
        ("cut on open client x", 13, "another time than open", "\"client\""),
        ("stall 2s on open", 7, "reads or writes", "\"2s\""),
        ("dribble 0 per 1s on open", 9, "from 1 to 65536", "\"0\""),
        ("dribble 1 1s on open", 11, "per", "\"1s\""),
        ("forget it now", 8, "sessions, retained or everything", "\"it\""),
        ("refuse puback", 8, "resume", "\"puback\""),
        ("refuse resume per connection", 15, "which (N, first N", "\"per\""),
        ("drop puback 0", 13, "from 1 to 1000000000", "\"0\""),
        ("drop puback 3x", 13, "from 1 to", "\"3x\""),
        ("drop puback first", 18, "from 1 to", "the end of the line"),
        ("drop puback 101%", 13, "a share above 0%", "\"101%\""),
        ("drop puback clients x", 13, "client PATTERN", "\"clients\""),
        ("drop puback client", 19, "a client id", "the end of the line"),
        ("drop puback client x client y", 22, "per connection, times N, the end", "\"client\""),
        ("drop puback per client", 17, "connection", "\"client\""),
        ("seed x", 6, "a whole number", "\"x\""),
        ("seed 1 2", 8, "the end of the line", "\"2\""),
        ("drop  ü", 7, "a packet", "\"ü\""),
    ] {
        let mistakes = Script::parse("f", text).expect_err(text);
        let mistake = &mistakes[0];
        assert_eq!((mistake.line, mistake.column, &*mistake.got), (1, column, got), "{mistake}");
        assert!(mistake.expected.contains(expected), "{mistake}");
    }
}

/// Every block of rules in the documentation, and every rule of a command line there.
#[test]
fn the_rules_of_the_documentation_are_rules() {
    let text = include_str!("../../../../docs/broker-sim.md");
    let blocks: Vec<_> = text.split("```faults\n").skip(1).filter_map(|rest| rest.split_once("```")).collect();
    let flags: Vec<_> = text.split("--fault '").skip(1).filter_map(|rest| rest.split_once('\'')).collect();
    assert!(blocks.len() >= 2 && flags.len() >= 5, "{} blocks, {} flags", blocks.len(), flags.len());
    // One that is shown with what is said of it.
    let wrong = ["delay puback"];
    for (rules, _) in blocks.into_iter().chain(flags).filter(|(rules, _)| !wrong.contains(rules)) {
        let script = Script::parse("docs", rules).unwrap_or_else(|mistakes| panic!("{rules}: {}", mistakes[0]));
        assert!(!script.rules.is_empty(), "{rules}");
    }
}

#[test]
fn all_mistakes_come_at_once() {
    let mistakes = Script::parse("f.faults", "seed 1\nblow up\ndrop puback\nseed 2\ncut\n").expect_err("three");
    let lines: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
    assert!(lines[0].starts_with("f.faults:2:1: expected drop, "), "{lines:?}");
    assert_eq!(lines[1], "f.faults:4:6: expected one seed, got another");
    assert_eq!(lines[2], format!("f.faults:5:4: expected {WHEN}, got the end of the line"));
}

#[test]
fn rules_and_lines_are_bounded() {
    let most = "drop puback\n".repeat(RULES);
    assert_eq!(Script::parse("f", &most).unwrap().rules.len(), RULES);
    let mistakes = Script::parse("f", &(most + "drop puback\ndrop puback\n")).expect_err("too many");
    assert_eq!(mistakes.len(), 1);
    assert_eq!((mistakes[0].line, &*mistakes[0].expected), (RULES + 1, "at most 1000 rules"));
    let long = format!("drop puback # {}", "x".repeat(LINE_BYTES));
    assert!(Script::parse("f", &long).expect_err("too long")[0].expected.contains("at most 1024 bytes"));
}

#[test]
fn of_what_is_no_script_at_all_a_page_is_told() {
    let mistakes = Script::parse("faults", &"x\n".repeat(1_000_000)).unwrap_err();
    assert_eq!((mistakes.len(), mistakes[MISTAKES - 1].line), (MISTAKES, MISTAKES));
}
