"""Wills, and MQTT sessions that outlive their connections."""

from stage import behaviour
from verdict import same
from wire import PUBACK, packet


@behaviour(4, 5)
def will(play):
    """Published for who vanishes, by whichever way; not for who goes through the faults."""
    heir = play.client("heir", at=1)
    heir.subscribe(play.topic("+"))

    def mortal(name):
        return play.connected(name, will=(play.topic(name), name))

    def vanishes(wire, name, reset):
        wire.vanish(reset)
        heir.hears(play.topic(name), name.encode())

    closes, resets = mortal("closes"), mortal("resets")
    vanishes(mortal("early"), "early", reset=False)
    play.middle()
    heir.is_quiet()
    vanishes(closes, "closes", reset=False)
    vanishes(resets, "resets", reset=True)


@behaviour(4, 5)
def no_will(play):
    """Not published for who leaves with DISCONNECT."""
    heir = play.client("heir", at=1)
    heir.subscribe(play.topic("+"))
    early, late = (play.connected(name, will=(play.topic(name), name)) for name in ("early", "late"))
    early.goes()
    play.middle()
    late.goes()
    # Whatever they had left would come before this.
    heir.publish(play.topic("end"), "end")
    heir.hears(play.topic("end"), b"end")


@behaviour(4, 5)
def will_of_who_is_taken_over(play):
    """Client takeover is no DISCONNECT."""
    heir = play.client("heir", at=1)
    heir.subscribe(play.topic("+"))
    first = play.connected("mortal", at=0, will=(play.topic("will"), "taken over"))
    play.middle()
    heir.is_quiet()
    second = play.client("mortal", at=1)
    first.ends_after()
    second.publish(play.topic("end"), "end")
    heir.hears(play.topic("will"), b"taken over")
    heir.hears(play.topic("end"), b"end")


@behaviour(5)
def will_as_a_farewell(play):
    """DISCONNECT with reason 0x04 asks for it (MQTT 5, 3.14.2.1)."""
    heir = play.client("heir", at=1)
    heir.subscribe(play.topic())
    mortal = play.connected("mortal", will=(play.topic(), "asked for"))
    play.middle()
    mortal.say(packet(0xE0, b"\x04\0"))
    mortal.ends()
    heir.publish(play.topic(), "end")
    heir.hears(play.topic(), b"asked for")
    heir.hears(play.topic(), b"end")


@behaviour(4, 5)
def session_resumed(play):
    """What comes for a client while it is away waits for it, in order."""
    away = {"clean": False, "lasts": 3600}
    client = play.connected("sub", **away)
    client.subscribe(play.topic(), 1)
    client.goes()
    publisher = play.client("pub", at=1)

    def publish():
        for nth in range(10):
            publisher.publish(play.topic(), b"%d" % nth)
        publisher.finish()

    def comes_back(at):
        client = play.connected("sub", at, session_present=True, **away)
        for nth in range(10):
            packet_id, _ = client.hears(play.topic(), b"%d" % nth, 1)
            client.acknowledge(PUBACK, packet_id)
        return client

    publish()
    client = comes_back(at=1)
    play.middle()
    client.goes()
    publish()
    comes_back(at=0).goes()
    # And none of it is left for one who starts anew.
    client = play.connected("sub")
    client.subscribe(play.topic("end"), 1)
    publisher.publish(play.topic(), "for nobody")
    publisher.publish(play.topic("end"), "end")
    client.hears(play.topic("end"), b"end", 1)


@behaviour(4, 5)
def unacknowledged_again(play):
    """A message that the client had no time to acknowledge comes again after its reconnect, marked."""
    away = {"clean": False, "lasts": 3600}
    client = play.connected("sub", **away)
    client.subscribe(play.topic(), 1)
    publisher = play.client("pub", at=1)
    publisher.publish(play.topic(), "again")
    publisher.finish()
    _, again = client.hears(play.topic(), b"again", 1)
    same(again, False, "marked as sent again")
    play.middle()
    client.vanish(reset=True)
    client = play.connected("sub", at=1, session_present=True, **away)
    packet_id, again = client.hears(play.topic(), b"again", 1)
    same(again, True, "marked as sent again")
    client.acknowledge(PUBACK, packet_id)
    client.goes()
    play.connected("sub").goes()
