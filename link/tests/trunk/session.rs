//! A whole session over trunks: an edge half and an anchor half, each run by the loop, with tunnels that die.

use std::{
    cell::RefCell,
    collections::VecDeque,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use baton_link::{
    Closing, Owner, Trunk, Tunnel, Worker, drive,
    drive::Event,
    trunk::{self, TrunkState},
    tunnel::{Answer, Attempt},
};
use baton_protocol::{
    attach::Attach,
    error::CloseCause,
    id::{Epoch, NodeName, SessionKey, UserId},
    limits::Millis,
    session::{AnchorSession, EdgeSession, Half, HowEnded, Loss, Terms, edge::MoveReason},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    task::{JoinHandle, spawn_local},
    time::timeout,
};

use crate::{on_a_worker, pair};

/// Bytes that the local sockets hold: far less than a window, so that stages fill.
const SOCKET: usize = 4 * 1024;

fn home() -> NodeName {
    NodeName::new("home-1").expect("legal")
}

/// Attaches whenever the half wants it, through the next of the trunks.
struct EdgeOwner {
    trunks: VecDeque<Trunk>,
    attempt: Option<Attempt>,
    losses: Vec<Loss>,
}

impl Owner for EdgeOwner {
    type Half = EdgeSession;

    fn poll(&mut self, cx: &mut Context<'_>, half: &mut EdgeSession, now: Millis) -> Poll<Event> {
        if let Some(attempt) = &mut self.attempt {
            let Poll::Ready(answer) = attempt.poll_answer(cx) else { return Poll::Pending };
            let epoch = attempt.epoch();
            self.attempt = None;
            return Poll::Ready(match answer {
                Answer::Accepted(accepted, tunnel) => {
                    half.handle_accepted(epoch, &accepted, now);
                    Event::Tunnel(tunnel)
                }
                Answer::Refused(refused) => panic!("{refused:?}"),
                Answer::Lost(loss) => {
                    half.handle_lost(epoch, loss, now);
                    Event::Changed
                }
            });
        }
        if !half.wants_attach() {
            return Poll::Pending;
        }
        let trunk = self.trunks.pop_front().expect("a trunk for every attempt");
        let (epoch, attach) = if half.home().is_none() {
            let (epoch, open) = half.begin_open(SessionKey::from_bytes([9; 32]), None, now).expect("opening");
            (epoch, Attach::Open(open))
        } else {
            let resume = half.begin_resume(MoveReason::Lost, now).expect("detached");
            (resume.epoch, Attach::Resume(resume))
        };
        self.attempt = Some(Attempt::send(&trunk, epoch, &attach, "pool").expect("an open trunk"));
        // The test's other handles keep the connection.
        Poll::Ready(Event::Changed)
    }

    fn end_attempt(&mut self, epoch: Epoch, how: HowEnded) {
        panic!("attempt {epoch} ended: {how:?}");
    }

    fn lost(&mut self, _half: &EdgeSession, loss: Loss, _now: Millis) {
        self.losses.push(loss);
    }
}

/// Answers an attach with a 200.
type Accept = Box<dyn FnOnce(Epoch, http::Response<()>) -> Tunnel>;

/// Attaches that the accepting ends have got.
#[derive(Default)]
struct Arrivals {
    tunnels: RefCell<VecDeque<(Attach, Accept)>>,
    waker: RefCell<Option<Waker>>,
}

struct AnchorOwner(Rc<Arrivals>);

impl Owner for AnchorOwner {
    type Half = AnchorSession;

    fn poll(&mut self, cx: &mut Context<'_>, half: &mut AnchorSession, now: Millis) -> Poll<Event> {
        *self.0.waker.borrow_mut() = Some(cx.waker().clone());
        let Some((attach, respond)) = self.0.tunnels.borrow_mut().pop_front() else { return Poll::Pending };
        let Attach::Resume(resume) = attach else { panic!("one open only") };
        let accepted = half.handle_resume(&resume, None, &home(), now).expect("a higher epoch");
        Poll::Ready(Event::Tunnel(respond(resume.epoch, accepted.to_response())))
    }

    fn end_attempt(&mut self, _epoch: Epoch, _how: HowEnded) {}

    fn lost(&mut self, _half: &AnchorSession, _loss: Loss, _now: Millis) {}
}

async fn accept(worker: Rc<Worker>, stream: DuplexStream, arrivals: Rc<Arrivals>) -> Rc<TrunkState> {
    let accepted = trunk::accept(stream, &worker).await.expect("our own preface");
    let state = accepted.state();
    let counting = Rc::clone(&state);
    spawn_local(accepted.run(move |request, mut respond| {
        let attach = Attach::from_request(&request).expect("our own attach");
        let counted = counting.count();
        let respond = move |epoch, response| {
            let send = respond.send_response(response, false).expect("an open stream");
            Tunnel::new(epoch, send, request.into_body(), counted)
        };
        arrivals.tunnels.borrow_mut().push_back((attach, Box::new(respond)));
        arrivals.waker.borrow_mut().take().into_iter().for_each(Waker::wake);
    }));
    state
}

/// A session over `trunks` trunks, used one after another.
struct Session {
    client: DuplexStream,
    broker: DuplexStream,
    servers: Vec<Rc<TrunkState>>,
    edge: JoinHandle<(Closing, Vec<Loss>)>,
    anchor: JoinHandle<Closing>,
}

async fn begin(worker: &Rc<Worker>, trunks: usize) -> Session {
    let arrivals = Rc::new(Arrivals::default());
    let (mut clients, mut servers) = (VecDeque::new(), Vec::new());
    for _ in 0..trunks {
        let (left, right, _cable) = pair::cable();
        let server = spawn_local(accept(Rc::clone(worker), right, Rc::clone(&arrivals)));
        clients.push_back(Trunk::connect(left, worker).await.expect("our own server").trunk);
        servers.push(server.await.expect("no panic"));
    }
    let (client, mut edge_local) = duplex(SOCKET);
    let (mut anchor_local, broker) = duplex(SOCKET);
    let (terms, edge_worker) = (Arc::new(Terms::edge()), Rc::clone(worker));
    let edge = spawn_local(async move {
        let mut owner = EdgeOwner { trunks: clients, attempt: None, losses: Vec::new() };
        let mut half = EdgeSession::new(UserId::new("alice"), terms, edge_worker.now());
        let closing = drive(&edge_worker, &mut owner, &mut half, None, &mut edge_local).await;
        (closing, owner.losses)
    });
    let anchor_worker = Rc::clone(worker);
    let anchor = spawn_local(async move {
        let (attach, respond) = loop {
            if let Some(first) = arrivals.tunnels.borrow_mut().pop_front() {
                break first;
            }
            tokio::task::yield_now().await;
        };
        let Attach::Open(open) = attach else { panic!("the first attach opens") };
        let mut half = AnchorSession::open(&open, None, Arc::new(Terms::anchor()));
        let tunnel = respond(half.epoch(), half.accepted(&home()).to_response());
        let mut owner = AnchorOwner(arrivals);
        drive(&anchor_worker, &mut owner, &mut half, Some(tunnel), &mut anchor_local).await
    });
    Session { client, broker, servers, edge, anchor }
}

fn noise(seed: u8, len: usize) -> Vec<u8> {
    (0..len).map(|i| u8::try_from((i * 31 + i / 251) % 256).expect("a byte") ^ seed).collect()
}

/// Sends `bytes` and half-closes; what came back.
async fn exchange(mut stream: DuplexStream, bytes: Vec<u8>) -> Vec<u8> {
    let (mut read, mut write) = tokio::io::split(&mut stream);
    let sending = async {
        write.write_all(&bytes).await.expect("the session holds");
        write.shutdown().await.expect("the session holds");
    };
    let mut got = Vec::new();
    let (read, ()) = tokio::join!(biased; read.read_to_end(&mut got), sending);
    read.expect("the session holds");
    got
}

#[test]
fn bytes_pass_both_ways_and_both_ends_close_in_order() {
    on_a_worker(|worker| async move {
        let session = begin(&worker, 1).await;
        let (up, down) = (noise(1, 700_000), noise(2, 500_000));
        let client = spawn_local(exchange(session.client, up.clone()));
        let broker = spawn_local(exchange(session.broker, down.clone()));
        assert!(client.await.expect("no panic") == down, "other bytes arrived than were sent");
        assert!(broker.await.expect("no panic") == up, "other bytes arrived than were sent");
        let (edge, losses) = session.edge.await.expect("no panic");
        let anchor = session.anchor.await.expect("no panic");
        for closing in [edge, anchor] {
            let in_order = matches!(closing.cause, CloseCause::ClientLeft | CloseCause::BrokerLeft) && !closing.reset;
            assert!(in_order, "{closing:?}");
        }
        assert_eq!(losses, vec![]);
        assert_eq!(worker.held(), 0, "bytes are still held");
    });
}

#[test]
fn no_byte_is_lost_or_doubled_when_trunks_die_amid_a_transfer() {
    on_a_worker(|worker| async move {
        const TRUNKS: usize = 8;
        let mut session = begin(&worker, TRUNKS).await;
        session.broker.write_all(b"up and running").await.expect("room");
        session.client.read_exact(&mut [0; 14]).await.expect("the session is open");
        let (up, down) = (noise(3, 100_000), noise(4, 100_000));
        let mut rest = (&up[..], &down[..]);
        for server in &session.servers[..TRUNKS - 1] {
            let (now, later) = (rest.0.split_at(9_000), rest.1.split_at(11_000));
            let (mut got_up, mut got_down) = (vec![0; 9_000], vec![0; 11_000]);
            let passing = async {
                let (mut client_read, mut client_write) = tokio::io::split(&mut session.client);
                let (mut broker_read, mut broker_write) = tokio::io::split(&mut session.broker);
                let cut = async {
                    tokio::task::yield_now().await;
                    server.cut();
                };
                let _ = tokio::join!(
                    biased;
                    client_write.write_all(now.0),
                    broker_write.write_all(later.0),
                    client_read.read_exact(&mut got_down),
                    broker_read.read_exact(&mut got_up),
                    cut,
                );
            };
            timeout(Duration::from_secs(30), passing).await.expect("every cut is got over");
            assert!(got_up == now.0 && got_down == later.0, "other bytes arrived than were sent");
            rest = (now.1, later.1);
        }
        let client = spawn_local(exchange(session.client, rest.0.to_vec()));
        let broker = spawn_local(exchange(session.broker, rest.1.to_vec()));
        assert!(client.await.expect("no panic") == rest.1, "other bytes arrived than were sent");
        assert!(broker.await.expect("no panic") == rest.0, "other bytes arrived than were sent");
        let (closing, losses) = session.edge.await.expect("no panic");
        assert_eq!(losses.len(), TRUNKS - 1, "every cut hit the session");
        assert!(!closing.reset, "{closing:?}");
        assert_eq!(worker.held(), 0, "bytes are still held");
    });
}

#[test]
fn a_client_that_breaks_off_is_a_reset_at_the_broker() {
    on_a_worker(|worker| async move {
        let mut session = begin(&worker, 1).await;
        session.client.write_all(b"hello").await.expect("room");
        let mut got = [0; 5];
        session.broker.read_exact(&mut got).await.expect("it arrives");
        // An in-memory stream knows no reset: its reader sees the end, and its writer an error, which then is what
        // tells that this was no orderly end.
        drop(session.client);
        session.broker.write_all(b"nobody takes this").await.expect("room");
        let anchor = timeout(Duration::from_secs(60), session.anchor).await.expect("it ends").expect("no panic");
        assert!(matches!(anchor.cause, CloseCause::ClientLeft | CloseCause::ClientReset), "{anchor:?}");
        assert!(anchor.reset, "{anchor:?}");
    });
}
