// Drives the emulator's page in a real browser, and prints what was seen as one line of JSON.
//
//   node page.mjs URL FILE [--chromium PATH] [--screenshots FOLDER] [--token T]
//
// It chooses FILE in the page, waits until its video appears and becomes ready, plays it, and waits until the time of
// what plays has moved on.
//
// The JSON: {"ok":true,"uid":U,"states":[...],"name":N,"facts":T,"time":S,"width":W,"uploads":N,"outside":[...],
// "console":[...]}, or {"ok":false,"error":TEXT,...} and exit code 1.

import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'

import { chromium } from 'playwright-core'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    chromium: { type: 'string', default: '/usr/bin/chromium' },
    screenshots: { type: 'string' },
    token: { type: 'string' },
  },
})
const [url, file] = positionals
const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'page-'))
const said = { ok: false, states: [], outside: [], console: [] }
let browser

async function shot(page, name) {
  if (values.screenshots) await page.screenshot({ path: path.join(values.screenshots, `${name}.png`), fullPage: true })
}

try {
  browser = await chromium.launchPersistentContext(profile, {
    executablePath: values.chromium,
    headless: true,
    viewport: { width: 900, height: 900 },
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--autoplay-policy=no-user-gesture-required',
    ],
  })
  const page = browser.pages()[0] || (await browser.newPage())
  page.setDefaultTimeout(60_000)
  page.on('console', (message) => {
    if (message.type() === 'error') said.console.push(message.text())
  })
  page.on('pageerror', (error) => said.console.push(String(error)))
  page.on('request', (request) => {
    const address = request.url()
    if (!address.startsWith(url) && !address.startsWith('data:') && !address.startsWith('blob:')) said.outside.push(address)
  })
  await page.goto(values.token ? `${url}/#token=${encodeURIComponent(values.token)}` : `${url}/`)
  await page.locator('#empty').waitFor({ state: 'visible' })
  await shot(page, '1-empty')
  // Every state that the page shows of its first video, in order.
  await page.evaluate(() => {
    window.states = []
    new MutationObserver(() => {
      const state = document.querySelector('#videos .state')?.dataset.state
      if (state && window.states.at(-1) !== state) window.states.push(state)
    }).observe(document.getElementById('videos'), { subtree: true, childList: true, attributes: true })
  })
  await page.locator('#file').setInputFiles(file)
  const video = page.locator('#videos li')
  await video.waitFor({ state: 'visible' })
  await shot(page, '2-appeared')
  said.uid = await video.getAttribute('data-uid')
  await page.locator('#videos .state[data-state=ready]').waitFor({ state: 'visible' })
  said.states = await page.evaluate(() => window.states)
  said.name = await page.locator('#videos .name').textContent()
  said.facts = await page.locator('#videos .facts').textContent()
  await shot(page, '3-ready')
  await page.locator('#videos .play').click()
  await page.waitForFunction(() => document.querySelector('#videos video')?.currentTime > 0.3)
  const playing = await page.evaluate(() => {
    const { currentTime, videoWidth } = document.querySelector('#videos video')
    return { currentTime, videoWidth }
  })
  said.time = playing.currentTime
  said.width = playing.videoWidth
  await shot(page, '4-playing')
  said.uploads = await page.locator('#uploads li').count()
  said.problem = await page.locator('#problem').textContent()
  said.ok = true
} catch (error) {
  said.error = String(error)
  process.exitCode = 1
} finally {
  await browser?.close()
  fs.rmSync(profile, { recursive: true, force: true, maxRetries: 5 })
  console.log(JSON.stringify(said))
}
