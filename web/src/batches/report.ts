/** What became of each file of a batch, as JSON Lines: the same lines that `gridhaul batch ID --report` writes. */
import { deliveriesBy } from '../deliveries/delivery-pages'
import { filesOf } from '../files/file-pages'
import { api, data, type Delivery, type File } from '../shared/api'
import { saveBlob } from '../shared/lines'
import type { ReadPage } from '../shared/paged.svelte'

const PAGE = 1000

/** How many records were read for the report. Reading ends after the page at which `stopped` is set. */
export interface Progress {
  records: number
  stopped: boolean
}

/** Saves a line for each file with its deliveries, in the order of names, then one for each path that was skipped. Returns
 * how many there were; null: it was stopped, and nothing is saved. Pages of lines are Blobs, which the browser may keep on
 * the disk: a batch may have a million files. */
export async function saveReport(batchId: string, name: string, progress: Progress): Promise<number | null> {
  const parts: Blob[] = []
  let number = 0
  const add = (lines: string[]) => {
    parts.push(new Blob(lines.map((line) => `${line}\n`)))
    number += lines.length
  }
  const deliveries = await deliveriesByFile(batchId, progress)
  for await (const files of pages(filesOf({ batch: batchId, order: 'name' }, PAGE), progress)) add(files.map((file) => fileLine(file, deliveries)))
  for await (const skipped of pages(skippedOf(batchId), progress))
    add(skipped.map(({ path, reason, detail }) => JSON.stringify({ path, state: 'SKIPPED', reason, detail })))
  if (progress.stopped) return null
  saveBlob(new Blob(parts, { type: 'application/x-ndjson' }), name)
  return number
}

async function* pages<T>(read: ReadPage<T>, progress: Progress): AsyncGenerator<T[]> {
  let cursor: string | undefined
  do {
    if (progress.stopped) return
    const page = await read(cursor)
    progress.records += page.items.length
    yield page.items
    cursor = page.next ?? undefined
  } while (cursor)
}

/** Deliveries are listed by their age and files by name, so the lines of all deliveries are kept until their file comes. */
async function deliveriesByFile(batchId: string, progress: Progress): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for await (const page of pages(deliveriesBy({ batch: batchId }, PAGE), progress))
    for (const one of page) {
      const before = found.get(one.file_id)
      found.set(one.file_id, before ? `${before},${deliveryLine(one)}` : deliveryLine(one))
    }
  return found
}

function deliveryLine({ delivery_id, target, object_name, state, receipt, error }: Delivery): string {
  return JSON.stringify({ delivery_id, target, object_name, state, location: receipt?.location ?? null, error })
}

/** Makes the line of the file, and forgets its deliveries. */
function fileLine(file: File, deliveries: Map<string, string>): string {
  const { name, file_path: path, file_id, state, length, error } = file
  const line = JSON.stringify({ name, path, file_id, state, length, sha256: file.digests['sha-256'] ?? null, error })
  const own = deliveries.get(file_id) ?? ''
  deliveries.delete(file_id)
  return `${line.slice(0, -1)},"deliveries":[${own}]}`
}

function skippedOf(batch_id: string): ReadPage<{ path: string; reason: string; detail: string }> {
  return async (cursor) => {
    const page = await data(api.GET('/batches/{batch_id}/skipped', { params: { path: { batch_id }, query: { limit: PAGE, cursor } } }))
    return { items: page.skipped, next: page.next_cursor }
  }
}
