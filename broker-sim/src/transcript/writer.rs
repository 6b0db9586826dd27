//! The file, on a thread of its own: a slow disk delays no client.

use std::{
    cell::RefCell,
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
};

use serde::Serialize;
use tracing::error;

use super::{Entry, Head, Line, What};

/// Lines that wait for the disk; further ones are lost, and counted in the file: a disk that stands still for a second
/// at ten thousand packets a second loses none.
const WAITING: usize = 16_384;
/// Bytes of memory that they take, about: 4 KiB for each. A packet may have 4 MiB.
const WAITING_BYTES: usize = 64 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Writer {
    queue: RefCell<Option<SyncSender<Entry>>>,
    thread: RefCell<Option<JoinHandle<()>>>,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    bytes: AtomicUsize,
    lost: AtomicU64,
}

impl Writer {
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("can't write {}: {error}", path.display()));
        Self::over(File::create(path).map_err(named)?)
    }

    fn over(to: impl Write + Send + 'static) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(WAITING);
        let state = Arc::<State>::default();
        let shared = Arc::clone(&state);
        let thread = thread::Builder::new().name("transcript".into()).spawn(move || {
            if let Err(error) = write_all(to, &receiver, &shared) {
                error!(event = "transcript.failed", %error);
            }
        })?;
        Ok(Self { queue: RefCell::new(Some(sender)), thread: RefCell::new(Some(thread)), state })
    }

    pub(super) fn note(&self, entry: Entry) {
        let queue = self.queue.borrow();
        let Some(queue) = &*queue else { return };
        let bytes = entry.held();
        if self.state.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > WAITING_BYTES {
            self.lose(bytes);
        } else if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = queue.try_send(entry) {
            self.lose(bytes);
        }
    }

    fn lose(&self, bytes: usize) {
        self.state.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.state.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// Writes what waits, and closes the file.
    pub(super) fn finish(&self) {
        self.queue.take();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been logged, and there is nobody to tell.
            let _ = thread.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.finish();
    }
}

fn write_all(to: impl Write, queue: &Receiver<Entry>, state: &State) -> io::Result<()> {
    let mut to = BufWriter::new(to);
    write(&mut to, &Head::now())?;
    let mut last = 0;
    loop {
        let next = match queue.try_recv() {
            Ok(entry) => Some(entry),
            // Whoever follows the file sees what has happened.
            Err(TryRecvError::Empty) => {
                to.flush()?;
                queue.recv().ok()
            }
            Err(TryRecvError::Disconnected) => None,
        };
        let lines = state.lost.swap(0, Ordering::Relaxed);
        if lines > 0 {
            let ms = next.as_ref().map_or(last, |entry| entry.at);
            write(&mut to, &Line { ms, conn: None, client: String::new(), what: What::Lost { lines } })?;
        }
        let Some(entry) = next else { return to.flush() };
        last = entry.at;
        write(&mut to, &entry.line())?;
        state.bytes.fetch_sub(entry.held(), Ordering::Relaxed);
    }
}

fn write(to: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *to, line)?;
    to.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use bytes::Bytes;
    use rmqtt_codec::v5::{Connect, Packet};

    use super::*;
    use crate::transcript::{Direction, Noted};

    /// A disk that stands still until it is let go.
    struct Disk {
        stands: mpsc::Sender<()>,
        gate: Receiver<()>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Nobody listens any more but for the first time, and the gate is open once its sender is gone.
            let _ = self.stands.send(());
            let _ = self.gate.recv();
            self.written.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Notes so many while the disk stands still; how many are in the file in the end, and how many it says are lost.
    fn after_a_slow_disk(many: u64, what: impl Fn() -> Noted) -> (u64, u64) {
        let (gate, waits) = mpsc::channel();
        let (stands, stood) = mpsc::channel();
        let written = Arc::<Mutex<Vec<u8>>>::default();
        let writer = Writer::over(Disk { stands, gate: waits, written: Arc::clone(&written) }).unwrap();
        // With the head of the file.
        stood.recv().unwrap();
        for at in 0..many {
            writer.note(Entry { at, conn: None, client: "".into(), what: what() });
        }
        drop(gate);
        writer.finish();
        assert_eq!(writer.state.bytes.load(Ordering::Relaxed), 0);
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        let lines: Vec<Line> = text.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
        lines.iter().fold((0, 0), |(kept, lost), line| match line.what {
            What::Lost { lines } => (kept, lost + lines),
            _ => (kept + 1, lost),
        })
    }

    #[test]
    fn what_a_slow_disk_loses_is_counted_in_the_file() {
        let most = u64::try_from(WAITING).unwrap();
        assert_eq!(after_a_slow_disk(most + 1000, || Noted::Open("p".into())), (most, 1000));
    }

    #[test]
    fn no_more_bytes_wait_than_may() {
        // A password isn't shown: the lines are short, and only what waits is large.
        let password = Bytes::from(vec![b'x'; WAITING_BYTES / 4]);
        let connect = || {
            let connect = Connect { password: Some(password.clone()), ..Connect::default() };
            Direction::In.of(None, 0, Packet::Connect(Box::new(connect)))
        };
        assert_eq!(after_a_slow_disk(9, connect), (3, 6));
    }
}
