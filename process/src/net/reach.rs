//! Connections to servers that aren't ours, over TCP or a Unix socket, from an address of choice.

use std::{
    fs,
    future::Future,
    io::{self, IoSlice},
    net::{IpAddr, SocketAddr},
    path::Path,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
use rustix::io::Errno;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpSocket, TcpStream, UnixStream},
    time::sleep,
};

use super::{Address, Stream, TcpKind, dial_each, tcp_socket};

/// How connections go out to a server that isn't ours.
pub trait Reach: Clone + 'static {
    /// What goes out.
    type Stream: Stream;

    /// Connects; over TCP `from` this address of ours, or from whichever the kernel takes. The caller bounds the time.
    ///
    /// # Errors
    /// Nobody answers there, or [`is_exhausted`].
    fn reach(&self, to: &Address, from: Option<IpAddr>) -> impl Future<Output = io::Result<Self::Stream>>;

    /// IP address and port of our end and of the other, where they have such.
    fn ends(stream: &Self::Stream) -> Option<(SocketAddr, SocketAddr)>;

    /// Connections that can be had at once from one address of ours to this one; `None`: ports are no bound.
    fn ports(&self, to: &Address) -> Option<usize>;
}

/// Whether a connection failed for want of something of our own: every local port towards there is taken
/// ([`io::ErrorKind::AddrNotAvailable`]), or every descriptor. It says nothing of the other side.
pub fn is_exhausted(error: &io::Error) -> bool {
    let descriptors = [Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error);
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error().is_some_and(|raw| descriptors.contains(&raw))
}

/// A connection of a session over TCP or a Unix socket.
#[derive(Debug)]
pub enum Socket {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a Unix socket.
    Unix(UnixStream),
}

impl Stream for Socket {
    fn reset(self) {
        match self {
            Self::Tcp(stream) => stream.reset(),
            // There is no reset to send: the other end sees the end of the stream.
            Self::Unix(stream) => drop(stream),
        }
    }
}

/// Reaches over real sockets.
#[derive(Clone, Copy, Debug)]
pub struct SocketReach {
    /// Ports that the kernel takes for outgoing connections.
    ports: usize,
}

impl SocketReach {
    /// Asks the kernel which ports it takes, and for each of these addresses whether it is this machine's.
    ///
    /// # Errors
    /// One isn't; the message names it.
    pub fn new(sources: &[IpAddr]) -> io::Result<Self> {
        for source in sources {
            // Dropped at once: it only asks.
            bound_to(*source)
                .map_err(|e| io::Error::new(e.kind(), format!("no connection can be made from {source}: {e}")))?;
        }
        Ok(Self { ports: local_ports().unwrap_or(PORTS) })
    }
}

/// Ports that Linux takes for outgoing connections if nobody says otherwise: 32768 to 60999.
const PORTS: usize = 28_232;

/// As ip(7) has it: `ip_local_port_range`, for IPv6 as well.
fn local_ports() -> Option<usize> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let mut ends = text.split_whitespace().map(str::parse::<usize>);
    let (first, last) = (ends.next()?.ok()?, ends.next()?.ok()?);
    Some(last.checked_sub(first)? + 1)
}

fn bound_to(source: IpAddr) -> io::Result<TcpSocket> {
    let socket = tcp_socket((source, 0).into(), TcpKind::Session)?;
    // The port is chosen when it connects: it need only be free towards that one address and port. Without this a port
    // would serve one connection, wherever it goes.
    setsockopt(&socket, IpBindAddressNoPort, &true)?;
    socket.bind((source, 0).into())?;
    Ok(socket)
}

/// Time until another attempt at a Unix socket whose backlog is full: there TCP would wait, and this doesn't (unix(7)).
const BACKLOG_FULL: Duration = Duration::from_millis(10);

async fn unix(path: &Path) -> io::Result<UnixStream> {
    loop {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(BACKLOG_FULL).await,
            connected => return connected,
        }
    }
}

impl Reach for SocketReach {
    type Stream = Socket;

    async fn reach(&self, to: &Address, from: Option<IpAddr>) -> io::Result<Socket> {
        let host = match to {
            Address::Tcp(host) => host,
            Address::Unix(path) => return unix(path).await.map(Socket::Unix),
        };
        let of_our_family = |address: &SocketAddr| from.is_none_or(|ip| ip.is_ipv4() == address.is_ipv4());
        dial_each(host, of_our_family, |address| match from {
            Some(ip) => bound_to(ip),
            None => tcp_socket(address, TcpKind::Session),
        })
        .await
        .map(Socket::Tcp)
    }

    fn ends(stream: &Socket) -> Option<(SocketAddr, SocketAddr)> {
        match stream {
            Socket::Tcp(stream) => stream.local_addr().ok().zip(stream.peer_addr().ok()),
            Socket::Unix(_) => None,
        }
    }

    fn ports(&self, to: &Address) -> Option<usize> {
        matches!(to, Address::Tcp(_)).then_some(self.ports)
    }
}

/// Calls the same method of whichever it is.
macro_rules! either {
    ($socket:expr, $stream:ident => $call:expr) => {
        match $socket.get_mut() {
            Socket::Tcp($stream) => $call,
            Socket::Unix($stream) => $call,
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
