//! Hostile peers, on every port that there is: real processes with other clients in them, who must notice nothing.
//!
//! After each attack: the others were served while it went on (messages flowed, none was lost, nobody was closed), memory,
//! descriptors and everything that is counted as held are back, the cause was counted, and the log has no more than some
//! lines of it. Of an impostor that never answers, or refuses, only the others are looked at; a forged SOLICIT has no counter. What a half does about each lie of its peer is in `protocol/tests/pair/lies.rs`.
//!
//! | Attack | Here |
//! |---|---|
//! | rapid reset, MadeYouReset | `http2` |
//! | CONTINUATION, header bombs, HPACK's table | `http2` |
//! | SETTINGS, PING, PRIORITY, GOAWAY, unknown frames | `http2` |
//! | small and empty DATA | `http2` |
//! | windows that overflow, flip, creep | `http2` |
//! | more streams and opens than there may be | `http2` |
//! | half-open connections, half a preface, half a frame, past the limit; a window that stays closed | `half_open` |
//! | a dribbled, unfinished, oversize or malformed CONNECT; half-open clients past the limit | `mqtt` |
//! | clients that don't read, that fill the byte budget, that send without end | `mqtt` |
//! | guessed and stolen sessions, replayed attaches, `dcr-home` as SSRF, a forged `dcr-edge` | `rogue` |
//! | what is no extended CONNECT of ours; the same at a home's own port | `rogue` |
//! | lies about acknowledgements and offsets, huge lengths; floods of empty, unknown and misplaced capsules | `rogue` |
//! | forged SOLICIT, origins that drop connections, or refuse what they can't know | `impostor` |
//! | origins that open sessions and have none: garbage, gaps, silence, a home that isn't there | `impostor` |
//! | what is no HTTP/2 at all | `tests/process/input.rs` |
//! | a client that stays away for T_slow | `tests/process/slow.rs` |
//!
//! Not built, and so not attacked: mTLS between tiers, limits by address, limits of one edge's opens at an origin or a
//! home, a limit of capsules a second, handing sessions over through a socket.

mod frames;
mod half_open;
mod http2;
mod impostor;
mod mqtt;
mod peer;
mod rogue;
mod scene;
#[allow(dead_code, unused_imports, reason = "what the other targets share")]
mod support;
