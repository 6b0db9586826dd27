//! The tasks of a worker: a session that is over and leaves one behind shows here.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
};
use tokio::runtime::{Handle, RuntimeMetrics};

#[derive(Debug)]
pub(super) struct Tasks {
    runtime: RuntimeMetrics,
}

impl Tasks {
    /// Those of the current runtime.
    pub(super) fn here() -> Self {
        Self { runtime: Handle::current().metrics() }
    }
}

impl Collector for Tasks {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let alive = i64::try_from(self.runtime.num_alive_tasks()).unwrap_or(i64::MAX);
        let metric = encoder.encode_descriptor("tasks", "Tasks of the worker", None, MetricType::Gauge)?;
        ConstGauge::new(alive).encode(metric)
    }
}

#[cfg(test)]
mod tests {
    use crate::metrics::Metrics;

    #[test]
    fn a_task_shows_while_it_lives() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let metrics = Metrics::new("edge");
        let shows = |tasks: usize| metrics.encode().contains(&format!("baton_tasks {tasks}\n"));
        runtime.block_on(async {
            metrics.count_tasks();
            assert!(shows(0), "{}", metrics.encode());
            let task = tokio::spawn(std::future::pending::<()>());
            assert!(shows(1), "{}", metrics.encode());
            task.abort();
            assert!(task.await.is_err() && shows(0), "{}", metrics.encode());
        });
    }
}
