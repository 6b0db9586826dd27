"""A client by hand, for what paho-mqtt can't do: bytes out, packets in."""

import socket
import struct

from verdict import Absent, Ended, Failed, check, same

# Seconds to wait for what takes milliseconds.
PATIENCE = 30

CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK = 0x20, 0x30, 0x40, 0x50, 0x62, 0x70, 0x90
PINGREQ, PINGRESP, DISCONNECT = b"\xc0\0", 0xD0, b"\xe0\0"


class Wire:
    def __init__(self, port, version):
        self.version = version
        # A property length of nothing, where MQTT 5 has one.
        self.none = b"\0" if version == 5 else b""
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def say(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # What the other side said before it closed is still to be read.

    def _read(self, length):
        data = b""
        while len(data) < length:
            try:
                more = self.socket.recv(length - len(data))
            except ConnectionResetError:
                more = b""
            except TimeoutError:
                raise Failed("nothing came") from None
            if not more:
                raise Ended("the connection ended")
            data += more
        return data

    def packet(self):
        """The next packet: its first byte, and its body."""
        first, length, shift = self._read(1)[0], 0, 0
        while True:
            digit = self._read(1)[0]
            length |= (digit & 0x7F) << shift
            shift += 7
            if digit < 0x80:
                return first, self._read(length)

    def ends(self):
        """Waits until the other side closes; nothing else may come."""
        try:
            first, body = self.packet()
        except Ended:
            return self.socket.close()
        raise Failed(f"packet {first:#x} {body[:32].hex()} instead of the connection's end")

    def ends_after(self):
        """Waits until the other side closes; in MQTT 5 a DISCONNECT may come first. Gives what came of it."""
        try:
            first, body = self.packet()
        except Ended:
            return self.socket.close()
        same(first, DISCONNECT[0], "packet")
        self.ends()
        return body.hex()

    def connect(self, client_id, clean=True, keepalive=60, will=None, username=None, password=None, lasts=0):
        """Sends a CONNECT. `will`: a topic and a payload, for QoS 1. `lasts`: seconds that an unclean session does."""
        flags, payload = clean << 1, text(client_id)
        if will:
            flags |= 0x0C
            payload += self.none + text(will[0]) + text(will[1])
        for flag, value in ((0x80, username), (0x40, password)):
            if value is not None:
                flags |= flag
                payload += text(value)
        protocol = text("MQIsdp" if self.version == 3 else "MQTT")
        head = struct.pack(">BBH", self.version, flags, keepalive)
        properties = struct.pack(">BBI", 5, 0x11, lasts) if self.version == 5 and lasts else self.none
        self.say(packet(0x10, protocol + head + properties + payload))

    def connack(self):
        """What a CONNECT is answered with, all of it: in hexadecimal, or that the connection ends."""
        try:
            first, body = self.packet()
        except Ended:
            self.socket.close()
            return "the end"
        same(first, CONNACK, "packet")
        return body.hex()

    def subscribe(self, topic, qos):
        self.say(packet(0x82, b"\0\1" + self.none + text(topic) + bytes([qos])))
        first, body = self.packet()
        same((first, body[:2]), (SUBACK, b"\0\1"), "SUBACK")
        granted(body[-1], qos)

    def publish(self, topic, payload, qos, packet_id):
        self.say(self.publication(topic, payload, qos, packet_id))

    def publication(self, topic, payload, qos, packet_id):
        return packet(PUBLISH | qos << 1, text(topic) + struct.pack(">H", packet_id) + self.none + payload)

    def hears(self, topic, payload, qos):
        """The next packet, which has to be this PUBLISH: its packet id, and whether it is marked as sent again."""
        first, body = self.packet()
        (length,) = struct.unpack(">H", body[:2])
        rest = body[2 + length :]
        properties = 1 + rest[2] if self.version == 5 else 0
        same(rest[2 + properties :], payload, "message")
        same(body[2 : 2 + length], topic.encode(), "topic")
        same(first & ~0x08, PUBLISH | qos << 1, "first byte")
        return struct.unpack(">H", rest[:2])[0], bool(first & 0x08)

    def acknowledge(self, kind, packet_id):
        self.say(packet(kind, struct.pack(">H", packet_id)))

    def acknowledged(self, kind, packet_id):
        """The next packet, which has to be this acknowledgement, of success."""
        first, body = self.packet()
        same((first, body[:2]), (kind, struct.pack(">H", packet_id)), "acknowledgement")
        # In MQTT 5 nobody having subscribed is no failure.
        check(body[2:3] in (b"", b"\0", b"\x10"), f"acknowledgement {first:#x} with reason {body[2:3].hex()}")

    def vanish(self, reset=False):
        """Closes without DISCONNECT."""
        if reset:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def goes(self):
        """Sends DISCONNECT, and waits until the broker has taken it and closed."""
        self.say(DISCONNECT)
        self.ends()

    def is_quiet(self):
        """By hand, all that comes has been looked at."""

    def is_open(self):
        return self.socket.fileno() >= 0

    def leave(self):
        if self.is_open():
            self.say(DISCONNECT)
            self.socket.close()


def packet(first, body):
    length, digits = len(body), b""
    while True:
        length, digit = divmod(length, 128)
        digits += bytes([digit | (0x80 if length else 0)])
        if not length:
            return bytes([first]) + digits + body


def granted(got, qos):
    """What a SUBACK says, which has to be what was asked for."""
    if got < qos:
        raise Absent(f"it grants QoS {got} for {qos}")
    same(got, qos, "SUBACK")


def text(value):
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack(">H", len(data)) + data
