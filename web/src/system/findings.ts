/** What a check can find, in words. */
import type { Check } from '../shared/api'
import { meaningOf, type KnownCode } from '../shared/codes'

export type Finding = Check['findings'][number]

/** The codes that only checks use. A record's error can have the others. */
const FOUND: Record<Exclude<Finding['code'], KnownCode>, string> = {
  chunk_misplaced: 'A chunk has another number than its bytes belong to',
  chunk_extra: 'Chunks are stored past the end',
  digest_field_wrong: 'A chunk is right, but the digest beside it is wrong',
  manifest_damaged: 'A manifest is damaged',
  bucket_file_missing: 'The GridFS document is missing or wrong',
  chunks_orphaned: 'Chunks belong to no content',
  inline_orphaned: 'A small content has no record',
  manifest_orphaned: 'A manifest belongs to no content',
  bucket_file_orphaned: 'A GridFS document belongs to no content',
  content_unreferenced: 'No file refers to a content',
  content_missing: 'A stored file has no content',
  lease_stale: 'A lease ended long ago and nobody looks at the record',
  claim_stale: 'A delivery that is over still holds a name at its target',
  off_agenda: 'A record waits, and no worker will be told',
  usage_wrong: 'The used quota of an account is wrong',
  leftovers_remain: 'Something that a delivery left could not be removed yet',
  temporary_left: 'A temporary object lies at a target',
  upload_left: 'An unfinished upload lies at a target',
  target_silent: 'A target could not be asked',
}

/** What the code of a finding means, such as "A chunk is not stored". */
export function wordsOf(code: string): string {
  const words = (FOUND as Record<string, string>)[code] ?? meaningOf(code)
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}`
}

export const OUTCOMES: Record<Finding['outcome'], { word: string; tone: 'good' | 'bad' | 'warn' | 'rest' }> = {
  found: { word: 'Not repaired yet', tone: 'warn' },
  would_repair: { word: 'A repair can be tried', tone: 'warn' },
  repaired: { word: 'Repaired', tone: 'good' },
  not_repaired: { word: 'Not repaired', tone: 'bad' },
}

export const SKIPPED: Record<string, string> = {
  replaced: 'replaced by a later delivery',
  name_held: 'being written by another delivery',
  changed: 'changed meanwhile',
  not_told: 'not told by the target',
  target_silent: 'at a target that could not be asked',
  refused: 'refused by the target',
}

/** The number of findings by code, the most frequent first. */
export function countsOf(check: Check): { code: string; words: string; number: number }[] {
  return Object.entries(check.counts)
    .filter(([, number]) => number > 0)
    .sort(([, a], [, b]) => b - a)
    .map(([code, number]) => ({ code, words: wordsOf(code), number }))
}
