/** The views of the page, in the order of their names in the header, with the scope that each needs. */
import type { Component } from 'svelte'
import type { Scope } from './shared/session.svelte'
import WorkView from './work/WorkView.svelte'

type Later = typeof import('./later')

export interface View {
  path: string
  name: string
  /** null: everybody who is signed in. */
  needs: Scope | null
  /** The view's component. `later` is null until the code of all views but the first is loaded. */
  component: (later: Later | null) => Component | undefined
}

const WORK: View = { path: '', name: 'Work', needs: 'read', component: () => WorkView }
const VIEWS: View[] = [
  WORK,
  { path: 'send', name: 'Send', needs: 'prepare', component: (later) => later?.SendView },
  { path: 'files', name: 'Files', needs: 'read', component: (later) => later?.FilesView },
  { path: 'deliveries', name: 'Deliveries', needs: 'read', component: (later) => later?.DeliveriesView },
  { path: 'batches', name: 'Batches', needs: 'read', component: (later) => later?.BatchesView },
  { path: 'targets', name: 'Targets', needs: 'read', component: (later) => later?.TargetsView },
  { path: 'system', name: 'System', needs: 'admin', component: (later) => later?.SystemView },
]
// The account's name in the header leads to this view.
const ACCOUNT: View = { path: 'account', name: 'Account', needs: null, component: (later) => later?.AccountView }

class Code {
  later: Later | null = $state.raw(null)
  /** Whether the code could not be loaded: the server is away, or has a newer page with other files. */
  missing = $state(false)

  async load(): Promise<void> {
    try {
      this.later ??= await import('./later')
      this.missing = false
    } catch {
      this.missing = true
    }
  }
}

/** The code of all views but the first. It is loaded once the first view has been shown, so that nobody waits for it. */
export const code = new Code()

export function viewsFor(scopes: ReadonlySet<Scope>): View[] {
  return VIEWS.filter((view) => view.needs === null || scopes.has(view.needs))
}

/** Returns the view at this path, or the first view if there is none. */
export function viewOf(path: string): View {
  return [...VIEWS, ACCOUNT].find((view) => view.path === path) ?? WORK
}
