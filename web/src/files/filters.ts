/** The filters of the list of files, as they stand in the address. Only those that the api combines are offered together. */

export const STATES = [
  'RECEIVING', 'REGISTERED', 'STORING', 'PAUSED', 'STORED', 'FAILED', 'CANCELLED', 'EXPIRED', 'DELETING', 'DELETED',
] as const
export type FileState = (typeof STATES)[number]
/** The states that a list without a chosen state shows: the records of deleted files come only if somebody asks. */
export const PRESENT: readonly FileState[] = STATES.filter((state) => state !== 'DELETED' && state !== 'EXPIRED')

export type By = 'newest' | 'name' | 'target' | 'batch'
export const ALLOWED: Record<By, readonly string[]> = {
  newest: ['state', 'owner', 'created_after', 'created_before'],
  name: ['order', 'name_prefix', 'state', 'owner'],
  target: ['target', 'state', 'owner', 'created_after', 'created_before'],
  batch: ['batch', 'state', 'name_prefix'],
}
export const NAMES: readonly string[] = [...new Set(Object.values(ALLOWED).flat())]

/** Returns by what the list of this address is: what narrows it most decides. */
export function byOf(address: URLSearchParams): By {
  if (address.get('batch')) return 'batch'
  if (address.get('target')) return 'target'
  return address.get('name_prefix') || address.get('order') === 'name' ? 'name' : 'newest'
}

/** Whether the list can be narrowed by states: the api has no index for the names of a batch by state. */
export function takesStates(address: URLSearchParams): boolean {
  return byOf(address) !== 'batch' || !address.get('name_prefix')
}

/** Returns the parameters with which the api is asked. What cannot be combined is left out. */
export function query(address: URLSearchParams, { owner, admin }: { owner: string; admin: boolean }): URLSearchParams {
  const by = byOf(address)
  const asked = new URLSearchParams()
  for (const name of ALLOWED[by]) {
    const value = address.get(name)
    if (value && name !== 'state' && (name !== 'owner' || admin)) asked.set(name, value)
  }
  if (takesStates(address)) for (const state of statesOf(address)) asked.append('state', state)
  // The api shows one account in these lists, and an admin has to name it.
  if (admin && !asked.has('owner') && (by === 'name' || by === 'target')) asked.set('owner', owner)
  return asked
}

/** Returns the states that the list shows. */
export function statesOf(address: URLSearchParams): readonly FileState[] {
  const chosen = STATES.filter((state) => address.getAll('state').includes(state))
  return chosen.length ? chosen : PRESENT
}
