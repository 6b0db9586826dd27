//! Every state of both halves, and what every event makes of it, one line each.

mod anchor;
mod edge;
mod event;
