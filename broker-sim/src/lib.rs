//! A simulated MQTT broker with the broker's half of the protocol inside.
//!
//! | Module | Holds |
//! |---|---|
//! | [`broker`] | the broker without IO: MQTT 5 packets in, packets out |
//! | [`codec`] | bytes to packets and back, 3.1 and 3.1.1 translated |
//! | [`serve`] | connections over any byte stream, and time |
//! | [`pipe`] | a byte stream between two tasks, for clients that come through an anchor |

pub mod broker;
pub mod codec;
pub mod pipe;
pub mod serve;
