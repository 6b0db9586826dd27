//! What the admin address of a broker-sim adds: faults that a test or a person asks for.

use std::{collections::HashMap, fmt::Write, rc::Rc};

use axum::{
    Router,
    extract::{Path, Query},
    http::StatusCode,
    routing::{delete, get, post},
};
use baton_anchor::Home;
use baton_protocol::id::UserId;
use tokio::sync::{mpsc, oneshot};

use crate::{
    faults::{RULES, Rule, Script, Status},
    homes::Inside,
    serve::BrokerHandle,
};

/// Requests that wait for the worker; it answers each at once.
const WAITING: usize = 16;

/// What the worker has for those who ask from other threads.
pub(crate) struct Desk {
    pub(crate) handle: BrokerHandle,
    pub(crate) homes: Vec<Rc<Home<Inside>>>,
}

/// Something for the worker to do.
type Request = Box<dyn FnOnce(&Desk) + Send>;

/// The worker's end.
pub struct Requests(mpsc::Receiver<Request>);

impl Requests {
    /// Does what is asked for, for as long as it is polled.
    pub(crate) async fn answer(mut self, desk: Desk) {
        while let Some(request) = self.0.recv().await {
            request(&desk);
        }
    }
}

/// The other end: asks the worker from another thread.
#[derive(Clone, Debug)]
pub(crate) struct Asker(mpsc::Sender<Request>);

/// Both ends.
pub(crate) fn requests() -> (Asker, Requests) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Asker(sender), Requests(receiver))
}

impl Asker {
    /// What the worker answers; none if it is gone.
    pub(crate) async fn ask<T: Send + 'static>(&self, what: impl FnOnce(&Desk) -> T + Send + 'static) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        // An answer fails only if nobody waits for it any more.
        self.0.send(Box::new(move |desk| drop(answer.send(what(desk))))).await.ok()?;
        answered.await.ok()
    }

    /// The same for a thread that may wait: the worker answers at once.
    pub(crate) fn ask_and_wait<T: Send + 'static>(&self, what: impl FnOnce(&Desk) -> T + Send + 'static) -> Option<T> {
        let (answer, answered) = std::sync::mpsc::sync_channel(1);
        let mut request: Request = Box::new(move |desk| drop(answer.send(what(desk))));
        while let Err(error) = self.0.try_send(request) {
            match error {
                mpsc::error::TrySendError::Closed(_) => return None,
                // As many others ask at once. To wait in the channel would need a thread that runs no tasks.
                mpsc::error::TrySendError::Full(unsent) => request = unsent,
            }
            std::thread::yield_now();
        }
        answered.recv().ok()
    }
}

type Answer = (StatusCode, String);

/// The routes, and where their requests come out.
///
/// | | |
/// |---|---|
/// | `GET /faults` | the rules in force, each with its number and how many it hit |
/// | `POST /faults` | the body's rules come in force, all or none |
/// | `DELETE /faults`, `DELETE /faults/N` | all rules, or one, are out of force |
/// | `POST /refuse-resume?user=X` | the homes behave as if they had lost the sessions of user X: each goes on while its tunnel lives, and its next resume is refused for good |
pub fn routes() -> (Router, Requests) {
    let (asker, requests) = requests();
    let refuse_resume = {
        let asker = asker.clone();
        async move |Query(query): Query<HashMap<String, String>>| refuse_resume(&asker, query.get("user")).await
    };
    let (list, add, clear, remove) = (asker.clone(), asker.clone(), asker.clone(), asker);
    let one = async move |Path(number): Path<u64>| {
        removed(remove.ask(move |desk| desk.handle.remove_faults(Some(number))).await)
    };
    let all = get(async move || {
        answer(list.ask(|desk| desk.handle.faults()).await.map(|faults| (StatusCode::OK, shown(&faults))))
    })
    .post(async move |body: String| post_faults(&add, &body).await)
    .delete(async move || removed(clear.ask(|desk| desk.handle.remove_faults(None)).await));
    let routes = Router::new()
        .route("/refuse-resume", post(refuse_resume))
        .route("/faults", all)
        .route("/faults/{number}", delete(one));
    (routes, requests)
}

async fn refuse_resume(asker: &Asker, user: Option<&String>) -> Answer {
    let Some(user) = user else {
        return (StatusCode::BAD_REQUEST, "user=... is missing\n".to_owned());
    };
    let user = UserId::new(user);
    let lost = asker.ask(move |desk| desk.homes.iter().map(|home| home.refuse_user(&user)).sum()).await;
    answer(lost.map(|sessions: usize| match sessions {
        0 => (StatusCode::NOT_FOUND, "no session of that user\n".to_owned()),
        _ => (StatusCode::OK, format!("{sessions}\n")),
    }))
}

async fn post_faults(asker: &Asker, body: &str) -> Answer {
    match read(body) {
        Err(mistakes) => (StatusCode::BAD_REQUEST, mistakes),
        Ok(rules) => answer(asker.ask(|desk| added(desk, rules)).await),
    }
}

/// The rules of a request. A seed repeats a run from its start, so it isn't for one that runs.
fn read(body: &str) -> Result<Vec<Rule>, String> {
    let script = Script::parse("body", body).map_err(|mistakes| lines(&mistakes))?;
    match (script.seed, script.rules.is_empty()) {
        (Some(_), _) => Err("body: expected rules, got a seed: that is for the start (--seed)\n".to_owned()),
        (None, true) => Err("body: expected rules, got none\n".to_owned()),
        (None, false) => Ok(script.rules),
    }
}

fn added(desk: &Desk, rules: Vec<Rule>) -> Answer {
    match desk.handle.add_faults(rules) {
        Ok(first) => {
            let new: Vec<_> = desk.handle.faults().into_iter().filter(|status| status.number >= first).collect();
            (StatusCode::OK, shown(&new))
        }
        Err(_) => (StatusCode::CONFLICT, format!("body: expected at most {RULES} rules in force, got more\n")),
    }
}

fn removed(number: Option<usize>) -> Answer {
    answer(number.map(|number| match number {
        0 => (StatusCode::NOT_FOUND, "no such rule\n".to_owned()),
        _ => (StatusCode::OK, format!("{number}\n")),
    }))
}

fn answer(answer: Option<Answer>) -> Answer {
    answer.unwrap_or_else(|| (StatusCode::SERVICE_UNAVAILABLE, "the worker is gone\n".to_owned()))
}

fn shown(faults: &[Status]) -> String {
    let mut text = String::new();
    for Status { number, rule, seen, hits } in faults {
        // Writing to a string doesn't fail.
        let _ = writeln!(text, "{number:>4}  hit {hits} of {seen}  {rule}");
    }
    text
}

fn lines<T: std::fmt::Display>(all: &[T]) -> String {
    all.iter().map(|one| format!("{one}\n")).collect()
}
