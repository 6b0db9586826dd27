//! A TCP proxy for links that passes, delays, stalls or cuts, at command.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::pin,
    rc::Rc,
    task::Poll,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpSocket, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use crate::stage::Stage;

/// Bytes read at a time.
const READ_BYTES: usize = 16 * 1024;
/// Reads that one direction of a connection may hold back under [`Mode::Pass`] with a delay; 4 MiB, more than is under
/// way on any link that a drill plays.
const HELD: usize = 256;
/// Time until the next attempt to accept after a failure.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(20);
/// Connections waiting to be accepted.
const BACKLOG: u32 = 1024;

/// What the proxy does with bytes and connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Passes everything on.
    #[default]
    Pass,
    /// Reads nothing and keeps every connection open: a black hole. New ones are taken by the kernel and get no answer.
    Stall,
    /// Resets every connection and refuses new ones.
    Cut,
}

/// How much the faults hit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hits {
    /// Connections passed on so far.
    pub connections: u64,
    /// Connections open now.
    pub open: u64,
    /// Connections reset by [`Mode::Cut`].
    pub cut: u64,
    /// Connections that were open when [`Mode::Stall`] began, each time.
    pub stalled: u64,
    /// Bytes passed on from the side that dialed.
    pub up: u64,
    /// Bytes passed on to the side that dialed.
    pub down: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Rule {
    mode: Mode,
    up: Duration,
    down: Duration,
}

struct Scene {
    /// Port 0 until the first time.
    listen: Cell<SocketAddr>,
    target: SocketAddr,
    rule: watch::Sender<Rule>,
    hits: Cell<Hits>,
    listener: RefCell<Option<TcpListener>>,
}

impl Scene {
    fn count(&self, change: impl FnOnce(&mut Hits)) {
        let mut hits = self.hits.get();
        change(&mut hits);
        self.hits.set(hits);
    }

    /// Listens, unless it does.
    fn listen(&self) -> io::Result<SocketAddr> {
        let mut listener = self.listener.borrow_mut();
        if listener.is_none() {
            let socket = TcpSocket::new_v4()?;
            socket.set_reuseaddr(true)?;
            socket.bind(self.listen.get())?;
            let listening = socket.listen(BACKLOG)?;
            self.listen.set(listening.local_addr()?);
            *listener = Some(listening);
        }
        Ok(self.listen.get())
    }

    async fn accept(self: Rc<Self>) {
        let mut rule = self.rule.subscribe();
        loop {
            let passing = rule.borrow_and_update().mode == Mode::Pass;
            let accepted = poll_fn(|cx| match &*self.listener.borrow() {
                Some(listener) if passing => listener.poll_accept(cx),
                _ => Poll::Pending,
            });
            tokio::select! {
                biased;
                changed = rule.changed() => if changed.is_err() { return },
                accepted = accepted => match accepted {
                    Ok((near, _)) => drop(tokio::task::spawn_local(Rc::clone(&self).connection(near))),
                    // Out of descriptors: the kernel keeps the connection until some are free.
                    Err(_) => sleep(OUT_OF_DESCRIPTORS).await,
                },
            }
        }
    }

    /// One connection, from its acceptance to its end.
    async fn connection(self: Rc<Self>, mut near: TcpStream) {
        let mut far = match TcpStream::connect(self.target).await {
            Ok(far) if near.set_nodelay(true).and(far.set_nodelay(true)).is_ok() => far,
            _ => return drop(near.set_zero_linger()),
        };
        self.count(|hits| {
            hits.connections += 1;
            hits.open += 1;
        });
        let ended = tokio::select! {
            biased;
            () = self.until_cut() => Err(io::ErrorKind::ConnectionReset.into()),
            ended = self.carry(&mut near, &mut far) => ended,
        };
        if ended.is_err() {
            // What one side did to its connection, the other shall see on its own.
            drop(near.set_zero_linger());
            drop(far.set_zero_linger());
        }
        self.count(|hits| hits.open -= 1);
    }

    async fn until_cut(&self) {
        // An error says that the scene is over, and with it every connection.
        drop(self.rule.subscribe().wait_for(|rule| rule.mode == Mode::Cut).await);
        self.count(|hits| hits.cut += 1);
    }

    /// Both directions, until both have ended or one has failed.
    async fn carry(&self, near: &mut TcpStream, far: &mut TcpStream) -> io::Result<()> {
        let ((mut near_read, mut near_write), (mut far_read, mut far_write)) = (near.split(), far.split());
        let up = Flow { scene: self, delay: |rule| rule.up, passed: |hits| &mut hits.up, held: VecDeque::new() };
        let down = Flow { delay: |rule| rule.down, passed: |hits| &mut hits.down, held: VecDeque::new(), ..up };
        let ((), ()) = tokio::try_join!(
            up.run(&mut near_read, &mut far_write, self.rule.subscribe()),
            down.run(&mut far_read, &mut near_write, self.rule.subscribe()),
        )?;
        Ok(())
    }
}

/// One direction of one connection.
struct Flow<'a> {
    scene: &'a Scene,
    delay: fn(&Rule) -> Duration,
    passed: fn(&mut Hits) -> &mut u64,
    /// What was read, and when it is to be passed on.
    held: VecDeque<(Instant, Vec<u8>)>,
}

impl Flow<'_> {
    async fn run(
        mut self,
        from: &mut ReadHalf<'_>,
        to: &mut WriteHalf<'_>,
        mut rule: watch::Receiver<Rule>,
    ) -> io::Result<()> {
        let mut buffer = vec![0; READ_BYTES];
        let mut open = true;
        let mut timer = pin!(sleep_until(Instant::now()));
        while open || !self.held.is_empty() {
            let now = *rule.borrow_and_update();
            let passing = now.mode == Mode::Pass;
            let due = self.held.front().map(|(due, _)| *due);
            match due {
                Some(due) if passing && due <= Instant::now() => {
                    self.pass(to).await?;
                    continue;
                }
                Some(due) => timer.as_mut().reset(due),
                None => {}
            }
            tokio::select! {
                biased;
                changed = rule.changed() => if changed.is_err() { return Ok(()) },
                () = &mut timer, if passing && due.is_some() => {}
                read = from.read(&mut buffer), if passing && open && self.held.len() < HELD => match read? {
                    0 => open = false,
                    read => {
                        self.held.push_back((Instant::now() + (self.delay)(&now), buffer[..read].to_vec()));
                    }
                },
            }
        }
        to.shutdown().await
    }

    async fn pass(&mut self, to: &mut WriteHalf<'_>) -> io::Result<()> {
        if let Some((_, bytes)) = self.held.pop_front() {
            to.write_all(&bytes).await?;
            let count = u64::try_from(bytes.len()).unwrap_or(0);
            self.scene.count(|hits| *(self.passed)(hits) += count);
        }
        Ok(())
    }
}

/// A running proxy. Dropping it resets what it carries.
#[derive(Debug)]
pub struct Proxy {
    stage: Stage<Scene>,
    address: SocketAddr,
}

impl Proxy {
    /// Listens on `listen` (port 0: any; but then another may get the port while the proxy cuts) and passes
    /// connections on to `target`, which need not be there yet.
    ///
    /// # Errors
    /// If the address is taken, or no thread can be had.
    pub fn start(listen: SocketAddr, target: SocketAddr) -> io::Result<Self> {
        let stage = Stage::new("proxy", move || {
            let (rule, _) = watch::channel(Rule::default());
            Scene { listen: Cell::new(listen), target, rule, hits: Cell::default(), listener: RefCell::default() }
        })?;
        let address = stage.call(|scene| async move {
            let address = scene.listen()?;
            tokio::task::spawn_local(scene.accept());
            io::Result::Ok(address)
        })?;
        Ok(Self { stage, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what it does, for connections old and new.
    ///
    /// # Errors
    /// If it is to listen again after a cut, and the port is taken.
    pub fn set(&self, mode: Mode) -> io::Result<()> {
        self.stage.call(move |scene| async move {
            if mode == Mode::Cut {
                drop(scene.listener.take());
            } else {
                scene.listen()?;
            }
            if mode == Mode::Stall && scene.rule.borrow().mode != Mode::Stall {
                scene.count(|hits| hits.stalled += hits.open);
            }
            scene.rule.send_modify(|rule| rule.mode = mode);
            Ok(())
        })
    }

    /// Delays what is read from now on, per direction: `up` is from the side that dialed.
    pub fn delay(&self, up: Duration, down: Duration) {
        self.stage.call(move |scene| async move {
            scene.rule.send_modify(|rule| {
                rule.up = up;
                rule.down = down;
            });
        });
    }

    /// What it did so far.
    pub fn hits(&self) -> Hits {
        self.stage.call(|scene| async move { scene.hits.get() })
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net,
        time::Instant as Clock,
    };

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// A proxy before a listener, and a connection through it: the near end and the far end.
    struct Through {
        proxy: Proxy,
        listener: net::TcpListener,
        near: net::TcpStream,
        far: net::TcpStream,
    }

    impl Through {
        fn new() -> Self {
            let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
            let proxy = Proxy::start(([127, 0, 0, 1], 0).into(), listener.local_addr().unwrap()).unwrap();
            let (near, far) = Self::connection(&proxy, &listener);
            Self { proxy, listener, near, far }
        }

        fn connection(proxy: &Proxy, listener: &net::TcpListener) -> (net::TcpStream, net::TcpStream) {
            let near = net::TcpStream::connect_timeout(&proxy.address(), PATIENCE).unwrap();
            let far = listener.accept().unwrap().0;
            for stream in [&near, &far] {
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
            }
            (near, far)
        }
    }

    fn echo(from: &mut net::TcpStream, to: &mut net::TcpStream, text: &[u8]) {
        from.write_all(text).unwrap();
        let mut got = vec![0; text.len()];
        to.read_exact(&mut got).unwrap();
        assert_eq!(got, text);
    }

    #[test]
    fn it_passes_both_ways_and_half_closes() {
        let mut t = Through::new();
        echo(&mut t.near, &mut t.far, b"up");
        t.near.shutdown(net::Shutdown::Write).unwrap();
        assert_eq!(t.far.read(&mut [0; 8]).unwrap(), 0);
        echo(&mut t.far, &mut t.near, b"down");
        assert_eq!(t.proxy.hits(), Hits { connections: 1, open: 1, up: 2, down: 4, ..Hits::default() });
    }

    #[test]
    fn a_cut_resets_and_refuses_until_it_passes_again() {
        let mut t = Through::new();
        t.proxy.set(Mode::Cut).unwrap();
        assert_eq!(t.near.read(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(t.far.read(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        let refused = net::TcpStream::connect_timeout(&t.proxy.address(), PATIENCE).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(t.proxy.hits().cut, 1);
        t.proxy.set(Mode::Pass).unwrap();
        let (mut near, mut far) = Through::connection(&t.proxy, &t.listener);
        echo(&mut near, &mut far, b"again");
    }

    #[test]
    fn a_stall_holds_everything_and_loses_nothing() {
        let mut t = Through::new();
        t.proxy.set(Mode::Stall).unwrap();
        t.near.write_all(b"later").unwrap();
        t.far.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        assert_eq!(t.far.read(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert_eq!((t.proxy.hits().stalled, t.proxy.hits().up), (1, 0));
        let late = net::TcpStream::connect_timeout(&t.proxy.address(), PATIENCE).unwrap();
        assert_eq!(t.proxy.hits().connections, 1);
        t.proxy.set(Mode::Pass).unwrap();
        t.far.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut got = [0; 5];
        t.far.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"later");
        t.listener.accept().unwrap();
        drop(late);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the delay is in real time")]
    fn a_delay_is_per_direction() {
        let mut t = Through::new();
        t.proxy.delay(Duration::from_millis(120), Duration::ZERO);
        let start = Clock::now();
        echo(&mut t.far, &mut t.near, b"down");
        let down = start.elapsed();
        echo(&mut t.near, &mut t.far, b"up");
        let up = start.elapsed() - down;
        assert!(up >= Duration::from_millis(115) && down < up, "{up:?} {down:?}");
    }

    #[test]
    fn a_reset_passes_as_a_reset() {
        let mut t = Through::new();
        socket2::SockRef::from(&t.near).set_linger(Some(Duration::ZERO)).unwrap();
        drop(t.near);
        assert_eq!(t.far.read(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }
}
