//! The attacker's end of an HTTP/2 connection: it says what it likes, and hears all that comes.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::mpsc::{Receiver, Sender, channel},
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
    /// Bytes by which the window of a stream grows are told at once.
    fn all(mut stream: TcpStream, windows: &Sender<u32>) -> Self {
        let (mut heard, mut head) = (Self::default(), [0; 9]);
        while stream.read_exact(&mut head).is_ok() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).expect("16 MiB at most")];
            if stream.read_exact(&mut payload).is_err() {
                break;
            }
            heard.frame(head[3], &payload);
            if head[3] == kind::WINDOW_UPDATE && head[5..] != [0; 4] {
                // Whoever doesn't wait for it has left.
                let _ = windows.send(payload.try_into().map_or(0, u32::from_be_bytes));
                continue;
            }
            if head[3] == kind::PING && head[4] & ACK == 0 {
                // Fails only for a connection that is gone.
                let _ = stream.write_all(&Frames::default().frame(kind::PING, ACK, 0, &payload).0);
            }
        }
        heard
    }
}

/// The attacker.
pub(crate) struct Peer {
    stream: TcpStream,
    hearing: JoinHandle<Heard>,
    windows: Receiver<u32>,
}

impl Peer {
    /// Connects, and begins as every HTTP/2 client does.
    pub(crate) fn to(address: SocketAddr) -> Self {
        let stream = Wire::saying(address, &Frames(PREFACE.into()).frame(kind::SETTINGS, 0, 0, &[]).0).into_stream();
        let hears = stream.try_clone().expect("a descriptor");
        let (grows, windows) = channel();
        Self { stream, hearing: thread::spawn(move || Heard::all(hears, &grows)), windows }
    }

    /// Sends. Whether the other end still takes it is seen in the end.
    pub(crate) fn say(&mut self, frames: &Frames) -> bool {
        self.stream.write_all(&frames.0).is_ok()
    }

    /// Waits until so many bytes that were sent on streams have been read there: their windows are open again.
    pub(crate) fn is_read(&self, bytes: u32) {
        let mut read = 0;
        while read < bytes {
            read += self.windows.recv_timeout(PATIENCE).expect("it reads what comes on a stream");
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
