use std::num::{NonZeroU8, NonZeroU16};

use rmqtt_codec::v5::{
    AuthReasonCode, ConnectAckReason, DisconnectReasonCode, PublishAck, PublishAck2, PublishAck2Reason,
    PublishAckReason, RetainHandling, SubscribeAck, SubscribeAckReason, SubscriptionOptions, Unsubscribe,
    UnsubscribeAck, UnsubscribeAckReason, UserProperties,
};

use super::*;

fn payload(bytes: &[u8]) -> String {
    let mut fields = Fields::new();
    put_bytes(&mut fields, "payload", bytes);
    Value::from(fields).to_string()
}

#[test]
fn payloads_are_text_or_base64_and_cut() {
    assert_eq!(payload(b""), r#"{"payload":""}"#);
    assert_eq!(payload("grüß".as_bytes()), r#"{"payload":"grüß"}"#);
    assert_eq!(payload(b"\xff\x00"), r#"{"payload_base64":"/wA="}"#);
    let long = payload("ü".repeat(200).as_bytes());
    assert_eq!(long, format!(r#"{{"payload":"{}","payload_bytes":400}}"#, "ü".repeat(128)));
    let odd = payload(format!("x{}", "ü".repeat(200)).as_bytes());
    assert_eq!(odd, format!(r#"{{"payload":"x{}","payload_bytes":401}}"#, "ü".repeat(127)));
}

/// A number for any of the types that can't be 0.
fn n<T: From<NonZeroU8>>(number: u8) -> T {
    NonZeroU8::new(number).unwrap().into()
}

fn user() -> UserProperties {
    vec![("k".into(), "v".into())]
}

/// As below: named in full, so that a field that is new in the codec is missed here first.
fn connect() -> Connect {
    Connect {
        clean_start: true,
        keep_alive: 1,
        session_expiry_interval_secs: 2,
        auth_method: Some("m".into()),
        auth_data: Some("secret".into()),
        request_problem_info: false,
        request_response_info: true,
        receive_max: Some(n(3)),
        topic_alias_max: 4,
        user_properties: user(),
        max_packet_size: Some(n(5)),
        last_will: Some(LastWill {
            qos: QoS::AtLeastOnce,
            retain: true,
            topic: "w".into(),
            message: "x".into(),
            will_delay_interval_sec: Some(6),
            correlation_data: Some("cd".into()),
            message_expiry_interval: Some(n(7)),
            content_type: Some("ct".into()),
            user_properties: user(),
            is_utf8_payload: Some(true),
            response_topic: Some("rt".into()),
        }),
        client_id: "c".into(),
        username: Some("u".into()),
        password: Some("secret".into()),
        // TLS's, which no packet has.
        cert: None,
    }
}

fn connack() -> ConnectAck {
    ConnectAck {
        session_present: true,
        reason_code: ConnectAckReason::ServerBusy,
        session_expiry_interval_secs: Some(1),
        receive_max: n(2),
        max_qos: QoS::AtLeastOnce,
        max_packet_size: Some(3),
        assigned_client_id: Some("id".into()),
        topic_alias_max: 4,
        retain_available: false,
        wildcard_subscription_available: false,
        subscription_identifiers_available: false,
        shared_subscription_available: false,
        server_keepalive_sec: Some(5),
        response_info: Some("ri".into()),
        server_reference: Some("sr".into()),
        auth_method: Some("m".into()),
        auth_data: Some("ad".into()),
        reason_string: Some("rs".into()),
        user_properties: user(),
    }
}

fn publish() -> Publish {
    Publish {
        dup: true,
        retain: true,
        qos: QoS::ExactlyOnce,
        topic: "t".into(),
        packet_id: Some(n(1)),
        payload: "x".into(),
        properties: Some(PublishProperties {
            topic_alias: Some(n(2)),
            correlation_data: Some("cd".into()),
            message_expiry_interval: Some(n(3)),
            content_type: Some("ct".into()),
            user_properties: user(),
            is_utf8_payload: true,
            response_topic: Some("rt".into()),
            subscription_ids: vec![n(4), n(5)],
        }),
    }
}

fn puback() -> PublishAck {
    PublishAck {
        packet_id: n(1),
        reason_code: PublishAckReason::QuotaExceeded,
        properties: user(),
        reason_string: Some("rs".into()),
    }
}

fn pubrel() -> PublishAck2 {
    PublishAck2 {
        packet_id: n(1),
        reason_code: PublishAck2Reason::PacketIdNotFound,
        properties: user(),
        reason_string: Some("rs".into()),
    }
}

fn subscribe() -> Subscribe {
    let options = SubscriptionOptions {
        qos: QoS::AtLeastOnce,
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::NoAtSubscribe,
    };
    Subscribe {
        packet_id: n(1),
        id: Some(n(2)),
        user_properties: user(),
        topic_filters: vec![("a".into(), options), ("b".into(), SubscriptionOptions::default())],
    }
}

fn suback() -> SubscribeAck {
    SubscribeAck {
        packet_id: n(1),
        properties: user(),
        reason_string: Some("rs".into()),
        status: vec![SubscribeAckReason::GrantedQos1, SubscribeAckReason::NotAuthorized],
    }
}

fn unsubscribe() -> Unsubscribe {
    Unsubscribe { packet_id: n(1), user_properties: user(), topic_filters: vec!["a".into(), "b".into()] }
}

fn unsuback() -> UnsubscribeAck {
    UnsubscribeAck {
        packet_id: n(1),
        properties: user(),
        reason_string: Some("rs".into()),
        status: vec![UnsubscribeAckReason::Success, UnsubscribeAckReason::NoSubscriptionExisted],
    }
}

fn disconnect() -> Disconnect {
    Disconnect {
        reason_code: DisconnectReasonCode::ServerMoved,
        session_expiry_interval_secs: Some(1),
        server_reference: Some("sr".into()),
        reason_string: Some("rs".into()),
        user_properties: user(),
    }
}

fn auth() -> Auth {
    Auth {
        reason_code: AuthReasonCode::ContinueAuth,
        auth_method: Some("m".into()),
        auth_data: Some("ad".into()),
        reason_string: Some("rs".into()),
        user_properties: user(),
    }
}

#[test]
fn every_field_of_each_packet_shows() {
    let ack =
        |code: &str| format!(r#"{{"id":1,"reason":"{code}","reason_string":"rs","user_properties":[["k","v"]]}}"#);
    let cases = [
        (
            Packet::Connect(Box::new(connect())),
            r#"{"client_id":"c","clean_start":true,"keep_alive":1,"session_expiry":2,"username":"u","password":true,
                "receive_max":3,"max_packet_size":5,"topic_alias_max":4,"request_response_info":true,
                "request_problem_info":false,"auth_method":"m","auth_data":true,
                "will":{"topic":"w","qos":1,"retain":true,"delay":6,"payload":"x","expiry":7,"content_type":"ct",
                "response_topic":"rt","correlation_data":"cd","utf8":true,"user_properties":[["k","v"]]},
                "user_properties":[["k","v"]]}"#,
        ),
        (
            Packet::ConnectAck(Box::new(connack())),
            r#"{"session_present":true,"reason":"0x89","reason_string":"rs","assigned_client_id":"id",
                "session_expiry":1,"server_keep_alive":5,"receive_max":2,"max_qos":1,"max_packet_size":3,
                "topic_alias_max":4,"retain_available":false,"wildcards_available":false,
                "subscription_ids_available":false,"shares_available":false,"response_info":"ri",
                "server_reference":"sr","auth_method":"m","auth_data":"ad","user_properties":[["k","v"]]}"#,
        ),
        (
            Packet::Publish(Box::new(publish())),
            r#"{"id":1,"topic":"t","qos":2,"dup":true,"retain":true,"payload":"x","topic_alias":2,"expiry":3,
                "content_type":"ct","response_topic":"rt","correlation_data":"cd","subscription_ids":[4,5],"utf8":true,
                "user_properties":[["k","v"]]}"#,
        ),
        (Packet::PublishAck(puback()), &ack("0x97")),
        (Packet::PublishReceived(puback()), &ack("0x97")),
        (Packet::PublishRelease(pubrel()), &ack("0x92")),
        (Packet::PublishComplete(pubrel()), &ack("0x92")),
        (
            Packet::Subscribe(subscribe()),
            r#"{"id":1,"filters":[{"filter":"a","qos":1,"no_local":true,"retain_as_published":true,
                "retain_handling":2},{"filter":"b","qos":0}],"subscription_id":2,"user_properties":[["k","v"]]}"#,
        ),
        (
            Packet::SubscribeAck(suback()),
            r#"{"id":1,"reason_string":"rs","user_properties":[["k","v"]],"reasons":["0x01","0x87"]}"#,
        ),
        (Packet::Unsubscribe(unsubscribe()), r#"{"id":1,"user_properties":[["k","v"]],"filters":["a","b"]}"#),
        (
            Packet::UnsubscribeAck(unsuback()),
            r#"{"id":1,"reason_string":"rs","user_properties":[["k","v"]],"reasons":["0x00","0x11"]}"#,
        ),
        (Packet::PingRequest, "{}"),
        (Packet::PingResponse, "{}"),
        (
            Packet::Disconnect(disconnect()),
            r#"{"reason":"0x9d","reason_string":"rs","session_expiry":1,"server_reference":"sr",
                "user_properties":[["k","v"]]}"#,
        ),
        (
            Packet::Auth(auth()),
            r#"{"reason":"0x18","reason_string":"rs","auth_method":"m","auth_data":true,"user_properties":[["k","v"]]}"#,
        ),
    ];
    for (packet, expected) in cases {
        let expected = expected.split('\n').map(str::trim).collect::<String>();
        assert_eq!(Value::from(fields(&packet, Some(Level::V5))).to_string(), expected);
    }
}

#[test]
fn what_is_as_usual_does_not_show() {
    let cases = [
        (
            Packet::Connect(Box::new(Connect { receive_max: Some(NonZeroU16::MAX), ..Connect::default() })),
            r#"{"client_id":"","clean_start":false,"keep_alive":0}"#,
        ),
        (Packet::ConnectAck(Box::default()), r#"{"session_present":false,"reason":"0x00"}"#),
        (Packet::PublishAck(PublishAck::default()), r#"{"id":1}"#),
        (Packet::Disconnect(Disconnect::default()), "{}"),
        (Packet::Auth(Auth::default()), "{}"),
    ];
    for (packet, expected) in cases {
        assert_eq!(Value::from(fields(&packet, Some(Level::V5))).to_string(), expected);
    }
}

#[test]
fn clients_of_older_mqtt_have_what_it_has() {
    let (connack, suback) = (Packet::ConnectAck(Box::new(connack())), Packet::SubscribeAck(suback()));
    let cases = [
        (&connack, Level::V311, r#"{"session_present":true,"reason":"0x89"}"#),
        (&connack, Level::V31, r#"{"reason":"0x89"}"#),
        (&suback, Level::V311, r#"{"id":1,"reasons":["0x01","0x87"]}"#),
        (&suback, Level::V31, r#"{"id":1,"reasons":["0x01","0x87"]}"#),
        (&Packet::UnsubscribeAck(unsuback()), Level::V311, r#"{"id":1}"#),
        (&Packet::PublishAck(puback()), Level::V311, r#"{"id":1}"#),
        (
            &Packet::Publish(Box::new(publish())),
            Level::V311,
            r#"{"id":1,"topic":"t","qos":2,"dup":true,"retain":true,"payload":"x"}"#,
        ),
    ];
    for (packet, level, expected) in cases {
        assert_eq!(Value::from(fields(packet, Some(level))).to_string(), expected);
    }
}
