//! Real sockets through the network seam.

use std::{io, time::Duration};

use baton_process::{
    metrics::Metrics,
    net::{Address, Dial, Listen, Reach, SocketReach, Stream, TcpDial, TcpKind, TcpListen},
};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

async fn pair(kind: TcpKind) -> (TcpStream, TcpStream) {
    let mut listener = TcpListen::bind("edge.listen", "127.0.0.1:0", kind, &Metrics::new("edge")).expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let dial = TcpDial::new(kind);
    let (dialed, accepted) = tokio::join!(biased; dial.dial(&address), listener.accept());
    let (accepted, peer) = accepted.expect("accepted");
    let dialed = dialed.expect("dialed");
    assert_eq!(peer, dialed.local_addr().expect("connected"));
    (dialed, accepted)
}

#[tokio::test]
async fn a_reset_is_seen_as_one_and_a_drop_is_not() {
    let (mut left, right) = pair(TcpKind::Session).await;
    right.reset();
    assert_eq!(left.read_u8().await.expect_err("reset").kind(), io::ErrorKind::ConnectionReset);

    let (mut left, right) = pair(TcpKind::Session).await;
    drop(right);
    assert_eq!(left.read(&mut [0; 8]).await.expect("in order"), 0);
}

#[tokio::test]
async fn bytes_written_before_an_orderly_close_arrive() {
    let (mut left, mut right) = pair(TcpKind::Link).await;
    right.write_all(b"farewell").await.expect("written");
    drop(right);
    let mut text = String::new();
    left.read_to_string(&mut text).await.expect("in order");
    assert_eq!(text, "farewell");
}

#[tokio::test]
async fn a_session_is_never_cut_by_unacknowledged_bytes_and_a_link_is() {
    for (kind, timeout) in [(TcpKind::Link, Some(Duration::from_secs(5))), (TcpKind::Session, None)] {
        let (dialed, accepted) = pair(kind).await;
        for stream in [&dialed, &accepted] {
            let socket = SockRef::from(stream);
            assert!(socket.tcp_nodelay().expect("an option"), "{kind:?}");
            assert_eq!(socket.tcp_user_timeout().expect("an option"), timeout, "{kind:?}");
            assert_eq!(socket.keepalive().expect("an option"), kind == TcpKind::Session, "{kind:?}");
        }
        if kind == TcpKind::Link {
            assert_eq!(SockRef::from(&accepted).tcp_notsent_lowat().expect("an option"), 128 * 1024);
        }
    }
}

#[tokio::test]
async fn an_address_in_use_is_named_in_the_error() {
    let metrics = Metrics::new("edge");
    let first = TcpListen::bind("edge.listen", "127.0.0.1:0", TcpKind::Session, &metrics).expect("a port");
    let address = first.local_addr().expect("bound").to_string();
    let error = TcpListen::bind("edge.listen", &address, TcpKind::Session, &metrics).expect_err("taken");
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&address), "{error}");
}

#[tokio::test]
async fn nobody_there_is_an_error_of_the_dial() {
    let unused = TcpListen::bind("edge.listen", "127.0.0.1:0", TcpKind::Link, &Metrics::new("edge")).expect("a port");
    let address = unused.local_addr().expect("bound").to_string();
    drop(unused);
    let error = TcpDial::new(TcpKind::Link).dial(&address).await.expect_err("nobody listens");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_unix_socket_with_a_full_backlog_is_waited_for() {
    let path = std::env::temp_dir().join(format!("baton-backlog-{}.sock", std::process::id()));
    drop(std::fs::remove_file(&path));
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
    listener.bind(&SockAddr::unix(&path).expect("a short path")).expect("a path of this process's own");
    // Room for one that isn't accepted yet.
    listener.listen(0).expect("it's bound");
    let reach = SocketReach::new(&[]).expect("nothing to ask for");
    let to = Address::Unix(path.clone());
    let first = reach.reach(&to, None).await.expect("there is room");
    let mut second = std::pin::pin!(reach.reach(&to, None));
    let waits = tokio::time::timeout(Duration::from_millis(100), &mut second).await;
    assert!(waits.is_err(), "there was room for two: {waits:?}");
    listener.accept().expect("the first");
    second.await.expect("there is room again");
    drop(first);
    std::fs::remove_file(path).expect("it's still there");
}
