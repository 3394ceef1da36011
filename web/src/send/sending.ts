/** Hands work to the server: one file, several paths, or a list. A repeated request with the same key makes no second one. */
import { api, data, type Batch, type File as FileRecord } from '../shared/api'
import type { components } from '../shared/api-types'
import { order, type BatchBody } from './order.svelte'

export type ListFormat = components['schemas']['ListFormat']
export type Sent = { kind: 'file'; record: FileRecord } | { kind: 'batch'; record: Batch }

/** What of the server is to be sent: `paths`, or a list that was stored there. */
export interface Source {
  paths?: string[]
  /** Whether `paths` is one file alone, which needs no batch. */
  oneFile?: boolean
  listId?: string
  manifest?: boolean
  base?: string
  /** Takes what is sent off what is chosen, so that it is not sent once more. What was chosen later stays. */
  forget: () => void
}

/** Begins what the form and the source say. With `dryRun` nothing is sent: the batch that is returned only plans. */
export async function send(source: Source, { dryRun }: { dryRun: boolean }): Promise<Sent> {
  const [path] = source.paths ?? []
  if (path && source.oneFile && !dryRun && !order.update) return { kind: 'file', record: await prepare(path) }
  const { paths, listId, base, manifest = false } = source
  const named = { paths: paths ?? null, list_id: listId ?? null, base: base?.trim() || null }
  return { kind: 'batch', record: await startBatch(order.batchBody(named, { manifest, dryRun })) }
}

async function prepare(path: string): Promise<FileRecord> {
  const body = order.prepareBody(path)
  return once(body, (key) => data(api.POST('/upload/prepare', { body, params: { header: { 'idempotency-key': key } } })))
}

async function startBatch(body: BatchBody): Promise<Batch> {
  return once(body, (key) => data(api.POST('/batches', { body, params: { header: { 'idempotency-key': key } } })))
}

let last = { body: '', key: '' }

/** Calls with the key of the last attempt, if that was the same and has not succeeded; else with a new one. */
async function once<T>(body: object, call: (key: string) => Promise<T>): Promise<T> {
  const text = JSON.stringify(body)
  if (last.body !== text) last = { body: text, key: newKey() }
  const done = await call(last.key)
  last = { body: '', key: '' }
  return done
}

/** `crypto.randomUUID` is not there over plain http. */
function newKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

interface StoredList {
  list_id: string
  format: ListFormat
  entries: number
  relative: number
}
let lastList: { of: Blob | string; format: ListFormat; list: StoredList } | null = null

/** Stores the text at the server; the same text again is not stored twice. Throws a Problem that names a wrong line. */
export async function storeList(text: Blob | string, format: ListFormat): Promise<StoredList> {
  if (lastList?.of === text && lastList.format === format) return lastList.list
  const list = await data(
    api.POST('/lists', {
      params: { query: { format } },
      body: text as string,
      bodySerializer: (body: unknown) => body as string,
      headers: { 'Content-Type': 'text/plain' },
    }),
  )
  lastList = { of: text, format, list }
  return list
}

/** Guesses the format of a text by its first line. */
export function formatOf(text: string): ListFormat {
  const first = text.trimStart().split('\n', 1)[0] ?? ''
  if (/^\\?[0-9a-f]{64} [ *]/i.test(first) || /^SHA256 \(/.test(first)) return 'sha256sums'
  if (first.startsWith('{')) return 'jsonl'
  return text.includes('\0') ? 'paths0' : 'paths'
}
