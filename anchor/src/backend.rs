//! What an anchor needs of a broker: one byte stream for each session.

use std::{future::Future, io};

use baton_protocol::id::{Sid, UserId};
use tokio::io::{AsyncRead, AsyncWrite};

/// The session that a byte stream is wanted for.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The session.
    pub sid: Sid,
    /// Whose it is.
    pub user: UserId,
    /// The client's address and port, where the edge told it.
    pub client: Option<String>,
}

/// A broker, or what stands for one.
pub trait Backend: 'static {
    /// A connection to it.
    type Stream: AsyncRead + AsyncWrite + Unpin + 'static;

    /// Connects. The anchor bounds the time, and drops the future when the session isn't wanted any more.
    ///
    /// # Errors
    /// The broker can't be reached; the session is refused as 502.
    fn dial(&self, opening: &Opening) -> impl Future<Output = io::Result<Self::Stream>>;

    /// Closes abruptly: the broker sees a connection that broke, and its own rules for wills apply.
    fn reset(stream: Self::Stream);
}
