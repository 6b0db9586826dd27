"""PUBLISH and SUBSCRIBE: every quality of service both ways, retained messages, filters, sizes."""

import random

from stage import behaviour
from wire import PUBACK, PUBCOMP, PUBREC, PUBREL

# Messages before the middle, and after it.
BATCH = 30
KIB = 1024


def in_order(play, qos):
    """Numbers come in order and exactly once: before, during and after the faults."""
    subscriber = play.client("sub", at=1)
    subscriber.subscribe(play.topic(), qos)
    publisher = play.client("pub", at=0)
    sent = heard = 0

    def publish(messages):
        nonlocal sent
        for _ in range(messages):
            publisher.publish(play.topic(), str(sent), qos)
            sent += 1

    def hear():
        nonlocal heard
        while heard < sent:
            subscriber.hears(play.topic(), b"%d" % heard, qos)
            heard += 1

    publish(BATCH)
    hear()
    while play.is_middle(pause=0.05):
        publish(1)
    publish(BATCH)
    hear()


@behaviour(3, 4, 5)
def qos_0(play):
    in_order(play, 0)


@behaviour(3, 4, 5)
def qos_1(play):
    in_order(play, 1)


@behaviour(3, 4, 5)
def qos_2(play):
    in_order(play, 2)


@behaviour(4, 5)
def qos_1_across(play):
    """The faults come between the packets of handshakes."""
    subscriber, publisher = by_hand(play, 1)
    publisher.publish(play.topic(), b"one", 1, 1)
    publisher.acknowledged(PUBACK, 1)
    one, _ = subscriber.hears(play.topic(), b"one", 1)
    play.middle()
    subscriber.acknowledge(PUBACK, one)
    # It didn't come twice: the next is the next.
    publisher.publish(play.topic(), b"two", 1, 2)
    publisher.acknowledged(PUBACK, 2)
    subscriber.hears(play.topic(), b"two", 1)


@behaviour(4, 5)
def qos_2_across(play):
    """As before, in both halves of the longer handshake."""
    subscriber, publisher = by_hand(play, 2)
    publisher.publish(play.topic(), b"one", 2, 1)
    publisher.acknowledged(PUBREC, 1)
    publisher.acknowledge(PUBREL, 1)
    publisher.acknowledged(PUBCOMP, 1)
    one, _ = subscriber.hears(play.topic(), b"one", 2)
    subscriber.acknowledge(PUBREC, one)
    subscriber.acknowledged(PUBREL, one)
    publisher.publish(play.topic(), b"two", 2, 2)
    publisher.acknowledged(PUBREC, 2)
    play.middle()
    subscriber.acknowledge(PUBCOMP, one)
    publisher.acknowledge(PUBREL, 2)
    publisher.acknowledged(PUBCOMP, 2)
    two, _ = subscriber.hears(play.topic(), b"two", 2)
    subscriber.acknowledge(PUBREC, two)
    subscriber.acknowledged(PUBREL, two)
    subscriber.acknowledge(PUBCOMP, two)
    # Neither came twice.
    publisher.publish(play.topic(), b"three", 2, 3)
    publisher.acknowledged(PUBREC, 3)
    publisher.acknowledge(PUBREL, 3)
    publisher.acknowledged(PUBCOMP, 3)
    subscriber.hears(play.topic(), b"three", 2)


def by_hand(play, qos):
    subscriber, publisher = play.connected("sub", at=1), play.connected("pub", at=0)
    subscriber.subscribe(play.topic(), qos)
    return subscriber, publisher


@behaviour(4, 5)
def lower_qos(play):
    """A message comes at its own quality of service, or the subscription's if that is lower (3.8.4)."""
    publisher = play.client("pub", at=0)
    subscribers = [play.client(f"sub-{qos}", at=1) for qos in range(2)]
    for qos, subscriber in enumerate(subscribers):
        subscriber.subscribe(play.topic(), qos)
    for _ in range(2):
        for published in range(3):
            publisher.publish(play.topic(), f"at {published}", published)
            for qos, subscriber in enumerate(subscribers):
                subscriber.hears(play.topic(), b"at %d" % published, min(qos, published))
        play.middle()


@behaviour(4, 5)
def packet_in_two_parts(play):
    """The faults come in the midst of a packet."""
    subscriber = play.client("sub", at=1)
    subscriber.subscribe(play.topic())
    publisher = play.connected("pub", at=0)
    payload = noise(play, 100 * KIB)
    packet = publisher.publication(play.topic(), payload, 1, 1)
    publisher.say(packet[: len(packet) // 2])
    play.middle()
    publisher.say(packet[len(packet) // 2 :])
    publisher.acknowledged(PUBACK, 1)
    subscriber.hears(play.topic(), payload)


@behaviour(4, 5)
def retained(play):
    """Kept for those who come later, until it is cleared."""
    keeps(play, play.topic("kept"))


@behaviour(4, 5)
def retained_by_wildcard(play):
    keeps(play, play.topic("+"))


def keeps(play, topic):
    publisher, there = play.client("pub", at=0), play.client("there", at=1)
    there.subscribe(play.topic("kept"))

    def publish(payload, retain=True):
        """To who is there it is a message like any other."""
        publisher.publish(play.topic("kept"), payload, retain=retain)
        there.hears(play.topic("kept"), payload.encode())

    def comes(role, *kept):
        client = play.client(role, at=1)
        client.subscribe(topic)
        publish(f"{role} is here", retain=False)
        for payload in kept:
            client.hears(play.topic("kept"), payload, retain=True)
        client.hears(play.topic("kept"), f"{role} is here".encode())
        client.leave()

    publish("first")
    publish("second")
    comes("early", b"second")
    play.middle()
    comes("late", b"second")
    publish("")
    comes("last")


@behaviour(4, 5)
def wildcards(play):
    one = play.client("one", at=0)
    one.subscribe(play.topic("+", "leaf"))
    rest = play.client("rest", at=1)
    rest.subscribe(play.topic("a", "#"))
    publisher = play.client("pub", at=0)
    for _ in range(2):
        heard_by = {
            ("a",): [rest],
            ("a", "leaf"): [one, rest],
            ("a", "b", "leaf"): [rest],
            ("", "leaf"): [one],
            ("b", "leaf"): [one],
            ("b", "twig"): [],
            ("leaf",): [],
            ("ab",): [],
            ("a", "", "b", "c"): [rest],
        }
        for levels in heard_by:
            publisher.publish(play.topic(*levels), "/".join(levels))
        for levels, clients in heard_by.items():
            for client in clients:
                client.hears(play.topic(*levels), "/".join(levels).encode())
        play.middle()


@behaviour(4, 5)
def unsubscribed(play):
    client = play.client("only")
    for topic in ("first", "other"):
        client.subscribe(play.topic(topic))
    play.middle()
    client.unsubscribe(play.topic("first"))
    for topic in ("first", "other"):
        client.publish(play.topic(topic), topic)
    client.hears(play.topic("other"), b"other")


@behaviour(4, 5)
def large_payload(play):
    subscriber = play.client("sub", at=1)
    subscriber.subscribe(play.topic())
    publisher = play.client("pub", at=0)
    for _ in range(2):
        payload = noise(play, KIB * KIB)
        publisher.publish(play.topic(), payload)
        subscriber.hears(play.topic(), payload)
        play.middle()


@behaviour(4, 5)
def payloads_back_to_back(play):
    subscriber = play.client("sub", at=1)
    subscriber.subscribe(play.topic())
    publisher = play.client("pub", at=0)
    payload = noise(play, 256 * KIB)
    for half in range(2):
        for nth in range(16):
            publisher.publish(play.topic(), b"%d %d " % (half, nth) + payload)
        for nth in range(16):
            subscriber.hears(play.topic(), b"%d %d " % (half, nth) + payload)
        play.middle()


def noise(play, length):
    return random.Random(play.own).randbytes(length)
