//! MQTT 3.1 and 3.1.1 in terms of MQTT 5, and back.

use rmqtt_codec::{
    types::QoS,
    v3::{
        Connect as Connect3, ConnectAck as ConnectAck3, ConnectAckReason as Reason3, Packet as Packet3,
        SubscribeReturnCode,
    },
    v5::{
        Connect, ConnectAckReason, Disconnect, LastWill, Packet, PublishAck, PublishAck2, Subscribe,
        SubscribeAckReason, SubscriptionOptions, Unsubscribe,
    },
};

use crate::broker::Fault;

/// What a client sent.
pub(super) fn from_client(packet: Packet3) -> Result<Packet, Fault> {
    let ack = |packet_id| PublishAck { packet_id, ..PublishAck::default() };
    let ack2 = |packet_id| PublishAck2 { packet_id, ..PublishAck2::default() };
    Ok(match packet {
        Packet3::Connect(connect) => Packet::Connect(Box::new(from_connect(*connect))),
        Packet3::Publish(publish) => Packet::Publish(publish),
        Packet3::PublishAck { packet_id } => Packet::PublishAck(ack(packet_id)),
        Packet3::PublishReceived { packet_id } => Packet::PublishReceived(ack(packet_id)),
        Packet3::PublishRelease { packet_id } => Packet::PublishRelease(ack2(packet_id)),
        Packet3::PublishComplete { packet_id } => Packet::PublishComplete(ack2(packet_id)),
        Packet3::Subscribe { packet_id, topic_filters } => {
            let plain = |qos: QoS| SubscriptionOptions { qos, ..SubscriptionOptions::default() };
            let topic_filters = topic_filters.into_iter().map(|(filter, qos)| (filter, plain(qos))).collect();
            Packet::Subscribe(Subscribe { packet_id, id: None, user_properties: Vec::new(), topic_filters })
        }
        Packet3::Unsubscribe { packet_id, topic_filters } => {
            Packet::Unsubscribe(Unsubscribe { packet_id, user_properties: Vec::new(), topic_filters })
        }
        Packet3::PingRequest => Packet::PingRequest,
        Packet3::Disconnect => Packet::Disconnect(Disconnect::default()),
        Packet3::ConnectAck(_)
        | Packet3::SubscribeAck { .. }
        | Packet3::UnsubscribeAck { .. }
        | Packet3::PingResponse => return Err(Fault::ServerOnly),
    })
}

/// A session that isn't clean never expires; a clean one ends with its connection (3.1.1, 3.1.2.4).
fn from_connect(connect: Connect3) -> Connect {
    let last_will = connect.last_will.map(|will| LastWill {
        qos: will.qos,
        retain: will.retain,
        topic: will.topic,
        message: will.message,
        will_delay_interval_sec: None,
        correlation_data: None,
        message_expiry_interval: None,
        content_type: None,
        user_properties: Vec::new(),
        is_utf8_payload: None,
        response_topic: None,
    });
    Connect {
        clean_start: connect.clean_session,
        keep_alive: connect.keep_alive,
        session_expiry_interval_secs: if connect.clean_session { 0 } else { u32::MAX },
        last_will,
        client_id: connect.client_id,
        username: connect.username,
        password: connect.password,
        ..Connect::default()
    }
}

/// What a client is sent; none where 3.1.1 has no such packet, and the close alone tells.
pub(super) fn to_client(packet: Packet) -> Option<Packet3> {
    Some(match packet {
        Packet::ConnectAck(ack) => Packet3::ConnectAck(ConnectAck3 {
            return_code: to_reason(ack.reason_code)?,
            session_present: ack.session_present,
        }),
        Packet::Publish(publish) => Packet3::Publish(publish),
        Packet::PublishAck(ack) => Packet3::PublishAck { packet_id: ack.packet_id },
        Packet::PublishReceived(ack) => Packet3::PublishReceived { packet_id: ack.packet_id },
        Packet::PublishRelease(ack) => Packet3::PublishRelease { packet_id: ack.packet_id },
        Packet::PublishComplete(ack) => Packet3::PublishComplete { packet_id: ack.packet_id },
        Packet::SubscribeAck(ack) => Packet3::SubscribeAck {
            packet_id: ack.packet_id,
            status: ack.status.into_iter().map(to_return_code).collect(),
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
