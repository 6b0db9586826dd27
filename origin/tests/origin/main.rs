//! One origin between edges and anchors that the tests play, over streams in memory and on a clock that only moves when
//! nothing else does.

mod attach;
mod drain;
mod homes;
mod net;
mod splice;
mod tier;

use std::future::Future;

use tokio::runtime::{Builder, LocalOptions};

/// Runs a test on a worker's runtime.
fn on_a_worker<F: Future<Output = ()>>(test: F) {
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build_local(LocalOptions::default());
    runtime.expect("a runtime").block_on(test);
}
