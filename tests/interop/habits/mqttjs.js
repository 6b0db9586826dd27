// MQTT.js: mqttjs.js URL VERSION USER PASSWORD. A line for each habit: "ok NAME" or "fails NAME: WHY".
const mqtt = require('mqtt')

const PATIENCE = 20_000
const [url, level, user, password] = process.argv.slice(2)
const version = Number(level)
const transport = url.split(':')[0]

const check = (holds, what) => {
  if (!holds) throw new Error(what)
}

const within = (what, promise) => {
  let timer
  const late = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} didn't come`)), PATIENCE)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

// A client whose every answer is waited for.
class Client {
  static async connect (id, options = {}) {
    const client = new Client()
    client.heard = []
    client.waiting = []
    client.mqtt = mqtt.connect(url, {
      clientId: `${transport}-${version}-${id}`, protocolVersion: version, reconnectPeriod: 0, keepalive: 30, ...options
    })
    client.mqtt.on('message', (topic, payload, packet) => client.hear({ topic, payload: payload.toString(), ...pick(packet) }))
    client.closed = new Promise((resolve) => client.mqtt.once('close', resolve))
    client.mqtt.on('disconnect', (packet) => { client.goodbye = packet.reasonCode })
    const refused = new Promise((resolve, reject) => client.mqtt.once('error', reject))
    client.connack = await within('CONNACK', Promise.race([new Promise((resolve) => client.mqtt.once('connect', resolve)), refused]))
    // What goes wrong later shows in what doesn't come.
    client.mqtt.on('error', () => {})
    return client
  }

  hear (message) {
    const waiting = this.waiting.shift()
    if (waiting) waiting(message)
    else this.heard.push(message)
  }

  async subscribe (filter, qos = 0, options = {}) {
    const granted = await within('SUBACK', this.mqtt.subscribeAsync(filter, { qos, ...options }))
    check(granted[0].qos === qos, `granted ${granted[0].qos} instead of ${qos}`)
  }

  publish (topic, payload, options = {}) {
    return within('an acknowledgement', this.mqtt.publishAsync(topic, payload, { qos: 1, ...options }))
  }

  async hears (topic, payload, wanted = {}) {
    const message = this.heard.shift() ?? await within(`"${payload.slice(0, 20)}"`, new Promise((resolve) => this.waiting.push(resolve)))
    const { qos = 1, retain = false } = wanted
    const got = [message.topic, message.payload, message.qos, message.retain]
    check(JSON.stringify(got) === JSON.stringify([topic, payload, qos, retain]), `${JSON.stringify(got).slice(0, 99)} came`)
    return message
  }

  // Without DISCONNECT.
  vanish () {
    this.mqtt.stream.destroy()
    return within('the end', this.closed)
  }

  leave () {
    return this.mqtt.endAsync()
  }
}

const pick = ({ qos, retain, properties }) => ({ qos, retain, properties })
const own = (habit, ...levels) => [`${transport}-${version}`, habit, ...levels].join('/')

// What every version has.
const habits = {
  async each_quality (name) {
    const client = await Client.connect(name)
    await client.subscribe(own(name), 2)
    for (const qos of [0, 1, 2]) {
      await client.publish(own(name), `at ${qos}`, { qos })
      await client.hears(own(name), `at ${qos}`, { qos })
    }
    await client.leave()
  },

  async lower_quality (name) {
    const client = await Client.connect(name)
    await client.subscribe(own(name), 1)
    await client.publish(own(name), 'at 2', { qos: 2 })
    await client.hears(own(name), 'at 2', { qos: 1 })
    await client.leave()
  },

  async retained (name) {
    const client = await Client.connect(name)
    await client.publish(own(name), 'kept', { retain: true })
    await client.subscribe(own(name), 1)
    await client.hears(own(name), 'kept', { retain: true })
    await client.publish(own(name), '', { retain: true })
    await client.hears(own(name), '')
    const later = await Client.connect(`${name}-later`)
    await later.subscribe(own(name), 1)
    await later.publish(own(name), 'end')
    await later.hears(own(name), 'end')
    await Promise.all([client.leave(), later.leave()])
  },

  async wildcards (name) {
    const client = await Client.connect(name)
    await client.subscribe(own(name, '+', 'x'), 1)
    await client.subscribe(own(name, 'deep', '#'), 1)
    for (const topic of [own(name, 'a', 'x'), own(name, 'a', 'y'), own(name, 'deep'), own(name, 'deep', 'b', 'c')]) {
      await client.publish(topic, topic)
    }
    for (const topic of [own(name, 'a', 'x'), own(name, 'deep'), own(name, 'deep', 'b', 'c')]) {
      await client.hears(topic, topic)
    }
    await client.leave()
  },

  async unsubscribed (name) {
    const client = await Client.connect(name)
    await client.subscribe(own(name, 'a'), 1)
    await client.subscribe(own(name, 'b'), 1)
    await within('UNSUBACK', client.mqtt.unsubscribeAsync(own(name, 'a')))
    await client.publish(own(name, 'a'), 'unheard')
    await client.publish(own(name, 'b'), 'end')
    await client.hears(own(name, 'b'), 'end')
    await client.leave()
  },

  async will (name) {
    const heir = await Client.connect(`${name}-heir`)
    await heir.subscribe(own(name), 1)
    const will = { topic: own(name), payload: Buffer.from('gone'), qos: 1 }
    const left = await Client.connect(`${name}-left`, { will: { ...will, payload: Buffer.from('left') } })
    await left.leave()
    const mortal = await Client.connect(`${name}-mortal`, { will })
    await mortal.vanish()
    await heir.hears(own(name), 'gone')
    await heir.leave()
  },

  async session_kept (name) {
    const kept = version === 5 ? { clean: false, properties: { sessionExpiryInterval: 60 } } : { clean: false }
    const first = await Client.connect(name, kept)
    check(!first.connack.sessionPresent, 'a session was there before')
    await first.subscribe(own(name), 1)
    await first.leave()
    const other = await Client.connect(`${name}-other`)
    await other.publish(own(name), 'meanwhile')
    const second = await Client.connect(name, kept)
    check(second.connack.sessionPresent, 'the session is gone')
    await second.hears(own(name), 'meanwhile')
    await Promise.all([second.leave(), other.leave()])
    const clean = await Client.connect(name)
    check(!clean.connack.sessionPresent, 'a clean session was there before')
    await clean.leave()
  },

  async taken_over (name) {
    const first = await Client.connect(name)
    const second = await Client.connect(name)
    await within('the end of the first', first.closed)
    await second.subscribe(own(name), 1)
    await second.publish(own(name), 'end')
    await second.hears(own(name), 'end')
    await second.leave()
  },

  async large (name) {
    const client = await Client.connect(name)
    await client.subscribe(own(name), 1)
    const payload = 'x'.repeat(300_000)
    await client.publish(own(name), payload)
    await client.hears(own(name), payload)
    await client.leave()
  },

  async users (name) {
    const known = await Client.connect(name, { username: user, password })
    await known.leave()
    const code = await Client.connect(name, { username: user, password: 'wrong' }).then(() => 'it was let in', (error) => error.code)
    check(code === (version === 5 ? 135 : 5) || code === 134 || code === 4, `refused with ${code}`)
  }
}

// What only MQTT 5 has.
const further = {
  async request_response (name) {
    const asks = await Client.connect(`${name}-asks`)
    const answers = await Client.connect(`${name}-answers`)
    await asks.subscribe(own(name, 'answer'), 1)
    await answers.subscribe(own(name, 'question'), 1)
    const properties = {
      responseTopic: own(name, 'answer'), correlationData: Buffer.from([0, 255, 7]), userProperties: { a: ['b', 'c'] }
    }
    await asks.publish(own(name, 'question'), 'question', { properties })
    const { properties: got } = await answers.hears(own(name, 'question'), 'question')
    check(JSON.stringify(got.userProperties) === JSON.stringify({ a: ['b', 'c'] }), 'user properties')
    await answers.publish(got.responseTopic, 'answer', { properties: { correlationData: got.correlationData } })
    const answer = await asks.hears(own(name, 'answer'), 'answer')
    check(answer.properties.correlationData.equals(properties.correlationData), 'correlation data')
    await Promise.all([asks.leave(), answers.leave()])
  },

  async shared (name) {
    const members = await Promise.all(['a', 'b'].map((member) => Client.connect(`${name}-${member}`)))
    for (const member of members) await member.subscribe(`$share/group/${own(name)}`, 1)
    const publisher = await Client.connect(`${name}-publisher`)
    for (let number = 0; number < 20; number += 1) await publisher.publish(own(name), String(number))
    const heard = () => members.flatMap((member) => member.heard.map((message) => Number(message.payload)))
    const all = async () => { while (heard().length < 20) await new Promise((resolve) => setTimeout(resolve, 20)) }
    await within('20 messages', all())
    check(new Set(heard()).size === 20, 'a message came twice')
    check(members.every((member) => member.heard.length > 0), 'one member got all')
    await Promise.all([...members, publisher].map((client) => client.leave()))
  },

  async options (name) {
    const client = await Client.connect(name)
    const other = await Client.connect(`${name}-other`)
    await client.subscribe(own(name), 1, { nl: true, rap: true })
    await client.publish(own(name), 'of its own')
    await other.publish(own(name), 'of another', { retain: true })
    await client.hears(own(name), 'of another', { retain: true })
    await other.publish(own(name), '', { retain: true })
    await client.hears(own(name), '', { retain: true })
    await Promise.all([client.leave(), other.leave()])
  },

  async expired (name) {
    const kept = { clean: false, properties: { sessionExpiryInterval: 60 } }
    const first = await Client.connect(name, kept)
    await first.subscribe(own(name), 1)
    await first.leave()
    const other = await Client.connect(`${name}-other`)
    await other.publish(own(name), 'too old', { properties: { messageExpiryInterval: 1 } })
    await other.publish(own(name), 'young', { properties: { messageExpiryInterval: 600 } })
    await new Promise((resolve) => setTimeout(resolve, 2_500))
    const second = await Client.connect(name, kept)
    const { properties } = await second.hears(own(name), 'young')
    check(properties.messageExpiryInterval > 500 && properties.messageExpiryInterval < 600, 'what is left of its time')
    await Promise.all([second.leave(), other.leave()])
  }
}

const play = async ([name, habit]) => {
  try {
    await habit(name)
    console.log(`ok ${name}`)
  } catch (error) {
    console.log(`fails ${name}: ${error.message}`)
  }
}

Promise.all(Object.entries(version === 5 ? { ...habits, ...further } : habits).map(play)).then(() => process.exit(0))
