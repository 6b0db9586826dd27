"""CONNECT, and who may: credentials, client ids, client takeover, keep alive."""

import time

from stage import behaviour
from verdict import Absent, check, same
from wire import PINGREQ, PINGRESP


@behaviour(3, 4, 5)
def plain(play):
    wire = play.wire("only")
    play.saw(wire.connack())
    for _ in range(2):
        wire.say(PINGREQ)
        same(wire.packet(), (PINGRESP, b""), "answer to a PINGREQ")
        play.middle()
    wire.goes()


@behaviour(3, 4, 5)
def right_password(play):
    wire = play.wire("by hand", username=play.user, password=play.password)
    play.saw(wire.connack())
    client = play.client("right", login=(play.user, play.password))
    client.subscribe(play.topic())
    play.middle()
    client.publish(play.topic(), "still known")
    client.hears(play.topic(), b"still known")


@behaviour(3, 4, 5)
def wrong_password(play):
    def is_refused():
        for at, (user, password) in enumerate([(play.user, "wrong horse"), ("nobody", play.password)]):
            wire = play.wire(f"wrong-{at}", at, username=user, password=password)
            answer = wire.connack()
            if answer.startswith("0000"):
                raise Absent("it takes any password")
            play.saw(f"{user}: {answer}")
            if wire.is_open():
                wire.ends()

    is_refused()
    play.middle()
    is_refused()


@behaviour(4, 5)
def no_client_id(play):
    client = play.client("only", client_id="")
    if play.version == 5:
        check(client.properties.AssignedClientIdentifier, "it was assigned none")
    client.subscribe(play.topic())
    play.middle()
    client.publish(play.topic(), "me")
    client.hears(play.topic(), b"me")


@behaviour(4)
def no_client_id_to_keep(play):
    """An MQTT session that outlives its connection needs a name (3.1.1, 3.1.3.1)."""
    for at in range(2):
        wire = play.wire("only", at, client_id="", clean=False)
        same(wire.connack(), "0002", "CONNACK")
        wire.ends()
        play.middle()


@behaviour(4, 5)
def longest_client_id(play):
    client_id = play.own.ljust(65_535, "x")
    wire = play.wire("only", client_id=client_id)
    answer = wire.connack()
    play.saw(answer)
    if not answer.startswith("0000"):
        return play.middle()
    wire.subscribe(play.topic(), 0)
    play.middle()
    wire.subscribe(play.topic("more"), 0)
    wire.goes()


@behaviour(4, 5)
def unicode(play):
    """Two, three and four bytes a character, in client id, topic, filter and payload."""
    name = f"{play.own}-Ünï-主題-🙂"
    client = play.client("only", client_id=name)
    client.subscribe(f"{name}/+/größe")
    for word in ["前", "後"]:
        client.publish(f"{name}/{word}/größe", f"{word} 🙂")
        client.hears(f"{name}/{word}/größe", f"{word} 🙂".encode())
        play.middle()


@behaviour(4, 5)
def client_takeover(play):
    """The same client id connects elsewhere: the first connection ends (3.1.1, 3.1.4)."""
    first = play.client("same", at=0)
    first.subscribe(play.topic())
    play.middle()
    second = play.client("same", at=1)
    first.end()
    second.subscribe(play.topic())
    second.publish(play.topic(), "mine")
    second.hears(play.topic(), b"mine")


@behaviour(5)
def client_takeover_with_a_word(play):
    """DISCONNECT with reason 0x8E (MQTT 5, 3.1.4)."""
    first = play.connected("same", at=0)
    play.middle()
    play.client("same", at=1)
    reason = first.ends_after()
    play.saw(reason)
    check(reason and reason.startswith("8e"), f"DISCONNECT {reason}")


@behaviour(4, 5)
def keep_alive(play):
    """Who is silent for one and a half times as long as it promised is taken for dead (3.1.2.10)."""
    seconds = 3
    heir = play.client("heir", at=1)
    heir.subscribe(play.topic("will"))
    mortal = play.connected("mortal", keepalive=seconds, will=(play.topic("will"), "silent"))
    while play.is_middle(pause=seconds / 10):
        mortal.say(PINGREQ)
        same(mortal.packet(), (PINGRESP, b""), "answer to a PINGREQ")
    heir.is_quiet()
    mortal.say(PINGREQ)
    same(mortal.packet(), (PINGRESP, b""), "answer to a PINGREQ")
    silent = time.monotonic()
    play.saw(mortal.ends_after())
    waited = time.monotonic() - silent
    # Brokers look now and then: mosquitto every five seconds.
    check(seconds <= waited < 1.5 * seconds + 10, f"it was closed after {waited:.1f} s for a keep alive of {seconds} s")
    heir.hears(play.topic("will"), b"silent")
