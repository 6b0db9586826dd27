//! Tests with real processes: a tier of edges, origins and homes before a real and before a simulated broker, counted
//! clients, and faults. Clients and brokers of other makes are in `tests/interop`.
//!
//! | Module | What happens |
//! |---|---|
//! | `drain` | origins leave in order |
//! | `kill` | processes die |
//! | `hang` | processes stop, and go on later |
//! | `herd` | a broker comes back, and all of its clients with it |
//! | `lonely` | the only origin restarts, or doesn't come back |
//! | `absent` | nothing is up yet |
//! | `refusal` | a home has lost a session |
//! | `slow` | clients that don't read |
//! | `bytes` | every byte is known: links cut and stalled, half-closes, resets |
//! | `wills` | who leaves in order, and who vanishes |
//! | `input` | what isn't MQTT, what isn't HTTP/2 |
//! | `farewell` | edges and homes leave |
//! | `broker` | what brokers do, in order or not |
//! | `unwell` | a broker hangs |
//! | `proxied` | a broker is told who its clients are |
//! | `ports` | a sidecar has no local port left |
//! | `chaos` | everything at once, by a schedule |
//! | `resources` | what use leaves behind |

#[macro_use]
mod support;

mod absent;
mod broker;
mod bytes;
mod chaos;
mod drain;
mod farewell;
mod hang;
mod herd;
mod input;
mod kill;
mod lonely;
mod ports;
mod proxied;
mod refusal;
mod resources;
mod slow;
mod unwell;
mod wills;
