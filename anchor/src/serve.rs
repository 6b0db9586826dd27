//! The trunks of the origins: each attach that arrives is handed to its session, or begins one.

use std::{cell::Cell, net::SocketAddr, rc::Rc, sync::Arc};

use baton_link::{
    control::asks_for,
    trunk::{self, LinkEnd, TrunkState},
};
use baton_process::{
    metrics::AttachKind,
    net::{Listen, Stream},
};
use baton_protocol::{
    attach::{self, Attach, Refused, Word, header},
    id::NodeName,
};
use bytes::Bytes;
use h2::{RecvStream, server::SendResponse};
use http::Request;
use tokio::{sync::Semaphore, task::spawn_local};
use tracing::{info, warn};

use crate::{
    backend::Backend,
    home::{Arrival, Home},
    session,
};

/// Connections of one home's origins, those that haven't said anything yet included; further ones wait in the kernel.
const CONNECTIONS: usize = 4_096;

/// Takes the origins' connections until the listener is beyond repair. What was taken goes on without it.
///
/// # Errors
/// As [`Listen::accept`].
pub async fn serve<B: Backend, L: Listen>(home: Rc<Home<B>>, mut listener: L) -> std::io::Result<()> {
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let permit = Arc::clone(&connections).acquire_owned().await.expect("it's never closed");
        let (stream, peer) = listener.accept().await?;
        let home = Rc::clone(&home);
        spawn_local(async move {
            trunk(home, stream, peer).await;
            drop(permit);
        });
    }
}

async fn trunk<B: Backend, S: Stream>(home: Rc<Home<B>>, stream: S, peer: SocketAddr) {
    // Whoever only connects is worth no line, however often: it is an origin once it asks for something.
    let known = Cell::new(false);
    let end = match trunk::accept(stream, &home.worker).await {
        Ok(accepted) => {
            let state = accepted.state();
            home.trunk_up(&state);
            let on_request = |request, respond| {
                if attach(&home, &state, request, respond) && !known.replace(true) {
                    info!(event = "link.open", home = %home.name(), %peer);
                }
            };
            let end = accepted.run(on_request).await;
            home.trunk_down(&state);
            end
        }
        Err(end) => end,
    };
    home.metrics.link_closed(end.word());
    if matches!(end, LinkEnd::Garbage(_)) {
        home.metrics.refused_input("link");
        if home.offenders.is_first(peer.ip()) {
            warn!(event = "link.refused", home = %home.name(), %peer, why = %end, "further ones of this peer only count");
        }
    } else if known.get() {
        info!(event = "link.close", home = %home.name(), %peer, how = %end);
    }
}

/// What `dcr-edge` says: set by the origin, which knows.
fn edge_of<T>(request: &Request<T>) -> Option<NodeName> {
    attach::name(request.headers(), &header::EDGE)
}

/// Sees to a request; whether it was an attach.
fn attach<B: Backend>(
    home: &Rc<Home<B>>,
    trunk: &Rc<TrunkState>,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) -> bool {
    let counted = trunk.count();
    let edge = edge_of(&request);
    let read = match asks_for(&request, attach::TUNNEL) {
        true => Attach::from_request(&request),
        false => Err(attach::Malformed(":protocol")),
    };
    match read {
        Ok(Attach::Resume(resume)) => {
            home.resume(Arrival { resume, edge, body: request.into_body(), respond, counted });
        }
        Ok(Attach::Open(open)) => {
            let chosen = attach::name(request.headers(), &header::HOME);
            if chosen.is_some_and(|chosen| chosen != *home.name()) {
                home.refuse(AttachKind::Open, &Refused::by(home.name(), Word::WrongHome), &mut respond);
                return true;
            }
            match home.try_open() {
                Ok(()) => {
                    let home = Rc::clone(home);
                    spawn_local(session::open(home, open, edge, request.into_body(), respond, counted));
                }
                Err(refused) => home.refuse(AttachKind::Open, &refused, &mut respond),
            }
        }
        Err(attach::Malformed(what)) => {
            home.metrics.refused_input("attach");
            let word = match request.uri().path() {
                attach::OPEN_PATH | attach::RESUME_PATH => Word::Malformed,
                path if path.starts_with("/dcr/") => Word::Version,
                _ => Word::Malformed,
            };
            tracing::debug!(event = "attach.malformed", home = %home.name(), what);
            let kind = if request.uri().path() == attach::RESUME_PATH { AttachKind::Resume } else { AttachKind::Open };
            home.refuse(kind, &Refused::by(home.name(), word), &mut respond);
            return false;
        }
    }
    true
}
