/** The worker that computes SHA-256: it reads one file by slices, so that only one slice is in memory. */
import { createSHA256 } from 'hash-wasm'

/** What the worker is told: a file. It answers with progress in bytes, and at last with the digest or an error. */
export type Said = { read: number } | { digest: string } | { error: string }

const SLICE_BYTES = 4 << 20

addEventListener('message', ({ data }: MessageEvent<Blob>) => {
  hash(data).then(
    (digest) => say({ digest }),
    (error: unknown) => say({ error: error instanceof Error ? error.message : String(error) }),
  )
})

async function hash(blob: Blob): Promise<string> {
  const sha256 = await createSHA256()
  for (let at = 0; at < blob.size; at += SLICE_BYTES) {
    const slice = await blob.slice(at, at + SLICE_BYTES).arrayBuffer()
    sha256.update(new Uint8Array(slice))
    say({ read: at + slice.byteLength })
  }
  return sha256.digest('hex')
}

function say(said: Said): void {
  postMessage(said)
}
