//! Everybody comes back at once.

use baton_protocol::attach::Word;

use crate::support::{Sidecar, answer, broker, on_a_worker};

/// More than the 400 that may start at once, fewer than may wait for their turn beside them.
const HERD: u64 = 1_000;

#[test]
fn resumes_wait_for_their_turn_instead_of_coming_again() {
    on_a_worker(async {
        let (_listener, url) = broker().await;
        let sidecar = Sidecar::start(&url, &[]).await;
        let attempts: Vec<_> = (0..HERD).map(|epoch| sidecar.resume(1, 2 + epoch, 0)).collect();
        for attempt in attempts {
            let refused = answer(attempt).await.expect_err("there is no such session");
            assert_eq!(refused.word, Some(Word::Gone), "not busy");
        }
    });
}
