// Performs every operation that Cloudflare's own SDK has for Stream, against another API base, and prints what became
// of it as one line of JSON.
//
//   node sdk.mjs BASE_URL TOKEN FILES_URL
//
//   BASE_URL   the API, such as http://127.0.0.1:8787/client/v4
//   TOKEN      the API token
//   FILES_URL  where clip.mp4 and track.wav can be fetched
//
// The JSON: {"ok":true,"operations":[NAME,...],"left":[NAME,...]}, where `left` names the operations that the SDK has
// and nobody called; or {"ok":false,"error":TEXT,"at":NAME} and exit code 1.

import assert from 'node:assert/strict'

import Cloudflare from 'cloudflare'

const [baseURL, apiToken, files] = process.argv.slice(2)
const client = new Cloudflare({ baseURL, apiToken, maxRetries: 0, timeout: 30_000 })
const account_id = 'acct'

const known = new Set()
const called = new Set()
let last = ''

// Each method of each resource below `stream`, so that none can be forgotten.
function watch(resource, name) {
  for (const method of Object.getOwnPropertyNames(Object.getPrototypeOf(resource)).concat(
    Object.getOwnPropertyNames(Object.getPrototypeOf(Object.getPrototypeOf(resource))),
  )) {
    if (method === 'constructor' || typeof resource[method] !== 'function') continue
    const operation = `${name}.${method}`
    if (known.has(operation)) continue
    known.add(operation)
    const original = resource[method].bind(resource)
    resource[method] = (...args) => {
      last = operation
      called.add(operation)
      return original(...args)
    }
  }
  for (const [key, value] of Object.entries(resource)) {
    if (value && typeof value === 'object' && key !== '_client') watch(value, `${name}.${key}`)
  }
}

async function all(page) {
  const found = []
  for await (const element of page) found.push(element)
  return found
}

async function videos(stream) {
  const copied = await stream.copy.create({ account_id, url: `${files}clip.mp4`, input: `${files}clip.mp4`, meta: { name: 'copied' } })
  let video
  do {
    video = await stream.get(copied.uid, { account_id })
    assert.notEqual(video.status.state, 'error')
  } while (!video.readyToStream)
  const edited = await stream.edit(video.uid, { account_id, creator: 'alice', meta: { name: 'edited' } })
  assert.equal(edited.creator, 'alice')
  const listed = await all(stream.list({ account_id, creator: 'alice' }))
  assert.deepEqual(listed.map((it) => it.uid), [video.uid])

  const created = await stream
    .create({
      account_id,
      'Tus-Resumable': '1.0.0',
      'Upload-Length': 5,
      'Upload-Metadata': `maxDurationSeconds ${btoa('60')}`,
      direct_user: 'true',
    })
    .asResponse()
  assert.equal(created.status, 201)
  await stream.delete(created.headers.get('stream-media-id'), { account_id })

  const clip = await stream.clip.create({
    account_id,
    clippedFromVideoUID: video.uid,
    startTimeSeconds: 0,
    endTimeSeconds: 1,
  })
  assert.notEqual(clip.uid, video.uid)
  const direct = await stream.directUpload.create({ account_id, maxDurationSeconds: 60 })
  assert.ok(direct.uploadURL.startsWith('http'))
  const usage = await stream.videos.storageUsage({ account_id })
  assert.equal(typeof usage.totalStorageMinutes, 'number')
  const html = await stream.embed.get(video.uid, { account_id })
  assert.ok(html.includes(video.uid), html)
  return video.uid
}

async function parts(stream, identifier) {
  const of = { account_id, identifier }
  const captions = stream.captions.language
  const vtt = 'WEBVTT\n\n00:01.000 --> 00:02.000\nhello\n'
  const put = await captions.update('de', { ...of, file: new File([vtt], 'de.vtt', { type: 'text/vtt' }) })
  assert.equal(put.language, 'de')
  assert.equal((await captions.get('de', of)).language, 'de')
  assert.equal(await captions.vtt.get('de', of), vtt)
  assert.equal((await captions.create('en', of)).generated, true)
  assert.equal((await all(stream.captions.get(identifier, { account_id }))).length, 2)
  await captions.delete('de', of)

  const tracks = stream.audioTracks
  const track = await tracks.copy(identifier, { account_id, label: 'one', url: `${files}track.wav` })
  const edited = await tracks.edit(track.uid, { ...of, label: 'uno' })
  assert.equal(edited.label, 'uno')
  assert.ok(JSON.stringify(await tracks.get(identifier, { account_id })).includes(track.uid))
  await tracks.delete(track.uid, of)

  assert.ok(await stream.downloads.create(identifier, { account_id, body: {} }))
  assert.ok((await stream.downloads.get(identifier, { account_id })).default)
  await stream.downloads.delete(identifier, { account_id })
}

async function account(stream, identifier) {
  const key = await stream.keys.create({ account_id, body: {} })
  const { token } = await stream.token.create(identifier, { account_id, id: key.id, pem: key.pem })
  assert.equal(token.split('.').length, 3)
  assert.equal((await all(stream.keys.get({ account_id })))[0].id, key.id)
  await stream.keys.delete(key.id, { account_id })

  const url = 'https://media.example/stream-events'
  const webhook = await stream.webhooks.update({ account_id, notificationUrl: url, notification_url: url })
  assert.ok(webhook.secret)
  assert.equal((await stream.webhooks.get({ account_id })).secret, webhook.secret)
  await stream.webhooks.delete({ account_id })

  const png = Buffer.from('89504e470d0a1a0a0000000d4948445200000140000000500806000000', 'hex')
  const file = new File([png], 'logo.png', { type: 'image/png' })
  const mark = await stream.watermarks.create({ account_id, file, name: 'logo' })
  assert.equal((await stream.watermarks.get(mark.uid, { account_id })).width, 320)
  assert.equal((await all(stream.watermarks.list({ account_id }))).length, 1)
  await stream.watermarks.delete(mark.uid, { account_id })
}

async function live(stream) {
  const inputs = stream.liveInputs
  const input = await inputs.create({ account_id, meta: { name: 'stage' }, recording: { mode: 'automatic' } })
  assert.ok(input.rtmps.streamKey)
  assert.equal((await inputs.get(input.uid, { account_id })).uid, input.uid)
  const updated = await inputs.update(input.uid, { account_id, meta: { name: 'hall' } })
  assert.equal(updated.meta.name, 'hall')
  assert.equal((await inputs.list({ account_id })).liveInputs.length, 1)

  const of = { account_id, live_input_identifier: input.uid }
  const output = await inputs.outputs.create(input.uid, {
    account_id,
    url: 'rtmps://live.example/app',
    streamKey: 'k',
  })
  assert.equal((await inputs.outputs.update(output.uid, { ...of, enabled: false })).enabled, false)
  assert.equal((await all(inputs.outputs.list(input.uid, { account_id }))).length, 1)
  await inputs.outputs.delete(output.uid, of)
  await inputs.delete(input.uid, { account_id })
}

function say(said, code) {
  process.stdout.write(`${JSON.stringify(said)}\n`)
  process.exitCode = code
}

try {
  const stream = client.stream
  watch(stream, 'stream')
  const uid = await videos(stream)
  await parts(stream, uid)
  await account(stream, uid)
  await live(stream)
  await stream.delete(uid, { account_id })
  const left = [...known].filter((operation) => !called.has(operation))
  say({ ok: true, operations: [...called], left }, 0)
} catch (error) {
  say({ ok: false, error: String(error), at: last }, 1)
}
