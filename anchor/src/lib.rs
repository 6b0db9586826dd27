//! The broker's half of the tier: it holds each session's context and its socket to the broker while tunnels come and
//! go. In front of a real broker it is a sidecar; with a broker inside it is part of broker-sim.
//!
//! ```text
//!  origins ══ trunk ══► [serve]  each attach ──► [home]  sid → mailbox ──► [session]  owns the half and the broker's
//!                                                        open: dial, admit            socket, runs the loop
//! ```
//! | Module | Holds |
//! |---|---|
//! | [`backend`] | what the anchor needs of a broker: a byte stream per session |
//! | [`home`] | one home: its sessions by sid, who may open and resume |
//! | [`serve`] | the trunks of the origins |
//! | `session` | one session's task |

pub mod backend;
pub mod home;
pub mod serve;
mod session;

pub use backend::{Backend, NotDialed, Opening, Resuming};
pub use home::{Home, Setup};
