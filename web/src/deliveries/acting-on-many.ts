/** The same done to many deliveries after one question: to those that are selected, or to all of a list. */
import { deliveryAction, WORDS } from '../shared/acting'
import type { Delivery } from '../shared/api'
import { count } from '../shared/format'
import { every, toEach } from '../shared/many.svelte'
import { attempt, done } from '../shared/messages.svelte'
import type { PageOf, ReadPage } from '../shared/paged.svelte'
import { ask } from '../shared/questions.svelte'
import { deliveryActions, type Action } from '../shared/states'
import { isOfEveryone, parametersOf, wordsOf, type Filter } from './filters'
import { deliveriesBy } from './delivery-pages'

const PAGE = 1000

/** Begins the action on those of the selected deliveries whose state allows it. Returns whether the person agreed. */
export async function actOnSelected(selected: readonly Delivery[], action: Action): Promise<boolean> {
  const possible = selected.filter((one) => deliveryActions(one).includes(action))
  const title = `${WORDS[action]} ${count(possible.length, 'delivery', 'deliveries')}`
  if (!(await ask({ title, text: consequence(action, selected.length - possible.length), yes: title }))) return false
  void run(title, possible, action, possible.length)
  return true
}

const EFFECTS: Record<Action, string> = {
  pause: 'They stop within about a second, and go on where they were once they are resumed.',
  resume: 'They wait for a worker, and then go on where they were.',
  cancel: 'They stop for good. What they left at their targets is removed a little later.',
  retry: 'They are tried again now.',
}

function consequence(action: Action, others: number): string {
  if (others === 0) return EFFECTS[action]
  const rest = others === 1 ? 'One other stays as it is, because its state does not allow it.' : `${others.toLocaleString('en')} others stay as they are, because their states do not allow it.`
  return `${EFFECTS[action]} ${rest}`
}

/** The words of the button that calls `retryAll`. */
export function retryLabelOf(filter: Filter): string {
  if (filter.by === 'lost') return 'Deliver all of these again'
  if (filter.target) return `Retry all that failed at ${filter.target}`
  if (filter.batch) return 'Retry all that failed of this batch'
  return isOfEveryone(filter) ? 'Retry all that failed of all accounts' : 'Retry all that failed'
}

/** Retries all that failed of what the filter shows, or delivers all of its lost objects again: every page of them. */
export async function retryAll(filter: Filter): Promise<void> {
  const lost = filter.by === 'lost'
  const read = deliveriesBy(parametersOf(lost ? filter : { ...filter, states: ['FAILED'] }), PAGE)
  await attempt('Retry', async () => {
    const first = await read(undefined)
    if (first.items.length === 0) return done(lost ? 'No object is lost.' : 'No such delivery has failed.')
    const number = first.next ? `more than ${PAGE.toLocaleString('en')} deliveries` : count(first.items.length, 'delivery', 'deliveries')
    const title = `${lost ? 'Deliver' : 'Retry'} ${number}${lost ? ' again' : ''}`
    const text = lost
      ? `A check found that the objects of these deliveries ${wordsOf(filter)} are missing or changed. The stored bytes are sent again.`
      : `All failed deliveries ${wordsOf(filter)} are tried again, also those that are not loaded here.`
    if (await ask({ title, text, yes: title })) await run(title, following(first, read), 'retry', first.next ? null : first.items.length)
  })
}

async function run(title: string, records: Iterable<Delivery> | AsyncIterable<Delivery>, action: Action, whole: number | null): Promise<void> {
  await toEach(title, records, {
    work: (one) => deliveryAction(one, action),
    nameOf: (one) => `${one.object_name} to ${one.target}`,
    whole,
  })
}

/** Yields the records of a page that was read already, and of all that follow it. */
async function* following(first: PageOf<Delivery>, read: ReadPage<Delivery>): AsyncGenerator<Delivery> {
  yield* first.items
  if (first.next) yield* every((cursor) => read(cursor ?? first.next ?? undefined))
}
