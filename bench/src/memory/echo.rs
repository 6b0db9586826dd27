//! A broker that answers CONNECT and then returns every byte.

use std::{io, net::SocketAddr};

use baton_drill::{mqtt::Frame, stage::Stage};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Connections that may wait for `accept`.
const BACKLOG: u32 = 4_096;
/// Bytes returned at once.
const CHUNK: usize = 4 * 1024;
/// CONNACK, accepted, no session present (MQTT 3.1.1, 3.2).
pub(super) const CONNACK: [u8; 4] = [0x20, 2, 0, 0];

/// The broker, on a thread of its own.
#[derive(Debug)]
pub(super) struct Echo {
    address: SocketAddr,
    _stage: Stage<()>,
}

impl Echo {
    pub(super) fn start() -> io::Result<Self> {
        let stage = Stage::new("echo", || ())?;
        let address = stage.call(|_| async {
            let socket = tokio::net::TcpSocket::new_v4()?;
            socket.bind((std::net::Ipv4Addr::LOCALHOST, 0).into())?;
            let listener = socket.listen(BACKLOG)?;
            let address = listener.local_addr()?;
            tokio::task::spawn_local(accept(listener));
            io::Result::Ok(address)
        })?;
        Ok(Self { address, _stage: stage })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn accept(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::task::spawn_local(async move {
            if let Err(error) = serve(stream).await
                && error.kind() != io::ErrorKind::ConnectionReset
            {
                eprintln!("the echo's connection broke: {error}");
            }
        });
    }
}

async fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(CHUNK);
    let connect = loop {
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        let frame = Frame::take(&buffer).map_err(|_| io::Error::other("no MQTT came"))?;
        if let Some((_, length)) = frame {
            break length;
        }
    };
    stream.write_all(&CONNACK).await?;
    buffer.drain(..connect);
    loop {
        stream.write_all(&buffer).await?;
        buffer.clear();
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}
