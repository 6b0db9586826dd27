//! What an anchor needs of a broker: one byte stream for each session.

use std::future::Future;

use baton_protocol::{
    id::{Sid, UserId},
    limits::Millis,
};
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

/// Why there is no byte stream for a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotDialed {
    /// The broker can't be reached, or isn't well; with what is known of it. The session is refused as 502, so that an
    /// origin may look for another home.
    Unreachable(String),
    /// The broker is there, and no further connection to it can be had now. The session is refused as busy, and may wait.
    Full,
}

/// What becomes of a resume. Anything but [`Self::Take`] is a fault that somebody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resuming {
    /// It is answered as it should be.
    Take,
    /// The home has lost the session: it is refused (gone).
    Lose,
    /// It is answered so much later.
    Late(Millis),
    /// It is never answered.
    Never,
}

/// A broker, or what stands for one.
pub trait Backend: 'static {
    /// A connection to it.
    type Stream: AsyncRead + AsyncWrite + Unpin + 'static;

    /// Connects. The anchor bounds the time, and drops the future when the session isn't wanted any more.
    ///
    /// # Errors
    /// Why not.
    fn dial(&self, opening: &Opening) -> impl Future<Output = Result<Self::Stream, NotDialed>>;

    /// What becomes of the resume of a session of this user.
    fn resuming(&self, user: &UserId) -> Resuming {
        let _ = user;
        Resuming::Take
    }

    /// Closes abruptly: the broker sees a connection that broke, and its own rules for wills apply.
    fn reset(stream: Self::Stream);
}
