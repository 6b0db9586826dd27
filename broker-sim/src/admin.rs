//! What the admin address of a broker-sim adds: faults that a test or a person asks for.

use std::collections::HashMap;

use axum::{Router, extract::Query, http::StatusCode, routing::post};
use baton_protocol::id::UserId;
use tokio::sync::{mpsc, oneshot};

/// Requests that wait for the worker; it answers each at once.
const WAITING: usize = 16;

/// What the admin thread asks of the worker.
pub(crate) enum Request {
    /// Refuse the next resume of each of this user's sessions; the answer is how many there are.
    RefuseResume(UserId, oneshot::Sender<usize>),
}

/// The worker's end.
pub struct Requests(mpsc::Receiver<Request>);

impl Requests {
    /// The next request; none once the admin address is gone. May be dropped at any time.
    pub(crate) async fn next(&mut self) -> Option<Request> {
        self.0.recv().await
    }
}

/// The routes, and where their requests come out.
///
/// `POST /refuse-resume?user=X`: the homes behave as if they had lost the sessions of user X: each goes on while its
/// tunnel lives, and its next resume is refused for good.
pub fn routes() -> (Router, Requests) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let refuse_resume = async move |Query(query): Query<HashMap<String, String>>| {
        let Some(user) = query.get("user") else {
            return (StatusCode::BAD_REQUEST, "user=... is missing\n".to_owned());
        };
        let (answer, answered) = oneshot::channel();
        if sender.send(Request::RefuseResume(UserId::new(user), answer)).await.is_err() {
            return (StatusCode::SERVICE_UNAVAILABLE, "the worker is gone\n".to_owned());
        }
        match answered.await {
            Ok(0) => (StatusCode::NOT_FOUND, "no session of that user\n".to_owned()),
            Ok(sessions) => (StatusCode::OK, format!("{sessions}\n")),
            Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the worker is gone\n".to_owned()),
        }
    };
    (Router::new().route("/refuse-resume", post(refuse_resume)), Requests(receiver))
}
