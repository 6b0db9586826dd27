//! A home's connections, without sockets.

use std::{
    cell::Cell,
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use baton_anchor::{Backend, Home, NotDialed, Opening, Setup, serve::serve};
use baton_link::{Worker, budget::Budget};
use baton_process::{
    clock::Clock,
    log::UserShow,
    metrics::Metrics,
    net::{Listen, Stream},
};
use baton_protocol::{id::NodeName, session::Terms};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf},
    runtime::{Builder, LocalOptions},
    task::{spawn_local, yield_now},
    time::sleep,
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
