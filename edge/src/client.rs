//! One client's connection, from its first byte to its close.

use std::{cell::RefCell, future::poll_fn, net::SocketAddr, rc::Rc, sync::Arc, task::Poll, time::Duration};

use baton_link::{Closing, drive};
use baton_process::{metrics::SessionState, net::Stream};
use baton_protocol::{
    connect::{self, Connect, Level, Parsed, UserIdSource},
    error::CloseCause,
    limits::Millis,
    session::{EdgeSession, Half, SharedTerms, Terms},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};
use tracing::info;

use crate::seat::{House, Seat};

/// Bytes read at once while a CONNECT arrives: most fit into it whole.
const CONNECT_READ: usize = 2 * 1024;
/// Time for a last answer (CONNACK) to leave before the connection is closed without it.
const FAREWELL: Duration = Duration::from_secs(2);

/// What the edge asks of every client.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) connect_bytes: usize,
    pub(crate) connect_time: Millis,
    pub(crate) user_id: UserIdSource,
    /// For clients whose keepalive doesn't stretch T_slow.
    pub(crate) terms: SharedTerms,
    /// For clients without keepalive: they are never too slow by the clock, only by the byte budget.
    pub(crate) patient: SharedTerms,
    /// For clients like the last one whose keepalive does: a fleet has the same, and shares them.
    pub(crate) stretched: RefCell<SharedTerms>,
}

impl Rules {
    /// T_slow is one and a half keepalives where that is longer: MQTT lets a client be silent for so long.
    fn terms_for(&self, keep_alive: u16) -> SharedTerms {
        let slow = Millis::from(keep_alive) * 1_500;
        if keep_alive == 0 {
            return Arc::clone(&self.patient);
        }
        if slow <= self.terms.slow {
            return Arc::clone(&self.terms);
        }
        let mut stretched = self.stretched.borrow_mut();
        if stretched.slow != slow {
            *stretched = Arc::new(Terms { slow, ..(*self.terms).clone() });
        }
        Arc::clone(&stretched)
    }
}

/// Serves a client to its end. What takes a moment is in boxes, so that it has no place in what a client needs for days.
#[expect(
    clippy::manual_async_fn,
    reason = "an async function would hold what it is given twice, while the client stays"
)]
pub(crate) fn serve<S: Stream>(
    house: Rc<House>,
    rules: Rc<Rules>,
    mut stream: S,
    peer: SocketAddr,
) -> impl Future<Output = ()> {
    async move {
        let received = Box::pin(receive(&rules, &mut stream, &house)).await;
        let (level, mut half) = match received.map_err(|unfit| refuse(&house, peer, unfit)) {
            Ok(received) => received,
            Err(answer) => return Box::pin(farewell(stream, answer)).await,
        };
        let mut seat = Seat::new(Rc::clone(&house), peer, house.origins.worker.now());
        let closing = drive(&house.origins.worker, &mut seat, &mut *half, None, &mut stream).await;
        match conclude(&house, seat, &half, closing) {
            Last::Sorry => Box::pin(farewell(stream, Some(connect::connack_unavailable(level)))).await,
            Last::Reset => stream.reset(),
            Last::Nothing => {}
        }
    }
}

/// Accounts for a client that can't be served. What it is told.
fn refuse(house: &House, peer: SocketAddr, Unfit { cause, answer, why }: Unfit) -> Option<&'static [u8]> {
    house.origins.metrics.client_closed(cause);
    if let Some(suppressed) = house.refusals.borrow_mut().shows(cause, house.origins.worker.now()) {
        info!(event = "client.refused", client = %peer, %cause, why, suppressed);
    }
    answer
}

/// What a client sees last.
enum Last {
    /// That nobody is there to serve it.
    Sorry,
    Reset,
    Nothing,
}

/// Accounts for a session that is over.
fn conclude(house: &House, seat: Seat, half: &EdgeSession, Closing { cause, reset }: Closing) -> Last {
    let (peer, answered) = (seat.client(), seat.answered());
    drop(seat);
    house.origins.metrics.client_closed(cause);
    let user = house.show.show(half.user().as_str());
    let home = half.home().map_or("-", |home| home.as_str());
    info!(event = "session.close", sid = %half.key().sid(), %user, client = %peer, home, %cause);
    // A client that has got no byte is told what MQTT has a word for; a bare close would leave it guessing.
    let unavailable = matches!(cause, CloseCause::Unavailable | CloseCause::OpenRefused)
        || matches!(cause, CloseCause::Gone | CloseCause::Grace) && !answered;
    match (unavailable, reset) {
        (true, _) => Last::Sorry,
        (false, true) => Last::Reset,
        (false, false) => Last::Nothing,
    }
}

/// Writes a last answer, and closes in order.
async fn farewell<S: Stream>(mut stream: S, answer: Option<&'static [u8]>) {
    let said = async {
        if let Some(answer) = answer {
            stream.write_all(answer).await?;
        }
        stream.shutdown().await
    };
    // Whether the client still takes it is its own affair.
    let _ = timeout(FAREWELL, said).await;
}

/// A client that can't be served.
struct Unfit {
    cause: CloseCause,
    answer: Option<&'static [u8]>,
    why: String,
}

impl Unfit {
    fn silent(cause: CloseCause, why: impl ToString) -> Self {
        Self { cause, answer: None, why: why.to_string() }
    }
}

/// Reads a whole CONNECT and makes a session of it; what came behind it belongs to the session.
async fn receive<S: Stream>(rules: &Rules, stream: &mut S, house: &House) -> Result<(Level, Box<EdgeSession>), Unfit> {
    let within = Duration::from_millis(rules.connect_time);
    house.origins.metrics.session(None, Some(SessionState::Connecting));
    let (mut bytes, mut share) = (Vec::new(), house.origins.worker.share());
    let reading = async {
        loop {
            bytes.reserve(CONNECT_READ);
            let held = bytes.len();
            let read = tokio::select! {
                biased;
                () = house.closed.notified() => return Err(Unfit::silent(CloseCause::Shutdown, "the edge ends")),
                () = poll_fn(|cx| if share.hold(held, cx) { Poll::Pending } else { Poll::Ready(()) }) => {
                    return Err(Unfit::silent(CloseCause::Overload, "limits.buffered_bytes is reached"));
                }
                read = stream.read_buf(&mut bytes) => read,
            };
            match read {
                Ok(0) => return Err(Unfit::silent(CloseCause::ClientLeft, "left before a whole CONNECT")),
                Ok(_) => {}
                Err(error) => return Err(Unfit::silent(CloseCause::ClientReset, error)),
            }
            match connect::parse(&bytes, rules.connect_bytes) {
                Ok(Parsed::Incomplete { .. }) => {}
                Ok(Parsed::Connect(connect)) => return Ok(begin(rules, house, &connect)),
                Err(error) => {
                    return Err(Unfit { cause: error.cause(), answer: error.answer(), why: error.to_string() });
                }
            }
        }
    };
    let received = timeout(within, reading).await;
    house.origins.metrics.session(Some(SessionState::Connecting), None);
    let (level, mut half) =
        received.unwrap_or_else(|_| Err(Unfit::silent(CloseCause::ConnectTimeout, "no whole CONNECT in time")))?;
    half.handle_read(&bytes);
    Ok((level, half))
}

fn begin(rules: &Rules, house: &House, connect: &Connect<'_>) -> (Level, Box<EdgeSession>) {
    let user = connect::user_id(connect, rules.user_id);
    let user = user.unwrap_or_else(|| house.secrets.borrow_mut().anonymous());
    let terms = rules.terms_for(connect.keep_alive);
    (connect.level, Box::new(EdgeSession::new(user, terms, house.origins.worker.now())))
}
