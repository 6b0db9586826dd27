//! What each fuzz target does with its bytes.
//!
//! cargo-fuzz's targets in `../fuzz_targets` and the ordinary test in `tests` call the same functions. Each takes any
//! bytes, panics where something doesn't hold, and says whether the bytes got past the first check of what is tried:
//! so a corpus that tries nothing is found out.
//!
//! | Target | Tries |
//! |---|---|
//! | [`connect`] | the CONNECT parser, against two other codecs |
//! | [`capsule`] | the decoder and encoder of capsules |
//! | [`attach`] | attach requests and their answers as headers |
//! | [`snapshot`] | restoring a session half from any bytes |
//! | [`configuration`] | every role's configuration, from any file, environment and command line |
//! | [`mqtt`] | broker-sim's codec, and the broker behind it |
//! | [`broker`] | the broker, by sequences of what clients do |
//! | [`faults`] | broker-sim's fault scripts, and the engine that follows them |
//! | [`session_pair`] | both session halves, by sequences of what may happen to them |

mod attach;
mod broker;
mod capsule;
mod configuration;
mod connect;
mod cuts;
mod faults;
mod mqtt;
mod seeds;
mod session_pair;
mod snapshot;

pub use attach::attach;
pub use broker::broker;
pub use capsule::capsule;
pub use configuration::configuration;
pub use connect::connect;
pub use faults::faults;
pub use mqtt::mqtt;
pub use seeds::seeds;
pub use session_pair::session_pair;
pub use snapshot::snapshot;
