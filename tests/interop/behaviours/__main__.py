"""Plays MQTT behaviours against a broker, or what stands before it: `python behaviours LABEL USER PASSWORD PORT PORT`.

All behaviours run side by side, on a thread each, with clients and topics that begin with LABEL. Those who meet do so
over both ports. The broker knows the user, and lets in whoever gives no name. In the middle of all of them this program
writes `middle` and how many connections it has, and waits for a line on standard input. Then come its lines on each
behaviour:

    ok NAME
    fails NAME: WHY
    absent NAME: WHY        the broker doesn't offer it; in place of a name, all of an MQTT version
    saw NAME: WHAT          what has to be the same with and without something between client and broker

The last line is `over`.
"""

import collections
import sys
import threading

# Each lists its own.
import connecting, delivery, sessions, version5
from stage import VERSIONS, Barrier, Play, behaviours
from wire import Wire

Where = collections.namedtuple("Where", "label user password ports")


def refusal(version):
    """How the broker refuses this version of MQTT, if it does."""
    wire = Wire(where.ports[0], version)
    wire.connect(f"{where.label}-version-{version}")
    answer = wire.connack()
    wire.leave()
    return None if answer.startswith("0000") else answer


where = Where(*sys.argv[1:4], [int(port) for port in sys.argv[4:]])
refusals = {version: refusal(version) for version in VERSIONS}
played = [(act, version) for act, version in behaviours if not refusals[version]]
barrier = Barrier(len(played))
plays = [Play(act, version, where, barrier) for act, version in played]
threads = [threading.Thread(target=play.run) for play in plays]
for thread in threads:
    thread.start()
barrier.wait_for_all()
print("middle", sum(client.is_open() for play in plays for client in play.clients), flush=True)
sys.stdin.readline()
barrier.open()
for thread in threads:
    thread.join()
for version, answer in refusals.items():
    if answer:
        print(f"absent MQTT {VERSIONS[version]}: its answer is {answer}")
for play in plays:
    for line in play.lines:
        print(line)
print("over")
