"""Where behaviours are played: the list of them, the barrier in their middle, and what each may use."""

import threading
import time
import traceback

from client import Client
from verdict import Absent, Failed, check
from wire import Wire

# Seconds that the faults in the middle may take: drains and restarts of processes.
MIDDLE = 240
VERSIONS = {3: "3.1", 4: "3.1.1", 5: "5"}

behaviours = []


def behaviour(*versions):
    """Lists a behaviour, once for each of these MQTT versions."""

    def listed(act):
        behaviours.extend((act, version) for version in versions)
        return act

    return listed


class Barrier:
    """Opens when whoever is in charge says so, which is once all behaviours have reached it, or ended before it."""

    def __init__(self, awaited):
        self.changed = threading.Condition()
        self.awaited = awaited
        self.opened = False

    def reached(self):
        with self.changed:
            self.awaited -= 1
            self.changed.notify_all()

    def wait_for_all(self):
        with self.changed:
            self.changed.wait_for(lambda: self.awaited == 0)

    def open(self):
        with self.changed:
            self.opened = True
            self.changed.notify_all()

    def is_open(self, timeout):
        with self.changed:
            return self.changed.wait_for(lambda: self.opened, timeout)


class Play:
    """One behaviour: its clients, its topics, and how it came out."""

    def __init__(self, act, version, where, barrier):
        self.act, self.version, self.barrier = act, version, barrier
        self.ports, self.user, self.password = where.ports, where.user, where.password
        self.name = f"{act.__name__}@{VERSIONS[version]}"
        self.own = f"{where.label}-{act.__name__}-{version}"
        self.lines = []
        self.clients = []
        self.is_before = True

    def topic(self, *levels):
        """A topic of this behaviour's own."""
        return "/".join([self.own, *levels])

    def client(self, role, at=0, **options):
        """A client of paho's, connected to one of the ports."""
        options.setdefault("client_id", f"{self.own}-{role}")
        client = Client(self.ports[at], self.version, **options)
        self.clients.append(client)
        return client

    def wire(self, role, at=0, **options):
        """A client by hand that has sent its CONNECT."""
        options.setdefault("client_id", f"{self.own}-{role}")
        wire = Wire(self.ports[at], self.version)
        self.clients.append(wire)
        wire.connect(**options)
        return wire

    def connected(self, role, at=0, session_present=False, **options):
        """A client by hand that is connected, to an MQTT session as it is said here."""
        wire = self.wire(role, at, **options)
        answer = wire.connack()
        check(answer.startswith("0100" if session_present else "0000"), f"CONNACK {answer}")
        return wire

    def middle(self):
        """Waits until the faults are over."""
        while self.is_middle(pause=1):
            pass

    def is_middle(self, pause):
        """Whether the faults still happen; lets some seconds pass if so. For what goes on meanwhile."""
        if self.is_before:
            self.is_before = False
            self.patience = time.monotonic() + MIDDLE
            self.barrier.reached()
        check(time.monotonic() < self.patience, "the middle didn't end")
        return not self.barrier.is_open(pause)

    def saw(self, what):
        """Notes what has to be the same with and without something between client and broker."""
        self.lines.append(f"saw {self.name}: {what}")

    def run(self):
        try:
            self.act(self)
            for client in self.clients:
                client.is_quiet()
            self.lines.append(f"ok {self.name}")
        except Absent as why:
            self.lines.append(f"absent {self.name}: {why}")
        except Failed as why:
            self.lines.append(f"fails {self.name}: {why}, {'before' if self.is_before else 'after'} the middle")
        except Exception as error:
            traceback.print_exc()
            self.lines.append(f"fails {self.name}: {error!r}")
        finally:
            self.end()

    def end(self):
        try:
            for client in self.clients:
                client.leave()
        finally:
            if self.is_before:
                self.is_before = False
                self.barrier.reached()
