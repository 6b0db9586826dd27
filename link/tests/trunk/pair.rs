//! A trunk with both its ends, over a cable that can be stalled and that counts.

use std::{cell::Cell, rc::Rc};

use baton_link::{
    LinkEnd, Trunk, Worker,
    trunk::{self, Connected, TrunkState},
};
use bytes::Bytes;
use h2::{RecvStream, SendStream};
use http::{Method, Request, Response};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    sync::oneshot,
    task::spawn_local,
};

use crate::PIPE;

/// What carries the bytes from left to right, and back.
#[derive(Clone, Default)]
pub(crate) struct Cable {
    stalled: Rc<Cell<bool>>,
    writes: Rc<Cell<usize>>,
}

impl Cable {
    /// Nothing passes any more, either way.
    pub(crate) fn stall(&self) {
        self.stalled.set(true);
    }

    /// Pieces that went from left to right, as the sender wrote them unless they queued up.
    pub(crate) fn writes(&self) -> usize {
        self.writes.get()
    }

    async fn carry(self, mut from: impl AsyncReadExt + Unpin, mut to: impl AsyncWriteExt + Unpin, counts: bool) {
        let mut buf = vec![0; PIPE];
        while let Ok(n @ 1..) = from.read(&mut buf).await {
            if self.stalled.get() {
                std::future::pending::<()>().await;
            }
            self.writes.set(self.writes.get() + usize::from(counts));
            if to.write_all(&buf[..n]).await.is_err() {
                return;
            }
        }
    }
}

/// Two ends and what is between them.
pub(crate) fn cable() -> (DuplexStream, DuplexStream, Cable) {
    let (cable, (left, left_end), (right_end, right)) = (Cable::default(), duplex(PIPE), duplex(PIPE));
    let (left_read, left_write) = tokio::io::split(left_end);
    let (right_read, right_write) = tokio::io::split(right_end);
    spawn_local(cable.clone().carry(left_read, right_write, true));
    spawn_local(cable.clone().carry(right_read, left_write, false));
    (left, right, cable)
}

/// Both ends of a trunk; the accepting one echoes.
pub(crate) struct Pair {
    pub(crate) client: Trunk,
    pub(crate) ended: oneshot::Receiver<LinkEnd>,
    pub(crate) server: Rc<TrunkState>,
}

impl Pair {
    pub(crate) async fn over_a_cable(worker: &Rc<Worker>) -> (Self, Cable) {
        let (left, right, cable) = cable();
        let accepting = Rc::clone(worker);
        let (tell, told) = oneshot::channel();
        spawn_local(async move {
            let accepted = trunk::accept(right, &accepting).await.expect("our own preface");
            assert!(tell.send(accepted.state()).is_ok(), "the test waits for it");
            accepted
                .run(|request, mut respond| {
                    let send = respond.send_response(Response::new(()), false).expect("an open stream");
                    spawn_local(echo(request.into_body(), send));
                })
                .await
        });
        let Connected { trunk: client, ended } = Trunk::connect(left, worker).await.expect("our own server");
        (Self { client, ended, server: told.await.expect("the server is up") }, cable)
    }

    pub(crate) async fn try_raw_stream(&self) -> Result<(SendStream<Bytes>, RecvStream), h2::Error> {
        let request = Request::builder().method(Method::CONNECT).uri("http://pool/test").body(()).expect("legal");
        let (response, send) = self.client.request(request, "test")?;
        Ok((send, response.await?.into_body()))
    }

    pub(crate) async fn raw_stream(&self) -> (SendStream<Bytes>, RecvStream) {
        self.try_raw_stream().await.expect("an open trunk")
    }
}

async fn echo(mut recv: RecvStream, mut send: SendStream<Bytes>) {
    while let Some(Ok(data)) = recv.data().await {
        let _ = recv.flow_control().release_capacity(data.len());
        send.reserve_capacity(data.len());
        if send.send_data(data, false).is_err() {
            return;
        }
    }
    let _ = send.send_data(Bytes::new(), true);
}
