//! Whether two brokers share their topics yet: a bridge subscribes some time after both are up, and what is published
//! before that reaches one of them only.

use std::time::Duration;

use baton_drill::{
    load::{Load, Plan, Shape, Tempo},
    mqtt::Qos,
    tier::{Role, Tier},
};

use super::Failure;

/// Time for a bridge to be up: a second or two.
const PATIENCE: Duration = Duration::from_secs(30);
/// Messages a second that try whether it is.
const TRIES: u32 = 20;

/// Waits until what is published at one broker is heard at the other, both ways.
pub(super) fn until_up(tier: &Tier) -> Result<(), Failure> {
    let names = tier.names(Role::Broker);
    let [one, other] = names.as_slice() else { return Err("a bridge is between two brokers".into()) };
    let (one, other) = (tier.address(one)?, tier.address(other)?);
    for (name, addresses) in [("bridge-there", [one, other]), ("bridge-back", [other, one])] {
        let load = Load::start(Plan {
            shape: Shape::OneWay,
            mix: vec![Qos::AtMostOnce],
            tempo: Tempo::Rate(TRIES),
            ..Plan::new(name, &addresses, 2)
        })?;
        load.ready(PATIENCE)?;
        load.publish();
        load.received(1, PATIENCE)?;
    }
    Ok(())
}
