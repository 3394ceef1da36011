/** The parts of the system that `/readyz` reports, in words, and what to do where one is not well. */
import { count } from '../shared/format'
import { problemOf } from '../shared/problem'
import { ROOT } from '../shared/session.svelte'

export interface Part {
  name: string
  code: string
  advice: string
}

export interface Readiness {
  parts: Part[]
  notes: string[]
}

const NAMES: Record<string, string> = {
  mongodb: 'MongoDB, which keeps all that is stored',
  indexes: 'The indexes in MongoDB',
  redis: 'Redis, which tells workers of new work',
  worker_small: 'Workers of small files',
  worker_large: 'Workers of large files',
  worker_maintenance: 'Workers of checks and tests',
  chunk_service: 'The chunk service, which stores files',
  disk: 'Room on the disk of MongoDB',
}

const ADVICE: Record<string, string> = {
  database_unavailable: 'MongoDB does not answer, or its indexes are not made yet. Look at its log.',
  broker_unavailable: 'Redis does not answer, so no worker learns of new work. Files can be prepared all the same. Look at its log.',
  broker_refuses_writes: 'Redis answers but refuses writes: it is at maxmemory, cannot save to its disk, or is a replica.',
  broker_key_taken: 'Something else uses a key of a queue in Redis. Rename or delete the key, or give Gridhaul a database number of its own.',
  foreign_messages: 'Another system sends messages to the queues. Give one of the systems another database number, and look at the list gridhaul:foreign.',
  no_worker: 'No worker of this queue has answered for 15 s. Start one, or look at its log.',
  chunk_service_unavailable: 'No worker reaches the chunk service, or it is not ready. Look at its log. Files wait; deliveries go on.',
  storage_full: 'Less than the reserve is free, so nothing is taken in. Delete files, or enlarge the disk. Work then goes on by itself.',
}

/** What workers met in Redis that was not for them. */
export function ignoredWords(messages: number): string {
  return `${count(messages, 'message')} of another program ${messages === 1 ? 'was' : 'were'} ignored. Does another program use the same Redis?`
}

/** Throws a Problem if the answer is none of readiness. The answer 503 also has the parts. */
export async function readReadiness(): Promise<Readiness> {
  const answer = await fetch(`${ROOT}readyz`, { cache: 'no-store' })
  if (!answer.ok && answer.status !== 503) throw await problemOf(answer)
  const { redis_detail: detail, passed_over_messages: passedOver, ...parts } = (await answer.json()) as Record<string, string | number>
  return {
    parts: Object.entries(parts).map(([part, code]) => ({
      name: NAMES[part] ?? part,
      code: String(code),
      advice: code === 'ok' ? '' : (ADVICE[code] ?? ''),
    })),
    notes: [
      ...(detail ? [String(detail)] : []),
      ...(passedOver ? [ignoredWords(Number(passedOver))] : []),
    ],
  }
}
