/** The addresses of lists of deliveries to a target. */
import { addressOf } from '../router.svelte'
import { session } from '../shared/session.svelte'

/** Lists by target show one account, so an admin has to name it. */
export function deliveriesAt(target: string, states: readonly string[], owner: string | undefined): string {
  const query = new URLSearchParams({ target })
  for (const state of states) query.append('state', state)
  if (session.may('admin') && session.username) query.set('owner', owner ?? session.username)
  return addressOf(['deliveries'], query)
}
