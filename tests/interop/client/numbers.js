// A subscriber and a publisher of MQTT.js's: numbers.js NAME SUBSCRIBER_PORT PUBLISHER_PORT VERSION QOS. It is spoken to
// as numbers.py is, which says how.
const { createInterface } = require('node:readline')
const mqtt = require('mqtt')

const PATIENCE = 30_000
// Messages under way; two in three of them have a handshake.
const GROUP = 24

const name = process.argv[2]
const [subscriberPort, publisherPort, version, highest] = process.argv.slice(3).map(Number)

const fail = (what) => {
  process.stdout.write(`${what}\n`, () => process.exit(1))
  return new Promise(() => {})
}

const within = (what, promise) => {
  let timer
  const late = new Promise((resolve) => {
    timer = setTimeout(() => resolve(fail(`${what} didn't come`)), PATIENCE)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

let leaving = false
const client = async (role, port) => {
  const options = { clientId: `${name}-${role}`, protocolVersion: version, reconnectPeriod: 0, keepalive: 5 }
  if (version === 3) options.protocolId = 'MQIsdp'
  const made = mqtt.connect(`mqtt://127.0.0.1:${port}`, options)
  made.on('error', (error) => fail(error.message))
  made.on('disconnect', (packet) => fail(`the broker said goodbye: ${packet.reasonCode}`))
  made.on('close', () => leaving || fail('the connection ended'))
  await within('CONNACK', new Promise((resolve) => made.once('connect', resolve)))
  return made
}

// Messages that were published at one quality of service come in order; between two of them none is promised.
const following = [0, 1, 2]
let received = 0
let batchIsThere = () => {}
let awaited = 0

const heard = (topic, payload) => {
  const got = Number(payload)
  const qos = got % (highest + 1)
  if (got !== following[qos]) fail(`QoS ${qos}: ${got} came instead of ${following[qos]}`)
  following[qos] += highest + 1
  received += 1
  if (received === awaited) batchIsThere()
}

const main = async () => {
  const subscriber = await client('subscriber', subscriberPort)
  subscriber.on('message', heard)
  const [{ qos }] = await within('SUBACK', subscriber.subscribeAsync(name, { qos: highest }))
  if (qos !== highest) await fail(`asked for QoS ${highest}, granted ${qos}`)
  const publisher = await client('publisher', publisherPort)
  console.log('ready')

  let number = 0
  for await (const line of createInterface({ input: process.stdin })) {
    const batch = Number(line)
    awaited += batch
    const allHere = received === awaited ? Promise.resolve() : new Promise((resolve) => { batchIsThere = resolve })
    const sent = []
    for (let nth = 0; nth < batch; nth += 1) {
      if (nth >= GROUP) await within('an acknowledgement', sent[nth - GROUP])
      sent.push(publisher.publishAsync(name, String(number), { qos: number % (highest + 1) }))
      number += 1
    }
    await within('a message', allHere)
    await within('an acknowledgement', Promise.all(sent))
    console.log(batch)
  }
  leaving = true
  await Promise.all([publisher.endAsync(), subscriber.endAsync()])
}

main().catch((error) => fail(error.message))
