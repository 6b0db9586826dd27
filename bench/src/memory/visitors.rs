//! Clients that have bytes echoed, and then hold their connection and say nothing.

use std::{
    cell::RefCell,
    io,
    net::{Ipv4Addr, SocketAddr},
    rc::Rc,
    time::Duration,
};

use baton_drill::{
    mqtt::encode::{self, Connect},
    stage::Stage,
};
use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};

use super::{CARRIED, echo::CONNACK};

/// Clients that connect and have bytes echoed at once.
const AT_ONCE: usize = 64;
/// Time for one of them.
const PATIENCE: Duration = Duration::from_secs(60);
/// Local addresses that they connect from.
const SOURCES: u32 = 8;

/// The clients, on a thread of their own.
#[derive(Debug)]
pub(super) struct Visitors {
    stage: Stage<RefCell<Vec<TcpStream>>>,
    edge: SocketAddr,
    number: u32,
}

impl Visitors {
    pub(super) fn start(edge: SocketAddr) -> io::Result<Self> {
        Ok(Self { stage: Stage::new("visitors", RefCell::default)?, edge, number: 0 })
    }

    /// Lets so many more connect that there are `number`, and waits until each has got back what it sent.
    pub(super) fn join(&mut self, number: u32) -> io::Result<()> {
        let (edge, new) = (self.edge, self.number..number);
        self.number = number;
        self.stage.call(move |streams| async move {
            let slots = Rc::new(Semaphore::new(AT_ONCE));
            let mut visits = JoinSet::new();
            for number in new {
                let slots = Rc::clone(&slots);
                visits.spawn_local(async move {
                    let _slot = slots.acquire().await;
                    let visit = timeout(PATIENCE, visit(edge, number)).await;
                    visit.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
                });
            }
            while let Some(visit) = visits.join_next().await {
                streams.borrow_mut().push(visit??);
            }
            Ok(())
        })
    }

    /// Whether all connections are there still, and nothing came that wasn't asked for.
    pub(super) fn check(&self) -> io::Result<()> {
        self.stage.call(|streams| async move {
            for stream in streams.borrow().iter() {
                match stream.try_read(&mut [0]) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                    Ok(_) => return Err(io::Error::other("an idle client was spoken to, or dropped")),
                }
            }
            Ok(())
        })
    }
}

async fn visit(edge: SocketAddr, number: u32) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_nodelay(true)?;
    let [.., source] = (1 + number % SOURCES).to_be_bytes();
    socket.bind((Ipv4Addr::new(127, 0, 0, source), 0).into())?;
    let mut stream = socket.connect(edge).await?;
    let client_id = format!("visitor-{number:06}");
    let connect = Connect { client_id: &client_id, username: None, keep_alive: 0, clean_session: true, will: None };
    let mut packet = BytesMut::new();
    encode::connect(&connect, &mut packet);
    stream.write_all(&packet).await?;
    let mut answer = [0; CONNACK.len()];
    stream.read_exact(&mut answer).await?;
    if answer != CONNACK {
        return Err(io::Error::other(format!("client {number} was refused: {answer:?}")));
    }
    let [.., seed] = number.to_be_bytes();
    let sent: Vec<u8> = (0..CARRIED).map(|at| at.to_be_bytes().into_iter().fold(seed, u8::wrapping_add)).collect();
    let mut received = vec![0; CARRIED];
    let (mut reader, mut writer) = stream.split();
    tokio::try_join!(writer.write_all(&sent), reader.read_exact(&mut received))?;
    if sent == received { Ok(stream) } else { Err(io::Error::other(format!("client {number} got other bytes back"))) }
}
