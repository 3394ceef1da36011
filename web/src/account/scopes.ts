/** The scopes in words, in the order in which they are offered. */
import type { Scope } from '../shared/session.svelte'

export const SCOPES: [Scope, string][] = [
  ['prepare', 'send files: store and upload them'],
  ['finalize', 'deliver stored files to targets, and test targets'],
  ['read', 'see files, deliveries and targets, and download'],
  ['delete', 'delete files'],
  ['admin', 'see the records of all accounts, manage accounts, and check the store'],
]
