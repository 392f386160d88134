// The emulator's page. It asks for a one-time URL with the token, and uploads to that without it: the way of a direct
// creator upload, but that here one page is backend and creator.
'use strict'

const settings = new URLSearchParams(location.hash.slice(1))
const account = settings.get('account') || 'local'
let token = settings.get('token') || sessionStorage.getItem('token') || 'local'
if (settings.has('token')) {
  // It stays out of what is copied from the address bar.
  sessionStorage.setItem('token', token)
  history.replaceState(null, '', location.pathname)
}

const $ = (id) => document.getElementById(id)
const api = `/client/v4/accounts/${encodeURIComponent(account)}/stream`

function make(tag, name, text) {
  const element = document.createElement(tag)
  if (name) element.className = name
  if (text) element.textContent = text
  return element
}

function say(problem) {
  $('problem').textContent = problem || ''
  $('problem').hidden = !problem
}

async function ask(path, options = {}) {
  const headers = { Authorization: `Bearer ${token}`, ...options.headers }
  const answer = await fetch(path, { ...options, headers })
  const denied = answer.status === 401 || answer.status === 403
  $('credentials').hidden = !denied
  if (answer.ok) return answer
  const body = await answer.json().catch(() => ({}))
  const words = [...(body.errors || []), ...(body.messages || [])].map((it) => it.message)
  throw new Error(denied ? 'The token is not the one of this server.' : words.join('; ') || `HTTP ${answer.status}`)
}

// Videos: one list item each, changed in place, so that what plays goes on playing.

const rows = new Map()

function row(uid) {
  const item = make('li')
  item.dataset.uid = uid
  const head = make('div', 'row')
  const parts = {
    item,
    name: make('span', 'name'),
    state: make('span', 'state'),
    play: make('button', 'play', 'Play'),
    progress: make('progress'),
    facts: make('p', 'facts'),
    reason: make('p', 'reason'),
  }
  parts.progress.max = 100
  parts.play.type = 'button'
  parts.play.addEventListener('click', () => play(parts).catch((error) => say(error.message)))
  head.append(parts.name, parts.state, parts.play)
  item.append(head, parts.progress, parts.facts, parts.reason)
  rows.set(uid, parts)
  return parts
}

async function play(parts) {
  if (parts.video) {
    parts.video.remove()
    parts.video = null
    parts.play.textContent = 'Play'
    return
  }
  let who = parts.item.dataset.uid
  if (parts.signed) {
    const answer = await ask(`${api.replace(account, parts.account)}/${who}/token`, { method: 'POST' })
    who = (await answer.json()).result.token
  }
  parts.video = make('video')
  parts.video.controls = true
  parts.video.playsInline = true
  parts.video.src = `/${who}/original`
  parts.video.addEventListener('error', () => say('The browser cannot play this file.'))
  parts.item.append(parts.video)
  parts.play.textContent = 'Close'
  await parts.video.play().catch(() => {})
}

function bytes(size) {
  const units = ['B', 'kB', 'MB', 'GB']
  let unit = 0
  for (; size >= 1000 && unit < units.length - 1; unit++) size /= 1000
  return `${unit ? size.toFixed(1) : size} ${units[unit]}`
}

function show(list) {
  const here = new Set()
  for (const { account: owner, video, offset } of list.reverse()) {
    here.add(video.uid)
    const parts = rows.get(video.uid) || row(video.uid)
    const status = video.status || {}
    const uploading = status.state === 'pendingupload'
    const done = uploading ? (video.size ? (100 * offset) / video.size : 0) : Number(status.pctComplete || 0)
    parts.account = owner
    parts.signed = video.requireSignedURLs
    parts.name.textContent = (video.meta && video.meta.name) || video.uid
    parts.state.textContent = status.state
    parts.state.dataset.state = status.state
    parts.play.hidden = status.state !== 'ready'
    parts.progress.hidden = status.state === 'ready' || status.state === 'error'
    parts.progress.value = done
    const facts = [video.uid, owner, bytes(video.size || offset)]
    if (video.duration > 0) facts.push(`${video.duration.toFixed(1)} s`)
    if (video.input && video.input.width > 0) facts.push(`${video.input.width} × ${video.input.height}`)
    if (video.requireSignedURLs) facts.push('signed URLs only')
    parts.facts.textContent = facts.join(' · ')
    parts.reason.textContent = [status.errorReasonCode, status.errorReasonText].filter(Boolean).join(': ')
    if (!parts.item.isConnected) $('videos').prepend(parts.item)
  }
  for (const [uid, parts] of rows) {
    if (here.has(uid)) continue
    parts.item.remove()
    rows.delete(uid)
  }
  $('empty').hidden = here.size > 0
}

let asked = null
async function refresh() {
  clearTimeout(asked)
  let pause = 1000
  try {
    show(await (await ask('/_emulator/state')).json())
    say('')
  } catch (error) {
    say(error.message)
    pause = 3000
  }
  asked = setTimeout(refresh, pause)
}

// Uploads.

async function upload(file) {
  const item = make('li')
  const words = make('span', '', `${file.name}: asking for a URL`)
  const progress = make('progress')
  progress.max = file.size || 1
  item.append(words, progress)
  $('uploads').append(item)
  try {
    const text = (value) => btoa(String.fromCharCode(...new TextEncoder().encode(value)))
    const answer = await ask(`${api}?direct_user=true`, {
      method: 'POST',
      headers: {
        'Tus-Resumable': '1.0.0',
        'Upload-Length': String(file.size),
        'Upload-Metadata': `name ${text(file.name)},maxDurationSeconds ${text('3600')}`,
      },
    })
    await send(file, answer.headers.get('Location'), (sent) => {
      progress.value = sent
      words.textContent = `${file.name}: ${bytes(sent)} of ${bytes(file.size)}`
    })
    item.remove()
  } catch (error) {
    words.textContent = `${file.name}: ${error.message}`
    progress.remove()
  }
  refresh()
}

function send(file, uploadUrl, onSent) {
  return new Promise((resolve, reject) => {
    new tus.Upload(file, {
      uploadUrl,
      chunkSize: 50 * 1024 * 1024,
      retryDelays: [0, 1000, 3000, 5000],
      storeFingerprintForResuming: false,
      onProgress: onSent,
      onSuccess: resolve,
      onError: reject,
    }).start()
  })
}

function take(files) {
  for (const file of files) upload(file)
}

$('file').addEventListener('change', (event) => {
  take(event.target.files)
  event.target.value = ''
})
const drop = document.querySelector('.drop')
for (const name of ['dragover', 'dragleave', 'drop']) {
  drop.addEventListener(name, (event) => {
    event.preventDefault()
    drop.classList.toggle('over', name === 'dragover')
    if (name === 'drop') take(event.dataTransfer.files)
  })
}
$('credentials').addEventListener('submit', (event) => {
  event.preventDefault()
  token = $('token').value
  sessionStorage.setItem('token', token)
  refresh()
})
$('where').textContent = `API: ${location.origin}/client/v4 · tus: ${location.origin}/files/ · account: ${account}`
refresh()
