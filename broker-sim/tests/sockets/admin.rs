//! Faults at the admin address.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::Running;

async fn ask(broker: &Running, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(broker.admin).await.unwrap();
    let length = body.len();
    let request =
        format!("{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[tokio::test]
async fn rules_are_added_listed_and_taken_away() {
    let broker = Running::start(&[]);
    let mut client = TcpStream::connect(broker.plain).await.unwrap();
    client.write_all(b"\x10\x0d\0\x04MQTT\x04\x02\0\0\0\x01c").await.unwrap();
    client.read_exact(&mut [0; 4]).await.unwrap();

    assert_eq!(ask(&broker, "GET", "/faults", "").await, (200, String::new()));
    let rules = "drop pingresp 1 # the first\nconnack 0x87\n";
    let listed = "   1  hit 0 of 0  drop pingresp 1\n   2  hit 0 of 0  connack not-authorized\n";
    assert_eq!(ask(&broker, "POST", "/faults", rules).await, (200, listed.into()));
    client.write_all(b"\xc0\0\xc0\0").await.unwrap();
    client.read_exact(&mut [0; 2]).await.unwrap();
    let listed = "   1  hit 1 of 2  drop pingresp 1\n   2  hit 0 of 0  connack not-authorized\n";
    assert_eq!(ask(&broker, "GET", "/faults", "").await, (200, listed.into()));

    assert_eq!(ask(&broker, "DELETE", "/faults/2", "").await, (200, "1\n".into()));
    assert_eq!(ask(&broker, "DELETE", "/faults/2", "").await, (404, "no such rule\n".into()));
    assert_eq!(ask(&broker, "DELETE", "/faults/x", "").await.0, 400);
    assert_eq!(ask(&broker, "DELETE", "/faults", "").await, (200, "1\n".into()));
    assert_eq!(ask(&broker, "GET", "/faults", "").await, (200, String::new()));
    drop(client);
    broker.stop();
}

#[tokio::test]
async fn rules_that_cannot_be_taken_change_nothing() {
    let broker = Running::start(&[]);
    let (status, why) = ask(&broker, "POST", "/faults", "drop puback\ndrop it\ncut\n").await;
    assert_eq!((status, why.lines().count()), (400, 2), "{why}");
    assert!(why.starts_with("body:2:6: expected a packet that a broker sends"), "{why}");
    assert_eq!(ask(&broker, "POST", "/faults", "seed 7\ndrop puback\n").await.0, 400);
    assert_eq!(ask(&broker, "POST", "/faults", "# nothing\n").await.0, 400);
    let most = "drop puback\n".repeat(1000);
    assert_eq!(ask(&broker, "POST", "/faults", &most).await.0, 200);
    let (status, why) = ask(&broker, "POST", "/faults", "drop puback").await;
    assert_eq!((status, &*why), (409, "body: expected at most 1000 rules in force, got more\n"));
    assert_eq!(ask(&broker, "DELETE", "/faults", "").await, (200, "1000\n".into()));
    broker.stop();
}

#[tokio::test]
async fn a_resume_is_refused_for_users_that_have_a_session() {
    let broker = Running::start(&[]);
    assert_eq!(ask(&broker, "POST", "/refuse-resume?user=x", "").await, (404, "no session of that user\n".into()));
    assert_eq!(ask(&broker, "POST", "/refuse-resume", "").await.0, 400);
    broker.stop();
}

#[test]
fn as_many_threads_as_like_may_ask_at_once() {
    let broker = baton_broker_sim::start(baton_broker_sim::Config::default()).unwrap();
    broker.faults().add("drop puback 1").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| (0..50).for_each(|_| assert_eq!(broker.faults().list().len(), 1)));
        }
    });
}
