/** The stream of events: one connection of this tab, over `fetch`, for all views. */
import { createParser } from 'eventsource-parser'
import { untrack } from 'svelte'
import type { Batch, Delivery, File } from './api'
import { answered } from './api'
import { asProblem, type Problem } from './problem'
import { ROOT, session } from './session.svelte'

export type Change =
  | { kind: 'file'; record: File }
  | { kind: 'delivery'; record: Delivery }
  | { kind: 'batch'; record: Batch }
type Listener = (changes: readonly Change[]) => void

const SILENT_MS = 9_000 // the server sends something every 5 s
const COLLECT_MS = 100 // changes that come together are told together: thousands may come at once
const RETRY_MS = [500, 1000, 2000, 4000] as const
const REPLAYED_MS = 300_000 // after a longer break the lists are read anew: the events of a night may be millions

class Live {
  /** Since when no event can have arrived; null: the stream is open. */
  lostSince: Date | null = $state(new Date())
  /** Why the server refused the last attempt to open the stream; null: it was not refused. */
  refusal: Problem | null = $state.raw(null)
  /** How often the stream was opened without the events before. Who shows a list reads it anew then. */
  gaps = $state(0)
  #listeners = new Set<Listener>()
  #collected: Change[] = []
  #lastId = ''
  #heardAt = 0 // when something came last
  #failures = 0
  #running: AbortController | null = null

  /** Calls the listener with what changes from now on, until the function that is returned is called. */
  follow(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Keeps the stream open until `stop`. */
  start(): void {
    if (this.#running) return
    this.#running = new AbortController()
    this.lostSince = new Date()
    this.refusal = null
    this.#lastId = ''
    this.#failures = 0
    void this.#run(this.#running.signal)
  }

  stop(): void {
    this.#running?.abort()
    this.#running = null
    this.#collected = []
  }

  async #run(stopped: AbortSignal): Promise<void> {
    while (!stopped.aborted) {
      const problem = await this.#read(stopped).then(() => null, asProblem)
      if (stopped.aborted) return // a later `start` may have opened another stream
      if (problem?.status === 401) session.forget()
      this.refusal = problem?.status ? problem : null
      this.lostSince ??= new Date()
      const pause = RETRY_MS[Math.min(this.#failures++, RETRY_MS.length - 1)] ?? 0
      await new Promise((resolve) => setTimeout(resolve, Math.max(pause, (problem?.retryAfterSeconds ?? 0) * 1000)))
    }
  }

  async #read(stopped: AbortSignal): Promise<void> {
    const silent = new AbortController()
    let timer = setTimeout(() => silent.abort(), SILENT_MS)
    if (Date.now() - this.#heardAt > REPLAYED_MS) this.#lastId = ''
    let missed = !this.#lastId
    try {
      const answer = await answered(this.#request(AbortSignal.any([stopped, silent.signal])))
      const parser = createParser({ onEvent: (event) => this.#take(event.event ?? '', event.data, event.id ?? '') })
      const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader()
      for (;;) {
        const { done, value } = await reader.read()
        if (done) return
        clearTimeout(timer)
        timer = setTimeout(() => silent.abort(), SILENT_MS)
        this.#heardAt = Date.now()
        this.#failures = 0
        this.lostSince = null
        if (missed) this.gaps += 1
        missed = false
        parser.feed(value)
      }
    } finally {
      clearTimeout(timer)
      silent.abort() // closes the connection also after an event that could not be read
    }
  }

  #request(signal: AbortSignal): Request {
    const headers: Record<string, string> = this.#lastId ? { 'Last-Event-ID': this.#lastId } : {}
    return new Request(`${ROOT}events`, { headers, signal, cache: 'no-store' })
  }

  #take(name: string, text: string, id: string): void {
    if (id) this.#lastId = id
    const record = JSON.parse(text) as File & Delivery & Batch & { kind?: Change['kind'] }
    const kind = name === 'progress' ? record.kind! : (name as Change['kind'])
    if (!['file', 'delivery', 'batch'].includes(kind)) return
    if (this.#collected.length === 0) setTimeout(() => this.#tell(), COLLECT_MS)
    this.#collected.push({ kind, record } as Change)
  }

  #tell(): void {
    const changes = this.#collected
    this.#collected = []
    for (const listener of this.#listeners) listener(changes)
  }
}

export const live = new Live()

/** Reads at once, and again after each break of the connection. For the setup of a component. */
export function readAfterBreaks(read: () => void): void {
  const connected = $derived(live.lostSince === null)
  let first = true
  $effect(() => {
    if (connected || first) untrack(read)
    first = false
  })
}

/** Calls `read` when events may have been missed since the setup of the component, in which this is called. */
export function readAfterGaps(read: () => void): void {
  let known = untrack(() => live.gaps)
  $effect(() => {
    if (live.gaps !== known) untrack(read)
    known = live.gaps
  })
}
