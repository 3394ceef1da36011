/** The filters of the list of files, as they stand in the address. Only those that the api combines are offered together. */

export const STATES = [
  'RECEIVING', 'REGISTERED', 'STORING', 'PAUSED', 'STORED', 'FAILED', 'CANCELLED', 'EXPIRED', 'DELETING', 'DELETED',
] as const
export type FileState = (typeof STATES)[number]
/** The states that a list without a chosen state shows: the records of deleted files come only if somebody asks. */
const PRESENT: readonly FileState[] = STATES.filter((state) => state !== 'DELETED' && state !== 'EXPIRED')

export type By = 'newest' | 'name' | 'target' | 'batch'
export const ALLOWED: Record<By, readonly string[]> = {
  newest: ['state', 'owner', 'created_after', 'created_before'],
  name: ['order', 'name_prefix', 'state', 'owner'],
  target: ['target', 'state', 'owner', 'created_after', 'created_before'],
  batch: ['batch', 'state', 'name_prefix'],
}
const NAMES: readonly string[] = [...new Set(Object.values(ALLOWED).flat())]

/**
 * Returns the kind of list. A batch or a target in the address decides. Without them, `by` does: the person has chosen
 * the kind, but no batch or target yet.
 */
export function byOf(address: URLSearchParams): By {
  const by = address.get('by')
  if (address.get('batch')) return 'batch'
  if (address.get('target')) return 'target'
  if (by === 'batch' || by === 'target') return by
  return address.get('name_prefix') || address.get('order') === 'name' ? 'name' : 'newest'
}

/** Returns the parameters that make the list one of this kind. What it cannot be narrowed by is cleared. */
export function listBy(by: By): Record<string, string | undefined> {
  const gone = NAMES.filter((name) => !ALLOWED[by].includes(name))
  const kind = by === 'name' ? { order: 'name' } : { by: by === 'newest' ? undefined : by }
  return { ...Object.fromEntries(gone.map((name) => [name, undefined])), by: undefined, ...kind }
}

/** Whether the list can be narrowed by states: the api has no index for the names of a batch by state. */
export function takesStates(address: URLSearchParams): boolean {
  return !address.get('batch') || !address.get('name_prefix')
}

/** Returns the parameters with which the api is asked. What cannot be combined is left out. */
export function query(address: URLSearchParams, { owner, admin }: { owner: string; admin: boolean }): URLSearchParams {
  const by = byOf(address)
  const asked = new URLSearchParams()
  const taken = by === 'batch' && !address.get('batch') ? ['state'] : ALLOWED[by]
  for (const name of taken) {
    const value = address.get(name)
    if (value && name !== 'state' && (name !== 'owner' || admin)) asked.set(name, value)
  }
  if (takesStates(address)) for (const state of statesOf(address)) asked.append('state', state)
  // The api shows one account in these lists, and an admin has to name it.
  if (admin && !asked.has('owner') && (by === 'name' || by === 'target')) asked.set('owner', owner)
  return asked
}

/** Returns the states that the list shows. */
function statesOf(address: URLSearchParams): readonly FileState[] {
  const chosen = STATES.filter((state) => address.getAll('state').includes(state))
  return chosen.length ? chosen : PRESENT
}
