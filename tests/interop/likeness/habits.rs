//! What clients do with a broker, and what has to come of it: one list for every client and every broker.

use std::time::Duration;

use serde_json::{Value, json};

use super::puppet::{Stage, same};
use crate::client::Told;

/// One of them.
pub(crate) struct Habit {
    pub(crate) name: &'static str,
    /// As they stand in a CONNECT.
    pub(crate) versions: &'static [u8],
    pub(crate) act: fn(&mut Stage<'_>) -> Told,
}

macro_rules! habits {
    ($versions:ident: $($name:ident)*) => {
        &[$(Habit { name: stringify!($name), versions: $versions, act: $name }),*]
    };
}

const EACH: &[u8] = &[4, 5];
const NEW: &[u8] = &[5];

/// In each version.
pub(crate) const HABITS: &[Habit] = habits!(EACH:
    qos_0 qos_1 qos_2 lower_qos empty_payload large_payload topic_in_any_script retained retained_no_more one_level
    all_levels unsubscribed will no_will session_kept session_dropped taken_over wrong_password unknown_user
);

/// In MQTT 5.
pub(crate) const HABITS_5: &[Habit] = habits!(NEW:
    no_local retained_as_published retained_for_new_subscribers_only no_retained subscription_identifier properties
    message_expiry topic_alias shared_subscription assigned_client_id session_that_ends_with_its_connection
    session_that_expires delayed_will delayed_will_of_one_who_came_back will_properties maximum_packet_size
);

/// Messages in a row.
const BATCH: usize = 60;
/// Whoever sees to it that a second has passed waits so long.
const MORE_THAN_A_SECOND: Duration = Duration::from_millis(2_500);

/// Lets time pass, which is what brokers go by here.
#[expect(clippy::disallowed_methods, reason = "it is the time that has to pass, and no session waits here")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// No options.
fn plain() -> Value {
    json!({})
}

/// A session that outlives its connection.
fn kept(stage: &Stage<'_>) -> Value {
    if stage.mqtt == 5 { json!({"clean": false, "session_expiry": 600}) } else { json!({"clean": false}) }
}

/// A subscriber, and a publisher beside it.
fn two(stage: &mut Stage<'_>, filter: &str, qos: u8, options: Value) -> Told {
    stage.enter("sub", false, plain())?;
    stage.subscribe("sub", filter, qos, options)?;
    stage.enter("pub", false, plain()).map(drop)
}

/// After this message nothing else has come; both leave.
fn nothing_more(stage: &mut Stage<'_>, topic: &str) -> Told {
    stage.publish("pub", topic, "the end", 1, plain())?;
    stage.hears("sub", topic, "the end", 1, false)?;
    part(stage)
}

fn part(stage: &mut Stage<'_>) -> Told {
    stage.leave("pub")?;
    stage.leave("sub")
}

fn in_order(stage: &mut Stage<'_>, qos: u8) -> Told {
    let topic = stage.topic("t");
    two(stage, &topic, qos, plain())?;
    for number in 0..BATCH {
        stage.publish("pub", &topic, &number.to_string(), qos, plain())?;
    }
    for number in 0..BATCH {
        stage.hears("sub", &topic, &number.to_string(), qos, false)?;
    }
    part(stage)
}

fn qos_0(stage: &mut Stage<'_>) -> Told {
    in_order(stage, 0)
}

fn qos_1(stage: &mut Stage<'_>) -> Told {
    in_order(stage, 1)
}

fn qos_2(stage: &mut Stage<'_>) -> Told {
    in_order(stage, 2)
}

/// A message comes at the lower one of its own and the subscription's quality of service.
fn lower_qos(stage: &mut Stage<'_>) -> Told {
    let topic = stage.topic("t");
    two(stage, &topic, 1, plain())?;
    for (sent, comes) in [(0, 0), (1, 1), (2, 1)] {
        stage.publish("pub", &topic, "m", sent, plain())?;
        stage.hears("sub", &topic, "m", comes, false)?;
    }
    part(stage)
}

fn empty_payload(stage: &mut Stage<'_>) -> Told {
    let topic = stage.topic("t");
    two(stage, &topic, 1, plain())?;
    stage.publish("pub", &topic, "", 1, plain())?;
    stage.hears("sub", &topic, "", 1, false)?;
    nothing_more(stage, &topic)
}

fn large_payload(stage: &mut Stage<'_>) -> Told {
    let topic = stage.topic("t");
    two(stage, &topic, 1, plain())?;
    let payload: String = (0..40_000).map(|number| format!("{number:05} ")).collect();
    stage.publish("pub", &topic, &payload, 1, plain())?;
    stage.hears("sub", &topic, &payload, 1, false)?;
    nothing_more(stage, &topic)
}

fn topic_in_any_script(stage: &mut Stage<'_>) -> Told {
    let topic = stage.topic("дом/温度/°C/\u{1f980} and spaces");
    two(stage, &stage.topic("дом/+/°C/#"), 2, plain())?;
    stage.publish("pub", &topic, "warm", 2, plain())?;
    stage.hears("sub", &topic, "warm", 2, false)?;
    part(stage)
}

/// Who subscribes later hears it, marked; who was there hears it as any other.
fn retained(stage: &mut Stage<'_>) -> Told {
    let topic = stage.topic("t");
    two(stage, &topic, 1, plain())?;
    for payload in ["first", "second"] {
        stage.publish("pub", &topic, payload, 1, json!({"retain": true}))?;
        stage.hears("sub", &topic, payload, 1, false)?;
    }
    stage.enter("late", false, plain())?;
    stage.subscribe("late", &stage.topic("#"), 1, plain())?;
    stage.hears("late", &topic, "second", 1, true)?;
    stage.leave("late")?;
    stage.publish("pub", &topic, "", 1, json!({"retain": true}))?;
    stage.hears("sub", &topic, "", 1, false)?;
    part(stage)
}

fn retained_no_more(stage: &mut Stage<'_>) -> Told {
    let topic = stage.topic("t");
    stage.enter("pub", false, plain())?;
    for payload in ["something", ""] {
        stage.publish("pub", &topic, payload, 1, json!({"retain": true}))?;
    }
    stage.enter("sub", false, plain())?;
    stage.subscribe("sub", &topic, 1, plain())?;
    nothing_more(stage, &topic)
}

fn one_level(stage: &mut Stage<'_>) -> Told {
    two(stage, &stage.topic("a/+/c"), 1, plain())?;
    for levels in ["a/b/c", "a//c"] {
        stage.publish("pub", &stage.topic(levels), levels, 1, plain())?;
        stage.hears("sub", &stage.topic(levels), levels, 1, false)?;
    }
    for levels in ["a/c", "a/b/b/c", "a/b", "a/b/c/d"] {
        stage.publish("pub", &stage.topic(levels), levels, 1, plain())?;
    }
    nothing_more(stage, &stage.topic("a/end/c"))
}

fn all_levels(stage: &mut Stage<'_>) -> Told {
    two(stage, &stage.topic("a/#"), 1, plain())?;
    for levels in ["a", "a/b", "a/b/c", "a//"] {
        stage.publish("pub", &stage.topic(levels), levels, 1, plain())?;
        stage.hears("sub", &stage.topic(levels), levels, 1, false)?;
    }
    for levels in ["b", "ab", "b/a"] {
        stage.publish("pub", &stage.topic(levels), levels, 1, plain())?;
    }
    nothing_more(stage, &stage.topic("a/end"))
}

fn unsubscribed(stage: &mut Stage<'_>) -> Told {
    let (first, other) = (stage.topic("first"), stage.topic("other"));
    two(stage, &first, 1, plain())?;
    stage.subscribe("sub", &other, 1, plain())?;
    stage.unsubscribe("sub", &first)?;
    stage.publish("pub", &first, "unheard", 1, plain())?;
    nothing_more(stage, &other)
}

fn a_will(stage: &mut Stage<'_>, more: &[(&str, Value)]) -> Told<String> {
    let topic = stage.topic("will");
    two(stage, &topic, 1, plain())?;
    let mut will = json!({"topic": topic, "payload": "gone", "qos": 1, "retain": false});
    more.iter().for_each(|(key, value)| will[key] = value.clone());
    stage.enter("mortal", false, json!({"will": will}))?;
    Ok(topic)
}

fn will(stage: &mut Stage<'_>) -> Told {
    let topic = a_will(stage, &[])?;
    stage.vanish("mortal")?;
    stage.hears("sub", &topic, "gone", 1, false)?;
    part(stage)
}

fn no_will(stage: &mut Stage<'_>) -> Told {
    let topic = a_will(stage, &[])?;
    stage.leave("mortal")?;
    nothing_more(stage, &topic)
}

/// What is published while its client is away comes when it is back.
fn session_kept(stage: &mut Stage<'_>) -> Told {
    let topic = stage.topic("t");
    let kept = kept(stage);
    stage.enter("sub", false, kept.clone())?;
    stage.subscribe("sub", &topic, 2, plain())?;
    stage.leave("sub")?;
    stage.enter("pub", false, plain())?;
    for (payload, qos) in [("one", 1), ("two", 2)] {
        stage.publish("pub", &topic, payload, qos, plain())?;
    }
    stage.enter("sub", true, kept)?;
    for (payload, qos) in [("one", 1), ("two", 2)] {
        stage.hears("sub", &topic, payload, qos, false)?;
    }
    nothing_more(stage, &topic)?;
    // Nothing is left behind.
    stage.enter("sub", false, plain())?;
    stage.leave("sub")
}

fn session_dropped(stage: &mut Stage<'_>) -> Told {
    let topic = stage.topic("t");
    let kept = kept(stage);
    stage.enter("sub", false, kept)?;
    stage.subscribe("sub", &topic, 1, plain())?;
    stage.leave("sub")?;
    stage.enter("sub", false, plain())?;
    stage.enter("pub", false, plain())?;
    stage.publish("pub", &topic, "unheard", 1, plain())?;
    stage.subscribe("sub", &topic, 1, plain())?;
    nothing_more(stage, &topic)
}

/// The older connection of two with one client id ends.
fn taken_over(stage: &mut Stage<'_>) -> Told {
    let id = json!({"id": stage.topic("same")});
    stage.enter("older", false, id.clone())?;
    stage.enter("newer", false, id)?;
    stage.is_closed("older")?;
    stage.leave("newer")
}

/// Bad user name or password, and Not authorized (MQTT 5, 2.4; 4 and 5 in MQTT 3.1.1). A broker may say either.
const REFUSALS: [u64; 2] = [0x86, 0x87];

fn not_let_in(stage: &mut Stage<'_>, options: Value) -> Told {
    let reason = stage.refused("stranger", options)?;
    let is_one = reason.as_u64().is_some_and(|reason| REFUSALS.contains(&reason));
    if is_one { Ok(()) } else { Err(format!("reason {reason} instead of one of {REFUSALS:?}")) }
}

fn wrong_password(stage: &mut Stage<'_>) -> Told {
    not_let_in(stage, json!({"password": "wrong"}))
}

fn unknown_user(stage: &mut Stage<'_>) -> Told {
    not_let_in(stage, json!({"user": "nobody"}))
}

fn no_local(stage: &mut Stage<'_>) -> Told {
    let topic = stage.topic("t");
    two(stage, &topic, 1, json!({"no_local": true}))?;
    stage.publish("sub", &topic, "its own", 1, plain())?;
    nothing_more(stage, &topic)
}

fn retained_as_published(stage: &mut Stage<'_>) -> Told {
    let topic = stage.topic("t");
    two(stage, &topic, 1, json!({"as_published": true}))?;
    stage.publish("pub", &topic, "kept", 1, json!({"retain": true}))?;
    stage.hears("sub", &topic, "kept", 1, true)?;
    nothing_more(stage, &topic)
}

/// Something retained, and a subscriber that wants it in this way.
fn with_retained(stage: &mut Stage<'_>, handling: u8) -> Told<String> {
    let topic = stage.topic("t");
    stage.enter("pub", false, plain())?;
    stage.publish("pub", &topic, "kept", 1, json!({"retain": true}))?;
    stage.enter("sub", false, plain())?;
    stage.subscribe("sub", &topic, 1, json!({"retain_handling": handling}))?;
    Ok(topic)
}

fn retained_for_new_subscribers_only(stage: &mut Stage<'_>) -> Told {
    let topic = with_retained(stage, 1)?;
    stage.hears("sub", &topic, "kept", 1, true)?;
    stage.subscribe("sub", &topic, 1, json!({"retain_handling": 1}))?;
    nothing_more(stage, &topic)
}

fn no_retained(stage: &mut Stage<'_>) -> Told {
    let topic = with_retained(stage, 2)?;
    nothing_more(stage, &topic)
}

fn subscription_identifier(stage: &mut Stage<'_>) -> Told {
    let topic = stage.topic("t");
    two(stage, &topic, 1, json!({"subscription": 4_711}))?;
    stage.publish("pub", &topic, "m", 1, plain())?;
    let properties = stage.hears("sub", &topic, "m", 1, false)?;
    same("subscription", &properties["subscription"], &json!([4_711]))?;
    part(stage)
}

/// What the broker has to pass on as it is.
fn properties(stage: &mut Stage<'_>) -> Told {
    let topic = stage.topic("t");
    two(stage, &topic, 1, plain())?;
    let properties = json!({
        "content_type": "text/plain", "response_topic": stage.topic("answer"), "correlation": "number 5", "format": 1,
        "user": [["one", "1"], ["two", "2"]],
    });
    stage.publish("pub", &topic, "m", 1, json!({"properties": properties}))?;
    let heard = stage.hears("sub", &topic, "m", 1, false)?;
    same("properties", &heard, &properties)?;
    part(stage)
}

/// What has expired meanwhile doesn't come; what has not comes with the time that is left.
fn message_expiry(stage: &mut Stage<'_>) -> Told {
    let topic = stage.topic("t");
    let kept = kept(stage);
    stage.enter("sub", false, kept.clone())?;
    stage.subscribe("sub", &topic, 1, plain())?;
    stage.leave("sub")?;
    stage.enter("pub", false, plain())?;
    for (payload, seconds) in [("soon over", 1), ("later", 600)] {
        stage.publish("pub", &topic, payload, 1, json!({"properties": {"expiry": seconds}}))?;
    }
    pause(MORE_THAN_A_SECOND);
    stage.enter("sub", true, kept)?;
    let heard = stage.hears("sub", &topic, "later", 1, false)?;
    let left = heard["expiry"].as_u64().unwrap_or_default();
    if !(500..600).contains(&left) {
        return Err(format!("{left} s are left of 600"));
    }
    nothing_more(stage, &topic)
}

fn topic_alias(stage: &mut Stage<'_>) -> Told {
    let topic = stage.topic("t");
    two(stage, &topic, 1, plain())?;
    stage.publish("pub", &topic, "named", 1, json!({"properties": {"alias": 1}}))?;
    stage.hears("sub", &topic, "named", 1, false)?;
    stage.publish("pub", "", "unnamed", 1, json!({"properties": {"alias": 1}}))?;
    stage.hears("sub", &topic, "unnamed", 1, false)?;
    part(stage)
}

/// Each message goes to one of those who share a subscription.
fn shared_subscription(stage: &mut Stage<'_>) -> Told {
    let topic = stage.topic("t");
    let filter = format!("$share/group/{topic}");
    for who in ["one", "two"] {
        stage.enter(who, false, plain())?;
        stage.subscribe(who, &filter, 1, plain())?;
    }
    stage.enter("pub", false, plain())?;
    for _ in 0..4 {
        stage.publish("pub", &topic, "m", 1, plain())?;
    }
    // Each has its turn.
    for who in ["one", "two", "one", "two"] {
        stage.hears(who, &topic, "m", 1, false)?;
    }
    ["one", "two", "pub"].into_iter().try_for_each(|who| stage.leave(who))
}

fn assigned_client_id(stage: &mut Stage<'_>) -> Told {
    let connack = stage.enter("nameless", false, json!({"id": ""}))?;
    let assigned = connack["properties"]["assigned"].as_str().unwrap_or_default();
    if connack.get("properties").is_some() && assigned.is_empty() {
        return Err(format!("no client id was assigned: {connack}"));
    }
    stage.leave("nameless")
}

fn session_that_ends_with_its_connection(stage: &mut Stage<'_>) -> Told {
    for _ in 0..2 {
        stage.enter("sub", false, json!({"clean": false, "session_expiry": 0}))?;
        stage.subscribe("sub", &stage.topic("t"), 1, plain())?;
        stage.leave("sub")?;
    }
    Ok(())
}

fn session_that_expires(stage: &mut Stage<'_>) -> Told {
    let topic = stage.topic("t");
    let short = json!({"clean": false, "session_expiry": 1});
    stage.enter("sub", false, short.clone())?;
    stage.subscribe("sub", &topic, 1, plain())?;
    stage.leave("sub")?;
    pause(MORE_THAN_A_SECOND);
    stage.enter("sub", false, short)?;
    stage.subscribe("sub", &topic, 1, plain())?;
    stage.enter("pub", false, plain())?;
    nothing_more(stage, &topic)
}

/// A will that waits for a second, if its session is kept for longer.
fn a_delayed_will(stage: &mut Stage<'_>) -> Told<(String, Value)> {
    let topic = stage.topic("will");
    two(stage, &topic, 1, plain())?;
    let will = json!({"topic": topic, "payload": "gone", "qos": 1, "retain": false, "delay": 1});
    let options = json!({"clean": false, "session_expiry": 600, "will": will});
    stage.enter("mortal", false, options.clone())?;
    stage.vanish("mortal")?;
    Ok((topic, options))
}

fn delayed_will(stage: &mut Stage<'_>) -> Told {
    let (topic, _) = a_delayed_will(stage)?;
    stage.publish("pub", &topic, "not yet", 1, plain())?;
    stage.hears("sub", &topic, "not yet", 1, false)?;
    stage.hears("sub", &topic, "gone", 1, false)?;
    part(stage)
}

fn delayed_will_of_one_who_came_back(stage: &mut Stage<'_>) -> Told {
    let (topic, options) = a_delayed_will(stage)?;
    stage.enter("mortal", true, options)?;
    pause(MORE_THAN_A_SECOND);
    stage.leave("mortal")?;
    nothing_more(stage, &topic)
}

fn will_properties(stage: &mut Stage<'_>) -> Told {
    let topic = a_will(stage, &[("content_type", json!("text/plain"))])?;
    stage.vanish("mortal")?;
    let heard = stage.hears("sub", &topic, "gone", 1, false)?;
    same("properties", &heard, &json!({"content_type": "text/plain"}))?;
    part(stage)
}

/// What is larger than a client takes doesn't come, and the next one does.
fn maximum_packet_size(stage: &mut Stage<'_>) -> Told {
    let topic = stage.topic("t");
    stage.enter("sub", false, json!({"largest": 1_000}))?;
    stage.subscribe("sub", &topic, 1, plain())?;
    stage.enter("pub", false, plain())?;
    stage.publish("pub", &topic, &"x".repeat(1_000), 1, plain())?;
    nothing_more(stage, &topic)
}
