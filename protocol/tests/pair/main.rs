//! Two ends, a clock we hold, and tunnels that die at any byte: a plain reference beside the session halves.

mod action;
mod fate;
mod lies;
mod local;
mod tunnel;
mod world;
