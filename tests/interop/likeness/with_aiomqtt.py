"""aiomqtt as a puppet: `python with_aiomqtt.py`. The head of puppet.rs says what it is told, and what it says."""

import asyncio
import json
import socket
import sys

import aiomqtt
from paho.mqtt.subscribeoptions import SubscribeOptions

from strings import of_connect, of_publish, of_subscribe, of_will, say, say_message

# Messages that may wait for this program.
WAITING = 1_000


class Puppet:
    def __init__(self, who, told):
        self.who, self.version = who, told["mqtt"]
        more = {}
        if self.version == 5:
            more |= {"clean_start": told["clean"], "properties": of_connect(told)}
        else:
            more |= {"clean_session": told["clean"]}
        if "user" in told:
            more |= {"username": told["user"], "password": told["password"]}
        if "will" in told:
            will = told["will"]
            more["will"] = aiomqtt.Will(will["topic"], will["payload"], will["qos"], will["retain"], of_will(will))
        self.client = aiomqtt.Client(
            "127.0.0.1",
            told["port"],
            identifier=told["id"],
            protocol=aiomqtt.ProtocolVersion(self.version),
            max_queued_incoming_messages=WAITING,
            **more,
        )
        self.listening = None

    async def connect(self):
        try:
            await self.client.__aenter__()
        except aiomqtt.MqttCodeError as error:
            return say(self.who, "connack", reason=error.rc.value)
        # It doesn't tell of the CONNACK what is in it.
        say(self.who, "connack", reason=0)
        self.listening = asyncio.create_task(self.listen())

    async def listen(self):
        try:
            async for message in self.client.messages:
                say_message(self.who, message)
        except aiomqtt.MqttError:
            say(self.who, "closed")

    async def subscribe(self, told):
        if self.version == 5:
            options = SubscribeOptions(
                qos=told["qos"],
                noLocal=told.get("no_local", False),
                retainAsPublished=told.get("as_published", False),
                retainHandling=told.get("retain_handling", 0),
            )
            reasons = await self.client.subscribe(told["filter"], options=options, properties=of_subscribe(told))
        else:
            reasons = await self.client.subscribe(told["filter"], told["qos"])
        say(self.who, "suback", reasons=[getattr(reason, "value", reason) for reason in reasons])

    async def unsubscribe(self, told):
        await self.client.unsubscribe(told["filter"])
        say(self.who, "unsuback")

    async def publish(self, told):
        own = of_publish(told)
        await self.client.publish(told["topic"], told["payload"], told["qos"], told["retain"], own)
        # Nor of the PUBACK.
        say(self.who, "published")

    async def leave(self, _):
        self.listening.cancel()
        await self.client.__aexit__(None, None, None)
        say(self.who, "left")

    async def vanish(self, _):
        # It has no way to go without a word; the client below it has.
        self.listening.cancel()
        self.client._client.socket().shutdown(socket.SHUT_RDWR)
        say(self.who, "left")


async def main():
    puppets = {}
    lines = asyncio.StreamReader(limit=1 << 22)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        order = json.loads(line)
        who = order["who"]
        if order["do"] == "connect":
            puppets[who] = Puppet(who, order)
            await puppets[who].connect()
        else:
            await getattr(puppets[who], order["do"])(order)


asyncio.run(main())
