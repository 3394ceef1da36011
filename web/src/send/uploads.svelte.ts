/** The uploads of this tab. They live as long as the tab, whichever view is shown, and a few run at once. */
import { untrack } from 'svelte'
import { announceProgress, announce } from '../shared/announcements.svelte'
import { api, data, type File as FileRecord } from '../shared/api'
import { bytes, count } from '../shared/format'
import { live } from '../shared/live.svelte'
import { failed } from '../shared/messages.svelte'
import { Problem } from '../shared/problem'
import { session } from '../shared/session.svelte'
import { Comparisons } from './comparisons'
import type { LocalFile } from './folders'
import { hold, release } from './held'
import { askBeforeLeaving } from './leaving'
import { order } from './order.svelte'
import { NOTHING, Speed, totalsOf, type Totals } from './totals'
import { Upload } from './upload'
import { passes } from './upload-problem'

const AT_ONCE = 4 // a browser opens six connections over HTTP/1.1, and the events need one
const SHOW_MS = 100 // the page shows new figures this often at most
const RETRY_SECONDS = [1, 2, 5, 10, 15] as const
const LOOK_MS = 3_000 // after the last byte, an event should tell of the file before this; else the file is read
const LOOK_MOST_MS = 60_000
const OVER: ReadonlySet<string> = new Set(['stored', 'failed', 'cancelled'])

class Uploads {
  items: Upload[] = $state.raw([])
  /** Counts the times at which figures were shown anew; who shows an upload reads it. */
  shown = $state(0)
  totals: Totals = $state.raw(NOTHING)
  #byFile = new Map<string, Upload>()
  #waiting = new Set<Upload>()
  #running = new Set<Upload>()
  #comparisons = new Comparisons(() => this.#showSoon())
  #timer: ReturnType<typeof setTimeout> | undefined
  #speed = new Speed()
  #owner: string | null = null

  constructor() {
    live.follow((changes) => {
      for (const { kind, record } of changes) if (kind === 'file') this.#hear(record)
    })
    $effect.root(() => {
      $effect(() => {
        if (session.username === null) untrack(() => this.pause(this.items))
      })
    })
  }

  /** Takes files into the queue, to go where the form says. */
  add(files: readonly LocalFile[]): void {
    const alone = files.length === 1
    this.take(files.map((file) => new Upload(file, order.metadata(file, { alone }))))
  }

  take(uploads: readonly Upload[]): void {
    if (this.#owner !== session.username) this.#forgetAll()
    this.#owner = session.username
    this.items = [...uploads, ...this.items]
    for (const upload of uploads) this.#waiting.add(upload)
    this.#pump()
    this.#show()
  }

  /** Whether the file is one of this tab's that is not over. */
  has(fileId: string): boolean {
    const upload = this.#byFile.get(fileId)
    return upload !== undefined && !OVER.has(upload.phase)
  }

  pause(uploads: readonly Upload[]): void {
    for (const upload of uploads) if (canPause(upload)) this.#leave(upload, 'paused')
    this.#pump()
  }

  /** Goes on with uploads that were paused, or that failed. */
  resume(uploads: readonly Upload[]): void {
    for (const upload of uploads) {
      if (!['paused', 'failed', 'retrying'].includes(upload.phase)) continue
      this.#leave(upload, 'waiting')
      upload.problem = null
      this.#waiting.add(upload)
    }
    this.#pump()
  }

  /** Stops uploads for good, and deletes what has arrived of them. */
  cancel(uploads: readonly Upload[]): void {
    for (const upload of uploads) {
      if (upload.phase === 'cancelled' || upload.phase === 'stored') continue
      this.#leave(upload, 'cancelled')
      this.#comparisons.stop(upload)
      upload.end().catch(() => failed(`Cancel ${upload.path}`, new Problem('not_cancelled', 'The server did not delete what had arrived. It is listed as unfinished, and can be deleted there.')))
    }
    this.#pump()
  }

  /** Takes uploads that are over off the list. */
  clear(): void {
    this.items = this.items.filter((upload) => !OVER.has(upload.phase))
    for (const [id, upload] of this.#byFile) if (OVER.has(upload.phase)) this.#byFile.delete(id)
    this.#show()
  }

  #pump(): void {
    for (const upload of this.#waiting) {
      if (this.#running.size >= AT_ONCE) break
      this.#waiting.delete(upload)
      this.#begin(upload)
    }
    this.#showSoon()
  }

  #begin(upload: Upload): void {
    this.#running.add(upload)
    if (upload.gone) this.#forget(upload)
    upload.phase = 'sending'
    upload.start({
      moved: () => this.#register(upload),
      allSent: () => this.#allSent(upload),
      broke: (problem) => void this.#broke(upload, problem),
    })
    void this.#comparisons.begin(upload)
  }

  #register(upload: Upload): void {
    if (upload.fileId) {
      this.#byFile.set(upload.fileId, upload)
      hold(upload.fileId)
    }
    this.#showSoon()
  }

  #leave(upload: Upload, phase: Upload['phase']): void {
    upload.stop()
    upload.phase = phase
    if (upload.fileId && OVER.has(phase)) release(upload.fileId)
    this.#waiting.delete(upload)
    this.#running.delete(upload)
    this.#showSoon()
  }

  #allSent(upload: Upload): void {
    this.#register(upload)
    if (OVER.has(upload.phase)) return // an event was faster
    this.#leave(upload, 'checking')
    this.#pump()
    setTimeout(() => void this.#look(upload, LOOK_MS), LOOK_MS)
  }

  /** Reads the record of a file whose bytes are all sent, in case that its event was missed. The pauses grow. */
  async #look(upload: Upload, pause: number): Promise<void> {
    if (upload.phase !== 'checking') return
    await this.#read(upload)
    const next = Math.min(2 * pause, LOOK_MOST_MS)
    setTimeout(() => void this.#look(upload, next), next)
  }

  async #read(upload: Upload): Promise<void> {
    if (!upload.fileId) return
    try {
      this.#hear(await data(api.GET('/files/{file_id}', { params: { path: { file_id: upload.fileId } } })))
    } catch {
      // The server is away for a moment; the next look, or an event, tells.
    }
  }

  #forget(upload: Upload): void {
    if (upload.fileId) {
      release(upload.fileId)
      this.#byFile.delete(upload.fileId)
    }
    upload.forgetAddress()
  }

  async #broke(upload: Upload, problem: Problem): Promise<void> {
    if (upload.phase !== 'sending') return
    upload.problem = problem
    if (problem.status === 404 || problem.status === 410) upload.gone = true
    else if (!passes(problem)) await this.#read(upload) // if the upload has failed at the server, its record says why
    else if (problem.status === 401) await session.renew().catch(() => undefined)
    if (upload.phase !== 'sending' || upload.problem !== problem) return // the person, or the end of the login, was faster
    if (!passes(problem)) {
      this.#leave(upload, 'failed')
      announce(`${upload.path} could not be uploaded. ${problem.detail}`)
      return this.#pump()
    }
    // It keeps its place among those that run: else all of a long queue would fail one after the other.
    upload.phase = 'retrying'
    this.#showSoon()
    const seconds = problem.retryAfterSeconds ?? RETRY_SECONDS[Math.min(upload.retries++, RETRY_SECONDS.length - 1)] ?? 15
    setTimeout(() => {
      if (upload.phase === 'retrying' && upload.problem === problem) this.#begin(upload)
    }, seconds * 1000)
  }

  #hear(record: FileRecord): void {
    const upload = this.#byFile.get(record.file_id)
    if (!upload || upload.phase === 'cancelled') return
    upload.stored = Math.max(upload.stored, record.stored_bytes)
    upload.sent = Math.max(upload.sent, upload.stored)
    upload.recordDigest = record.digests['sha-256'] ?? null
    upload.gone = record.state === 'FAILED'
    if (record.state === 'STORED') this.#end(upload, 'stored')
    else if (record.state === 'FAILED') this.#end(upload, 'failed', record.error)
    else if (['CANCELLED', 'EXPIRED', 'DELETING', 'DELETED'].includes(record.state)) this.#end(upload, 'cancelled')
    this.#showSoon()
  }

  #end(upload: Upload, phase: 'stored' | 'failed' | 'cancelled', error: FileRecord['error'] = null): void {
    if (upload.phase === phase) return
    this.#leave(upload, phase)
    upload.problem = error ? new Problem(error.code, error.detail) : null
    if (phase === 'stored') upload.sent = upload.stored = upload.length
    else this.#comparisons.stop(upload)
    this.#pump()
  }

  #showSoon(): void {
    this.#timer ??= setTimeout(() => this.#show(), SHOW_MS)
  }

  #show(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const before = this.totals
    this.totals = totalsOf(this.items, this.#speed)
    this.shown += 1
    askBeforeLeaving(this.totals.leaving > 0)
    if (this.totals.leaving > 0) announceProgress(`${bytes(this.totals.sent)} of ${bytes(this.totals.bytes)} sent from this tab.`)
    else if (before.leaving > 0) announce(`${allSent(this.totals) ? 'All bytes have left this tab' : 'Nothing leaves this tab now'}; ${count(this.totals.stored, 'file')} stored.`)
  }

  /** Another account has signed in: the uploads of the one before are not its own. */
  #forgetAll(): void {
    for (const upload of this.items) {
      upload.stop()
      this.#comparisons.stop(upload)
    }
    this.items = []
    for (const kept of [this.#byFile, this.#waiting, this.#running]) kept.clear()
  }
}

function allSent({ phases }: Totals): boolean {
  return phases.paused + phases.failed + phases.cancelled === 0
}

export function canPause(upload: Upload): boolean {
  return ['waiting', 'sending', 'retrying'].includes(upload.phase)
}

export const uploads = new Uploads()
