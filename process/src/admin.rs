//! The admin address: `/livez`, `/readyz` and `/metrics` over HTTP/1, and what a role adds.
//!
//! It runs on a thread of its own: a worker that is stuck can't say so itself, and a scrape of a large process delays
//! no session. The two share only what is atomic or locked for a moment.

mod listener;

use std::{io, net, thread};

use axum::{
    Router,
    http::{HeaderName, StatusCode, header::CONTENT_TYPE},
    routing::get,
};
use tokio::{net::TcpListener, runtime::Builder};
use tracing::error;

use self::listener::BoundedListener;
use crate::{health::Health, metrics::Metrics, net::cannot_listen};

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Binds the admin address.
///
/// # Errors
/// As for any listener; the message names the address.
pub(crate) fn bind(address: &str) -> io::Result<net::TcpListener> {
    let bind = || {
        let listener = net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    bind().map_err(|error: io::Error| cannot_listen("admin.listen", address, &error))
}

/// The routes of every role, and `extra` ones of this role's.
pub(crate) fn routes(metrics: Metrics, health: Health, extra: Router) -> Router {
    let live = health.clone();
    let livez = move || async move {
        match live.liveness() {
            Ok(()) => (StatusCode::OK, "live\n".into()),
            Err(silent) => (StatusCode::SERVICE_UNAVAILABLE, format!("the worker has been stuck for {silent} ms\n")),
        }
    };
    let readyz = move || async move {
        match health.readiness() {
            Ok(()) => (StatusCode::OK, "ready\n".into()),
            Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
        }
    };
    let numbers = move || async move {
        let kind: [(HeaderName, &str); 1] = [(CONTENT_TYPE, OPENMETRICS)];
        (kind, metrics.encode())
    };
    Router::new().route("/livez", get(livez)).route("/readyz", get(readyz)).route("/metrics", get(numbers)).merge(extra)
}

/// Serves the routes on a thread of its own until the process ends.
///
/// # Errors
/// No thread or no runtime is to be had.
pub(crate) fn serve(listener: net::TcpListener, routes: Router) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _context = runtime.enter();
        BoundedListener::new(TcpListener::from_std(listener)?)
    };
    thread::Builder::new().name("admin".into()).spawn(move || {
        if let Err(error) = runtime.block_on(axum::serve(listener, routes).into_future()) {
            error!(event = "admin.failed", %error);
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::routing::post;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    use super::*;
    use crate::{
        clock::Clock,
        health::Ready,
        phase::{Phase, Phases},
    };

    async fn ask(address: SocketAddr, method: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let request = format!("{method} {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("answered");
        answer
    }

    #[tokio::test]
    async fn health_and_numbers_are_served_beside_a_roles_own_routes() {
        let (phases, ready, metrics) = (Phases::new(), Ready::new(), Metrics::new("edge"));
        let health = Health::new(&phases, &ready, Clock::start());
        let extra = Router::new().route("/refuse", post(|| async { "refused\n" }));
        let listener = bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        serve(listener, routes(metrics, health, extra)).expect("a thread");

        assert!(ask(address, "GET", "/livez").await.starts_with("HTTP/1.1 200 "));
        let answer = ask(address, "GET", "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("not ready: starting\n"), "{answer}");
        ready.set();
        phases.enter(Phase::Serving);
        assert!(ask(address, "GET", "/readyz").await.starts_with("HTTP/1.1 200 "));
        let numbers = ask(address, "GET", "/metrics").await;
        assert!(numbers.contains(OPENMETRICS) && numbers.ends_with("# EOF\n"), "{numbers}");
        assert!(ask(address, "POST", "/refuse").await.ends_with("refused\n"));
        assert!(ask(address, "GET", "/refuse").await.starts_with("HTTP/1.1 405 "));
        assert!(ask(address, "GET", "/nothing").await.starts_with("HTTP/1.1 404 "));
    }
}
