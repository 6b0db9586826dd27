//! The transcript: written, read, and shown.

use std::{fs, path::PathBuf};

use baton_broker_sim::{
    Config,
    faults::Pattern,
    start,
    transcript::{Filter, Line, What, show},
};

use crate::faults::{Client, PING, PONG};

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.jsonl"))
}

fn shown(text: &str, filter: &Filter) -> Vec<String> {
    let mut to = Vec::new();
    show(text.as_bytes(), filter, &mut to).unwrap();
    // Without the time.
    String::from_utf8(to)
        .unwrap()
        .lines()
        .map(|line| line.trim_start().split_once(' ').unwrap().1.trim().to_owned())
        .collect()
}

#[tokio::test]
async fn what_is_written_is_what_was_said() {
    let path = file("said");
    let config =
        Config { faults: "drop puback 1\nsplit 1 on open".into(), transcript: Some(path.clone()), ..Config::default() };
    let broker = start(config).unwrap();
    let mut client = Client::join(&broker, b'c').await;
    client.publish(1, b'x').await;
    client.publish(2, 0xff).await;
    client.gets(b"\x40\x02\0\x02").await;
    client.send(PING).await;
    client.gets(PONG).await;
    client.send(b"\xe0\0").await;
    assert_eq!(client.rest().await.unwrap(), b"");
    drop(client);
    while !broker.transcript().iter().any(|line| matches!(line.what, What::Close { .. })) {
        tokio::task::yield_now().await;
    }
    let kept = broker.transcript();
    drop(broker);

    let text = fs::read_to_string(&path).unwrap();
    let written: Vec<Line> = text.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(written, kept, "the file has what memory has");
    let lines = shown(&text, &Filter::default());
    let peer = lines[0].rsplit(' ').next().unwrap().to_owned();
    let expected = [
        format!("1 -                --  open from {peer}"),
        "1 -                !!  rule 2: split 1 on open".into(),
        "1 c                ->  CONNECT     3.1.1    15 B client_id=\"c\" clean_start=true keep_alive=0".into(),
        "1 c                <-  CONNACK     3.1.1     4 B session_present=false reason=\"0x00\"".into(),
        "1 c                ->  PUBLISH     3.1.1     8 B id=1 topic=\"t\" qos=1 payload=\"x\"".into(),
        "1 c                !!  rule 1: drop puback 1: PUBACK id=1".into(),
        "1 c                ->  PUBLISH     3.1.1     8 B id=2 topic=\"t\" qos=1 payload_base64=\"/w==\"".into(),
        "1 c                <-  PUBACK      3.1.1     4 B id=2".into(),
        "1 c                ->  PINGREQ     3.1.1     2 B".into(),
        "1 c                <-  PINGRESP    3.1.1     2 B".into(),
        "1 c                ->  DISCONNECT  3.1.1     2 B".into(),
        "1 c                --  close: left".into(),
    ];
    assert_eq!(lines, expected);
    let filter = Filter { client: Pattern::new("c"), packet: Some("puback".into()) };
    assert_eq!(shown(&text, &filter), [&*expected[5], &expected[7]]);
}

#[test]
fn a_file_that_cannot_be_written_is_named_at_the_start() {
    let config = Config { transcript: Some("/nonexistent/t".into()), ..Config::default() };
    assert!(start(config).unwrap_err().to_string().starts_with("can't write /nonexistent/t: "));
}

#[tokio::test]
async fn what_cannot_be_read_is_shown_and_a_second_connect_renames_nobody() {
    let broker = start(Config::default()).unwrap();
    let mut stranger = Client::dial(&broker).await;
    stranger.send(b"SSH-2.0-x\r\n").await;
    // By a reset or not: there is something unread.
    drop(stranger.rest().await);
    drop(stranger);
    let mut client = Client::join(&broker, b'c').await;
    client.send(b"\x10\x0d\0\x04MQTT\x04\x02\0\0\0\x01d").await;
    assert!(client.rest().await.unwrap().is_empty());
    drop(client);
    let mut client = Client::join(&broker, b'e').await;
    client.send(b"\x36\x03\0\x01t\xc0\0").await;
    assert!(client.rest().await.unwrap().is_empty());
    drop(client);
    while broker.transcript().iter().filter(|line| matches!(line.what, What::Close { .. })).count() < 3 {
        tokio::task::yield_now().await;
    }
    let lines = broker.transcript();
    let unreadable = lines.iter().filter_map(|line| match &line.what {
        What::Unreadable { why, bytes, begins } => Some((&*line.client, &**why, *bytes, &**begins)),
        _ => None,
    });
    let expected = [("", "first_not_connect", 11, "5353482d322e302d"), ("e", "malformed", 5, "3603000174")];
    assert_eq!(unreadable.collect::<Vec<_>>(), expected);
    assert!(lines.iter().all(|line| line.client != "d"), "{lines:?}");
    let said = lines.iter().filter(|line| line.client == "c" && matches!(line.what, What::In(_))).count();
    assert_eq!(said, 2, "both of its CONNECTs");
}
