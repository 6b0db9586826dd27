//! The attacker's end of an HTTP/2 connection: it says what it likes, and hears all that comes.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread::{self, JoinHandle},
};

use crate::{
    frames::{ACK, Frames, PREFACE, kind},
    support::{PATIENCE, wire::Wire},
};

/// What the other end said until it closed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    /// The code of its last GOAWAY.
    pub(crate) goaway: Option<u32>,
    /// Streams that it reset.
    pub(crate) resets: usize,
    /// Answers.
    pub(crate) headers: usize,
    /// Frames of any kind.
    pub(crate) frames: usize,
}

impl Heard {
    fn frame(&mut self, kind: u8, payload: &[u8]) {
        self.frames += 1;
        match kind {
            kind::HEADERS => self.headers += 1,
            kind::RST_STREAM => self.resets += 1,
            kind::GOAWAY => {
                self.goaway = payload.get(4..8).and_then(|code| code.try_into().ok()).map(u32::from_be_bytes)
            }
            _ => {}
        }
    }

    /// All frames until the end of the stream, whichever way that comes. Whoever asks whether it is there is told so.
    /// That the settings are agreed on, and bytes by which the window of a stream grows, are told at once.
    fn all(mut stream: TcpStream, says: &Sender<Said>, agreed: &Sender<()>, windows: &Sender<u32>) -> Self {
        let (mut heard, mut head) = (Self::default(), [0; 9]);
        while stream.read_exact(&mut head).is_ok() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).expect("16 MiB at most")];
            if stream.read_exact(&mut payload).is_err() {
                break;
            }
            heard.frame(head[3], &payload);
            if head[3] == kind::SETTINGS && head[4] & ACK != 0 {
                // Only the first is waited for: its own settings it has said before, and they are answered.
                let _ = agreed.send(());
            }
            if head[3] == kind::WINDOW_UPDATE && head[5..] != [0; 4] {
                // Whoever doesn't wait for it has left.
                let _ = windows.send(payload.try_into().map_or(0, u32::from_be_bytes));
                continue;
            }
            if matches!(head[3], kind::PING | kind::SETTINGS) && head[4] & ACK == 0 {
                let payload = if head[3] == kind::PING { &payload[..] } else { &[] };
                let answer = Frames::default().frame(head[3], ACK, 0, payload);
                // Fails only for a connection that is gone.
                let _ = says.send((answer, None));
            }
        }
        heard
    }
}

/// What is to be sent, and who is told whether the other end took it.
type Said = (Frames, Option<Sender<bool>>);

/// Sends one after the other: a flood blocks now and then, and a pong in the midst of its frame would make another attack of it.
fn speak(mut stream: TcpStream, said: &Receiver<Said>) {
    for (frames, teller) in said {
        let took = stream.write_all(&frames.0).is_ok();
        // Nobody asks about a pong.
        let _ = teller.map(|teller| teller.send(took));
    }
}

/// The attacker.
pub(crate) struct Peer {
    stream: TcpStream,
    says: Sender<Said>,
    hearing: JoinHandle<Heard>,
    windows: Receiver<u32>,
}

impl Peer {
    /// Connects, and begins as every HTTP/2 client does. Until its settings are agreed on the other end grants a stream no
    /// more than 65,535 bytes, and resets it where they aren't read in time.
    pub(crate) fn to(address: SocketAddr) -> Self {
        let stream = Wire::saying(address, &Frames(PREFACE.into()).frame(kind::SETTINGS, 0, 0, &[]).0).into_stream();
        let [hears, speaks] = [(); 2].map(|()| stream.try_clone().expect("a descriptor"));
        let (says, said) = channel();
        thread::spawn(move || speak(speaks, &said));
        let ((agrees, agreed), (grows, windows)) = (channel(), channel());
        let answers = says.clone();
        let hearing = thread::spawn(move || Heard::all(hears, &answers, &agrees, &grows));
        // Whoever isn't let in hears nothing, to the end.
        assert_ne!(agreed.recv_timeout(PATIENCE), Err(RecvTimeoutError::Timeout), "it agrees on settings");
        Self { stream, says, hearing, windows }
    }

    /// Sends. Whether the other end still takes it is seen in the end.
    pub(crate) fn say(&mut self, frames: &Frames) -> bool {
        let (teller, told) = channel();
        self.says.send((frames.clone(), Some(teller))).expect("somebody speaks");
        told.recv().expect("it tells")
    }

    /// Waits until so many bytes that were sent on streams have been read there: their windows are open again.
    pub(crate) fn is_read(&self, bytes: u32) {
        let mut read = 0;
        while read < bytes {
            let more = self.windows.recv_timeout(PATIENCE);
            read += more.unwrap_or_else(|why| panic!("of what came on a stream {read} bytes are read: {why}"));
        }
    }

    /// Waits until the other end closes.
    pub(crate) fn closes(self) -> Heard {
        self.hearing.join().expect("it only reads")
    }

    /// Ends its own direction, and waits for the other end to close.
    pub(crate) fn leaves(self) -> Heard {
        // Fails only for a connection that is gone.
        let _ = self.stream.shutdown(Shutdown::Write);
        self.closes()
    }
}
