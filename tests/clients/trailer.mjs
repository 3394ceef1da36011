// Sends bytes of a tus upload whose checksum follows the body in a trailer field.
// Argument: a JSON object {url, token, path, checksum}. Prints the status of the answer.
import { createReadStream } from 'node:fs'
import { request } from 'node:http'

const { url, token, path, checksum } = JSON.parse(process.argv[2])
const patch = request(url, {
  method: 'PATCH',
  headers: {
    Authorization: `Bearer ${token}`,
    'Tus-Resumable': '1.0.0',
    'Content-Type': 'application/offset+octet-stream',
    'Upload-Offset': '0',
    'Transfer-Encoding': 'chunked',
    Trailer: 'Upload-Checksum',
  },
}, (answer) => {
  console.log(answer.statusCode)
  answer.resume()
})
const source = createReadStream(path)
source.on('data', (data) => patch.write(data))
source.on('end', () => {
  patch.addTrailers({ 'Upload-Checksum': checksum })
  patch.end()
})
