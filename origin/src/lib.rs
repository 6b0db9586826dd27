//! The origin: it reads an attach's headers, picks the home, and from then on copies bytes. It holds nothing that a
//! session needs, so any origin can vanish.
//!
//! ```text
//!  edges ══ trunk ══► [edges]  each attach ──► [route] which home, or which refusal
//!                        │                        │
//!                        │ SOLICIT, GOAWAY     [attach]  forwards it, waits for the anchor's answer
//!                     [drain]                     │
//!                                              [splice]  copies both directions ══ trunk ══► anchors  [homes]
//! ```
//! | Module | Holds |
//! |---|---|
//! | `config` | the section `[origin]` |
//! | `origin` | the role: listen, serve, drain |
//! | `edges` | the trunks of the edges, their control streams and attaches |
//! | `homes` | the trunks to the anchors, kept up |
//! | `route` | an attach's headers to a home or a refusal |
//! | `attach` | one attach on its way to the anchor and its answer on the way back |
//! | `splice` | one tunnel: two directions, copied |
//! | `drain` | leaving without ending a session |

mod attach;
mod config;
mod drain;
mod edges;
mod homes;
mod origin;
mod route;
mod splice;

pub use config::{Config, HomeDown};
pub use origin::run;
