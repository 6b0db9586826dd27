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
use crate::{health::Health, metrics::Metrics};

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
    bind().map_err(|e: io::Error| io::Error::new(e.kind(), format!("can't listen on {address} (admin.listen): {e}")))
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
