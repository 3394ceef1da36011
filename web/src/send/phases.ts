/** The phases of an upload of this tab: a sign, a word, and a sentence with figures. */
import { bytes, percent } from '../shared/format'
import type { Tone } from '../shared/states'
import type { Phase, Upload } from './upload'

interface Sign {
  tone: Tone
  mark: string
  word: string
}
const SIGNS: Record<Phase, Sign> = {
  waiting: { tone: 'rest', mark: '·', word: 'Waits for its turn' },
  sending: { tone: 'moving', mark: '↻', word: 'Sending' },
  retrying: { tone: 'warn', mark: '!', word: 'Tries again' },
  paused: { tone: 'warn', mark: '!', word: 'Paused' },
  checking: { tone: 'moving', mark: '↻', word: 'Checking' },
  stored: { tone: 'good', mark: '✓', word: 'Stored' },
  failed: { tone: 'bad', mark: '✕', word: 'Failed' },
  cancelled: { tone: 'rest', mark: '·', word: 'Cancelled' },
}
const DIFFERENT: Sign = { tone: 'bad', mark: '✕', word: 'Different' }

export function signOf(upload: Upload): Sign {
  return isDifferent(upload) ? DIFFERENT : SIGNS[upload.phase]
}

/** Whether the server has other bytes than the file here, now that both digests are known. */
export function isDifferent(upload: Upload): boolean {
  return upload.phase === 'stored' && upload.ownDigest !== null && upload.recordDigest !== null && upload.ownDigest !== upload.recordDigest
}

export function wordsOf(upload: Upload): string {
  const { phase, length, sent, stored } = upload
  if (phase === 'stored') return [bytes(length), comparison(upload)].filter(Boolean).join(' · ')
  if (phase === 'checking') return `All ${bytes(length)} are at the server, which checks them.`
  if (phase === 'sending' || sent > 0) return `${bytes(sent)} of ${bytes(length)} sent, ${bytes(stored)} stored`
  return bytes(length)
}

function comparison(upload: Upload): string {
  const { ownDigest, recordDigest, hashed, length, notCompared } = upload
  if (isDifferent(upload)) return `SHA-256 different: here ${ownDigest}, at the server ${recordDigest}`
  if (ownDigest && recordDigest) return 'SHA-256 equal'
  if (notCompared) return `SHA-256 not compared: ${notCompared}`
  if (ownDigest || hashed === 0) return ''
  return `comparing, ${percent(hashed, length)} % read`
}
