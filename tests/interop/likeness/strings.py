"""What Python's puppets share: one object a line in, one a line out, and MQTT 5's properties as JSON."""

import json
import sys
import threading

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

# The names that habits use, and those of paho's properties.
NAMES = {
    "expiry": "MessageExpiryInterval",
    "content_type": "ContentType",
    "response_topic": "ResponseTopic",
    "correlation": "CorrelationData",
    "alias": "TopicAlias",
    "user": "UserProperty",
    "format": "PayloadFormatIndicator",
    "subscription": "SubscriptionIdentifier",
    "session_expiry": "SessionExpiryInterval",
    "largest": "MaximumPacketSize",
    "delay": "WillDelayInterval",
    "assigned": "AssignedClientIdentifier",
}

writing = threading.Lock()


def told():
    """All that this puppet is told to do."""
    for line in sys.stdin:
        yield json.loads(line)


def say(who, event, **fields):
    with writing:
        print(json.dumps({"who": who, "event": event, **fields}), flush=True)


def properties(packet, told):
    """Those of these that a packet of this type has; none if there is none."""
    own = Properties(packet)
    for name, value in told.items():
        if name == "correlation":
            value = value.encode()
        if name == "user":
            value = [tuple(pair) for pair in value]
        setattr(own, NAMES[name], value)
    return own if told else None


def of_connect(told):
    return properties(PacketTypes.CONNECT, {k: told[k] for k in ("session_expiry", "largest") if k in told})


def of_will(will):
    return properties(PacketTypes.WILLMESSAGE, {k: will[k] for k in ("delay", "content_type") if k in will})


def of_publish(told):
    return properties(PacketTypes.PUBLISH, told.get("properties", {}))


def of_subscribe(told):
    return properties(PacketTypes.SUBSCRIBE, {k: told[k] for k in ("subscription",) if k in told})


def shown(heard):
    """Properties that came, as JSON has them."""
    values = {}
    for name, long in NAMES.items():
        value = getattr(heard, long, None) if heard else None
        if value is not None:
            values[name] = value.decode() if isinstance(value, bytes) else value
    return values


def say_message(who, message):
    own = shown(getattr(message, "properties", None))
    topic, payload = str(message.topic), message.payload.decode()
    say(who, "message", topic=topic, payload=payload, qos=message.qos, retain=bool(message.retain), properties=own)
