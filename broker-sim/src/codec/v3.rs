//! What the broker says in MQTT 5, in terms of MQTT 3.1 and 3.1.1.

use baton_protocol::connect::Level;
use rmqtt_codec::{
    types::QoS,
    v3::{ConnectAck as ConnectAck3, ConnectAckReason as Reason3, Packet as Packet3, SubscribeReturnCode},
    v5::{ConnectAckReason, Packet, SubscribeAckReason},
};

/// What a client is sent; none where 3.1.1 has no such packet, and the close alone tells.
///
/// 3.1 has two things less: of a CONNACK the first byte is reserved (3.2), and a SUBACK can't refuse: the server "must
/// therefore make a positive acknowledgement" (3.8), here with QoS 0, which promises least.
pub(super) fn to_client(packet: Packet, level: Option<Level>) -> Option<Packet3> {
    let old = level == Some(Level::V31);
    let return_code = |status| match to_return_code(status) {
        SubscribeReturnCode::Failure if old => SubscribeReturnCode::Success(QoS::AtMostOnce),
        code => code,
    };
    Some(match packet {
        Packet::ConnectAck(ack) => Packet3::ConnectAck(ConnectAck3 {
            return_code: to_reason(ack.reason_code)?,
            session_present: ack.session_present && !old,
        }),
        Packet::Publish(publish) => Packet3::Publish(publish),
        Packet::PublishAck(ack) => Packet3::PublishAck { packet_id: ack.packet_id },
        Packet::PublishReceived(ack) => Packet3::PublishReceived { packet_id: ack.packet_id },
        Packet::PublishRelease(ack) => Packet3::PublishRelease { packet_id: ack.packet_id },
        Packet::PublishComplete(ack) => Packet3::PublishComplete { packet_id: ack.packet_id },
        Packet::SubscribeAck(ack) => Packet3::SubscribeAck {
            packet_id: ack.packet_id,
            status: ack.status.into_iter().map(return_code).collect(),
        },
        Packet::UnsubscribeAck(ack) => Packet3::UnsubscribeAck { packet_id: ack.packet_id },
        Packet::PingResponse => Packet3::PingResponse,
        Packet::Connect(_)
        | Packet::Subscribe(_)
        | Packet::Unsubscribe(_)
        | Packet::PingRequest
        | Packet::Disconnect(_)
        | Packet::Auth(_) => return None,
    })
}

/// The refusals that 3.1.1 has; for any other the client's connection is closed without a CONNACK.
fn to_reason(reason: ConnectAckReason) -> Option<Reason3> {
    match reason {
        ConnectAckReason::Success => Some(Reason3::ConnectionAccepted),
        ConnectAckReason::UnsupportedProtocolVersion => Some(Reason3::UnacceptableProtocolVersion),
        ConnectAckReason::ClientIdentifierNotValid => Some(Reason3::IdentifierRejected),
        ConnectAckReason::ServerUnavailable | ConnectAckReason::ServerBusy => Some(Reason3::ServiceUnavailable),
        ConnectAckReason::BadUserNameOrPassword => Some(Reason3::BadUserNameOrPassword),
        ConnectAckReason::NotAuthorized | ConnectAckReason::Banned => Some(Reason3::NotAuthorized),
        _ => None,
    }
}

fn to_return_code(status: SubscribeAckReason) -> SubscribeReturnCode {
    match status {
        SubscribeAckReason::GrantedQos0 => SubscribeReturnCode::Success(QoS::AtMostOnce),
        SubscribeAckReason::GrantedQos1 => SubscribeReturnCode::Success(QoS::AtLeastOnce),
        SubscribeAckReason::GrantedQos2 => SubscribeReturnCode::Success(QoS::ExactlyOnce),
        _ => SubscribeReturnCode::Failure,
    }
}
