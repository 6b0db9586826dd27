//! A sidecar between an origin and a broker that the tests play, over real sockets.

mod drain;
mod support;
mod ways;
mod well;
