"""A subscriber and a publisher of paho-mqtt's, at an edge: numbers.py PORT VERSION.

Each line on standard input is a number of messages to publish, of all qualities of service in turn. Each is answered
with a line on standard output when all of them have come, exactly once and in order. Whatever shouldn't be ends this
program with a line that says what it was.
"""

import os
import queue
import sys

from paho.mqtt import client as mqtt

PATIENCE = 60
# Messages under way; two in three of them have a handshake.
GROUP = 24
TOPIC = "paho/numbers"

port, version = int(sys.argv[1]), int(sys.argv[2])
events = queue.Queue()


def fail(what):
    print(what, flush=True)
    os._exit(1)


def client(name):
    made = mqtt.Client(
        mqtt.CallbackAPIVersion.VERSION2,
        client_id=f"paho-{name}-{version}",
        protocol=version,
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


# Messages of one quality of service come in order; between two of them none is promised.
received = queue.Queue()
subscriber = client("subscriber")
subscriber.on_subscribe = lambda c, u, m, reasons, p: events.put(("subscribed", any(r.is_failure for r in reasons)))
subscriber.on_message = lambda c, u, message: received.put((message.qos, int(message.payload)))
subscriber.subscribe(TOPIC, qos=2)
expect(("subscribed", False))
publisher = client("publisher")

following = [0, 1, 2]
number = 0
for line in sys.stdin:
    batch = int(line)
    sent = []
    for _ in range(batch):
        # With more than 20 handshakes open paho lets a new message overtake those that wait for one to end.
        if len(sent) >= GROUP:
            sent[-GROUP].wait_for_publish(PATIENCE)
        sent.append(publisher.publish(TOPIC, str(number), qos=number % 3))
        number += 1
    for _ in range(batch):
        try:
            qos, got = received.get(timeout=PATIENCE)
        except queue.Empty:
            fail("a message is missing")
        if got != following[qos]:
            fail(f"QoS {qos}: {got} came instead of {following[qos]}")
        following[qos] += 3
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
