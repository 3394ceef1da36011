/** Changing an account, as an admin. */
import { api } from '../shared/api'
import type { components } from '../shared/api-types'

type Changes = components['schemas']['AccountChanges']

/** Changes the members that are given. A member that is left out keeps its value. Throws a Problem. */
export async function changeAccount(username: string, changes: Partial<Changes>): Promise<void> {
  // The generated type demands members that have a default. To send them would change them.
  await api.PATCH('/accounts/{username}', { params: { path: { username } }, body: changes as Changes })
}
