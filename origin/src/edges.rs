//! The trunks of the edges: each has a control stream, which says who the edge is, and carries attaches and tunnels.

use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::BTreeMap,
    io,
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
};

use baton_link::{
    LinkEnd,
    control::{self, Controlled},
    trunk::{self, Counted, TrunkState},
};
use baton_process::{
    net::{Listen, Stream},
    phase::Phase,
};
use baton_protocol::{
    attach::{self, header},
    capsule::Solicit,
    id::NodeName,
    limits::Millis,
};
use bytes::Bytes;
use h2::{RecvStream, server::SendResponse};
use http::Request;
use tokio::{
    sync::{Notify, Semaphore},
    task::spawn_local,
};
use tracing::{info, warn};

use crate::{
    attach::{begin, refuse_malformed},
    origin::Origin,
};

/// Connections of edges, those that haven't said anything yet included; further ones wait in the kernel.
const CONNECTIONS: usize = 4_096;

/// One connection of an edge.
pub(crate) struct EdgeTrunk {
    state: Rc<TrunkState>,
    name: OnceCell<NodeName>,
    control: RefCell<Option<Controlled>>,
    /// Tunnels, and attaches under way.
    carried: Cell<usize>,
}

impl EdgeTrunk {
    /// Who the edge is, once its control stream has said so.
    pub(crate) fn name(&self) -> Option<&NodeName> {
        self.name.get()
    }

    /// Ends the control stream if nothing else is left, so that the connection ends.
    fn end_if_idle(&self) {
        if self.carried.get() == 0
            && let Some(control) = self.control.borrow_mut().take()
        {
            control.end();
        }
    }
}

/// Until when the edges are to have left, on the worker's clock.
#[derive(Clone, Copy, Debug)]
struct Leaving {
    moved_by: Millis,
    cut_at: Millis,
}

/// All connections of edges.
#[derive(Default)]
pub(crate) struct Edges {
    trunks: RefCell<BTreeMap<u64, Rc<EdgeTrunk>>>,
    next: Cell<u64>,
    leaving: Cell<Option<Leaving>>,
    changed: Notify,
}

impl Edges {
    /// Whether they have been asked to leave.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.get().is_some()
    }

    pub(crate) fn len(&self) -> usize {
        self.trunks.borrow().len()
    }

    /// Asks all edges to move their tunnels.
    pub(crate) fn solicit(&self, now: Millis, spread: Millis, deadline: Millis) {
        self.leaving.set(Some(Leaving { moved_by: now + spread, cut_at: now + deadline }));
        for trunk in self.trunks.borrow().values() {
            if let Some(control) = trunk.control.borrow_mut().as_mut() {
                control.solicit(Solicit { spread, deadline, reason: 0 });
            }
            trunk.state.go_away();
            trunk.end_if_idle();
        }
    }

    /// Ends all connections now.
    pub(crate) fn cut(&self) {
        self.trunks.borrow().values().for_each(|trunk| trunk.state.cut());
    }

    /// Returns when no connection is left.
    pub(crate) async fn gone(&self) {
        while self.len() > 0 {
            self.changed.notified().await;
        }
    }

    fn enter(&self, state: Rc<TrunkState>) -> (u64, Rc<EdgeTrunk>) {
        let id = self.next.replace(self.next.get() + 1);
        let trunk = EdgeTrunk { state, name: OnceCell::new(), control: RefCell::default(), carried: Cell::new(0) };
        let trunk = Rc::new(trunk);
        self.trunks.borrow_mut().insert(id, Rc::clone(&trunk));
        (id, trunk)
    }

    fn leave(&self, id: u64) {
        self.trunks.borrow_mut().remove(&id);
        self.changed.notify_one();
    }
}

/// What is counted for an attach or a tunnel, as long as it is held.
pub(crate) struct Carried {
    origin: Rc<Origin>,
    edge: Rc<EdgeTrunk>,
    is_tunnel: bool,
    _on_trunk: Counted,
}

impl Carried {
    /// An attach.
    pub(crate) fn new(origin: &Rc<Origin>, edge: &Rc<EdgeTrunk>, on_trunk: Counted) -> Self {
        edge.carried.set(edge.carried.get() + 1);
        origin.carries(1);
        Self { origin: Rc::clone(origin), edge: Rc::clone(edge), is_tunnel: false, _on_trunk: on_trunk }
    }

    /// It was accepted.
    pub(crate) fn is_tunnel(&mut self) {
        self.is_tunnel = true;
        self.origin.tunnel_began();
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        self.edge.carried.set(self.edge.carried.get() - 1);
        self.origin.carries(-1);
        if self.is_tunnel {
            self.origin.tunnel_ended();
        }
        if self.origin.edges.is_leaving() {
            self.edge.end_if_idle();
        }
    }
}

/// Takes the edges' connections until the listener is beyond repair.
pub(crate) async fn serve<L: Listen>(origin: Rc<Origin>, mut listener: L) -> io::Error {
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let permit = Arc::clone(&connections).acquire_owned().await.expect("it's never closed");
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => return error,
        };
        let origin = Rc::clone(&origin);
        spawn_local(async move {
            serve_trunk(&origin, stream, peer).await;
            drop(permit);
        });
    }
}

async fn serve_trunk<S: Stream>(origin: &Rc<Origin>, stream: S, peer: SocketAddr) {
    let accepted = tokio::select! {
        biased;
        // Nothing has been said on it yet, so there is nothing to say goodbye to.
        () = origin.phases.wait_for(Phase::Draining) => return,
        accepted = trunk::accept(stream, &origin.worker) => accepted,
    };
    let (end, known) = match accepted {
        Ok(accepted) => {
            let (id, edge) = origin.edges.enter(accepted.state());
            let end = accepted.run(|request, respond| on_request(origin, &edge, peer, request, respond)).await;
            origin.edges.leave(id);
            (end, edge.name().is_some())
        }
        Err(end) => (end, false),
    };
    origin.metrics.link_closed(end.word());
    if matches!(end, LinkEnd::Garbage(_)) {
        origin.metrics.refused_input("link");
        if origin.offenders.is_first(peer.ip()) {
            warn!(event = "link.refused", origin = %origin.name, %peer, why = %end, "further ones of this peer only count");
        }
    } else if known {
        info!(event = "link.close", origin = %origin.name, %peer, how = %end);
    }
}

fn on_request(
    origin: &Rc<Origin>,
    edge: &Rc<EdgeTrunk>,
    peer: SocketAddr,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) {
    if !control::is_control(&request) {
        return begin(origin, edge, request, respond);
    }
    // One connection is one edge's: a second name on it would be somebody else's.
    let name = attach::name(request.headers(), &header::EDGE).filter(|_| edge.name().is_none());
    let Some(name) = name.filter(|_| control::asks_for(&request, attach::CONTROL)) else {
        return refuse_malformed(origin, &mut respond);
    };
    let Some(mut control) = Controlled::accept(request, &mut respond, &origin.instance) else { return };
    info!(event = "link.open", origin = %origin.name, edge = %name, %peer);
    edge.name.set(name).expect("there was none a moment ago");
    let leaving = origin.edges.leaving.get();
    if let Some(Leaving { moved_by, cut_at }) = leaving {
        let now = origin.worker.now();
        control.solicit(Solicit {
            spread: moved_by.saturating_sub(now),
            deadline: cut_at.saturating_sub(now),
            reason: 0,
        });
    }
    edge.control.borrow_mut().replace(control);
    if leaving.is_some() {
        edge.end_if_idle();
    }
}
