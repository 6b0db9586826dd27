//! The broker, behaviour by behaviour, with the section of MQTT 5 that asks for it. No socket, no clock.

#![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]

mod access;
mod aliases;
mod conformance;
mod connect;
mod crowd;
mod desk;
mod faults;
mod legal;
mod limits;
mod line;
mod malformed;
mod mqtt311;
mod noise;
mod publish;
mod quota;
mod reasons;
mod retained;
mod sessions;
mod shares;
mod subscribe;
mod wills;
