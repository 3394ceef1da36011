/** The views of the page, in the order of their names in the header, with the scope that each needs. */
import type { Component } from 'svelte'
import type { Scope } from './shared/session.svelte'
import AccountView from './account/AccountView.svelte'
import BatchesView from './batches/BatchesView.svelte'
import DeliveriesView from './deliveries/DeliveriesView.svelte'
import FilesView from './files/FilesView.svelte'
import SendView from './send/SendView.svelte'
import SystemView from './system/SystemView.svelte'
import TargetsView from './targets/TargetsView.svelte'
import WorkView from './work/WorkView.svelte'

export interface View {
  path: string
  name: string
  /** null: everybody who is signed in. */
  needs: Scope | null
  component: Component
}

const WORK: View = { path: '', name: 'Work', needs: 'read', component: WorkView }
const VIEWS: View[] = [
  WORK,
  { path: 'send', name: 'Send', needs: 'prepare', component: SendView },
  { path: 'files', name: 'Files', needs: 'read', component: FilesView },
  { path: 'deliveries', name: 'Deliveries', needs: 'read', component: DeliveriesView },
  { path: 'batches', name: 'Batches', needs: 'read', component: BatchesView },
  { path: 'targets', name: 'Targets', needs: 'read', component: TargetsView },
  { path: 'system', name: 'System', needs: 'admin', component: SystemView },
]

// The account's name in the header leads to this view.
const ACCOUNT: View = { path: 'account', name: 'Account', needs: null, component: AccountView }

export function viewsFor(scopes: ReadonlySet<Scope>): View[] {
  return VIEWS.filter((view) => view.needs === null || scopes.has(view.needs))
}

export function viewOf(path: string): View {
  return [...VIEWS, ACCOUNT].find((view) => view.path === path) ?? WORK
}
