//! A process of a role: started, stopped and continued, killed.

use std::{
    cell::RefCell,
    future::Future,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use baton_process::{
    env::Env,
    metrics::Metrics,
    phase::{Phase, Phases},
    run::Exit,
};
use tokio::task::{LocalSet, spawn_local};

use crate::{
    journal::Journal,
    net::{Host, Net},
};

/// A process. Dropped, it goes on: it is killed by [`Process::kill`], or ends by itself.
pub(crate) struct Process {
    net: Net,
    host: Host,
    body: Rc<RefCell<Body>>,
    phases: Phases,
    pub(crate) metrics: Metrics,
}

struct Body {
    name: Rc<str>,
    /// Its tasks; none once it is over.
    tasks: Option<LocalSet>,
    /// How often it was stopped and not continued.
    stopped: u32,
    waker: Option<Waker>,
    exit: Rc<RefCell<Option<Exit>>>,
}

impl Process {
    /// Starts a worker, which is given its surroundings.
    pub(crate) fn start<F>(net: &Net, host: Host, env: Env, worker: impl FnOnce(Env) -> F) -> Self
    where
        F: Future<Output = io::Result<Exit>> + 'static,
    {
        let (phases, metrics) = (env.phases.clone(), env.metrics.clone());
        let tasks = LocalSet::new();
        let exit = Rc::new(RefCell::new(None));
        let (worker, ended) = (worker(env), Rc::clone(&exit));
        tasks.spawn_local(async move {
            *ended.borrow_mut() = Some(worker.await.expect("a simulated listener doesn't fail"));
        });
        let body = Body { name: net.name(host).into(), tasks: Some(tasks), stopped: 0, waker: None, exit };
        let body = Rc::new(RefCell::new(body));
        spawn_local(Life { net: net.clone(), host, body: Rc::clone(&body) });
        Self { net: net.clone(), host, body, phases, metrics }
    }

    /// As SIGSTOP does. The kernel goes on.
    pub(crate) fn stop(&self) {
        self.body.borrow_mut().stopped += 1;
    }

    /// As SIGCONT does, for whoever stopped it; one that was started since then isn't stopped.
    pub(crate) fn go_on(&self) {
        let mut body = self.body.borrow_mut();
        body.stopped = body.stopped.saturating_sub(1);
        body.waker.take().into_iter().for_each(Waker::wake);
    }

    /// As SIGTERM does.
    pub(crate) fn drain(&self) {
        self.phases.enter(Phase::Draining);
    }

    /// As SIGKILL does.
    pub(crate) fn kill(&self) {
        self.net.process_died(self.host);
        self.forget();
    }

    /// As when the plug is pulled.
    pub(crate) fn power_off(&self) {
        self.net.power_off(self.host);
        self.forget();
    }

    fn forget(&self) {
        let tasks = self.body.borrow_mut().tasks.take();
        // With it go its streams, which the kernel has closed already.
        drop(tasks);
        self.go_on();
    }

    /// Whether it is there.
    pub(crate) fn runs(&self) -> bool {
        self.body.borrow().tasks.is_some()
    }

    /// How it ended, if it did so by itself.
    pub(crate) fn exit(&self) -> Option<Exit> {
        *self.body.borrow().exit.borrow()
    }
}

/// Polls a process's tasks, unless it is stopped.
struct Life {
    net: Net,
    host: Host,
    body: Rc<RefCell<Body>>,
}

impl Future for Life {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut body = self.body.borrow_mut();
        body.waker = Some(cx.waker().clone());
        if body.stopped > 0 && body.tasks.is_some() {
            return Poll::Pending;
        }
        let Body { name, tasks, .. } = &mut *body;
        let Some(running) = tasks else { return Poll::Ready(()) };
        let _all_ended = Journal::speaks(name, || Pin::new(running).poll(cx));
        if body.exit.borrow().is_none() {
            return Poll::Pending;
        }
        // Whoever returns from main takes every task with it.
        let tasks = body.tasks.take();
        drop(body);
        self.net.process_died(self.host);
        drop(tasks);
        Poll::Ready(())
    }
}
