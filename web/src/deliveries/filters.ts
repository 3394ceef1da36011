/** The filters of the list of deliveries: what the address holds, and the parameters that the api takes together. */
import type { operations } from '../shared/api-types'
import type { Delivery } from '../shared/api'
import { session } from '../shared/session.svelte'

export type Parameters = NonNullable<operations['list_deliveries_deliveries_get']['parameters']['query']>
export type DeliveryState = Delivery['state']
export type By = 'newest' | 'name' | 'target' | 'batch' | 'lost'
export type Field = 'state' | 'owner' | 'target' | 'batch' | 'name_prefix'

/** The lists that the api has an index for, and the filters that each takes. */
export const LISTS: Record<By, { name: string; takes: readonly Field[] }> = {
  newest: { name: 'All, newest first', takes: ['state', 'owner'] },
  name: { name: 'By object name', takes: ['name_prefix', 'state', 'owner'] },
  target: { name: 'Of a target', takes: ['target', 'state', 'owner'] },
  batch: { name: 'Of a batch', takes: ['batch', 'state'] },
  lost: { name: 'Lost objects', takes: ['owner'] },
}
export const STATES: readonly DeliveryState[] = ['QUEUED', 'STREAMING', 'COMMITTING', 'PAUSED', 'DELIVERED', 'FAILED', 'CANCELLED']
/** The lists that the api gives of one account only: an admin's own, unless the address names another. */
export const OF_ONE_OWNER: ReadonlySet<By> = new Set(['name', 'target'])

export interface Filter {
  by: By
  states: DeliveryState[]
  owner: string
  target: string
  batch: string
  prefix: string
}

/** Returns the filter that the address asks for. What cannot be combined with the list is left out. */
export function filterOf(query: URLSearchParams): Filter {
  const by = listOf(query)
  const taken = (field: Field) => (LISTS[by].takes.includes(field) ? (query.get(field) ?? '') : '')
  const states = LISTS[by].takes.includes('state') ? query.getAll('state') : []
  return {
    by,
    states: states.filter((state): state is DeliveryState => (STATES as readonly string[]).includes(state)),
    owner: session.may('admin') ? taken('owner') || (OF_ONE_OWNER.has(by) ? (session.username ?? '') : '') : '',
    target: taken('target'),
    batch: taken('batch'),
    prefix: taken('name_prefix'),
  }
}

function listOf(query: URLSearchParams): By {
  if (query.get('lost') === 'true') return 'lost'
  if (query.get('batch')) return 'batch'
  if (query.get('target')) return 'target'
  return query.get('name_prefix') || query.get('order') === 'name' ? 'name' : 'newest'
}

/** Returns the parameters of `GET /deliveries` for the filter. */
export function parametersOf(filter: Filter): Parameters {
  const { by, states, owner, target, batch, prefix } = filter
  return {
    ...(by === 'lost' ? { lost: true } : {}),
    ...(by === 'name' ? { order: 'name' as const } : {}),
    ...(states.length ? { state: states } : {}),
    ...(owner ? { owner } : {}),
    ...(target ? { target } : {}),
    ...(batch ? { batch } : {}),
    ...(prefix ? { name_prefix: prefix } : {}),
  }
}

/** Returns the same parameters as the text of a query. */
export function queryOf(filter: Filter): URLSearchParams {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(parametersOf(filter)))
    for (const one of Array.isArray(value) ? value : [value]) query.append(name, String(one))
  return query
}

/** Whether the filter shows the delivery. */
export function shows(filter: Filter, delivery: Delivery): boolean {
  const { by, states, owner, target, batch, prefix } = filter
  if (owner && delivery.owner !== owner) return false
  if (by === 'lost' && !delivery.object_error) return false
  if (states.length && !states.includes(delivery.state)) return false
  if (target && delivery.target !== target) return false
  if (batch && delivery.batch_id !== batch) return false
  return delivery.object_name.startsWith(prefix)
}

/** Whether the filter shows the deliveries of several accounts. */
export function isOfEveryone(filter: Filter): boolean {
  return session.may('admin') && !filter.owner && !filter.batch
}

/** What the filter shows, such as "to archive" or "of this batch"; "" for all of somebody who sees only their own. */
export function wordsOf(filter: Filter): string {
  const words = []
  if (filter.target) words.push(`to ${filter.target}`)
  if (filter.batch) words.push('of this batch')
  if (filter.prefix) words.push(`whose name begins with ${filter.prefix}`)
  if (filter.owner) words.push(`of the account ${filter.owner}`)
  if (isOfEveryone(filter)) words.push('of all accounts')
  return words.join(' ')
}
