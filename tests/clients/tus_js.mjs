// Uploads a file with tus-js-client. Argument: a JSON object {endpoint, token, path, name, options}. The option `package`
// names another version of tus-js-client in package.json.
// Prints a JSON object {url}, or {error} with exit code 1.
import { createReadStream, statSync } from 'node:fs'
import { PassThrough } from 'node:stream'

const { endpoint, token, path, name, options: all = {} } = JSON.parse(process.argv[2])
const { package: from = 'tus-js-client', ...options } = all
const { Upload } = await import(from)
const size = statSync(path).size
// tus-js-client asks a stream of a file for its path and its size, so a stream of unknown length must be another one.
const file = createReadStream(path)
const source = options.uploadLengthDeferred ? file.pipe(new PassThrough()) : file
const upload = new Upload(source, {
  endpoint,
  headers: { Authorization: `Bearer ${token}` },
  metadata: { filename: name, filetype: 'application/octet-stream' },
  retryDelays: Array(60).fill(200),
  ...(options.uploadLengthDeferred || options.parallelUploads ? {} : { uploadSize: size }),
  ...options,
  onError(error) {
    console.log(JSON.stringify({ error: String(error) }))
    process.exit(1)
  },
  onSuccess() {
    console.log(JSON.stringify({ url: upload.url }))
  },
})
upload.start()
