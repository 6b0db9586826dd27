//! A thread with a runtime of its own, on which asynchronous parts play while the test's thread directs them.
//!
//! So loads, proxies and recorders have a plain, blocking interface that works from `#[test]` and from within any
//! runtime alike, and a director that blocks never stops the players.

use std::{fmt, future::Future, io, pin::Pin, rc::Rc, sync::mpsc as std_mpsc, thread};

use tokio::{
    runtime::{Builder, LocalOptions},
    sync::{mpsc, oneshot},
};

/// Calls that may wait for the stage at once. Each blocks its caller, so this bounds the directing threads.
const CALLS: usize = 64;

type Play<S> = Box<dyn FnOnce(Rc<S>) -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// The thread, and `S`, which lives there. Dropping it ends everything that plays on it.
pub struct Stage<S> {
    calls: mpsc::Sender<Play<S>>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl<S: 'static> Stage<S> {
    /// Starts a thread with this name (the kernel shows 15 bytes of it) and sets the scene there, within its runtime.
    ///
    /// # Errors
    /// If the operating system has no thread or no descriptors left.
    pub fn new(name: &str, scene: impl FnOnce() -> S + Send + 'static) -> io::Result<Self> {
        let (started, has_started) = std_mpsc::sync_channel(1);
        let (calls, mut plays) = mpsc::channel::<Play<S>>(CALLS);
        let (end, mut ended) = oneshot::channel();
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            let runtime = match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
                Ok(runtime) => runtime,
                Err(error) => return drop(started.send(Err(error))),
            };
            drop(started.send(Ok(())));
            runtime.block_on(async move {
                let scene = Rc::new(scene());
                loop {
                    tokio::select! {
                        biased;
                        _ = &mut ended => return,
                        Some(play) = plays.recv() => drop(tokio::task::spawn_local(play(Rc::clone(&scene)))),
                    }
                }
            });
        })?;
        has_started.recv().unwrap_or_else(|_| Err(io::Error::other("the stage's thread died")))?;
        Ok(Self { calls, end: Some(end), thread: Some(thread) })
    }

    /// Plays `part` on the stage and waits for its result. What `part` leaves behind with `spawn_local` plays on.
    ///
    /// # Panics
    /// If `part` panicked, or more than 64 threads direct one stage.
    pub fn call<R: Send + 'static, F: Future<Output = R> + 'static>(
        &self,
        part: impl FnOnce(Rc<S>) -> F + Send + 'static,
    ) -> R {
        let (answer, answered) = std_mpsc::sync_channel(1);
        let play: Play<S> = Box::new(move |scene| {
            let part = part(scene);
            Box::pin(async move { drop(answer.send(part.await)) })
        });
        if self.calls.try_send(play).is_err() {
            panic!("a stage is directed by at most {CALLS} threads and lives as long as its handle");
        }
        answered.recv().expect("a part that was called didn't panic")
    }
}

impl<S> Drop for Stage<S> {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl<S> fmt::Debug for Stage<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, rc::Rc, time::Duration};

    use super::*;

    #[test]
    fn calls_run_in_order_and_return() {
        let stage = Stage::new("stage", || Cell::new(1)).unwrap();
        assert_eq!(stage.call(|_| async { thread::current().name().map(str::to_owned) }), Some("stage".to_owned()));
        assert_eq!(stage.call(|count| async move { count.replace(2) }), 1);
        let text = String::from("moved");
        assert_eq!(stage.call(move |count| async move { format!("{text} {}", count.get()) }), "moved 2");
    }

    #[test]
    fn what_was_spawned_ends_with_the_stage() {
        struct Flag(std_mpsc::Sender<()>);
        impl Drop for Flag {
            fn drop(&mut self) {
                self.0.send(()).unwrap();
            }
        }
        let (dropped, was_dropped) = std_mpsc::channel();
        let stage = Stage::new("stage", || ()).unwrap();
        stage.call(move |_| async move {
            let flag = Rc::new(Cell::new(Some(Flag(dropped))));
            tokio::task::spawn_local(async move {
                let _flag = flag;
                std::future::pending::<()>().await;
            });
        });
        assert!(was_dropped.try_recv().is_err());
        drop(stage);
        was_dropped.recv_timeout(Duration::from_secs(5)).unwrap();
    }
}
