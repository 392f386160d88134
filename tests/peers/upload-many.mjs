// Uploads all files of a folder with the real tus-js-client, several at a time, and prints how many as one line of JSON.
//
//   node upload-many.mjs URL FOLDER [--at-once N] [--with-upload]
//
//   --at-once N      files at a time; default: 16
//   --with-upload    send the bytes with the creation
//
// The JSON: {"ok":true,"files":N}; or {"ok":false,"error":TEXT} and exit code 1.

import fs from 'node:fs'
import http from 'node:http'
import path from 'node:path'
import { parseArgs } from 'node:util'

import tus from 'tus-js-client'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    'at-once': { type: 'string', default: '16' },
    'with-upload': { type: 'boolean', default: false },
  },
})
if (positionals.length !== 2) {
  console.error('usage: node upload-many.mjs URL FOLDER [--at-once N] [--with-upload]')
  process.exit(2)
}
const [endpoint, folder] = positionals
const atOnce = Number(values['at-once'])
// Connections are kept and shared, as whoever uploads thousands of files would have them.
const agent = new http.Agent({ keepAlive: true, maxSockets: atOnce })
const httpStack = new tus.DefaultHttpStack({ agent })
const names = fs.readdirSync(folder)
const waiting = names.map((name) => path.join(folder, name)).values()

const one = (file) =>
  new Promise((resolve, reject) => {
    new tus.Upload(fs.createReadStream(file), {
      endpoint,
      httpStack,
      uploadDataDuringCreation: values['with-upload'],
      retryDelays: null,
      metadata: { filename: path.basename(file) },
      onError: reject,
      onSuccess: resolve,
    }).start()
  })

// All take from one queue.
const worker = async () => {
  for (const file of waiting) await one(file)
}
try {
  await Promise.all(Array.from({ length: atOnce }, worker))
  console.log(JSON.stringify({ ok: true, files: names.length }))
  process.exit(0)
} catch (error) {
  console.log(JSON.stringify({ ok: false, error: error.message }))
  process.exit(1)
}
