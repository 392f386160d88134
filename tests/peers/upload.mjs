// Uploads one file with the real tus-js-client and prints what became of it as one line of JSON.
//
//   node upload.mjs URL FILE [options]
//
//   --chunk-size N      bytes per PATCH; default: the whole file
//   --parallel N        parts uploaded at once and joined on the server; default: 1
//   --token T           sent as `Authorization: Bearer T`
//   --abort-after N     break off once N bytes were sent, then resume; may be given again with a
//                       larger N
//   --metadata K=V      an entry of Upload-Metadata; may be given again
//   --header K=V        a request header; may be given again
//   --upload-url U      resume this upload instead of creating one at URL
//   --with-upload       send the first bytes with the creation
//   --retry-delays LIST milliseconds, comma-separated; default: no retry
//   --deferred          read the file as a stream of unknown length, and tell the length last
//   --stop-after N      break off once N bytes were sent, and end
//   --terminate-after N break off once N bytes were sent, remove the upload, and end
//   --remember FILE     keep upload URLs in FILE, and resume the one of the same source
//
// The JSON: {"ok":true,"url":U,"bytes":N,"aborts":N,"requests":{"POST":1,...},"headers":{...}},
// with the headers of the last answer; or {"ok":false,"error":TEXT,"status":S,"body":B,...} and
// exit code 1; or, having ended early as asked, {"ok":true,"stopped":true,"url":U,...}.

import fs from 'node:fs'
import { PassThrough } from 'node:stream'
import { parseArgs } from 'node:util'

import tus from 'tus-js-client'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    'chunk-size': { type: 'string' },
    parallel: { type: 'string', default: '1' },
    token: { type: 'string' },
    'abort-after': { type: 'string', multiple: true, default: [] },
    metadata: { type: 'string', multiple: true, default: [] },
    header: { type: 'string', multiple: true, default: [] },
    'upload-url': { type: 'string' },
    'with-upload': { type: 'boolean', default: false },
    'retry-delays': { type: 'string' },
    deferred: { type: 'boolean', default: false },
    'stop-after': { type: 'string' },
    'terminate-after': { type: 'string' },
    remember: { type: 'string' },
  },
})
if (positionals.length !== 2) {
  console.error('usage: node upload.mjs URL FILE [options]')
  process.exit(2)
}
const [endpoint, path] = positionals

const pairs = (list) =>
  Object.fromEntries(
    list.map((entry) => {
      const at = entry.indexOf('=')
      return at < 0 ? [entry, ''] : [entry.slice(0, at), entry.slice(at + 1)]
    }),
  )
const headers = pairs(values.header)
if (values.token !== undefined) headers.Authorization = `Bearer ${values.token}`

const size = fs.statSync(path).size
const parallel = Number(values.parallel)
const abortAfter = values['abort-after'].map(Number)
const requests = {}
let aborts = 0
let last = { status: null, headers: {}, body: '' }

const finish = (code, result) => {
  const line = JSON.stringify({ ...result, aborts, requests })
  process.stdout.write(`${line}\n`, () => process.exit(code))
}

let ending = false

// What is sent completely cannot be broken off any more.
const breakOff = (sent) => {
  if (ending) return
  const terminates = values['terminate-after'] !== undefined
  const end = Number(values['terminate-after'] ?? values['stop-after'] ?? Number.POSITIVE_INFINITY)
  if (sent >= end && sent < size) {
    ending = true
    const url = upload.url
    upload.abort(terminates).then(
      () => finish(0, { ok: true, stopped: true, url, bytes: sent }),
      (error) => finish(1, { ok: false, error: error.message }),
    )
    return
  }
  if (abortAfter.length === 0 || sent < abortAfter[0] || sent >= size) return
  abortAfter.shift()
  aborts += 1
  upload.abort().then(() => upload.start())
}

// Anything but a stream of a file hides the length.
const file = fs.createReadStream(path)
const source = values.deferred ? file.pipe(new PassThrough()) : file

const remembering = values.remember
  ? {
      urlStorage: new tus.FileUrlStorage(values.remember),
      storeFingerprintForResuming: true,
      removeFingerprintOnSuccess: true,
    }
  : {}

const upload = new tus.Upload(source, {
  ...remembering,
  endpoint,
  uploadLengthDeferred: values.deferred,
  uploadUrl: values['upload-url'] ?? null,
  chunkSize: values['chunk-size'] ? Number(values['chunk-size']) : Number.POSITIVE_INFINITY,
  parallelUploads: parallel,
  uploadDataDuringCreation: values['with-upload'],
  retryDelays: values['retry-delays'] ? values['retry-delays'].split(',').map(Number) : null,
  headers,
  metadata: pairs(values.metadata),
  onBeforeRequest: (request) => {
    const method = request.getMethod()
    requests[method] = (requests[method] ?? 0) + 1
  },
  onAfterResponse: (_request, response) => {
    last = {
      status: response.getStatus(),
      headers: response.getUnderlyingObject()?.headers ?? {},
      body: response.getBody(),
    }
  },
  onProgress: breakOff,
  // Progress is reported only now and then; a chunk always.
  onChunkComplete: (_length, accepted) => {
    if (parallel === 1) breakOff(accepted)
  },
  onError: (error) => {
    const response = error.originalResponse
    finish(1, {
      ok: false,
      error: error.message,
      status: response ? response.getStatus() : null,
      body: response ? response.getBody() : null,
    })
  },
  onSuccess: () =>
    finish(0, {
      ok: true,
      url: upload.url,
      bytes: size,
      status: last.status,
      headers: last.headers,
    }),
})
if (values.remember) {
  const previous = await upload.findPreviousUploads()
  if (previous.length > 0) upload.resumeFromPreviousUpload(previous[0])
}
upload.start()
