"""A client of paho-mqtt's, whose every answer is waited for."""

import collections
import hashlib
import queue

from paho.mqtt import client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from verdict import Failed, Late, check, same
from wire import PATIENCE, granted

# Messages under way from one client: brokers take 20 or more.
WINDOW = 10

# What a client hears, besides messages: the end of its connection, or an answer.
End = collections.namedtuple("End", "reason")
Answer = collections.namedtuple("Answer", "kind value")


def properties(packet, **values):
    made = Properties(packet)
    for name, value in values.items():
        setattr(made, name, value)
    return made


class Client:
    def __init__(self, port, version, client_id, will=None, login=None):
        """Connects, with a clean MQTT session. `will`: as paho takes it, at QoS 1. `login`: a name and a password."""
        self.answers, self.messages = queue.Queue(), queue.Queue()
        self.unfinished = collections.deque()
        self.paho = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id=client_id, protocol=version, reconnect_on_failure=False
        )
        self.paho.on_connect = lambda c, u, flags, reason, p: self._hears("CONNACK", (reason, p))
        self.paho.on_subscribe = lambda c, u, mid, reasons, p: self._hears("SUBACK", reasons)
        self.paho.on_unsubscribe = lambda c, u, mid, reasons, p: self._hears("UNSUBACK", reasons)
        self.paho.on_message = lambda c, u, message: self.messages.put(message)
        self.paho.on_disconnect = lambda c, u, flags, reason, p: self._ends(reason)
        # Above its limit paho lets a new message overtake those that wait; `publish` keeps below it.
        self.paho.max_inflight_messages_set(1_000)
        if will:
            self.paho.will_set(**will, qos=1)
        if login:
            self.paho.username_pw_set(*login)
        self.paho.connect("127.0.0.1", port)
        self.paho.loop_start()
        reason, self.properties = self._answer("CONNACK")
        check(not reason.is_failure, f"refused: {reason}")

    def _hears(self, kind, value):
        self.answers.put(Answer(kind, value))

    def _ends(self, reason):
        for heard in (self.answers, self.messages):
            heard.put(End(reason))

    def _next(self, heard, what, patience=PATIENCE):
        try:
            event = heard.get(timeout=patience)
        except queue.Empty:
            raise Late(f"{what} didn't come") from None
        if isinstance(event, End):
            raise Failed(f"the connection ended ({event.reason}) instead of {what}")
        return event

    def _answer(self, kind):
        answer = self._next(self.answers, kind)
        same(answer.kind, kind, "answer")
        return answer.value

    def subscribe(self, topic, qos=1, **options):
        """Subscribes, and gets just that quality of service."""
        if options:
            more = options.pop("properties", None)
            self.paho.subscribe(topic, options=mqtt.SubscribeOptions(qos=qos, **options), properties=more)
        else:
            self.paho.subscribe(topic, qos)
        (answer,) = self._answer("SUBACK")
        granted(answer.value, qos)

    def unsubscribe(self, topic):
        self.paho.unsubscribe(topic)
        self._answer("UNSUBACK")

    def publish(self, topic, payload, qos=1, retain=False, **more):
        """Publishes; above `WINDOW` once the earliest one's handshake is over."""
        own = properties(PacketTypes.PUBLISH, **more) if more else None
        self.unfinished.append(self.paho.publish(topic, payload, qos, retain, own))
        while len(self.unfinished) > WINDOW:
            self._finish()

    def finish(self):
        """Waits until every handshake is over."""
        while self.unfinished:
            self._finish()

    def _finish(self):
        message = self.unfinished.popleft()
        message.wait_for_publish(PATIENCE)
        check(message.is_published(), "a handshake didn't finish")

    def hears(self, topic, payload, qos=1, retain=False):
        """The next message, which has to be this one."""
        message = self._next(self.messages, f"{shown(payload)} on {topic}")
        same(shown(message.payload), shown(payload), "message")
        same(message.topic, topic, "topic")
        same(message.qos, qos, "QoS")
        same(message.retain, retain, "retained")
        return message

    def payloads(self, pause):
        """Those of the next message, if one comes within so many seconds."""
        try:
            return [self._next(self.messages, "a message", pause).payload]
        except Late:
            return []

    def end(self):
        """Waits for the end of the connection, before which nothing else may come."""
        try:
            event = self.messages.get(timeout=PATIENCE)
        except queue.Empty:
            raise Failed("the connection didn't end") from None
        check(isinstance(event, End), f"message {event!r} instead of the connection's end")
        self.answers.get(timeout=PATIENCE)

    def is_quiet(self):
        """Nothing came that wasn't looked at, its connection's end included."""
        self.finish()
        left = [event for heard in (self.answers, self.messages) for event in list(heard.queue)]
        check(not left, f"{left} came as well")

    def is_open(self):
        return self.paho.socket() is not None

    def vanish(self):
        """Closes its socket, and says nothing."""
        self.paho.on_disconnect = None
        self.paho.loop_stop()
        self.paho.socket().close()

    def leave(self):
        """Sends DISCONNECT and waits until the connection is over."""
        self.paho.on_disconnect = None
        self.paho.disconnect()
        self.paho.loop_stop()


def shown(payload):
    """A payload for people: not a megabyte of it."""
    if len(payload) <= 64:
        return repr(payload)
    return f"{len(payload)} bytes with SHA-256 {hashlib.sha256(payload).hexdigest()}"
