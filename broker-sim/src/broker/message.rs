//! An application message on its way through the broker.

use std::num::NonZeroU32;

use baton_protocol::limits::Millis;
use rmqtt_codec::types::Publish;

use super::size::publish_bytes;

/// A PUBLISH as the broker keeps it: no packet id, no DUP, no topic alias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) publish: Box<Publish>,
    /// When it stops being of use (3.3.2.3.3).
    pub(super) expires: Option<Millis>,
}

impl Message {
    /// Takes a PUBLISH as its publisher sent it.
    pub(super) fn new(mut publish: Box<Publish>, now: Millis) -> Self {
        publish.packet_id = None;
        publish.dup = false;
        let mut expires = None;
        if let Some(properties) = &mut publish.properties {
            properties.topic_alias = None;
            expires = properties.message_expiry_interval.map(|s| now + Millis::from(s.get()) * 1000);
            if *properties == Default::default() {
                publish.properties = None;
            }
        }
        Self { publish, expires }
    }

    /// Bytes that it takes, about.
    pub(super) fn bytes(&self) -> usize {
        publish_bytes(&self.publish)
    }

    /// The PUBLISH to send at `now`, with the rest of its lifetime [MQTT-3.3.2-6]; none if that is over.
    pub(super) fn into_publish(mut self, now: Millis) -> Option<Box<Publish>> {
        if let Some(expires) = self.expires {
            let left = expires.checked_sub(now).filter(|left| *left > 0)?.div_ceil(1000);
            let left = u32::try_from(left).ok().and_then(NonZeroU32::new);
            self.publish.properties.get_or_insert_default().message_expiry_interval = left;
        }
        Some(self.publish)
    }
}
