use rmqtt_codec::v5::{ConnectAckReason, PublishAck, PublishAckReason, SubscribeAck, SubscribeAckReason};

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

fn shown(packet: Packet) -> String {
    Value::from(fields(&packet, None)).to_string()
}

/// What comes besides the ordinary fields, which the first of each has.
#[test]
fn whatever_a_packet_says_is_shown() {
    let pair = || vec![("k".into(), "v".into())];
    let will = LastWill {
        qos: QoS::AtLeastOnce,
        retain: true,
        topic: "w".into(),
        message: "gone".into(),
        will_delay_interval_sec: Some(3),
        correlation_data: Some("cd".into()),
        message_expiry_interval: 4.try_into().ok(),
        content_type: Some("ct".into()),
        user_properties: pair(),
        is_utf8_payload: Some(true),
        response_topic: Some("rt".into()),
    };
    let connect = Connect {
        clean_start: true,
        keep_alive: 1,
        session_expiry_interval_secs: 2,
        auth_method: Some("am".into()),
        auth_data: Some("secret".into()),
        request_problem_info: false,
        request_response_info: true,
        receive_max: 5.try_into().ok(),
        topic_alias_max: 6,
        user_properties: pair(),
        max_packet_size: 7.try_into().ok(),
        last_will: Some(will),
        client_id: "c".into(),
        username: Some("u".into()),
        password: Some("secret".into()),
        ..Connect::default()
    };
    let text = shown(Packet::Connect(Box::new(connect)));
    let expected = concat!(
        r#"{"client_id":"c","clean_start":true,"keep_alive":1,"session_expiry":2,"username":"u","password":true,"#,
        r#""receive_max":5,"max_packet_size":7,"topic_alias_max":6,"request_response_info":true,"#,
        r#""request_problem_info":false,"auth_method":"am","auth_data":true,"will":{"topic":"w","qos":1,"#,
        r#""retain":true,"delay":3,"payload":"gone","expiry":4,"content_type":"ct","response_topic":"rt","#,
        r#""correlation_data":"cd","utf8":true,"user_properties":[["k","v"]]},"user_properties":[["k","v"]]}"#
    );
    assert_eq!(text, expected);

    let ack = ConnectAck {
        session_present: true,
        session_expiry_interval_secs: Some(1),
        receive_max: 2.try_into().unwrap(),
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
        auth_method: Some("am".into()),
        auth_data: Some("ad".into()),
        reason_string: Some("rs".into()),
        user_properties: pair(),
        ..ConnectAck::default()
    };
    let expected = concat!(
        r#"{"session_present":true,"reason":"0x00","reason_string":"rs","assigned_client_id":"id","#,
        r#""session_expiry":1,"server_keep_alive":5,"receive_max":2,"max_qos":1,"max_packet_size":3,"#,
        r#""topic_alias_max":4,"retain_available":false,"wildcards_available":false,"#,
        r#""subscription_ids_available":false,"shares_available":false,"response_info":"ri","#,
        r#""server_reference":"sr","auth_method":"am","auth_data":"ad","user_properties":[["k","v"]]}"#
    );
    assert_eq!(shown(Packet::ConnectAck(Box::new(ack))), expected);

    let auth = Auth {
        auth_method: Some("am".into()),
        auth_data: Some("secret".into()),
        reason_string: Some("rs".into()),
        user_properties: pair(),
        ..Auth::default()
    };
    let expected = r#"{"reason_string":"rs","auth_method":"am","auth_data":true,"user_properties":[["k","v"]]}"#;
    assert_eq!(shown(Packet::Auth(auth)), expected);
}

#[test]
fn a_password_is_not_shown() {
    let connect = Connect { client_id: "c".into(), password: Some("secret".into()), ..Connect::default() };
    let text = Value::from(fields(&Packet::Connect(Box::new(connect)), None)).to_string();
    assert_eq!(text, r#"{"client_id":"c","clean_start":false,"keep_alive":0,"password":true}"#);
}

#[test]
fn clients_of_older_mqtt_have_what_it_has() {
    let connack = Packet::ConnectAck(Box::new(ConnectAck {
        session_present: true,
        reason_code: ConnectAckReason::ServerBusy,
        reason_string: Some("rs".into()),
        ..ConnectAck::default()
    }));
    let suback = Packet::SubscribeAck(SubscribeAck {
        packet_id: 1.try_into().unwrap(),
        properties: vec![("k".into(), "v".into())],
        reason_string: Some("rs".into()),
        status: vec![SubscribeAckReason::GrantedQos1, SubscribeAckReason::NotAuthorized],
    });
    let puback = Packet::PublishAck(PublishAck {
        reason_code: PublishAckReason::QuotaExceeded,
        reason_string: Some("rs".into()),
        ..PublishAck::default()
    });
    for (packet, level, expected) in [
        (&connack, Level::V311, r#"{"session_present":true,"reason":"0x89"}"#),
        (&connack, Level::V31, r#"{"reason":"0x89"}"#),
        (&suback, Level::V311, r#"{"id":1,"reasons":["0x01","0x87"]}"#),
        (&suback, Level::V31, r#"{"id":1,"reasons":["0x01","0x87"]}"#),
        (&puback, Level::V311, r#"{"id":1}"#),
    ] {
        assert_eq!(Value::from(fields(packet, Some(level))).to_string(), expected);
    }
}
