//! The broker as the anchors of its homes see it: a byte stream for each session.

use baton_anchor::{Backend, NotDialed, Opening, Resuming};
use baton_protocol::id::UserId;
use tokio::task::spawn_local;

use crate::{
    pipe::{PipeEnd, pipe},
    serve::{BrokerHandle, serve_stream},
};

/// The broker inside. Homes that have the same one share its topics.
pub struct Inside(BrokerHandle);

impl Inside {
    /// A backend for one more home of this broker.
    pub fn new(handle: &BrokerHandle) -> Self {
        Self(handle.clone())
    }
}

impl Backend for Inside {
    type Stream = PipeEnd;

    async fn dial(&self, opening: &Opening) -> Result<PipeEnd, NotDialed> {
        let (near, far) = pipe();
        let (handle, peer) = (self.0.clone(), opening.client.clone().unwrap_or_default());
        spawn_local(async move { serve_stream(far, &peer, &handle).await });
        Ok(near)
    }

    fn resuming(&self, user: &UserId) -> Resuming {
        self.0.resuming(user)
    }

    fn reset(stream: PipeEnd) {
        drop(stream);
    }
}
