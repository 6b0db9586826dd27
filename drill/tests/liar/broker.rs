//! A broker of one screen that speaks just enough MQTT for counted clients, and lies once.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    io,
    net::SocketAddr,
    rc::Rc,
};

use baton_drill::{
    mqtt::{Frame, Packet, Publish, Qos, encode, kind},
    stage::Stage,
};
use bytes::{Buf, BufMut, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

/// Messages that may wait for one receiver.
const QUEUE: usize = 1024;

/// What it does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    Nothing,
    /// The 30th message isn't passed on.
    Drop,
    /// The 30th message is passed on twice.
    Repeat,
    /// The 30th message of a topic is passed on after the next of its quality of service.
    Swap,
    /// One byte of the 30th message's payload changes.
    Change,
    /// The 30th message isn't acknowledged.
    NoAck,
    /// PINGREQ isn't answered.
    NoPong,
    /// CONNECT is answered by this code.
    Refuse(u8),
    /// CONNECT isn't answered.
    Silence,
    /// SUBSCRIBE is refused.
    NotGranted,
    /// At the 30th message the connection that sent it is closed.
    Close,
    /// At the 30th message the connection that sent it is reset.
    Reset,
}

struct Scene {
    lie: Lie,
    count: Cell<u32>,
    kept: RefCell<Option<BytesMut>>,
    subscribers: RefCell<BTreeMap<String, mpsc::Sender<BytesMut>>>,
}

pub(crate) struct Broker {
    _stage: Stage<Scene>,
    pub(crate) address: SocketAddr,
}

impl Broker {
    pub(crate) fn start(lie: Lie) -> Self {
        let stage = Stage::new("liar", move || Scene {
            lie,
            count: Cell::new(0),
            kept: RefCell::default(),
            subscribers: RefCell::default(),
        })
        .expect("a thread");
        let address = stage.call(|scene| async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("it is bound");
            tokio::task::spawn_local(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::task::spawn_local(serve(stream, Rc::clone(&scene)));
                }
            });
            address
        });
        Self { _stage: stage, address }
    }
}

async fn serve(mut stream: TcpStream, scene: Rc<Scene>) {
    let (to_me, mut for_me) = mpsc::channel::<BytesMut>(QUEUE);
    let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
    loop {
        tokio::select! {
            read = stream.read_buf(&mut input) => if !matches!(read, Ok(1..)) { return },
            Some(message) = for_me.recv() => out.put_slice(&message),
        }
        while let Ok(Some((frame, used))) = Frame::take(&input) {
            match scene.handle(frame, &to_me, &mut out) {
                Ok(()) => input.advance(used),
                Err(error) => {
                    if error.kind() == io::ErrorKind::ConnectionReset {
                        stream.set_zero_linger().expect("it is open");
                    }
                    return;
                }
            }
        }
        if stream.write_all_buf(&mut out).await.is_err() {
            return;
        }
    }
}

impl Scene {
    fn handle(&self, frame: Frame<'_>, to_me: &mpsc::Sender<BytesMut>, out: &mut BytesMut) -> io::Result<()> {
        match (frame.kind, self.lie) {
            (kind::CONNECT, Lie::Silence) | (kind::PINGREQ, Lie::NoPong) => {}
            (kind::CONNECT, Lie::Refuse(code)) => out.put_slice(&[0x20, 2, 0, code]),
            (kind::CONNECT, _) => out.put_slice(b"\x20\x02\x00\x00"),
            (kind::SUBSCRIBE, lie) => {
                let [id_high, id_low, _, _, topic @ .., qos] = frame.body else { panic!("{frame:?}") };
                let topic = String::from_utf8(topic.to_vec()).expect("a name");
                self.subscribers.borrow_mut().insert(topic, to_me.clone());
                let code = if lie == Lie::NotGranted { 0x80 } else { *qos };
                out.put_slice(&[0x90, 3, *id_high, *id_low, code]);
            }
            (kind::PINGREQ, _) => out.put_slice(b"\xd0\x00"),
            (kind::DISCONNECT, _) => return Err(io::ErrorKind::ConnectionAborted.into()),
            _ => match Packet::parse(frame).expect("counted clients send what this parses") {
                Packet::Publish(publish) => self.publish(publish, out)?,
                Packet::PubRel(id) => encode::pubcomp(id, out),
                Packet::PubRec(id) => encode::pubrel(id, out),
                _ => {}
            },
        }
        Ok(())
    }

    fn publish(&self, publish: Publish<'_>, out: &mut BytesMut) -> io::Result<()> {
        self.count.set(self.count.get() + 1);
        let nth = self.count.get();
        let Publish { topic, qos, payload, .. } = publish;
        let mut message = BytesMut::new();
        let id = u16::try_from(nth).expect("a test has fewer messages");
        encode::publish(topic, qos, id, payload.len(), |out| out.put_slice(payload), &mut message);
        let lie = if nth == 30 { self.lie } else { Lie::Nothing };
        match (lie, qos) {
            (Lie::Close, _) => return Err(io::ErrorKind::ConnectionAborted.into()),
            (Lie::Reset, _) => return Err(io::ErrorKind::ConnectionReset.into()),
            (Lie::NoAck, _) | (_, Qos::AtMostOnce) => {}
            (_, Qos::AtLeastOnce) => encode::puback(publish.id, out),
            (_, Qos::ExactlyOnce) => encode::pubrec(publish.id, out),
        }
        let subscribers = self.subscribers.borrow();
        let Some(subscriber) = subscribers.get(topic) else { return Ok(()) };
        let pass = |message| subscriber.try_send(message).expect("the queue holds a test's messages");
        match lie {
            Lie::Drop => {}
            Lie::Swap => drop(self.kept.replace(Some(message))),
            Lie::Change => {
                *message.last_mut().expect("it has a payload") ^= 1;
                pass(message);
            }
            Lie::Repeat => {
                pass(message.clone());
                pass(message);
            }
            _ => {
                pass(message);
                self.kept.take().into_iter().for_each(pass);
            }
        }
        Ok(())
    }
}
