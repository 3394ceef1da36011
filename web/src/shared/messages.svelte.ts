/** Short messages about what the person did: that it was done, or why not. */
import { asProblem } from './problem'

export interface Message {
  id: number
  tone: 'good' | 'bad'
  text: string
  code?: string
}

const SHOWN_MS = 6_000
const MOST = 4 // messages of each tone: what was done must not push away what was not
let next = 1

export const messages: Message[] = $state([])

/** Says that something was done. The message goes away by itself. */
export function done(text: string): void {
  const id = add({ tone: 'good', text })
  setTimeout(() => dismiss(id), SHOWN_MS)
}

/** Says why something was not done. The message stays until the person closes it, or there are too many newer ones. */
export function failed(what: string, error: unknown): void {
  const problem = asProblem(error)
  add({ tone: 'bad', text: `${what}: ${problem.detail}`, code: problem.code })
}

/** Does something for the person, and says how it ended. Returns whether it was done. */
export async function attempt(what: string, work: () => Promise<unknown>, said?: string): Promise<boolean> {
  try {
    await work()
    if (said) done(said)
    return true
  } catch (error) {
    failed(what, error)
    return false
  }
}

export function dismiss(id: number): void {
  const index = messages.findIndex((message) => message.id === id)
  if (index >= 0) messages.splice(index, 1)
}

function add(message: Omit<Message, 'id'>): number {
  messages.push({ ...message, id: next })
  const alike = messages.filter((one) => one.tone === message.tone)
  if (alike.length > MOST) dismiss(alike[0]!.id)
  return next++
}
