//! Two ends, a clock we hold, and tunnels that die at any byte: a plain reference beside the session halves.

mod draw;
mod fate;
mod lies;
mod world;
