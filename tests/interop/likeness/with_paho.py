"""paho-mqtt as a puppet: `python with_paho.py`. The head of puppet.rs says what it is told, and what it says."""

from paho.mqtt import client as mqtt

from strings import of_connect, of_publish, of_subscribe, of_will, say, say_message, shown, told


class Puppet:
    def __init__(self, who, told):
        self.who, self.version = who, told["mqtt"]
        session = {"clean_start": told["clean"], "properties": of_connect(told)} if self.version == 5 else {}
        clean = {} if self.version == 5 else {"clean_session": told["clean"]}
        self.paho = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=told["id"],
            protocol=self.version,
            reconnect_on_failure=False,
            **clean,
        )
        self.paho.on_connect = self.connected
        self.paho.on_subscribe = lambda c, u, mid, reasons, p: say(who, "suback", reasons=[r.value for r in reasons])
        self.paho.on_unsubscribe = lambda c, u, mid, reasons, p: say(who, "unsuback")
        self.paho.on_publish = lambda c, u, mid, reason, p: say(who, "published", reason=reason.value)
        self.paho.on_message = lambda c, u, message: say_message(who, message)
        self.paho.on_disconnect = lambda c, u, flags, reason, p: say(who, "closed")
        if "user" in told:
            self.paho.username_pw_set(told["user"], told["password"])
        if "will" in told:
            will = told["will"]
            own = of_will(will)
            self.paho.will_set(will["topic"], will["payload"], will["qos"], will["retain"], own)
        self.paho.connect("127.0.0.1", told["port"], **session)
        self.paho.loop_start()

    def connected(self, client, data, flags, reason, heard):
        if reason.is_failure:
            # What comes next is the end, which says nothing new.
            self.paho.on_disconnect = None
        own = shown(heard)
        say(self.who, "connack", reason=reason.value, present=flags.session_present, properties=own)

    def subscribe(self, told):
        if self.version == 5:
            options = mqtt.SubscribeOptions(
                qos=told["qos"],
                noLocal=told.get("no_local", False),
                retainAsPublished=told.get("as_published", False),
                retainHandling=told.get("retain_handling", 0),
            )
            self.paho.subscribe(told["filter"], options=options, properties=of_subscribe(told))
        else:
            self.paho.subscribe(told["filter"], told["qos"])

    def unsubscribe(self, told):
        self.paho.unsubscribe(told["filter"])

    def publish(self, told):
        self.paho.publish(told["topic"], told["payload"], told["qos"], told["retain"], of_publish(told))

    def leave(self, _):
        self.paho.on_disconnect = None
        self.paho.disconnect()
        self.paho.loop_stop()
        say(self.who, "left")

    def vanish(self, _):
        self.paho.on_disconnect = None
        self.paho.loop_stop()
        self.paho.socket().close()
        say(self.who, "left")


puppets = {}
for order in told():
    who = order["who"]
    if order["do"] == "connect":
        puppets[who] = Puppet(who, order)
    else:
        getattr(puppets[who], order["do"])(order)
