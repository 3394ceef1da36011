// Uploads a file with Uppy and its plugin for tus. Argument and output as in tus_js.mjs.
import { readFileSync } from 'node:fs'
import Uppy from '@uppy/core'
import Tus from '@uppy/tus'

const { endpoint, token, path, name, options = {} } = JSON.parse(process.argv[2])
const uppy = new Uppy({ autoProceed: false })
uppy.use(Tus, {
  endpoint,
  headers: { Authorization: `Bearer ${token}` },
  retryDelays: Array(60).fill(200),
  allowedMetaFields: ['filename'],
  ...options,
})
// Outside of a browser, tus-js-client below Uppy takes a Buffer, and Uppy asks for its size as a Blob has it.
const data = readFileSync(path)
uppy.addFile({ name, data: Object.assign(data, { size: data.length }), meta: { filename: name } })
const { successful, failed } = await uppy.upload()
if (failed.length > 0) {
  console.log(JSON.stringify({ error: String(failed[0].error) }))
  process.exit(1)
}
console.log(JSON.stringify({ url: successful[0].uploadURL }))
process.exit(0)
