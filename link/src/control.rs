//! The control stream: one per trunk between an edge and an origin, opened first. On it the edge says who it is and
//! the origin says which process it is and, when it wants to go, SOLICIT (reconnect_solicitation).

use baton_protocol::{
    attach::{self, header},
    capsule::{Decoder, Piece, Solicit},
    id::NodeName,
};
use bytes::{Bytes, BytesMut};
use h2::{RecvStream, SendStream, ext::Protocol, server::SendResponse};
use http::{HeaderValue, Method, Request, Response};
use tokio::task::{JoinHandle, spawn_local};

use crate::{
    trunk::{LinkEnd, Trunk},
    tunnel::{discard, linger_with},
};

/// Bytes of an instance's name that are believed.
const INSTANCE_BYTES: usize = 128;

/// The edge's end.
#[derive(Debug)]
pub struct Control {
    instance: String,
    send: SendStream<Bytes>,
    recv: RecvStream,
    decoder: Decoder,
    data: Bytes,
}

impl Control {
    /// Opens the control stream of `trunk`, as the edge `edge`, to the pool of origins that `authority` names.
    ///
    /// # Errors
    /// The origin doesn't speak this protocol, or went.
    pub async fn open(trunk: &Trunk, edge: &NodeName, authority: &str) -> Result<Self, LinkEnd> {
        let mut request = Request::new(());
        *request.method_mut() = Method::CONNECT;
        let uri = format!("http://{authority}{}", attach::CONTROL_PATH);
        *request.uri_mut() = uri.parse().expect("an authority was checked when read");
        request.headers_mut().insert(header::EDGE, attach::name_value(edge));
        let broken = |error: h2::Error| LinkEnd::Broken(error.to_string());
        let (response, send) = trunk.request(request, attach::CONTROL).map_err(broken)?;
        let response = response.await.map_err(broken)?;
        if !response.status().is_success() {
            return Err(LinkEnd::Garbage(format!("the control stream was answered with {}", response.status())));
        }
        let instance = response.headers().get(header::INSTANCE).and_then(|value| value.to_str().ok());
        let instance = instance.filter(|name| !name.is_empty() && name.len() <= INSTANCE_BYTES);
        let instance = instance.ok_or_else(|| LinkEnd::Garbage("dcr-instance is missing or malformed".into()))?;
        let (instance, recv) = (instance.to_owned(), response.into_body());
        Ok(Self { instance, send, recv, decoder: Decoder::default(), data: Bytes::new() })
    }

    /// The process at the other end: its name and boot id.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// The next SOLICIT; `None` when the stream has ended, which an origin that goes does without a word if it must.
    pub async fn next(&mut self) -> Option<Solicit> {
        loop {
            let mut input = &self.data[..];
            let piece = self.decoder.next(&mut input);
            let used = self.data.len() - input.len();
            let found = match piece {
                Ok(Some(Piece::Solicit(solicit))) => Some(solicit),
                Ok(_) => None,
                Err(_) => return None,
            };
            let _ = self.data.split_to(used);
            match found {
                Some(solicit) => return Some(solicit),
                None if used > 0 => continue,
                None => {}
            }
            self.data = self.recv.data().await?.ok()?;
            let _ = self.recv.flow_control().release_capacity(self.data.len());
        }
    }
}

impl Control {
    /// Ends our half too, so that the connection can end when its tunnels have.
    pub fn end(mut self) {
        // Fails only for a connection that is gone.
        let _ = self.send.send_data(Bytes::new(), true);
    }
}

/// The origin's end.
#[derive(Debug)]
pub struct Controlled {
    edge: Option<NodeName>,
    send: SendStream<Bytes>,
    /// Version 1 has no word for an edge to say here; what a later one says is skipped, as unknown capsules are.
    listening: JoinHandle<()>,
}

/// Whether a request asks for a control stream.
pub fn is_control<T>(request: &Request<T>) -> bool {
    request.uri().path() == attach::CONTROL_PATH
}

impl Controlled {
    /// Answers an edge's request for a control stream as the process `instance`. `None`: the edge went.
    pub fn accept(request: Request<RecvStream>, respond: &mut SendResponse<Bytes>, instance: &str) -> Option<Self> {
        let edge = attach::name(request.headers(), &header::EDGE);
        let mut response = Response::new(());
        let instance = HeaderValue::from_str(instance).expect("an instance is made of a node's name and hex digits");
        response.headers_mut().insert(header::INSTANCE, instance);
        let send = respond.send_response(response, false).ok()?;
        Some(Self { edge, send, listening: spawn_local(discard(request.into_body())) })
    }

    /// Who the edge says it is.
    pub fn edge(&self) -> Option<&NodeName> {
        self.edge.as_ref()
    }

    /// Asks the edge to move its tunnels.
    pub fn solicit(&mut self, solicit: Solicit) {
        let mut capsule = BytesMut::with_capacity(32);
        solicit.encode(&mut capsule);
        // Fails only for an edge that is gone.
        let _ = self.send.send_data(capsule.freeze(), false);
    }

    /// Ends the stream, so that the connection can end when its tunnels have. The edge's half is waited for, or h2 would
    /// reset it.
    pub fn end(mut self) {
        // Fails only for an edge that is gone.
        if self.send.send_data(Bytes::new(), true).is_ok() {
            spawn_local(async move {
                linger_with(&mut self.listening).await;
                self.listening.abort();
            });
        }
    }
}

/// Whether a request is an extended CONNECT (RFC 8441) for this protocol.
pub fn asks_for<T>(request: &Request<T>, protocol: &str) -> bool {
    let named = request.extensions().get::<Protocol>();
    request.method() == Method::CONNECT && named.is_some_and(|named| named.as_str() == protocol)
}
