//! For `--page`: the tier as a page that moves, on loopback, with a button to deploy each origin and one to kill it.
//!
//! A thread of its own answers; what it shows is looked up beside the story, four times a second.

use std::{
    collections::VecDeque,
    io,
    net::{self, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use axum::{
    Router,
    extract::{Path, Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use baton_drill::{
    load::Load,
    tier::{Role, Samples, Tier, http},
};
use serde::Serialize;
use tokio::{net::TcpListener, runtime::Builder};

const PAGE: &str = include_str!("page.html");
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(250);
/// Time for a process to say how many sessions it has; one that takes longer counts as away.
const ANSWER: Duration = Duration::from_millis(500);
/// Tenths of a second that are shown: a minute.
const TICKS: usize = 600;
/// Lines of the account that are shown.
const LINES: usize = 12;
/// Wishes that wait for the loop that fulfils them, which looks four times a second.
const WISHES: usize = 16;

/// What somebody wants done to an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Drain(String),
    Kill(String),
}

/// The page, while it is served.
pub(super) struct Page {
    shared: Arc<Shared>,
    wishes: Mutex<Receiver<Wish>>,
    address: SocketAddr,
}

struct Shared {
    view: Mutex<View>,
    wishes: SyncSender<Wish>,
    /// What a request to do something has to bring as its body: another site's page doesn't know it.
    token: String,
    /// What a browser that means us says in `Host`.
    hosts: [String; 2],
}

/// What the page shows.
#[derive(Debug, Default, Serialize)]
struct View {
    /// The script is over, and origins may be ended.
    free: bool,
    nodes: Vec<Node>,
    clients: u32,
    dropped: u64,
    rate: u64,
    deliveries: Vec<u32>,
    connects: Vec<u32>,
    lines: VecDeque<String>,
}

/// A process that is shown.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Node {
    name: String,
    part: &'static str,
    /// `None`: it doesn't answer.
    sessions: Option<u64>,
    #[serde(skip)]
    admin: SocketAddr,
    #[serde(skip)]
    metric: &'static str,
}

fn locked<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Page {
    /// Serves it from now on.
    ///
    /// # Errors
    /// The address can't be had.
    pub(super) fn serve(address: SocketAddr) -> io::Result<Self> {
        let listener = net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (wishes, wished) = sync_channel(WISHES);
        let token = format!("{:032x}", rand::random::<u128>());
        let hosts = [address.to_string(), format!("localhost:{}", address.port())];
        let shared = Arc::new(Shared { view: Mutex::default(), wishes, token, hosts });
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let routes = routes(&shared);
        thread::Builder::new().name("page".into()).spawn(move || {
            runtime.block_on(async {
                // Without it there is no page; the demo goes on.
                if let Ok(listener) = TcpListener::from_std(listener) {
                    drop(axum::serve(listener, routes).await);
                }
            });
        })?;
        Ok(Self { shared, wishes: Mutex::new(wished), address })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// A line of the account.
    pub(super) fn note(&self, line: &str) {
        let lines = &mut locked(&self.shared.view).lines;
        lines.push_back(line.to_owned());
        while lines.len() > LINES {
            lines.pop_front();
        }
    }

    /// From now on origins may be ended.
    pub(super) fn set_free(&self) {
        locked(&self.shared.view).free = true;
    }

    /// What somebody wants done, the oldest first.
    pub(super) fn wish(&self) -> Option<Wish> {
        locked(&self.wishes).try_recv().ok()
    }

    /// Plays `scene`, and shows meanwhile how this tier and this load stand.
    pub(super) fn beside<R>(&self, mut nodes: Vec<Node>, load: &Load, scene: impl FnOnce() -> R) -> R {
        thread::scope(|scope| {
            let (playing, over) = sync_channel::<()>(0);
            scope.spawn(move || {
                while over.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                    nodes.iter_mut().for_each(Node::look);
                    self.show(&nodes, load);
                }
            });
            let result = scene();
            drop(playing);
            result
        })
    }

    fn show(&self, nodes: &[Node], load: &Load) {
        let (progress, timeline) = (load.progress(), load.timeline());
        let last = |ticks: &[u32]| ticks[ticks.len().saturating_sub(TICKS)..].to_vec();
        let mut view = locked(&self.shared.view);
        view.nodes = nodes.to_vec();
        (view.clients, view.dropped) = (progress.counts.ready, progress.totals.dropped);
        (view.deliveries, view.connects) = (last(&timeline.deliveries), last(&timeline.connects));
        view.rate = view.deliveries.iter().rev().take(10).map(|n| u64::from(*n)).sum();
    }
}

/// All processes of a tier that say how many sessions they have.
pub(super) fn nodes(tier: &Tier) -> Vec<Node> {
    let node = |(name, role): (&str, Role)| {
        let (part, metric) = match role {
            Role::Edge => ("edge", "baton_sessions"),
            Role::Origin => ("origin", "baton_tunnels"),
            _ => ("home", "baton_sessions"),
        };
        Some(Node { name: name.to_owned(), part, sessions: None, admin: tier.admin(name).ok()?, metric })
    };
    tier.nodes().filter_map(node).collect()
}

impl Node {
    fn look(&mut self) {
        let answer = http::request(self.admin, "GET", "/metrics", ANSWER).ok();
        let samples = answer.and_then(|answer| Samples::parse(&answer.body).ok());
        self.sessions = samples.map(|samples| super::books::whole(samples.total(self.metric, &[])));
    }
}

fn routes(shared: &Arc<Shared>) -> Router {
    let page = PAGE.replace("@TOKEN@", &shared.token);
    let drain = |state, name, body| wish(state, name, body, Wish::Drain);
    let kill = |state, name, body| wish(state, name, body, Wish::Kill);
    Router::new()
        .route("/", get(move || async move { Html(page) }))
        .route("/state", get(state))
        .route("/drain/{origin}", post(drain))
        .route("/kill/{origin}", post(kill))
        .layer(middleware::from_fn_with_state(Arc::clone(shared), ours))
        .with_state(Arc::clone(shared))
}

/// Whoever reached us by another name was led here by somebody else's page.
async fn ours(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    if host.is_some_and(|host| shared.hosts.iter().any(|ours| ours == host)) {
        return next.run(request).await;
    }
    (StatusCode::FORBIDDEN, format!("expected this page's own address, {}\n", shared.hosts[0])).into_response()
}

async fn state(State(shared): State<Arc<Shared>>) -> Response {
    let text = serde_json::to_string(&*locked(&shared.view));
    match text {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn wish(
    State(shared): State<Arc<Shared>>,
    Path(origin): Path<String>,
    body: String,
    wish: fn(String) -> Wish,
) -> (StatusCode, &'static str) {
    if body != shared.token {
        return (StatusCode::FORBIDDEN, "only the page's own buttons do this\n");
    }
    let (free, known) = {
        let view = locked(&shared.view);
        (view.free, view.nodes.iter().any(|node| node.part == "origin" && node.name == origin))
    };
    if !known {
        return (StatusCode::NOT_FOUND, "there is no such origin\n");
    }
    if !free {
        return (StatusCode::CONFLICT, "the script still plays\n");
    }
    match shared.wishes.try_send(wish(origin)) {
        Ok(()) => (StatusCode::ACCEPTED, "it will be done\n"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "too many wishes wait already\n"),
    }
}
