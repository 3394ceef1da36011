/** What became of each file of a batch, as JSON Lines: the same lines that `gridhaul batch ID --report` writes. */
import { api, data, type Delivery, type File } from '../shared/api'
import { saveBlob } from '../shared/lines'
import { every } from '../shared/many.svelte'

const PAGE = 1000

/** Saves a line for each file with its deliveries, in the order of names, then one for each path that was skipped. */
export async function saveReport(batchId: string, name: string): Promise<number> {
  const deliveries = await deliveriesByFile(batchId)
  const lines: string[] = []
  for await (const file of filesOf(batchId)) lines.push(fileLine(file, deliveries.get(file.file_id) ?? []))
  for await (const { path, reason, detail } of skippedOf(batchId)) lines.push(JSON.stringify({ path, state: 'SKIPPED', reason, detail }))
  saveBlob(new Blob(lines.map((line) => `${line}\n`), { type: 'application/x-ndjson' }), name)
  return lines.length
}

/** Deliveries are listed by their age and files by name, so the lines of all deliveries are kept meanwhile. */
async function deliveriesByFile(batchId: string): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>()
  const all = every<Delivery>(async (cursor) => {
    const page = await data(api.GET('/deliveries', { params: { query: { batch: batchId, limit: PAGE, cursor } } }))
    return { items: page.deliveries, next: page.next_cursor }
  })
  for await (const one of all) {
    const { delivery_id, target, object_name, state, error } = one
    const line = JSON.stringify({ delivery_id, target, object_name, state, location: one.receipt?.location ?? null, error })
    found.set(one.file_id, [...(found.get(one.file_id) ?? []), line])
  }
  return found
}

function filesOf(batchId: string): AsyncGenerator<File> {
  return every<File>(async (cursor) => {
    const page = await data(api.GET('/files', { params: { query: { batch: batchId, order: 'name', limit: PAGE, cursor } } }))
    return { items: page.files, next: page.next_cursor }
  })
}

function skippedOf(batchId: string) {
  return every(async (cursor) => {
    const page = await data(api.GET('/batches/{batch_id}/skipped', { params: { path: { batch_id: batchId }, query: { limit: PAGE, cursor } } }))
    return { items: page.skipped, next: page.next_cursor }
  })
}

function fileLine(file: File, deliveries: readonly string[]): string {
  const { name, file_path: path, file_id, state, length, error } = file
  const line = JSON.stringify({ name, path, file_id, state, length, sha256: file.digests['sha-256'] ?? null, error })
  return `${line.slice(0, -1)},"deliveries":[${deliveries.join()}]}`
}
