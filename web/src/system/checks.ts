/** The checks in words: what each kind looks at, how far one is, and what it found. */
import type { Check } from '../shared/api'
import { bytes, count, percent, rate, timeLeft } from '../shared/format'
import type { Tone } from '../shared/states'

export type Kind = Check['kind']
export const KINDS: Kind[] = ['gc', 'scrub', 'fsck']
export const NAMES: Record<Kind, string> = { gc: 'Sweep', scrub: 'Scrub', fsck: 'Full check' }
export const MEANINGS: Record<Kind, string> = {
  gc: 'Looks for stored bytes and unfinished uploads that belong to nothing, removes them, and counts anew what accounts use. It starts by itself, every hour as a rule.',
  scrub: 'Reads every stored chunk and compares it with its digest, slowly. It starts by itself, every 30 days as a rule.',
  fsck: 'Compares everything: records with each other, chunks with manifests, and delivered objects with what the targets hold. It never starts by itself.',
}
export const MODES: Record<Check['mode'], string> = {
  report: 'report only',
  dry_run: 'dry run of a repair',
  repair: 'repair',
}
const STAGES: Record<string, string> = {
  files: 'files',
  contents: 'contents, chunk by chunk',
  stalled: 'records that nobody works on',
  unreferenced: 'contents that no file refers to',
  chunks: 'chunks without a content',
  inline: 'small contents without a record',
  manifests: 'manifests without a content',
  bucket_files: 'documents of GridFS',
  objects: 'objects at the targets',
  leftovers: 'what deliveries left at targets',
  temporaries: 'temporary objects at targets',
  uploads: 'unfinished uploads at targets',
  usage: 'what accounts use',
}

export function isOpen(check: Check): boolean {
  return check.state === 'QUEUED' || check.state === 'RUNNING'
}

export function nameOf(check: Check): string {
  return check.file_id ? 'Check of one file' : NAMES[check.kind]
}

/** Whether its bytes tell how far a check is: a sweep reads none. */
export function isMeasured(check: Check): boolean {
  return check.kind !== 'gc' && check.checked_bytes < (check.total_bytes ?? 0)
}

/** What an open check does now, such as "contents, chunk by chunk · 12 MiB of 3 GiB · 1 min left". */
export function progressOf(check: Check): string {
  if (check.state === 'QUEUED') return 'waits for a worker'
  const said = [check.stage ? `looks at ${STAGES[check.stage] ?? check.stage}` : 'begins']
  const total = check.total_bytes ?? 0
  if (isMeasured(check)) {
    said.push(`${bytes(check.checked_bytes)} of ${bytes(total)} · ${percent(check.checked_bytes, total)} %`)
    if (check.rate) said.push(rate(check.rate), timeLeft(total - check.checked_bytes, check.rate))
  }
  return said.join(' · ')
}

/** What a check found, such as "3 findings, 2 repaired". */
export function resultOf(check: Check): string {
  if (check.found === 0) return isOpen(check) ? 'nothing found so far' : 'nothing found'
  const found = count(check.found, 'finding')
  return check.mode === 'repair' ? `${found}, ${check.repaired.toLocaleString('en')} repaired` : found
}

/** The tone of its state: a check that is done and has left something is no good news. */
export function toneOf(check: Check): Tone | undefined {
  return check.state === 'DONE' && check.found > check.repaired ? 'warn' : undefined
}

/** What was looked at, in figures; [] if nothing is worth a word. */
export function lookedAt(check: Check): string[] {
  return [
    check.checked_contents ? `${count(check.checked_contents, 'content')} (${bytes(check.checked_bytes)})` : '',
    check.checked_objects ? `${count(check.checked_objects, 'object')} at targets (${check.unread_objects.toLocaleString('en')} by length only)` : '',
    check.target_bytes ? `${bytes(check.target_bytes)} read back from targets` : '',
    check.source_bytes ? `${bytes(check.source_bytes)} read from sources for repairs` : '',
  ].filter(Boolean)
}
