/** The states of files, deliveries, batches and checks: in words, with a sign, and what a person may do in them. */
import type { Batch, Delivery, File } from './api'

export type Tone = 'good' | 'bad' | 'warn' | 'moving' | 'rest'
const MARKS: Record<Tone, string> = { good: '✓', bad: '✕', warn: '!', moving: '↻', rest: '·' }

const STATES: Record<string, [Tone, string]> = {
  RECEIVING: ['moving', 'Uploading'],
  REGISTERED: ['rest', 'Waiting'],
  REGISTERING: ['moving', 'Registering'],
  STORING: ['moving', 'Storing'],
  STORED: ['good', 'Stored'],
  QUEUED: ['rest', 'Waiting'],
  STREAMING: ['moving', 'Sending'],
  COMMITTING: ['moving', 'Committing'],
  DELIVERED: ['good', 'Delivered'],
  PLANNING: ['moving', 'Planning'],
  PLANNED: ['rest', 'Planned'],
  RUNNING: ['moving', 'Running'],
  DONE: ['good', 'Done'],
  PAUSED: ['warn', 'Paused'],
  FAILED: ['bad', 'Failed'],
  CANCELLED: ['rest', 'Cancelled'],
  EXPIRED: ['rest', 'Expired'],
  DELETING: ['rest', 'Deleting'],
  DELETED: ['rest', 'Deleted'],
}

export function signOf(state: string, tone?: Tone): { tone: Tone; mark: string; word: string } {
  const [own, word] = STATES[state] ?? ['rest', state.charAt(0) + state.slice(1).toLowerCase()]
  return { tone: tone ?? own, mark: MARKS[tone ?? own], word }
}

/** The states in which a record goes on, or waits to go on. */
export const OPEN_FILES: File['state'][] = ['RECEIVING', 'REGISTERED', 'STORING', 'PAUSED']
export const OPEN_DELIVERIES: Delivery['state'][] = ['QUEUED', 'STREAMING', 'COMMITTING', 'PAUSED']
export const OPEN_BATCHES: Batch['state'][] = ['PLANNING', 'REGISTERING', 'RUNNING', 'PAUSED']
const OPEN: ReadonlySet<string> = new Set([...OPEN_FILES, ...OPEN_DELIVERIES, ...OPEN_BATCHES])

/** Whether the file, delivery or batch goes on, or waits to go on. */
export function isOpen(record: File | Delivery | Batch): boolean {
  return OPEN.has(record.state)
}

export type Action = 'pause' | 'resume' | 'cancel' | 'retry'
const FILE_ACTIONS: Record<string, Action[]> = {
  RECEIVING: ['cancel'],
  REGISTERED: ['pause', 'cancel'],
  STORING: ['pause', 'cancel'],
  PAUSED: ['resume', 'cancel'],
  FAILED: ['retry'],
  CANCELLED: ['retry'],
}
const DELIVERY_ACTIONS: Record<string, Action[]> = {
  QUEUED: ['pause', 'cancel'],
  STREAMING: ['pause', 'cancel'],
  PAUSED: ['resume', 'cancel'],
  FAILED: ['retry'],
  CANCELLED: ['retry'],
}

/** What can be done to a file in its state. A record that waits for its next attempt can also be tried now. */
export function fileActions(file: { state: string; next_attempt_at: string | null; file_path: string | null }): Action[] {
  if (file.state === 'CANCELLED' && file.file_path === null) return [] // an upload is uploaded again
  return withRetry(FILE_ACTIONS[file.state] ?? [], file.next_attempt_at)
}

export function deliveryActions(delivery: { state: string; next_attempt_at: string | null; object_error: unknown }): Action[] {
  if (delivery.state === 'DELIVERED') return delivery.object_error ? ['retry'] : []
  return withRetry(DELIVERY_ACTIONS[delivery.state] ?? [], delivery.next_attempt_at)
}

function withRetry(actions: Action[], nextAttemptAt: string | null): Action[] {
  return nextAttemptAt && !actions.includes('retry') ? ['retry', ...actions] : actions
}
