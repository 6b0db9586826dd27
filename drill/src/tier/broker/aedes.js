// Aedes as a program: aedes.js FILE, with a setting in each line of the file, as "key value". `listen` is an address,
// `user` and `password` are those of the one whom it knows; every other key is a number that Aedes knows.
const { readFileSync } = require('node:fs')
const { createServer } = require('node:net')

const settings = Object.fromEntries(
  readFileSync(process.argv[2], 'utf8').trimEnd().split('\n').map((line) => line.split(/ (.*)/, 2))
)
const { listen, user, password, ...limits } = settings
const [host, port] = listen.split(':')

const start = async () => {
  // NODE_PATH is for require only, and Aedes for import only.
  const { Aedes } = await import(require.resolve('aedes'))
  const numbers = Object.entries(limits).map(([key, value]) => [key, Number(value)])
  const broker = await Aedes.createBroker(Object.fromEntries(numbers))
  // Who gives no name is let in.
  broker.authenticate = (client, name, word, done) =>
    done(null, name == null || (name === user && String(word) === password))
  broker.on('clientReady', (client) => console.log('client ready:', client.id))
  broker.on('clientError', (client, error) => console.log('client error:', client.id, error.message))
  broker.on('connectionError', (client, error) => console.log('connection error:', client.id, error.message))
  createServer({ noDelay: true }, broker.handle).listen(Number(port), host)
  // It has no end of its own.
  process.on('SIGTERM', () => process.exit(0))
}

start()
