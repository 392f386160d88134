// The real @tus/server on 127.0.0.1, storing in DIR.
//
//   node tus-server.mjs DIR [--port P]
//
// Prints its creation URL on one line once it listens; P of 0, the default, is any free port.

import http from 'node:http'
import { parseArgs } from 'node:util'

import { FileStore } from '@tus/file-store'
import { Server } from '@tus/server'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { port: { type: 'string', default: '0' } },
})
if (positionals.length !== 1) {
  console.error('usage: node tus-server.mjs DIR [--port P]')
  process.exit(2)
}

const tus = new Server({
  path: '/files',
  datastore: new FileStore({ directory: positionals[0] }),
})
const server = http.createServer((request, response) => tus.handle(request, response))
// An upload may take longer than Node's five minutes for a request.
server.requestTimeout = 0
server.listen(Number(values.port), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${server.address().port}/files/`)
})
