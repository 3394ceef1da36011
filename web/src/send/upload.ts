/** One upload of this tab: the bytes of a file, sent by tus 1.0.0. `uploads.svelte.ts` says when it runs. */
import type { HttpRequest, UploadOptions } from 'tus-js-client'
import { Upload as Sending } from 'tus-js-client/lib/browser/index.js'
import { visible } from '../shared/format'
import type { Problem } from '../shared/problem'
import { ROOT, session } from '../shared/session.svelte'
import type { LocalFile } from './folders'
import { problemOfUpload } from './upload-problem'

export type Phase = 'waiting' | 'sending' | 'retrying' | 'paused' | 'checking' | 'stored' | 'failed' | 'cancelled'

export interface Listener {
  moved: () => void
  allSent: () => void
  broke: (problem: Problem) => void
}

/** One attempt to send. A request that begins an upload is never broken off, else its address would be lost. */
interface Run {
  sending: Sending
  stopped: boolean
  /** Whether what the request begins is to be deleted. */
  unwanted: boolean
}

const ID_DIGITS = 24 // of the file's id, with which the last part of an upload's address begins
const ONE_REQUEST_BYTES = 1 << 20 // a file up to this is sent with the request that begins its upload
let next = 1

export class Upload {
  readonly key = next++
  phase: Phase = 'waiting'
  /** Bytes that this browser has sent. */
  sent: number
  /** Bytes that the server says are durable. */
  stored: number
  problem: Problem | null = null
  /** Whether the server takes no more bytes of what was begun, so that the next start has to begin anew. */
  gone = false
  retries = 0
  /** The SHA-256 of the file here, and that of the server's record; null: not known yet. */
  ownDigest: string | null = null
  recordDigest: string | null = null
  hashed = 0
  /** Why the digest of the file here cannot be known; null: no reason. */
  notCompared: string | null = null
  #run: Run | null = null

  constructor(
    private readonly chosen: LocalFile,
    private readonly metadata: Record<string, string>,
    /** The address of an upload that was begun before; null: it is not begun yet. */
    private address: string | null = null,
    offset = 0,
  ) {
    this.sent = this.stored = offset
  }

  /** The path as it is shown. */
  get path(): string {
    return visible(this.chosen.path)
  }

  get length(): number {
    return this.chosen.length
  }

  get file(): File {
    return this.chosen.file
  }

  get fileId(): string | null {
    return this.address?.split('/').at(-1)?.slice(0, ID_DIGITS) ?? null
  }

  /** Lets the next start begin anew. */
  forgetAddress(): void {
    this.gone = false
    this.address = null
    this.sent = this.stored = 0
  }

  /** Sends, from where the server has got to. */
  start(listener: Listener): void {
    if (this.#run && !this.address) {
      this.#run.stopped = false
      return
    }
    const run = {} as Run
    Object.assign(run, { sending: new Sending(this.file, this.#options(run, listener)), stopped: false, unwanted: false })
    this.#run = run
    run.sending.start()
  }

  /** Stops sending. What has arrived stays at the server. */
  stop(): void {
    if (!this.#run) return
    this.#run.stopped = true
    if (this.address) this.#over()
  }

  /** Stops sending, and deletes what has arrived. */
  async end(): Promise<void> {
    if (this.#run) this.#run.unwanted = true
    this.stop()
    if (this.address) await Sending.terminate(this.address, { onBeforeRequest: authorize })
  }

  #options(run: Run, listener: Listener): UploadOptions {
    return {
      // Without an endpoint, an upload that was deleted meanwhile is not begun anew.
      endpoint: this.address ? null : `${ROOT}uploads`,
      uploadUrl: this.address,
      metadata: this.metadata,
      storeFingerprintForResuming: false, // the server knows what is unfinished
      fingerprint: () => Promise.resolve(''),
      retryDelays: null, // the pauses are those of the queue
      uploadDataDuringCreation: this.length <= ONE_REQUEST_BYTES,
      onBeforeRequest: async (request) => {
        await authorize(request)
        if (run.stopped && this.address) throw new Error('stopped')
      },
      onUploadUrlAvailable: () => this.#begun(run),
      onProgress: (sent) => this.#move(listener, sent, this.stored),
      onChunkComplete: (_, stored) => this.#move(listener, stored, stored),
      onSuccess: () => {
        this.#over()
        this.#move(listener, this.length, this.length)
        listener.allSent()
      },
      onError: (error) => {
        if (run !== this.#run) return
        const problem = problemOfUpload(error, this.file, this.path) // first: to abort a request forgets its answer
        this.#over()
        void problem.then((known) => this.#run || listener.broke(known)) // else it was begun again meanwhile
      },
    }
  }

  /** Keeps the address of the upload, as this page reaches it: the policy of the page allows no other host. */
  #begun(run: Run): void {
    if (!run.sending.url) return
    this.address = addressOfUpload(run.sending.url)
    run.sending.url = this.address
    run.sending.options.endpoint = null
    if (run.stopped) this.#over()
    if (run.unwanted) void this.end()
  }

  #over(): void {
    void this.#run?.sending.abort(false)
    this.#run = null
  }

  #move(listener: Listener, sent: number, stored: number): void {
    if (stored > this.stored) this.retries = 0
    this.sent = sent
    this.stored = Math.max(this.stored, stored)
    listener.moved()
  }
}

async function authorize(request: HttpRequest): Promise<void> {
  request.setHeader('Authorization', `Bearer ${await session.token()}`)
}

/** The address of an upload as this page reaches it: a proxy may have given the server another one. */
export function addressOfUpload(address: string): string {
  return `${ROOT}uploads/${address.split('/').at(-1)}`
}
