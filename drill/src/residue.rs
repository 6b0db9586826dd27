//! What a tier's processes hold, to be compared between two moments at which nobody uses them.

use std::{fmt, time::Duration};

use crate::{
    proc::Usage,
    tier::{Error, Role, Samples, Tier, patience::Patience},
};

/// What one of our processes holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Holdings {
    /// Which process.
    pub node: String,
    /// Its id: another one after a restart.
    pub pid: u32,
    /// Open descriptors.
    pub descriptors: usize,
    /// Threads.
    pub threads: u64,
    /// Tasks of its worker.
    pub tasks: f64,
    /// Entries of its tables, and bytes in its buffers.
    pub entries: f64,
    /// Bytes of memory that are no file's pages.
    pub memory: u64,
}

impl Holdings {
    /// Looks at each of our processes, brokers of other makes left out.
    ///
    /// # Errors
    /// If one doesn't answer, or isn't running.
    pub fn of(tier: &Tier) -> Result<Vec<Self>, Error> {
        ours(tier).into_iter().map(|node| Self::of_node(tier, node)).collect()
    }

    fn of_node(tier: &Tier, node: String) -> Result<Self, Error> {
        let pid = tier.pid(&node)?;
        let samples = tier.metrics(&node)?;
        let usage = Usage::of(pid).map_err(|error| Error::Io { what: format!("looking at {node}"), error })?;
        Ok(Self {
            descriptors: usage.fds,
            threads: usage.threads,
            tasks: samples.total("baton_tasks", &[]),
            entries: entries(&samples),
            memory: usage.anonymous,
            node,
            pid,
        })
    }

    /// Whether its tables and buffers hold no more than they did `before`.
    pub fn has_no_more_entries(&self, before: &Self) -> bool {
        self.entries <= before.entries
    }

    /// Whether it holds no more of anything than it did `before`, memory apart.
    pub fn has_no_more(&self, before: &Self) -> bool {
        self.descriptors <= before.descriptors
            && self.threads <= before.threads
            && self.tasks <= before.tasks
            && self.has_no_more_entries(before)
    }
}

impl fmt::Display for Holdings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, descriptors, threads, tasks, entries, memory, .. } = self;
        let memory = memory / 1024;
        write!(f, "{node:9}  {descriptors:11}  {threads:7}  {tasks:5}  {entries:7}  {memory:10}")
    }
}

/// Waits until every process is as it was `before`, in the sense of `same`. Returns how they are: as before, or the last
/// look when `patience` was over.
///
/// # Errors
/// If one doesn't answer, or isn't running.
pub fn until_as(
    before: &[Holdings],
    same: fn(&Holdings, &Holdings) -> bool,
    tier: &Tier,
    patience: Duration,
) -> Result<Vec<Holdings>, Error> {
    let patience = Patience::new(patience);
    loop {
        let now = Holdings::of(tier)?;
        if now.iter().zip(before).all(|(now, before)| same(now, before)) || !patience.pass() {
            return Ok(now);
        }
    }
}

fn ours(tier: &Tier) -> Vec<String> {
    tier.nodes().filter(|(_, role)| *role != Role::Broker).map(|(node, _)| node.to_owned()).collect()
}

/// Of all its tables. What counts against limits is in there twice; but a limit may leak alone.
fn entries(samples: &Samples) -> f64 {
    let counted = ["baton_sessions", "baton_tunnels", "baton_buffered_bytes"];
    let limits = ["sessions", "buffered_bytes"].map(|name| samples.total("baton_limit_used", &[("name", name)]));
    counted.iter().map(|name| samples.total(name, &[])).chain(limits).sum()
}
