/** The stream of events: one connection of this tab, over `fetch`, for all views. */
import { createParser } from 'eventsource-parser'
import type { Batch, Delivery, File } from './api'
import { authorized } from './api'
import { asProblem, problemOf } from './problem'
import { ROOT, session } from './session.svelte'

export type Change =
  | { kind: 'file'; record: File }
  | { kind: 'delivery'; record: Delivery }
  | { kind: 'batch'; record: Batch }
type Listener = (changes: readonly Change[]) => void

const SILENT_MS = 9_000 // the server sends something every 5 s
const COLLECT_MS = 100 // changes that come together are told together: thousands may come at once
const RETRY_MS = [500, 1000, 2000, 4000] as const

class Live {
  /** Since when no event can have arrived; null: the stream is open. */
  lostSince: Date | null = $state(new Date())
  #listeners = new Set<Listener>()
  #collected: Change[] = []
  #lastId = ''
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
    this.#lastId = ''
    this.#failures = 0
    void this.#run(this.#running.signal)
  }

  stop(): void {
    this.#running?.abort()
    this.#running = null
    this.lostSince ??= new Date()
  }

  async #run(stopped: AbortSignal): Promise<void> {
    while (!stopped.aborted) {
      try {
        await this.#read(stopped)
      } catch (error) {
        if (asProblem(error).status === 401) session.forget()
      }
      this.lostSince ??= new Date()
      const pause = RETRY_MS[Math.min(this.#failures++, RETRY_MS.length - 1)]
      await new Promise((resolve) => setTimeout(resolve, pause))
    }
  }

  async #read(stopped: AbortSignal): Promise<void> {
    const silent = new AbortController()
    let timer = setTimeout(() => silent.abort(), SILENT_MS)
    try {
      const answer = await authorized(this.#request(AbortSignal.any([stopped, silent.signal])))
      if (!answer.ok || !answer.body) throw await problemOf(answer)
      const parser = createParser({ onEvent: (event) => this.#take(event.event ?? '', event.data, event.id) })
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader()
      for (;;) {
        const { done, value } = await reader.read()
        if (done) return
        clearTimeout(timer)
        timer = setTimeout(() => silent.abort(), SILENT_MS)
        this.lostSince = null
        this.#failures = 0
        parser.feed(value)
      }
    } finally {
      clearTimeout(timer)
    }
  }

  #request(signal: AbortSignal): Request {
    const headers: Record<string, string> = this.#lastId ? { 'Last-Event-ID': this.#lastId } : {}
    return new Request(`${ROOT}events`, { headers, signal, cache: 'no-store' })
  }

  #take(name: string, text: string, id: string | undefined): void {
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
