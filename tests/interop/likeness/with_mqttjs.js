// MQTT.js as a puppet: `node with_mqttjs.js`, over WebSocket if SCHEME is `ws`. The head of puppet.rs says what it is
// told, and what it says.
const { createInterface } = require('node:readline')
const mqtt = require('mqtt')

const scheme = process.env.SCHEME ?? 'mqtt'
const say = (who, event, fields = {}) => console.log(JSON.stringify({ who, event, ...fields }))

// The names that habits use, and those of its properties.
const NAMES = {
  expiry: 'messageExpiryInterval',
  content_type: 'contentType',
  response_topic: 'responseTopic',
  correlation: 'correlationData',
  alias: 'topicAlias',
  user: 'userProperties',
  format: 'payloadFormatIndicator',
  subscription: 'subscriptionIdentifier',
  session_expiry: 'sessionExpiryInterval',
  largest: 'maximumPacketSize',
  delay: 'willDelayInterval',
  assigned: 'assignedClientIdentifier'
}

const properties = (told) => {
  const own = {}
  for (const [name, value] of Object.entries(told)) {
    if (name === 'user') own[NAMES.user] = Object.fromEntries(value)
    else if (name === 'correlation') own[NAMES.correlation] = Buffer.from(value)
    else if (name === 'format') own[NAMES.format] = value === 1
    else if (name in NAMES) own[NAMES[name]] = value
  }
  return Object.keys(own).length ? own : undefined
}

const shown = (heard = {}) => {
  const values = {}
  for (const [name, long] of Object.entries(NAMES)) {
    const value = heard[long]
    if (value === undefined) continue
    if (name === 'user') values.user = Object.entries(value)
    else if (name === 'correlation') values.correlation = value.toString()
    else if (name === 'format') values.format = value ? 1 : 0
    else if (name === 'subscription') values.subscription = [].concat(value)
    else values[name] = value
  }
  return values
}

// MQTT 3.1.1 has other numbers for them.
const reason = (code) => ({ 4: 134, 5: 135 })[code] ?? code

const pick = (told, names) => properties(Object.fromEntries(names.filter((n) => n in told).map((n) => [n, told[n]])))

const clients = {}
const acts = {
  connect (who, told) {
    const options = {
      clientId: told.id,
      protocolVersion: told.mqtt,
      clean: told.clean,
      reconnectPeriod: 0,
      resubscribe: false,
      username: told.user,
      password: told.password
    }
    if (told.mqtt === 5) options.properties = pick(told, ['session_expiry', 'largest'])
    if (told.will) {
      const { topic, payload, qos, retain } = told.will
      options.will = { topic, payload, qos, retain }
      if (told.mqtt === 5) options.will.properties = pick(told.will, ['delay', 'content_type'])
    }
    const client = clients[who] = mqtt.connect(`${scheme}://127.0.0.1:${told.port}`, options)
    client.on('connect', (ack) => {
      client.isIn = true
      say(who, 'connack', { reason: 0, present: ack.sessionPresent, properties: shown(ack.properties) })
    })
    client.on('error', (error) => client.isIn || say(who, 'connack', { reason: reason(error.code) }))
    client.on('close', () => client.isIn && !client.leaves && say(who, 'closed'))
    client.on('message', (topic, payload, packet) => say(who, 'message', {
      topic, payload: payload.toString(), qos: packet.qos, retain: packet.retain, properties: shown(packet.properties)
    }))
  },
  async subscribe (who, told) {
    const options = { qos: told.qos }
    if (told.no_local) options.nl = true
    if (told.as_published) options.rap = true
    if (told.retain_handling) options.rh = told.retain_handling
    if (told.subscription) options.properties = { subscriptionIdentifier: told.subscription }
    const granted = await clients[who].subscribeAsync(told.filter, options)
    say(who, 'suback', { reasons: granted.map(({ qos }) => qos) })
  },
  async unsubscribe (who, told) {
    await clients[who].unsubscribeAsync(told.filter)
    say(who, 'unsuback')
  },
  async publish (who, told) {
    const { topic, payload, qos, retain } = told
    const packet = await clients[who].publishAsync(topic, payload, { qos, retain, properties: properties(told.properties ?? {}) })
    say(who, 'published', { reason: packet?.reasonCode ?? 0 })
  },
  async leave (who) {
    clients[who].leaves = true
    await clients[who].endAsync()
    say(who, 'left')
  },
  vanish (who) {
    clients[who].leaves = true
    clients[who].stream.destroy()
    clients[who].end(true)
    say(who, 'left')
  }
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const told = JSON.parse(line)
  Promise.resolve(acts[told.do](told.who, told)).catch((error) => say(told.who, 'failed', { why: error.message }))
}).on('close', () => process.exit(0))
