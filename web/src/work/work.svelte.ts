/** The work of the account: what moves, what waits, what failed, and what has just ended. Kept true by the events. */
import { keepCounted, withNewerCounts, type Looking } from '../batches/fresh-counts'
import { failuresOf } from '../batches/words'
import { uploads } from '../send/uploads.svelte'
import { announce, announceProgress } from '../shared/announcements.svelte'
import { api, data, type Batch, type Delivery, type File } from '../shared/api'
import { visible } from '../shared/format'
import { live, type Change } from '../shared/live.svelte'
import { deliveryProgress, fileProgress, type Progress } from '../shared/progress'
import { Reading } from '../shared/reading.svelte'
import { isOpen, OPEN_BATCHES, OPEN_DELIVERIES, OPEN_FILES, signOf } from '../shared/states'
import { isLater } from '../shared/times'

type FileState = File['state']
type DeliveryState = Delivery['state']
type BatchState = Batch['state']

const OVER_BATCHES: ReadonlySet<string> = new Set(['DONE', 'CANCELLED', 'DELETING', 'DELETED'])
const MOVING: ReadonlySet<string> = new Set(['RECEIVING', 'STORING', 'STREAMING', 'COMMITTING'])
const GOOD_ENDS: ReadonlySet<string> = new Set(['STORED', 'DELIVERED'])
const KEPT_ENDS = 20 // records that have ended lately
const BATCHES = 50 // of the newest batches, those are shown in which something failed
const PAGE = 200 // records of a kind that are read at once; the lists have all

export type Item =
  | { kind: 'file'; id: string; record: File }
  | { kind: 'delivery'; id: string; record: Delivery }

function fileItem(record: File): Item {
  return { kind: 'file', id: record.file_id, record }
}

function deliveryItem(record: Delivery): Item {
  return { kind: 'delivery', id: record.delivery_id, record }
}

/** Reads the first members of a batch that are in one of these states. */
export async function membersOf(batch: Batch, limit: number, files: FileState[], deliveries: DeliveryState[]): Promise<Item[]> {
  const query = { batch: batch.batch_id, limit }
  const [foundFiles, foundDeliveries] = await Promise.all([
    data(api.GET('/files', { params: { query: { ...query, state: files } } })),
    data(api.GET('/deliveries', { params: { query: { ...query, state: deliveries } } })),
  ])
  return [...foundFiles.files.map(fileItem), ...foundDeliveries.deliveries.map(deliveryItem)]
}

export function nameOf(item: Item): string {
  return visible(item.kind === 'file' ? item.record.name : item.record.object_name)
}

export function progressOf(item: Item): Progress {
  return item.kind === 'file' ? fileProgress(item.record) : deliveryProgress(item.record)
}

/** Whether a record waits: it may wait between attempts although its state is that of a record that moves. */
function isWaiting(item: Item): boolean {
  const { state, next_attempt_at: next, waiting } = item.record
  return !MOVING.has(state) || (state !== 'RECEIVING' && (next !== null || waiting !== null))
}

type Dated = { created_at: string }

export class Work {
  loaded = $state(false)
  moving: Item[] = $state.raw([])
  waiting: Item[] = $state.raw([])
  failed: Item[] = $state.raw([])
  ended: Item[] = $state.raw([])
  batches: Batch[] = $state.raw([])
  /** Whether there are more than those that were read, so that the figures are only the least that there can be. */
  more = $state.raw({ open: false, failed: false, batches: false })
  #open = new Map<string, Item>()
  #failed = new Map<string, Item>()
  #ended = new Map<string, Item>()
  #batches = new Map<string, Batch>()
  #early: Change[] | null = [] // what changed while the lists were read
  #counting: Looking | null = null
  readonly reading = new Reading(() => this.#load())
  #readAt = '' // when the lists were read, by the server's clock
  #read = { open: 0, failed: 0 } // how many were shown when the lists were read

  /** Follows the events, and reads the lists; returns a function that ends this. */
  begin(): () => void {
    const end = live.follow((changes) => {
      if (this.#early) this.#early.push(...changes)
      else this.#take(changes)
    })
    this.#counting = keepCounted(
      (id) => this.#batches.has(id),
      (batch) => this.#take([{ kind: 'batch', record: batch }]),
    )
    return () => {
      end()
      this.#counting?.end()
    }
  }

  /** Reads what is open and what has failed. */
  async #load(): Promise<void> {
    this.#early ??= []
    try {
      await this.#readLists()
      this.loaded = true
    } finally {
      const early = this.#early
      this.#early = null
      this.#take(early)
    }
  }

  async #readLists(): Promise<void> {
    const query = { limit: PAGE }
    const answer = api.GET('/files', { params: { query: { ...query, state: OPEN_FILES } } })
    const [openFiles, openDeliveries, failedFiles, failedDeliveries, openBatches, newestBatches] = await Promise.all([
      data(answer),
      data(api.GET('/deliveries', { params: { query: { ...query, state: OPEN_DELIVERIES } } })),
      data(api.GET('/files', { params: { query: { ...query, state: ['FAILED'] } } })),
      data(api.GET('/deliveries', { params: { query: { ...query, state: ['FAILED'] } } })),
      data(api.GET('/batches', { params: { query: { ...query, state: OPEN_BATCHES } } })),
      data(api.GET('/batches', { params: { query: { limit: BATCHES } } })),
    ])
    for (const map of [this.#open, this.#failed, this.#batches]) map.clear()
    const files = [...openFiles.files, ...failedFiles.files]
    const deliveries = [...openDeliveries.deliveries, ...failedDeliveries.deliveries]
    for (const batch of newestBatches.batches) this.#placeBatch(batch)
    for (const batch of openBatches.batches) {
      this.#placeBatch(batch)
      this.#counting?.look(batch.batch_id)
    }
    for (const item of [...files.map(fileItem), ...deliveries.map(deliveryItem)]) this.#place(item)
    this.more = {
      open: Boolean(openFiles.next_cursor ?? openDeliveries.next_cursor),
      failed: Boolean(failedFiles.next_cursor ?? failedDeliveries.next_cursor),
      batches: Boolean(newestBatches.next_cursor),
    }
    this.#read = { open: this.#open.size, failed: this.#failed.size }
    this.#readAt = new Date((await answer).response.headers.get('Date') ?? Date.now()).toISOString()
  }

  #take(changes: readonly Change[]): void {
    for (const { kind, record } of changes) {
      if (kind === 'batch') this.#placeBatch(record)
      else if (kind === 'file') this.#placeChanged(fileItem(record))
      else this.#placeChanged(deliveryItem(record))
    }
    this.#show()
    this.#readOn()
    const [first] = this.moving
    if (first) announceProgress(`${nameOf(first)}: ${progressOf(first).words}`)
  }

  /** If there are more than were read, the next ones are read when half of these are over. */
  #readOn(): void {
    const halved = (now: number, read: number) => read > 0 && now <= read / 2
    const { open, failed } = this.#read
    if ((this.more.open && halved(this.#open.size, open)) || (this.more.failed && halved(this.#failed.size, failed))) void this.reading.now()
  }

  /** Places a record of an event, and says once that it has ended. */
  #placeChanged(item: Item): void {
    const wasOpen = this.#open.has(item.id)
    this.#place(item)
    if (wasOpen && !this.#open.has(item.id)) announce(`${nameOf(item)}: ${signOf(item.record.state).word}`)
  }

  #place(item: Item): void {
    const { state } = item.record
    const wasOpen = this.#open.delete(item.id)
    const hadFailed = this.#failed.delete(item.id)
    const isNew = isLater(item.record.created_at, this.#readAt) // what is small may end before any event tells that it is open
    if (item.record.batch_id && (state !== 'FAILED' || this.#inBatch(item))) return
    if (isOpen(item.record)) this.#open.set(item.id, item)
    else if (state === 'FAILED') this.#failed.set(item.id, item)
    else if (GOOD_ENDS.has(state) && (wasOpen || hadFailed || isNew || this.#ended.has(item.id))) this.#keepEnd(item)
  }

  /** Whether the row of its batch shows the record. Older batches have no row. */
  #inBatch({ record }: Item): boolean {
    return record.batch_id !== null && this.#batches.has(record.batch_id)
  }

  #keepEnd(item: Item): void {
    this.#ended.delete(item.id)
    this.#ended.set(item.id, item)
    const [oldest] = this.#ended.keys()
    if (this.#ended.size > KEPT_ENDS && oldest) this.#ended.delete(oldest)
  }

  #placeBatch(batch: Batch): void {
    if (OVER_BATCHES.has(batch.state) && !this.#batches.has(batch.batch_id) && !failuresOf(batch)) return
    if ((['DELETING', 'DELETED'] as BatchState[]).includes(batch.state)) this.#batches.delete(batch.batch_id)
    else this.#batches.set(batch.batch_id, withNewerCounts(this.#batches.get(batch.batch_id), batch))
  }

  #show(): void {
    const open = sorted(this.#open).filter((item) => !uploads.has(item.id)) // those have rows of their own
    this.moving = open.filter((item) => !isWaiting(item))
    this.waiting = open.filter(isWaiting)
    this.failed = sorted(this.#failed).filter((item) => !this.#inBatch(item))
    this.ended = [...this.#ended.values()].reverse()
    this.batches = [...this.#batches.values()].sort(newestFirst)
  }
}

/** Thousands may be open at once, and they are sorted ten times a second, so the texts of their times are compared: within one second the order may be wrong. */
function sorted(items: ReadonlyMap<string, Item>): Item[] {
  return [...items.values()].sort((a, b) => newestFirst(a.record, b.record))
}

function newestFirst(a: Dated, b: Dated): number {
  return a.created_at < b.created_at ? 1 : -1
}
