"""A subscriber and a publisher of paho-mqtt's: numbers.py NAME SUBSCRIBER_PORT PUBLISHER_PORT VERSION QOS.

"ready" on standard output says that both are connected and the one has subscribed. Each line on standard input is a
number of messages to publish, of all qualities of service up to QOS in turn. Each is answered with its number when all of
them have come, exactly once and in order, and been acknowledged. Whatever shouldn't be ends this program with a line that
says what it was.
"""

import os
import queue
import sys

from paho.mqtt import client as mqtt

PATIENCE = 30
# Messages under way; two in three of them have a handshake.
GROUP = 24

NAME = sys.argv[1]
SUBSCRIBER_PORT, PUBLISHER_PORT, VERSION, QOS = map(int, sys.argv[2:])
events = queue.Queue()


def fail(what):
    print(what, flush=True)
    os._exit(1)


def client(role, port):
    made = mqtt.Client(
        mqtt.CallbackAPIVersion.VERSION2,
        client_id=f"{NAME}-{role}",
        protocol=VERSION,
        reconnect_on_failure=False,
    )
    made.on_connect = lambda c, u, f, reason, p: events.put(("connected", reason.is_failure))
    made.on_disconnect = lambda c, u, f, reason, p: events.put(("disconnected", reason))
    # Above its limit paho lets a new message overtake those that wait: no limit, no waiting.
    made.max_inflight_messages_set(1_000)
    made.connect("127.0.0.1", port, keepalive=5)
    made.loop_start()
    expect(("connected", False))
    return made


def expect(wanted):
    try:
        event = events.get(timeout=PATIENCE)
    except queue.Empty:
        fail(f"{wanted} didn't come")
    if event != wanted:
        fail(f"{event} came instead of {wanted}")


received = queue.Queue()
subscriber = client("subscriber", SUBSCRIBER_PORT)
subscriber.on_subscribe = lambda c, u, m, reasons, p: events.put(("granted", [reason.value for reason in reasons]))
subscriber.on_message = lambda c, u, message: received.put(int(message.payload))
subscriber.subscribe(NAME, qos=QOS)
expect(("granted", [QOS]))
publisher = client("publisher", PUBLISHER_PORT)
print("ready", flush=True)

# Messages that were published at one quality of service come in order; between two of them none is promised.
following = list(range(QOS + 1))
number = 0
for line in sys.stdin:
    batch = int(line)
    sent = []
    for _ in range(batch):
        # With more than 20 handshakes open paho lets a new message overtake those that wait for one to end.
        if len(sent) >= GROUP:
            sent[-GROUP].wait_for_publish(PATIENCE)
        sent.append(publisher.publish(NAME, str(number), qos=number % (QOS + 1)))
        number += 1
    for _ in range(batch):
        try:
            got = received.get(timeout=PATIENCE)
        except queue.Empty:
            fail("a message is missing")
        qos = got % (QOS + 1)
        if got != following[qos]:
            fail(f"QoS {qos}: {got} came instead of {following[qos]}")
        following[qos] += QOS + 1
    for message in sent:
        message.wait_for_publish(PATIENCE)
        if not message.is_published():
            fail("a handshake didn't finish")
    if not events.empty():
        fail(f"{events.get()} came")
    print(batch, flush=True)

for leaving in (publisher, subscriber):
    leaving.disconnect()
    leaving.loop_stop()
