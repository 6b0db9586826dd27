//! The broker, behaviour by behaviour, with the section of MQTT 5 that asks for it. No socket, no clock.

#![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]

mod connect;
mod crowd;
mod desk;
mod faults;
mod limits;
mod malformed;
mod noise;
mod publish;
mod retained;
mod sessions;
mod subscribe;
mod wills;
