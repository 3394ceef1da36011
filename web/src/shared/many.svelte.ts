/** The same done to many records, a few at a time, with a progress that everybody sees and can stop. */
import { announce } from './announcements.svelte'
import { asProblem, type Problem } from './problem'
import type { ReadPage } from './paged.svelte'

const AT_ONCE = 6
const TRIES = 3

export interface Run {
  title: string
  done: number
  /** null: it is not known how many there will be. */
  whole: number | null
  failures: { name: string; problem: Problem }[]
  over: boolean
  stop: () => void
}

/** What runs now, and what has ended and was not closed yet. `RunProgress.svelte` shows them. */
export const runs: Run[] = $state([])

/** Takes a run that has ended from the page. */
export function close(run: Run): void {
  runs.splice(runs.indexOf(run), 1)
}

/** Stops all, and forgets them. */
export function stopAll(): void {
  for (const run of runs.splice(0)) run.stop()
}

/** Does `work` to each record. Returns once all are done, or the person has stopped it. Throws what reading `records` throws. */
export async function toEach<T>(
  title: string,
  records: Iterable<T> | AsyncIterable<T>,
  { work, nameOf, whole }: { work: (record: T) => Promise<unknown>; nameOf: (record: T) => string; whole: number | null },
): Promise<void> {
  let stopped = false
  const run: Run = $state({ title, done: 0, whole, failures: [], over: false, stop: () => (stopped = true) })
  runs.filter((one) => one.over && !one.failures.length).forEach(close)
  runs.push(run)
  const source = iterator(records)
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, takeTurns))
  } finally {
    stopped = true // of a list that could not be read on, nothing further begins
    run.over = true
  }
  announce(`${title}: ${run.done} done, ${run.failures.length} failed.`)

  async function takeTurns(): Promise<void> {
    for (;;) {
      const next = stopped ? { done: true as const } : await source.next()
      if (next.done) return
      await one(next.value)
    }
  }

  async function one(record: T): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await work(record)
        run.done += 1
        return
      } catch (error) {
        const problem = asProblem(error)
        const passing = problem.status === 429 || problem.status === 503 || problem.code === 'not_connected'
        if (!passing || attempt === TRIES || stopped) {
          run.failures.push({ name: nameOf(record), problem })
          return
        }
        await new Promise((resolve) => setTimeout(resolve, (problem.retryAfterSeconds ?? attempt) * 1000))
      }
    }
  }
}

/** Yields every record of a list, page after page. */
export async function* every<T>(read: ReadPage<T>): AsyncGenerator<T> {
  let cursor: string | undefined
  do {
    const page = await read(cursor)
    yield* page.items
    cursor = page.next ?? undefined
  } while (cursor)
}

/** Lets several workers take from one source, one record each. */
function iterator<T>(records: Iterable<T> | AsyncIterable<T>): { next: () => Promise<IteratorResult<T>> } {
  const source = Symbol.asyncIterator in records ? records[Symbol.asyncIterator]() : records[Symbol.iterator]()
  let turn: Promise<unknown> = Promise.resolve()
  return {
    next: () => {
      const mine = turn.then(() => source.next())
      turn = mine.catch(() => undefined)
      return mine
    },
  }
}
