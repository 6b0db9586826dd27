"""What only MQTT 5 has."""

import time

from paho.mqtt.packettypes import PacketTypes

from client import properties
from stage import behaviour
from verdict import Absent, check, same
from wire import PATIENCE


@behaviour(5)
def properties_pass(play):
    subscriber = play.client("sub", at=1)
    subscriber.subscribe(play.topic())
    publisher = play.client("pub", at=0)
    sent = {
        "UserProperty": [("way", "there"), ("way", "back"), ("größe", "🙂"), ("", "")],
        "ContentType": "text/größe",
        "CorrelationData": bytes(range(256)),
        "ResponseTopic": play.topic("answer"),
        "PayloadFormatIndicator": 1,
    }
    for _ in range(2):
        publisher.publish(play.topic(), "größe", MessageExpiryInterval=600, **sent)
        got = subscriber.hears(play.topic(), "größe".encode()).properties
        for name, value in sent.items():
            same(getattr(got, name, None), value, name)
        # It may have waited for some of its time (3.3.2.3.3).
        check(540 <= getattr(got, "MessageExpiryInterval", 0) <= 600, "MessageExpiryInterval isn't what is left of 600")
        play.middle()


@behaviour(5)
def will_properties_pass(play):
    heir = play.client("heir", at=1)
    heir.subscribe(play.topic())
    sent = {"UserProperty": [("last", "words")], "ContentType": "text/plain", "CorrelationData": b"\0\xff"}
    will = properties(PacketTypes.WILLMESSAGE, **sent)
    mortal = play.client("mortal", will={"topic": play.topic(), "payload": "gone", "properties": will})
    play.middle()
    heir.is_quiet()
    mortal.vanish()
    got = heir.hears(play.topic(), b"gone").properties
    for name, value in sent.items():
        same(getattr(got, name, None), value, name)


@behaviour(5)
def request_response(play):
    """Where to, and which, as the request says: answered before the faults, across them, and after them."""
    asks, answers = play.client("asks", at=0), play.client("answers", at=1)
    asks.subscribe(play.topic("answer"))
    answers.subscribe(play.topic("question"))

    def ask(nth):
        to = {"ResponseTopic": play.topic("answer"), "CorrelationData": b"%d" % nth}
        asks.publish(play.topic("question"), f"question {nth}", **to)
        return answers.hears(play.topic("question"), b"question %d" % nth).properties

    def answer(nth, asked):
        answers.publish(asked.ResponseTopic, f"answer {nth}", CorrelationData=asked.CorrelationData)
        got = asks.hears(play.topic("answer"), b"answer %d" % nth).properties
        same(got.CorrelationData, b"%d" % nth, "correlation data")

    answer(0, ask(0))
    asked = ask(1)
    play.middle()
    answer(1, asked)
    answer(2, ask(2))


@behaviour(5)
def topic_alias(play):
    """A number for a topic, which means it for as long as the connection lasts."""
    publisher = play.client("pub", at=0)
    aliases = getattr(publisher.properties, "TopicAliasMaximum", 0)
    if aliases < 2:
        raise Absent(f"its Topic Alias Maximum is {aliases}")
    subscriber = play.client("sub", at=1)
    subscriber.subscribe(play.topic("+"))
    for alias in (1, 2):
        publisher.publish(play.topic(str(alias)), "whole", TopicAlias=alias)
        subscriber.hears(play.topic(str(alias)), b"whole")
    for _ in range(2):
        for alias in (2, 1):
            publisher.publish("", "short", TopicAlias=alias)
            subscriber.hears(play.topic(str(alias)), b"short")
        play.middle()
    publisher.publish(play.topic("3"), "whole", TopicAlias=1)
    publisher.publish("", "short", TopicAlias=1)
    for payload in (b"whole", b"short"):
        subscriber.hears(play.topic("3"), payload)


@behaviour(5)
def shared_subscription(play):
    """Each message goes to one of the group."""
    members = [play.client(f"member-{at}", at=at) for at in range(2)]
    if not getattr(members[0].properties, "SharedSubscriptionAvailable", 1):
        raise Absent("it has no shared subscriptions")
    for member in members:
        member.subscribe(f"$share/{play.own}/{play.topic()}")
    publisher = play.client("pub", at=0)
    for half in range(2):
        sent = [b"%d %d" % (half, nth) for nth in range(40)]
        for payload in sent:
            publisher.publish(play.topic(), payload)
        shares = share(members, len(sent))
        same(sorted(sum(shares, [])), sorted(sent), "messages of all members")
        for got in shares:
            same(got, [payload for payload in sent if payload in got], "order of a member's messages")
            check(got, "one of the members got nothing")
        play.middle()


def share(members, messages):
    """The payloads that each member got, once there are so many of all."""
    shares = [[] for _ in members]
    patience = time.monotonic() + PATIENCE
    while sum(map(len, shares)) < messages:
        check(time.monotonic() < patience, f"{sum(map(len, shares))} of {messages} messages came")
        for got, member in zip(shares, members):
            got.extend(member.payloads(pause=0.01))
    return shares


@behaviour(5)
def subscription_options(play):
    """No Local, Retain As Published, and the Subscription Identifier."""
    client = play.client("own", at=0)
    numbered = properties(PacketTypes.SUBSCRIBE, SubscriptionIdentifier=268_435_455)
    client.subscribe(play.topic(), noLocal=True, retainAsPublished=True, properties=numbered)
    other = play.client("other", at=1)
    for _ in range(2):
        client.publish(play.topic(), "of its own", retain=True)
        client.finish()
        other.publish(play.topic(), "of another", retain=True)
        got = client.hears(play.topic(), b"of another", retain=True).properties
        same(getattr(got, "SubscriptionIdentifier", None), [268_435_455], "subscription identifier")
        play.middle()
    other.publish(play.topic(), "", retain=True)
    client.hears(play.topic(), b"", retain=True)
