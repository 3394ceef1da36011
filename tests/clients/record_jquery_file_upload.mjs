// Records what jQuery File Upload sends from a real Chromium to a server of Content-Range. The test
// tests/journeys/test_recorded_uploads.py sends the recording again, so that neither Chromium nor jQuery is needed there.
//
// To record again, in any empty directory:
//   npm install blueimp-file-upload@10.32.0 jquery@3.7.1 puppeteer-core
//   node .../tests/clients/record_jquery_file_upload.mjs . /usr/bin/chromium \
//     > .../tests/clients/recordings/jquery_file_upload.json
// Arguments: the directory with node_modules, the path of Chromium (Debian's package `chromium`).
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { resolve } from 'node:path'

const [directory, chromium] = process.argv.slice(2)
const require = createRequire(resolve(directory, 'package.json'))
const puppeteer = require('puppeteer-core')
const script = (name) => readFileSync(require.resolve(name), 'utf8')

const LENGTH = 250_001
const CHUNK = 100_000
const TOKEN = 'recorded-token'
const UPLOAD_ID = 'd'.repeat(56) // as long as a real one, so that each Content-Length stays right
const payload = Buffer.from(Array.from({ length: LENGTH }, (_, at) => at % 251))
const MD5 = createHash('md5').update(payload).digest('hex')

const page = `<!doctype html><meta charset="utf-8"><input id="file" type="file">
<script>${script('jquery')}</script>
<script>${script('blueimp-file-upload/js/vendor/jquery.ui.widget.js')}</script>
<script>${script('blueimp-file-upload/js/jquery.fileupload.js')}</script>`

const sessions = []
let port = 0

function answer(socket, status, type, body) {
  const head = `HTTP/1.1 ${status} OK\r\nContent-Type: ${type}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`
  socket.write(`${head}Connection: close\r\n\r\n${body}`)
  socket.end()
}

// Return the body as texts and ranges of the payload.
function frames(head, body) {
  const range = /^Content-Range: bytes (\d+)-(\d+)/im.exec(head)
  const [first, stop] = range ? [Number(range[1]), Number(range[2]) + 1] : [0, LENGTH]
  const at = body.indexOf(payload.subarray(first, stop))
  if (at < 0 || stop - first > body.length) return body.length ? [body.toString('latin1')] : []
  const around = [body.subarray(0, at), body.subarray(at + stop - first)].map((text) => text.toString('latin1'))
  return [around[0], [first, stop], around[1]].filter((frame) => frame.length)
}

function take(socket, head, body) {
  if (head.startsWith('GET ')) return answer(socket, 200, 'text/html', page)
  const range = /^Content-Range: bytes (?:\d+-(\d+)|\*)\/\d+/im.exec(head)
  const offset = range?.[1] ? Number(range[1]) + 1 : CHUNK
  const url = `http://127.0.0.1:${port}/uploads/${UPLOAD_ID}`
  sessions.at(-1).requests.push({ head, body: frames(head, body) })
  answer(socket, 200, 'application/json', JSON.stringify({ upload_id: UPLOAD_ID, url, offset }))
}

const server = createServer((socket) => {
  let received = Buffer.alloc(0)
  socket.on('error', () => {})
  socket.on('data', (data) => {
    received = Buffer.concat([received, data])
    const end = received.indexOf('\r\n\r\n')
    if (end < 0) return
    const head = received.subarray(0, end + 4).toString('latin1')
    const length = Number(/^Content-Length: (\d+)/im.exec(head)?.[1] ?? 0)
    if (received.length >= end + 4 + length) take(socket, head, received.subarray(end + 4, end + 4 + length))
  })
})

// The functions below run in the page. `send` uploads one file as a page would, and completes it with its MD5.
async function send({ length, chunk, token, md5, way }) {
  const { $ } = window
  const bytes = Uint8Array.from({ length }, (_, at) => at % 251)
  const file = new File([bytes], 'rün 42.h5', { type: 'application/x-hdf5' })
  const headers = { Authorization: token, 'X-CSRFToken': 'csrf' }
  const fields = [{ name: 'csrfmiddlewaretoken', value: 'csrf' }, { name: 'parent', value: 'lab' }]
  let uploaded = null
  const options = {
    url: '/uploads',
    dataType: 'json',
    headers,
    maxChunkSize: chunk,
    formData: fields,
    chunkdone: (_, data) => {
      if (!uploaded) fields.push({ name: 'upload_id', value: data.result.upload_id })
      uploaded = data.result
    },
  }
  if (way === 'the_file') Object.assign(options, { paramName: 'the_file' })
  if (way !== 'the_file') Object.assign(options, { paramName: 'files[]' })
  if (way === 'PUT') {
    Object.assign(options, { type: 'PUT', multipart: false, url: '/uploads?parent=lab' })
    options.chunkbeforesend = (_, data) => {
      if (uploaded) data.url = uploaded.url
    }
  }
  if (way === 'resumed') {
    options.chunksend = () => uploaded === null // the page is closed after the first chunk
  }
  const input = $('<input type="file">').fileupload(options)
  const result = await new Promise((done) => {
    input.fileupload('send', { files: [file] }).then(done, () => done(null))
  })
  const first = result ?? uploaded
  if (way === 'resumed') {
    const asked = { 'Content-Range': `bytes */${length}` }
    const { offset } = await $.ajax({ url: first.url, type: 'PUT', headers: { ...headers, ...asked }, dataType: 'json' })
    const rest = { files: [file], uploadedBytes: offset }
    await $('<input type="file">').fileupload({ ...options, url: first.url, type: 'PUT', chunksend: null })
      .fileupload('send', rest)
  }
  const completed = way === 'PUT' || way === 'resumed'
    ? { url: first.url, data: { md5 } }
    : { url: '/uploads', data: { csrfmiddlewaretoken: 'csrf', upload_id: first.upload_id, md5 } }
  await $.ajax({ type: 'POST', dataType: 'json', headers, ...completed })
}

const WAYS = {
  'POST of a form to one address, as with django-chunked-upload': { way: 'the_file', token: `JWT ${TOKEN}` },
  'POST of a form, a small file': { way: 'small', chunk: 10 * CHUNK, token: `Bearer ${TOKEN}` },
  'PUT of raw bytes to the address of the upload': { way: 'PUT', token: `Bearer ${TOKEN}` },
  'PUT of a form, resumed after a question for the offset': { way: 'resumed', token: `Bearer ${TOKEN}` },
}

await new Promise((ready) => server.listen(0, '127.0.0.1', ready))
port = server.address().port
const browser = await puppeteer.launch({ executablePath: chromium, args: ['--no-sandbox', '--disable-gpu'] })
const tab = await browser.newPage()
for (const [name, session] of Object.entries(WAYS)) {
  sessions.push({ name, requests: [] })
  await tab.goto(`http://127.0.0.1:${port}/page`)
  await tab.evaluate(send, { length: LENGTH, chunk: CHUNK, md5: MD5, ...session })
}
const version = await browser.version()
await browser.close()
server.close()
const used = { browser: version, 'blueimp-file-upload': require('blueimp-file-upload/package.json').version }
const recorded = { host: `127.0.0.1:${port}`, token: TOKEN, upload_id: UPLOAD_ID, md5: MD5, length: LENGTH }
console.log(JSON.stringify({ used, recorded, sessions }, null, 1))
