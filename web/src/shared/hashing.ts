/** SHA-256 of what this computer has: a file that was chosen, or bytes that were downloaded. A worker computes it. */
import address from './hashing.worker.ts?worker&url'
import type { Said } from './hashing.worker'
import { Problem } from './problem'

interface TrustedTypes {
  createPolicy(name: string, rules: { createScriptURL: (url: string) => string }): { createScriptURL(url: string): string }
}

const IDLE_MS = 5_000 // so long after its last file the worker ends
const NOT_LOADED = new Problem('no_digest', 'The part of the page that computes digests could not be loaded. Load the page again.')
let turn: Promise<unknown> = Promise.resolve() // one file after another, so that the disk is read calmly

/** Returns why this browser cannot compute digests here, as a sentence; null: it can. */
export function whyNoDigest(): string | null {
  if (!isSecureContext) return 'Digests cannot be compared here, because this page came over plain http: somebody on the way could change the page itself. Ask for an https address.'
  if (typeof WebAssembly === 'undefined' || typeof Worker === 'undefined')
    return 'Digests cannot be compared here, because this browser does not run WebAssembly.'
  return null
}

/**
 * Returns the SHA-256 of the bytes in lower-case hex. `onProgress` is told how many bytes were read.
 * Throws a Problem, or the signal's reason if it is aborted.
 */
export function sha256Of(blob: Blob, onProgress: (read: number) => void = () => undefined, signal?: AbortSignal): Promise<string> {
  const mine = turn.then(() => {
    const why = whyNoDigest()
    if (why) throw new Problem('no_digest', why)
    signal?.throwIfAborted()
    return inWorker(blob, onProgress, signal)
  })
  turn = mine.catch(() => undefined)
  return mine
}

let worker: Worker | undefined
let idle: ReturnType<typeof setTimeout> | undefined

function inWorker(blob: Blob, onProgress: (read: number) => void, signal?: AbortSignal): Promise<string> {
  clearTimeout(idle)
  const used = (worker ??= new Worker(workerAddress(), { type: 'module' }))
  const ended = new AbortController()
  const digest = new Promise<string>((resolve, reject) => {
    const hear = ({ data }: MessageEvent<Said>) => {
      if ('read' in data) onProgress(data.read)
      else if ('digest' in data) resolve(data.digest)
      else reject(new Problem('unreadable', `The file could not be read: ${data.error}`))
    }
    used.addEventListener('message', hear, ended)
    used.addEventListener('error', () => reject(NOT_LOADED), ended)
    signal?.addEventListener('abort', () => reject(signal.reason), ended)
    used.postMessage(blob)
  })
  const failed = (error: unknown) => {
    end() // it may still read the file that nobody waits for any more
    throw error
  }
  return digest.catch(failed).finally(() => {
    ended.abort()
    idle = setTimeout(end, IDLE_MS)
  })
}

function end(): void {
  worker?.terminate()
  worker = undefined
}

let trusted: string | undefined

/** The policy of Trusted Types lets the worker's file through, and no other address. */
function workerAddress(): string {
  const types = (globalThis as { trustedTypes?: TrustedTypes }).trustedTypes
  trusted ??= types ? types.createPolicy('gridhaul-worker', { createScriptURL: own }).createScriptURL(address) : address
  return trusted
}

function own(url: string): string {
  if (url !== address) throw new TypeError('Only the worker of this page may be started.')
  return url
}
