//! On a terminal: how the load stands, in a line that is rewritten while the story goes on.

use std::{
    collections::VecDeque,
    sync::mpsc::{RecvTimeoutError, sync_channel},
    thread,
    time::Duration,
};

use baton_drill::load::{Load, Progress};

use super::{
    console::{Console, grouped},
    page::Node,
};

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(250);
/// Looks back to the one since which messages are counted: a second, so that the number is calm.
const BACK: usize = 4;

/// Plays `scene`, and tells meanwhile how `load` stands; with these processes where there is a page.
pub(super) fn beside<R>(console: &Console, nodes: Vec<Node>, load: &Load, scene: impl FnOnce() -> R) -> R {
    let scene = || match console.page() {
        Some(page) => page.beside(nodes, load, scene),
        None => scene(),
    };
    if !console.is_live() {
        return scene();
    }
    let result = thread::scope(|scope| {
        let (playing, over) = sync_channel::<()>(0);
        scope.spawn(move || {
            let mut looks = VecDeque::from([(load.now(), load.progress())]);
            while over.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                looks.push_back((load.now(), load.progress()));
                // Whoever closed the terminal sees no story either.
                drop(console.live(&line(looks[0], looks[looks.len() - 1])));
                if looks.len() > BACK {
                    looks.pop_front();
                }
            }
        });
        let result = scene();
        drop(playing);
        result
    });
    drop(console.clear());
    result
}

fn line((then, before): (u64, Progress), (now, Progress { counts, totals }): (u64, Progress)) -> String {
    let rate = (totals.received - before.totals.received) * 1_000_000 / (now - then).max(1);
    format!("{} delivered/s, {} clients connected, {} dropped", grouped(rate), counts.ready, grouped(totals.dropped))
}

#[cfg(test)]
mod tests {
    use baton_drill::{client::Counts, ledger::Totals};

    use super::*;

    #[test]
    fn messages_are_told_per_second() {
        let at = |received| Progress {
            counts: Counts { ready: 299, ..Counts::default() },
            totals: Totals { received, dropped: 1_001, ..Totals::default() },
        };
        let line = line((1_000_000, at(400)), (1_500_000, at(1_000)));
        assert_eq!(line, "1,200 delivered/s, 299 clients connected, 1,001 dropped");
    }
}
