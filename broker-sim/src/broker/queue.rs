//! Messages that wait for their turn.

use std::collections::VecDeque;

use rmqtt_codec::types::QoS;

use super::message::Message;

/// Messages in the order in which they came, and how much they are.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    messages: VecDeque<Message>,
    bytes: usize,
    /// How many are of QoS 0.
    at_most_once: usize,
}

impl Queue {
    pub(super) fn push(&mut self, message: Message) {
        self.bytes += message.bytes();
        self.at_most_once += usize::from(message.publish.qos == QoS::AtMostOnce);
        self.messages.push_back(message);
    }

    /// The QoS of the first one.
    pub(super) fn first(&self) -> Option<QoS> {
        self.messages.front().map(|message| message.publish.qos)
    }

    pub(super) fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.bytes();
        self.at_most_once -= usize::from(message.publish.qos == QoS::AtMostOnce);
        Some(message)
    }

    /// Drops those of QoS 0; how many they were.
    pub(super) fn drop_at_most_once(&mut self) -> usize {
        let dropped = std::mem::take(&mut self.at_most_once);
        if dropped > 0 {
            self.messages.retain(|message| message.publish.qos != QoS::AtMostOnce);
            self.bytes = self.messages.iter().map(Message::bytes).sum();
        }
        dropped
    }

    /// How many of the first so many are of QoS 0.
    pub(super) fn at_most_once_of_first(&self, many: usize) -> usize {
        self.messages.iter().take(many).filter(|message| message.publish.qos == QoS::AtMostOnce).count()
    }

    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Bytes of all of them.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many are of QoS 0.
    pub(super) fn at_most_once(&self) -> usize {
        self.at_most_once
    }
}
