//! A home's connections, without sockets.

use std::{
    cell::Cell,
    future::{pending, poll_fn},
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use baton_anchor::{Backend, Home, NotDialed, Opening, Setup, serve::serve};
use baton_link::{
    Trunk, Worker,
    budget::Budget,
    tunnel::{Answer, Attempt},
};
use baton_process::{
    clock::Clock,
    log::UserShow,
    metrics::Metrics,
    net::{Listen, Stream},
};
use baton_protocol::{
    attach::{Attach, Resume, Word},
    id::{Epoch, NodeName, SessionKey},
    session::Terms,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex},
    runtime::{Builder, LocalOptions},
    task::{spawn_local, yield_now},
    time::{Instant, sleep},
};

/// Turns of the runtime that are more than enough for everything that needs no time to pass.
const TURNS: usize = 10_000;

/// A broker that nobody comes to.
struct Nobody;

impl Backend for Nobody {
    type Stream = DuplexStream;

    async fn dial(&self, _: &Opening) -> Result<DuplexStream, NotDialed> {
        Err(NotDialed::Unreachable("there is nobody".into()))
    }

    fn reset(_: DuplexStream) {}
}

/// A peer that connects and says nothing.
struct Mute;

impl AsyncRead for Mute {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Mute {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Stream for Mute {
    fn reset(self) {}
}

/// One end of a connection.
struct Pipe(DuplexStream);

impl Stream for Pipe {
    fn reset(self) {}
}

impl AsyncRead for Pipe {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// One connection, and no other.
struct One(Option<Pipe>);

impl Listen for One {
    type Stream = Pipe;

    async fn accept(&mut self) -> io::Result<(Pipe, SocketAddr)> {
        match self.0.take() {
            Some(pipe) => Ok((pipe, (Ipv4Addr::LOCALHOST, 1).into())),
            None => pending().await,
        }
    }
}

/// As many of them as are accepted.
struct Crowd(Rc<Cell<usize>>);

impl Listen for Crowd {
    type Stream = Mute;

    async fn accept(&mut self) -> io::Result<(Mute, SocketAddr)> {
        self.0.set(self.0.get() + 1);
        Ok((Mute, (Ipv4Addr::LOCALHOST, 1).into()))
    }
}

fn home() -> Rc<Home<Nobody>> {
    let setup = Setup {
        name: NodeName::new("home-1").expect("a name"),
        terms: Arc::new(Terms::anchor()),
        sessions: 10,
        orphans: 10,
        opens_per_second: 10,
        show: UserShow::Off,
    };
    let metrics = Metrics::new("test");
    let worker = Worker::start(Clock::start(), Budget::new(1 << 20, "test", &metrics));
    Home::new(setup, Nobody, metrics, worker)
}

#[test]
fn connections_are_bounded_and_silent_ones_make_room() {
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build_local(LocalOptions::default());
    runtime.expect("a runtime").block_on(async {
        let accepted = Rc::new(Cell::new(0));
        spawn_local(serve(home(), Crowd(Rc::clone(&accepted))));
        let settle = async || {
            for _ in 0..TURNS {
                yield_now().await;
            }
        };
        settle().await;
        assert_eq!(accepted.get(), 4_096);
        // The time for a handshake has passed.
        sleep(Duration::from_secs(6)).await;
        settle().await;
        assert_eq!(accepted.get(), 2 * 4_096);
    });
}

/// A resume of a session that isn't there.
fn resume(trunk: &Trunk, epoch: u64) -> Attempt {
    let (home, epoch) = (NodeName::new("home-1").expect("a name"), Epoch(epoch));
    let attach = Attach::Resume(Resume { home, key: SessionKey::from_bytes([7; 32]), epoch, recv: 0 });
    Attempt::send(trunk, epoch, &attach, "home").expect("the trunk is up")
}

#[test]
fn resumes_that_come_all_at_once_have_their_turns() {
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build_local(LocalOptions::default());
    runtime.expect("a runtime").block_on(async {
        let (ours, theirs) = duplex(1 << 20);
        spawn_local(serve(home(), One(Some(Pipe(theirs)))));
        let worker = Worker::start(Clock::start(), Budget::new(1 << 20, "test", &Metrics::new("test")));
        let trunk = Trunk::connect(ours, &worker).await.expect("it takes trunks").trunk;
        let began = Instant::now();
        let attempts: Vec<_> = (0..3_000).map(|n| resume(&trunk, 2 + n)).collect();
        let mut answers = Vec::new();
        for mut attempt in attempts {
            let Answer::Refused(refused) = poll_fn(|cx| attempt.poll_answer(cx)).await else {
                panic!("there is no such session");
            };
            answers.push((refused.word, began.elapsed().as_millis()));
        }
        // 20 ms' worth at once, those whose turn comes within 100 ms then, and the others not now.
        assert_eq!((answers[0], answers[399]), ((Some(Word::Gone), 0), (Some(Word::Gone), 0)));
        assert!(answers[400..2_400].iter().all(|(word, _)| *word == Some(Word::Gone)), "{answers:?}");
        assert!((1..=2).contains(&answers[400].1) && (100..=101).contains(&answers[2_399].1), "{answers:?}");
        assert!(answers[2_400..].iter().all(|(word, _)| *word == Some(Word::Busy)), "{answers:?}");
    });
}
