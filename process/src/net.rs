//! Byte streams, and where they come from. Roles see only the traits, so a simulator can stand in for the sockets.

mod address;
mod reach;

use std::{future::Future, io, net::SocketAddr, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpSocket, TcpStream, lookup_host},
    time::{Instant, sleep},
};
use tracing::warn;

pub(crate) use self::address::is_host_and_port;
pub use self::{
    address::Address,
    reach::{Reach, Socket, SocketReach, is_exhausted},
};
use crate::metrics::Metrics;

/// A byte stream with a local socket's manners.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + 'static {
    /// Closes at once and abruptly: the other end sees a reset, and unsent bytes are dropped.
    fn reset(self);
}

/// Where connections come in.
pub trait Listen: 'static {
    /// What comes in.
    type Stream: Stream;

    /// The next connection and its peer. May be dropped at any time without losing a connection.
    ///
    /// # Errors
    /// The listener is beyond repair. Errors that pass are waited out inside.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>>;
}

/// How connections go out.
pub trait Dial: Clone + 'static {
    /// What goes out.
    type Stream: Stream;

    /// Connects to `address`, which is `host:port`. The caller bounds the time.
    ///
    /// # Errors
    /// No address of the host answered; the error is that of the last one tried.
    fn dial(&self, address: &str) -> impl Future<Output = io::Result<Self::Stream>>;
}

/// Connections that the kernel holds ready for one listener: a whole fleet may come back at once.
pub const BACKLOG: u32 = 4096;
/// Pause after an accept that failed for want of a resource: the next would fail as well, and spin.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Least time between two log lines of one listener about failed accepts.
const ACCEPT_LOG_SPAN: Duration = Duration::from_secs(60);
/// Time after which the kernel gives up a link whose peer acknowledges nothing.
const LINK_USER_TIMEOUT: Duration = Duration::from_secs(5);
/// Unsent bytes in a link's socket above which it counts as full: what waits in user space can still be reordered,
/// shed and counted.
const LINK_NOTSENT_BYTES: u32 = 128 * 1024;
/// Silence after which the kernel asks a client or broker whether it is there, then the interval, then the tries.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(10), Duration::from_secs(5), 3);

/// What a TCP connection is for, which decides its socket options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TcpKind {
    /// Between tiers. The peer always reads, so unacknowledged bytes mean that it's gone.
    Link,
    /// To a client or a broker. Never TCP_USER_TIMEOUT: Linux applies it to zero-window probes too, and would cut
    /// off a peer that merely doesn't read for a while.
    Session,
}

impl TcpKind {
    fn apply(self, socket: &SockRef<'_>) -> io::Result<()> {
        socket.set_tcp_nodelay(true)?;
        match self {
            Self::Link => {
                socket.set_tcp_user_timeout(Some(LINK_USER_TIMEOUT))?;
                socket.set_tcp_notsent_lowat(LINK_NOTSENT_BYTES)
            }
            Self::Session => {
                let (time, interval, retries) = KEEPALIVE;
                socket.set_tcp_keepalive(
                    &TcpKeepalive::new().with_time(time).with_interval(interval).with_retries(retries),
                )
            }
        }
    }
}

impl Stream for TcpStream {
    fn reset(self) {
        // If the option can't be set the peer sees a FIN instead: still closed, so there is nothing to add.
        let _ = SockRef::from(&self).set_linger(Some(Duration::ZERO));
    }
}

/// A TCP listener.
#[derive(Debug)]
pub struct TcpListen {
    listener: TcpListener,
    kind: TcpKind,
    metrics: Metrics,
    last_log: Option<Instant>,
}

impl TcpListen {
    /// Binds `address`, which is `ip:port` and stands at `key` of the configuration.
    ///
    /// # Errors
    /// The address is none, is in use or isn't ours; the message names it and its key.
    pub fn bind(key: &str, address: &str, kind: TcpKind, metrics: &Metrics) -> io::Result<Self> {
        let bind = || -> io::Result<TcpListener> {
            let address: SocketAddr =
                address.parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "no ip:port"))?;
            // Accepted sockets inherit the listener's options: one call here spares several per connection.
            let socket = tcp_socket(address, kind)?;
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            socket.listen(BACKLOG)
        };
        let listener = bind().map_err(|error| cannot_listen(key, address, &error))?;
        Ok(Self { listener, kind, metrics: metrics.clone(), last_log: None })
    }

    /// The address it is bound to.
    ///
    /// # Errors
    /// As `getsockname`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    fn note_failure(&mut self, error: &io::Error) {
        self.metrics.accept_failed();
        let now = Instant::now();
        if self.last_log.is_none_or(|last| now.duration_since(last) >= ACCEPT_LOG_SPAN) {
            self.last_log = Some(now);
            warn!(event = "accept.failed", kind = ?self.kind, %error);
        }
    }
}

impl Listen for TcpListen {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        loop {
            match self.listener.accept().await {
                Ok(accepted) => return Ok(accepted),
                // The peer went before we came: the next may be fine.
                Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => self.note_failure(&e),
                Err(e) => {
                    self.note_failure(&e);
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Dials over TCP.
#[derive(Clone, Copy, Debug)]
pub struct TcpDial {
    kind: TcpKind,
}

impl TcpDial {
    /// A dialer of this kind of connection.
    pub fn new(kind: TcpKind) -> Self {
        Self { kind }
    }
}

impl Dial for TcpDial {
    type Stream = TcpStream;

    async fn dial(&self, address: &str) -> io::Result<TcpStream> {
        dial_each(address, |_| true, |address| tcp_socket(address, self.kind)).await
    }
}

/// Why there is no listener, and who can do something about it.
pub(crate) fn cannot_listen(key: &str, address: &str, error: &io::Error) -> io::Error {
    let port = address.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => "; another process listens there: end it, or choose another port",
        io::ErrorKind::AddrNotAvailable => "; no interface of this machine has that address",
        io::ErrorKind::PermissionDenied if port.is_some_and(|port| port < 1_024) => {
            "; a port below 1024 needs root or CAP_NET_BIND_SERVICE"
        }
        _ => "",
    };
    io::Error::new(error.kind(), format!("can't listen on {address} ({key}): {error}{advice}"))
}

/// A socket for this address's family.
fn tcp_socket(address: SocketAddr, kind: TcpKind) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    kind.apply(&SockRef::from(&socket))?;
    Ok(socket)
}

/// Tries the addresses of `host:port` that are `wanted`, one after another, each with a socket of `make`.
async fn dial_each(
    host: &str,
    wanted: impl Fn(&SocketAddr) -> bool,
    make: impl Fn(SocketAddr) -> io::Result<TcpSocket>,
) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in lookup_host(host).await?.filter(wanted) {
        match make(address)?.connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(e) => last = e,
        }
    }
    Err(last)
}
