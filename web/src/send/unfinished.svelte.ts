/** Uploads that the server knows as unfinished, whoever began them: to go on with the same file, or to delete. */
import { api, authorized, data, type File as FileRecord } from '../shared/api'
import { bytes, localTime, visible } from '../shared/format'
import { live, type Change } from '../shared/live.svelte'
import { asProblem, Problem, problemOf } from '../shared/problem'
import { localFile } from './folders'
import { isHeldElsewhere } from './held'
import { addressOfUpload, Upload } from './upload'
import { uploads } from './uploads.svelte'

const MOST = 200 // listed at once; the list of files has all
const READABLE_DOORS: ReadonlySet<string> = new Set(['tus']) // the page speaks tus, and the server takes no other protocol

class Unfinished {
  files: FileRecord[] = $state.raw([])
  problem: Problem | null = $state.raw(null)
  #early: Change[] | null = []

  /** Follows what changes; returns a function that ends this. */
  begin(): () => void {
    return live.follow((changes) => {
      if (this.#early) this.#early.push(...changes)
      else this.#take(changes)
    })
  }

  async load(): Promise<void> {
    this.#early ??= []
    try {
      this.files = (await data(api.GET('/files', { params: { query: { state: ['RECEIVING'], limit: MOST } } }))).files
      this.problem = null
    } catch (error) {
      this.problem = asProblem(error)
    }
    const early = this.#early ?? [] // another reading at the same time may have taken them
    this.#early = null
    this.#take(early)
  }

  #take(changes: readonly Change[]): void {
    const files = new Map(this.files.map((file) => [file.file_id, file]))
    const before = files.size
    let changed = false
    for (const { kind, record } of changes) {
      if (kind !== 'file' || (record.state !== 'RECEIVING' && !files.has(record.file_id))) continue
      if (record.state === 'RECEIVING') files.set(record.file_id, record)
      else files.delete(record.file_id)
      changed = true
    }
    if (changed || files.size !== before) this.files = [...files.values()]
  }
}

export const unfinished = new Unfinished()

/** Whether this page can go on with the upload. */
export function canGoOn(file: FileRecord): boolean {
  return file.upload !== null && READABLE_DOORS.has(file.upload.door) && file.length !== null
}

/** Goes on with the upload, if `chosen` is the file with which it was begun. Throws a Problem that names what differs. */
export async function goOn(record: FileRecord, chosen: File): Promise<void> {
  if (await isHeldElsewhere(record.file_id))
    throw new Problem('sent_elsewhere', `Another tab of this browser sends ${visible(record.name)}. Go on there, or close that tab first.`)
  const address = addressOfUpload(record.upload?.address ?? '')
  const { offset, length, metadata } = await begun(address)
  const differences = differencesOf(chosen, { length, metadata })
  if (differences.length)
    throw new Problem('another_file', `This is not the file with which the upload was begun: ${differences.join('; ')}. Choose that file, or delete the upload and send this one anew.`)
  const path = metadata.localpath ?? metadata.filename ?? record.name
  uploads.take([new Upload(localFile(chosen, path), metadata, address, offset)])
}

interface Begun {
  length: number
  metadata: Record<string, string>
}

async function begun(address: string): Promise<Begun & { offset: number }> {
  const answer = await authorized(new Request(address, { method: 'HEAD', headers: { 'Tus-Resumable': '1.0.0' }, cache: 'no-store' }))
  if (answer.status === 404 || answer.status === 410) throw new Problem('upload_gone', 'The server has nothing of this upload any more: it was deleted, or it has expired. Send the file anew.')
  if (!answer.ok) throw await problemOf(answer)
  const { headers } = answer
  return { offset: Number(headers.get('Upload-Offset')), length: Number(headers.get('Upload-Length')), metadata: decoded(headers.get('Upload-Metadata') ?? '') }
}

/** Returns in words what differs. The time is compared only if the client that began the upload has told it. */
function differencesOf(chosen: File, { length, metadata }: Begun): string[] {
  const differences: string[] = []
  const name = (metadata.localpath ?? metadata.filename ?? '').split('/').at(-1)
  if (name && chosen.name !== name) differences.push(`its name is ${visible(chosen.name)}, not ${visible(name)}`)
  if (chosen.size !== length) differences.push(`it has ${exact(chosen.size)}, not ${exact(length)}`)
  if (metadata.lastmodified && Number(metadata.lastmodified) !== chosen.lastModified)
    differences.push(`it was changed last at ${at(chosen.lastModified)}, not at ${at(Number(metadata.lastmodified))}`)
  return differences
}

function exact(length: number): string {
  return length < 1024 ? bytes(length) : `${bytes(length)} (${length.toLocaleString('en')} bytes)`
}

function at(milliseconds: number): string {
  return localTime(new Date(milliseconds))
}

/** Upload-Metadata of tus 1.0.0: pairs of a key and a value in base64 of UTF-8. */
function decoded(field: string): Record<string, string> {
  const pairs = field.split(',').map((pair) => pair.trim().split(' '))
  return Object.fromEntries(pairs.filter(([key]) => key).map(([key, value = '']) => [key, text(value)]))
}

function text(base64: string): string {
  return new TextDecoder().decode(Uint8Array.from(atob(base64), (character) => character.charCodeAt(0)))
}
