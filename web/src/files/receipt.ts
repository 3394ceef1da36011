/** What a receipt says, in words: how the bytes are known to be right, and what was sent. */
import type { Receipt } from '../shared/api'
import { bytes, count } from '../shared/format'

interface Words {
  /** Whether the bytes themselves are proved to be right. */
  proved: boolean
  short: string
  text: string
}

export const EVIDENCE: Record<Receipt['evidence'], Words> = {
  'read-back': {
    proved: true,
    short: 'Read back and compared',
    text: 'The object was read back from the target, and its SHA-256 is that of the file.',
  },
  'remote-digest': {
    proved: true,
    short: 'The target’s digest is equal',
    text: 'The target told the digest of what it holds, and it is that of the file. Such a digest counts only at a target that was seen to refuse a wrong one, or for which an operator vouches.',
  },
  'part-digests': {
    proved: true,
    short: 'The target compared every part',
    text: 'The target compared the digest of each part as it came. It was seen to refuse parts with a wrong digest.',
  },
  size: {
    proved: false,
    short: 'Only the length was compared',
    text: 'The target holds as many bytes as the file has. It tells no digest, so the bytes themselves were not compared.',
  },
  acknowledged: {
    proved: false,
    short: 'Only acknowledged',
    text: 'The target said that it took the bytes. It cannot tell what it holds, so nothing was compared.',
  },
}

const CHECKED: Record<NonNullable<Receipt['checked']>, string> = {
  'before-commit': 'Before the object got its name: no reader has seen a wrong byte under it.',
  'after-commit': 'After the object got its name, because the target shows nothing before.',
  never: 'Never: the target does not tell what it holds.',
}

export function checkedWords(receipt: Receipt): string {
  return receipt.checked ? CHECKED[receipt.checked] : 'Not known: the receipt is older than this.'
}

export function commitWords(receipt: Receipt): string {
  return receipt.atomic_commit
    ? 'Whole at once: no reader could see a part of the object under its name.'
    : 'Straight to its name: a reader could see a part of the object while it was sent.'
}

/** How many bytes left in which attempt, and how many of them were sent again. */
export function sentWords(receipt: Receipt): string {
  const { sent_in_attempts: sent, length } = receipt
  const total = sent.reduce((sum, one) => sum + one, 0)
  if (!sent.length) return total === length ? 'Nothing had to be sent.' : 'Not known, or nothing: the object was there already.'
  const parts = sent.length === 1 ? bytes(total) : `${sent.map(bytes).join(' + ')}, in ${count(sent.length, 'attempt')}`
  return total > length ? `${parts}; ${bytes(total - length)} of it a second time` : parts
}

/** The mtime and the mode that the source had, and whether the object has them, too. */
export function attributeWords(receipt: Receipt): string {
  const kept = [receipt.mtime_kept && 'mtime', receipt.mode_kept && 'mode'].filter(Boolean)
  const lost = [receipt.mtime && !receipt.mtime_kept && 'mtime', receipt.mode && !receipt.mode_kept && 'mode'].filter(Boolean)
  const sentences = []
  if (kept.length) sentences.push(`The object has the ${kept.join(' and the ')} of the source${receipt.mode_kept ? ` (mode ${receipt.mode})` : ''}.`)
  if (lost.length) sentences.push(`It does not have its ${lost.join(' and ')}${receipt.mode && !receipt.mode_kept ? ` (mode ${receipt.mode})` : ''}.`)
  return sentences.join(' ') || 'Nothing is known of the mtime and mode of the source.'
}
