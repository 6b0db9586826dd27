"""aiomqtt: aio.py PORT VERSION USER PASSWORD. A line for each habit: "ok NAME" or "fails NAME: WHY"."""

import asyncio
import contextlib
import socket
import sys

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

PATIENCE = 20
PORT, VERSION = map(int, sys.argv[1:3])
USER, PASSWORD = sys.argv[3:5]
V5 = VERSION == 5
PROTOCOL = aiomqtt.ProtocolVersion.V5 if V5 else aiomqtt.ProtocolVersion.V311

habits = []


def habit(*versions):
    def listed(act):
        if VERSION in versions:
            habits.append(act)
        return act

    return listed


def properties(packet, **values):
    made = Properties(packet)
    for name, value in values.items():
        setattr(made, name, value)
    return made


def client(name, keep=False, **more):
    if V5:
        more["clean_start"] = 2 if not keep else False
        if keep:
            more["properties"] = properties(PacketTypes.CONNECT, SessionExpiryInterval=60)
    else:
        more["clean_session"] = not keep
    return aiomqtt.Client("127.0.0.1", PORT, identifier=f"aio-{VERSION}-{name}", protocol=PROTOCOL, timeout=PATIENCE, **more)


def own(*levels):
    return "/".join([f"aio-{VERSION}", *levels])


async def hears(who, topic, payload, qos=1, retain=False):
    message = await asyncio.wait_for(anext(who.messages), PATIENCE)
    got = (str(message.topic), message.payload, message.qos, message.retain)
    assert got == (topic, payload, qos, retain), f"{str(got)[:99]} came"
    return message


@habit(4, 5)
async def each_quality(name):
    async with client(name) as one:
        await one.subscribe(own(name), qos=2)
        for qos in (0, 1, 2):
            await one.publish(own(name), b"at %d" % qos, qos=qos)
            await hears(one, own(name), b"at %d" % qos, qos)


@habit(4, 5)
async def lower_quality(name):
    async with client(name) as one:
        await one.subscribe(own(name), qos=1)
        await one.publish(own(name), b"at 2", qos=2)
        await hears(one, own(name), b"at 2")


@habit(4, 5)
async def retained(name):
    async with client(name) as one, client(f"{name}-later") as later:
        await one.publish(own(name), b"kept", qos=1, retain=True)
        await one.subscribe(own(name), qos=1)
        await hears(one, own(name), b"kept", retain=True)
        await one.publish(own(name), b"", qos=1, retain=True)
        await hears(one, own(name), b"")
        await later.subscribe(own(name), qos=1)
        await later.publish(own(name), b"end", qos=1)
        await hears(later, own(name), b"end")


@habit(4, 5)
async def wildcards(name):
    async with client(name) as one:
        await one.subscribe(own(name, "+", "x"), qos=1)
        await one.subscribe(own(name, "deep", "#"), qos=1)
        for levels in (("a", "x"), ("a", "y"), ("deep",), ("deep", "b", "c")):
            await one.publish(own(name, *levels), b"here", qos=1)
        for levels in (("a", "x"), ("deep",), ("deep", "b", "c")):
            await hears(one, own(name, *levels), b"here")


@habit(4, 5)
async def unsubscribed(name):
    async with client(name) as one:
        await one.subscribe(own(name, "a"), qos=1)
        await one.subscribe(own(name, "b"), qos=1)
        await one.unsubscribe(own(name, "a"))
        await one.publish(own(name, "a"), b"unheard", qos=1)
        await one.publish(own(name, "b"), b"end", qos=1)
        await hears(one, own(name, "b"), b"end")


@habit(4, 5)
async def will(name):
    async with client(f"{name}-heir") as heir:
        await heir.subscribe(own(name), qos=1)
        async with client(f"{name}-left", will=aiomqtt.Will(own(name), b"left", qos=1)):
            pass
        with contextlib.suppress(aiomqtt.MqttError):
            async with client(f"{name}-mortal", will=aiomqtt.Will(own(name), b"gone", qos=1)) as mortal:
                mortal._client.socket().shutdown(socket.SHUT_RDWR)
                await hears(heir, own(name), b"gone")
                await asyncio.wait_for(anext(mortal.messages), PATIENCE)


@habit(4, 5)
async def session_kept(name):
    async with client(name, keep=True) as one:
        await one.subscribe(own(name), qos=1)
    async with client(f"{name}-other") as other:
        await other.publish(own(name), b"meanwhile", qos=1)
    async with client(name, keep=True) as one:
        await hears(one, own(name), b"meanwhile")


@habit(4, 5)
async def taken_over(name):
    with contextlib.suppress(aiomqtt.MqttError):
        async with client(name) as first, client(name) as second:
            try:
                await asyncio.wait_for(anext(first.messages), PATIENCE)
                raise AssertionError("a message came")
            except aiomqtt.MqttError:
                await second.subscribe(own(name), qos=1)
                await second.publish(own(name), b"end", qos=1)
                await hears(second, own(name), b"end")


@habit(4, 5)
async def large(name):
    async with client(name) as one:
        await one.subscribe(own(name), qos=1)
        await one.publish(own(name), b"x" * 300_000, qos=1)
        await hears(one, own(name), b"x" * 300_000)


@habit(4, 5)
async def users(name):
    async with client(name, username=USER, password=PASSWORD):
        pass
    try:
        async with client(name, username=USER, password="wrong"):
            raise AssertionError("it was let in")
    except aiomqtt.MqttError as error:
        assert "uthori" in str(error) or "user name" in str(error), f"refused with {error}"


@habit(5)
async def request_response(name):
    async with client(f"{name}-asks") as asks, client(f"{name}-answers") as answers:
        await asks.subscribe(own(name, "answer"), qos=1)
        await answers.subscribe(own(name, "question"), qos=1)
        sent = {"ResponseTopic": own(name, "answer"), "CorrelationData": b"\0\xff", "UserProperty": [("a", "b"), ("a", "c")]}
        await asks.publish(own(name, "question"), b"?", qos=1, properties=properties(PacketTypes.PUBLISH, **sent))
        got = (await hears(answers, own(name, "question"), b"?")).properties
        assert got.UserProperty == sent["UserProperty"], got.UserProperty
        back = properties(PacketTypes.PUBLISH, CorrelationData=got.CorrelationData)
        await answers.publish(got.ResponseTopic, b"!", qos=1, properties=back)
        assert (await hears(asks, own(name, "answer"), b"!")).properties.CorrelationData == b"\0\xff"


@habit(5)
async def options(name):
    async with client(name) as one, client(f"{name}-other") as other:
        await one.subscribe(own(name), options=SubscribeOptions(qos=1, noLocal=True, retainAsPublished=True))
        await one.publish(own(name), b"of its own", qos=1)
        await other.publish(own(name), b"of another", qos=1, retain=True)
        await hears(one, own(name), b"of another", retain=True)
        await other.publish(own(name), b"", qos=1, retain=True)
        await hears(one, own(name), b"", retain=True)


@habit(5)
async def shared(name):
    async with client(f"{name}-a") as a, client(f"{name}-b") as b:
        for member in (a, b):
            await member.subscribe(f"$share/group/{own(name)}", qos=1)
        for number in range(20):
            await a.publish(own(name), str(number), qos=1)
        heard = []

        async def listen(member):
            async for message in member.messages:
                heard.append((member, int(message.payload)))

        listening = [asyncio.create_task(listen(member)) for member in (a, b)]
        async with asyncio.timeout(PATIENCE):
            while len(heard) < 20:
                await asyncio.sleep(0.02)
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)
        assert sorted(number for _, number in heard) == list(range(20)), "a message came twice"
        assert {member for member, _ in heard} == {a, b}, "one member got all"


async def play(act):
    try:
        await act(act.__name__)
        print(f"ok {act.__name__}")
    except Exception as error:
        print(f"fails {act.__name__}: {error!r}")


async def main():
    await asyncio.gather(*map(play, habits))


asyncio.run(main())
