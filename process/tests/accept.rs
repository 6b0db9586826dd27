//! A listener out of file descriptors. Alone in its file: the limit is the whole process's.

use std::time::Duration;

use baton_process::{
    metrics::Metrics,
    net::{ACCEPT_PAUSE, Listen, TcpKind, TcpListen},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{net::TcpStream, time::Instant};

fn failures(metrics: &Metrics) -> u64 {
    let text = metrics.encode();
    let line = text.lines().find_map(|line| line.strip_prefix("baton_accept_failures_total "));
    line.expect("the family is there from the start").parse().expect("a number")
}

#[tokio::test]
async fn want_of_descriptors_is_waited_out_without_spinning() {
    let metrics = Metrics::new("edge");
    let mut listener = TcpListen::bind("edge.listen", "127.0.0.1:0", TcpKind::Session, &metrics).expect("a port");
    let address = listener.local_addr().expect("bound");
    let client = TcpStream::connect(address).await.expect("the kernel takes it");

    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // Every number below the limit is taken already, so that accept fails with EMFILE.
    setrlimit(Resource::Nofile, Rlimit { current: Some(3), maximum }).expect("lowering is allowed");
    let began = Instant::now();
    let span = ACCEPT_PAUSE * 5;
    let starved = tokio::time::timeout(span, listener.accept()).await;
    assert!(starved.is_err(), "no descriptor to be had");
    let failed = failures(&metrics);
    let most = began.elapsed().as_millis() / ACCEPT_PAUSE.as_millis() + 1;
    assert!(failed >= 1 && u128::from(failed) <= most, "{failed} failures where {most} pauses fit");

    setrlimit(Resource::Nofile, Rlimit { current, maximum }).expect("back to what it was");
    let accepted = tokio::time::timeout(Duration::from_secs(5), listener.accept()).await.expect("soon");
    assert_eq!(accepted.expect("accepted").1, client.local_addr().expect("connected"));
}
