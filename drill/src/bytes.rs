//! Byte for byte: clients that send a CONNECT and then noise, and a broker that answers with other noise.
//!
//! What a relay must keep is the byte stream of each direction, whatever is in it. Noise is a function of its seed and
//! the offset, so each receiver knows every byte that it must get and tells the first that differs. That makes what
//! arrived a prefix of what was sent, as long as it isn't longer; at a clean end both are equally long.
//!
//! An exchange is over in one of four ways, see [`Ending`]. Client and broker play on the same thread, so each knows
//! how far the other has got without asking through the relay.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    io,
    net::SocketAddr,
    rc::Rc,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    time::{sleep, timeout},
};

use crate::{mqtt::Frame, stage::Stage};

pub(crate) mod noise;
mod play;
mod progress;
mod script;

pub use progress::{Mismatch, Progress, Seen, Side};
pub use script::{Ending, Party, Script};

/// Time until the next attempt to accept after a failure.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(20);

struct Exchange {
    script: Script,
    client: Cell<Side>,
    broker: Cell<Side>,
    changed: Rc<Notify>,
}

impl Exchange {
    fn side(&self, party: Party) -> &Cell<Side> {
        match party {
            Party::Client => &self.client,
            Party::Broker => &self.broker,
        }
    }

    fn change(&self, party: Party, change: impl FnOnce(&mut Side)) {
        let cell = self.side(party);
        let mut side = cell.get();
        change(&mut side);
        cell.set(side);
        self.changed.notify_waiters();
    }

    fn progress(&self) -> Progress {
        Progress { script: self.script, client: self.client.get(), broker: self.broker.get() }
    }

    async fn until(&self, condition: impl Fn(&Self) -> bool) {
        loop {
            let changed = self.changed.notified();
            if condition(self) {
                return;
            }
            changed.await;
        }
    }

    async fn client(self: Rc<Self>, address: SocketAddr) {
        self.change(Party::Client, |side| side.connections += 1);
        let begin = async {
            let mut stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            stream.write_all(&self.script.connect()).await?;
            Ok(stream)
        };
        match begin.await {
            Ok(stream) => play::play(stream, Party::Client, &self).await,
            Err(error) => self.change(Party::Client, |side| side.end = Some(play::seen(&error))),
        }
    }
}

struct Scene {
    exchanges: RefCell<BTreeMap<u64, Rc<Exchange>>>,
    changed: Rc<Notify>,
    strangers: Cell<u64>,
}

impl Scene {
    fn progress(&self) -> Vec<Progress> {
        self.exchanges.borrow().values().map(|exchange| exchange.progress()).collect()
    }

    async fn accept(self: Rc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::task::spawn_local(Rc::clone(&self).broker(stream))),
                // Out of descriptors: the kernel keeps the connection until some are free.
                Err(_) => sleep(OUT_OF_DESCRIPTORS).await,
            }
        }
    }

    /// Finds out by its CONNECT which exchange a connection belongs to, and plays the broker's side.
    async fn broker(self: Rc<Self>, mut stream: TcpStream) {
        let found = self.recognise(&mut stream).await;
        let Some(exchange) = found.filter(|_| stream.set_nodelay(true).is_ok()) else {
            return self.strangers.set(self.strangers.get() + 1);
        };
        exchange.change(Party::Broker, |side| side.connections += 1);
        if exchange.broker.get().connections == 1 {
            play::play(stream, Party::Broker, &exchange).await;
        }
    }

    /// Reads exactly the CONNECT, byte by byte so that nothing of what follows is taken.
    async fn recognise(&self, stream: &mut TcpStream) -> Option<Rc<Exchange>> {
        let mut packet = Vec::new();
        while Frame::take(&packet).ok()?.is_none() {
            packet.push(stream.read_u8().await.ok()?);
        }
        self.exchanges.borrow().values().find(|exchange| exchange.script.connect() == packet[..]).cloned()
    }
}

/// The recording broker, and the clients whose bytes it knows.
#[derive(Debug)]
pub struct Recorder {
    stage: Stage<Scene>,
    address: SocketAddr,
}

impl Recorder {
    /// A broker that listens on `listen`; port 0 is any.
    ///
    /// # Errors
    /// If the address is taken, or no thread can be had.
    pub fn start(listen: SocketAddr) -> io::Result<Self> {
        let stage = Stage::new("recorder", || Scene {
            exchanges: RefCell::default(),
            changed: Rc::default(),
            strangers: Cell::new(0),
        })?;
        let address = stage.call(move |scene| async move {
            let listener = TcpListener::bind(listen).await?;
            let address = listener.local_addr()?;
            tokio::task::spawn_local(scene.accept(listener));
            io::Result::Ok(address)
        })?;
        Ok(Self { stage, address })
    }

    /// Where the broker listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Begins an exchange with a client that connects to `edge`.
    ///
    /// # Panics
    /// If there is an exchange of that seed, or its writes are empty or larger than 64 KiB.
    pub fn exchange(&self, edge: SocketAddr, script: Script) {
        assert!((1..=play::CHUNK_BYTES).contains(&script.chunk), "a write of {} bytes", script.chunk);
        let fresh = self.stage.call(move |scene| async move {
            let exchange = Rc::new(Exchange {
                script,
                client: Cell::default(),
                broker: Cell::default(),
                changed: Rc::clone(&scene.changed),
            });
            tokio::task::spawn_local(Rc::clone(&exchange).client(edge));
            scene.exchanges.borrow_mut().insert(script.seed, exchange).is_none()
        });
        assert!(fresh, "seed {} names an exchange already", script.seed);
    }

    /// How all exchanges stand, in order of their seeds.
    pub fn progress(&self) -> Vec<Progress> {
        self.stage.call(|scene| async move { scene.progress() })
    }

    /// Connections to the broker that began with no exchange's CONNECT, or ended before it was whole.
    pub fn strangers(&self) -> u64 {
        self.stage.call(|scene| async move { scene.strangers.get() })
    }

    /// Waits until `condition` holds for every exchange, and checks what must hold at every moment.
    ///
    /// # Errors
    /// What doesn't hold, or the first exchange that was late.
    pub fn until(
        &self,
        patience: Duration,
        condition: impl Fn(&Progress) -> bool + Send + 'static,
    ) -> Result<(), Mismatch> {
        self.stage.call(move |scene| async move {
            let all = async {
                loop {
                    let changed = scene.changed.notified();
                    if scene.progress().iter().all(|p| p.check().is_err() || condition(p)) {
                        return;
                    }
                    changed.await;
                }
            };
            let late = timeout(patience, all).await.is_err();
            let progress = scene.progress();
            progress.iter().try_for_each(Progress::check)?;
            let first = progress.iter().find(|progress| late && !condition(progress));
            first.map_or(Ok(()), |progress| Err(progress.mismatch("it was late".into())))
        })
    }

    /// Waits until all exchanges have ended, each as its script says, and every byte that had to come has.
    ///
    /// # Errors
    /// The first that didn't.
    pub fn finish(self, patience: Duration) -> Result<Vec<Progress>, Mismatch> {
        self.until(patience, Progress::is_over)?;
        let progress = self.progress();
        progress.iter().try_for_each(Progress::check_end)?;
        Ok(progress)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::proxy::{Mode, Proxy};

    const PATIENCE: Duration = Duration::from_secs(20);
    const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    const ENDINGS: [Ending; 4] = [
        Ending::HalfClose(Party::Client),
        Ending::HalfClose(Party::Broker),
        Ending::Reset(Party::Client),
        Ending::Reset(Party::Broker),
    ];

    #[test]
    fn every_ending_is_recognised_through_an_honest_relay() {
        let recorder = Recorder::start(ANY).unwrap();
        let proxy = Proxy::start(ANY, recorder.address()).unwrap();
        for (seed, ending) in (0..).zip(ENDINGS) {
            recorder.exchange(proxy.address(), Script { down: 70_000, ending, ..Script::new(seed, 200_000) });
            recorder.exchange(proxy.address(), Script { up: 0, down: 0, ending, ..Script::new(seed + 10, 0) });
        }
        recorder.until(PATIENCE, |progress| progress.broker.connections == 1).unwrap();
        assert_eq!(recorder.strangers(), 0);
        let progress = recorder.finish(PATIENCE).unwrap();
        assert_eq!(progress.len(), 8);
    }

    #[test]
    fn a_cut_is_not_a_clean_end() {
        let recorder = Recorder::start(ANY).unwrap();
        let proxy = Proxy::start(ANY, recorder.address()).unwrap();
        recorder.exchange(proxy.address(), Script { pause: Duration::from_millis(1), ..Script::new(1, 10_000_000) });
        recorder.until(PATIENCE, |progress| progress.broker.received > 0 && progress.client.received > 0).unwrap();
        proxy.set(Mode::Cut).unwrap();
        let mismatch = recorder.finish(PATIENCE).unwrap_err();
        assert_eq!(mismatch.what, "it didn't end as it should");
        assert_eq!(mismatch.progress.broker.end, Some(Seen::Reset));
    }

    /// A relay that changes, drops or repeats one byte of what goes up.
    fn liar(target: SocketAddr, lie: fn(&mut Vec<u8>)) -> SocketAddr {
        use std::{
            io::{Read, Write},
            net::{TcpListener, TcpStream},
        };
        let listener = TcpListener::bind(ANY).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut near = listener.accept().unwrap().0;
            let mut far = TcpStream::connect_timeout(&target, PATIENCE).unwrap();
            let mut bytes = vec![0; 20_000];
            near.read_exact(&mut bytes).unwrap();
            lie(&mut bytes);
            far.write_all(&bytes).unwrap();
            std::thread::park();
        });
        address
    }

    #[test]
    fn one_wrong_byte_is_found_where_it_is() {
        let lies: [fn(&mut Vec<u8>); 3] = [
            |bytes| bytes[10_000] ^= 1,
            |bytes| {
                bytes.remove(10_000);
            },
            |bytes| bytes.insert(10_000, bytes[10_000]),
        ];
        for (lie, after) in lies.into_iter().zip([0, 0, 1]) {
            let recorder = Recorder::start(ANY).unwrap();
            let script = Script::new(3, 40_000);
            recorder.exchange(liar(recorder.address(), lie), script);
            let mismatch = recorder.until(PATIENCE, |_| false).unwrap_err();
            let offset = 10_000 - u64::try_from(script.connect().len()).unwrap() + after;
            assert_eq!(mismatch.what, format!("up: byte {offset} differs"));
        }
    }

    #[test]
    fn a_connection_of_nobody_is_a_stranger() {
        use std::io::{Read, Write};
        let recorder = Recorder::start(ANY).unwrap();
        let mut stream = std::net::TcpStream::connect_timeout(&recorder.address(), PATIENCE).unwrap();
        stream.write_all(&Script::new(9, 0).connect()).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        assert_eq!(recorder.strangers(), 1);
    }
}
