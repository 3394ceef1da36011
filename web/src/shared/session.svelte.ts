/** The login of this tab. The access token is only in memory; the refresh token is in a cookie that no script sees. */
import { asProblem, problemOf, Problem } from './problem'

export type Scope = 'prepare' | 'finalize' | 'read' | 'delete' | 'admin'

interface Login {
  username: string
  access_token: string
  expires_in: number
  scope: string
}

/** The address of the api, which is also that of the page, with a slash at its end. */
export const ROOT = new URL('.', location.href.split('#')[0]).href
const EARLY_SECONDS = 60 // so long before its end a token is renewed
const LEFT = 'gridhaul-signed-in' // says that the browser may have a cookie, so that no vain request is sent without one

class Session {
  username: string | null = $state(null)
  scopes: ReadonlySet<Scope> = $state(new Set<Scope>())
  /** Whether the page still finds out whether a login is left from before. */
  beginning = $state(true)
  /** Why it could not find out; null: it could. */
  unreached: Problem | null = $state(null)
  /** Whether the login has ended by itself while the page was open. */
  ended = $state(false)
  /** Whether this tab is signed in with an API key. */
  byKey = $state(false)
  #token = ''
  #renewAt = Infinity
  #renewing: Promise<void> | null = null
  #tabs = new BroadcastChannel('gridhaul')

  constructor() {
    // Another tab of this browser has signed out. The access token of this one is good for some minutes more.
    this.#tabs.onmessage = () => !this.byKey && this.forget()
  }

  may(scope: Scope): boolean {
    return this.scopes.has(scope)
  }

  /** Goes on with a login that the browser's cookie still has. */
  async restore(): Promise<void> {
    this.unreached = null
    try {
      if (localStorage.getItem(LEFT)) await this.#renew()
    } catch (error) {
      const problem = asProblem(error)
      if (problem.status !== 401) this.unreached = problem
    } finally {
      this.beginning = false
    }
  }

  async signIn(username: string, password: string): Promise<void> {
    this.#take(await this.#ask('auth/session', 'POST', new URLSearchParams({ username, password })))
  }

  /** Signs in with an API key. The key is forgotten when the page is left or loaded again. */
  async signInWithKey(key: string): Promise<void> {
    const answer = await fetch(`${ROOT}account`, { headers: { Authorization: `Bearer ${key}` } })
    if (!answer.ok) throw await problemOf(answer)
    const account = (await answer.json()) as { username: string; granted_scopes: Scope[] }
    this.#token = key
    this.#renewAt = Infinity
    this.#begin(account.username, account.granted_scopes, true)
  }

  /** Signs out in all tabs of this browser. Throws a Problem if the server could not be told, and keeps the cookie. */
  async signOut(): Promise<void> {
    const byKey = this.byKey
    this.forget()
    this.ended = false
    if (byKey) return
    this.#tabs.postMessage('signed out')
    const answer = await fetch(`${ROOT}auth/session`, { method: 'DELETE' })
    if (!answer.ok) throw await problemOf(answer)
  }

  /** Forgets the login in this tab; the cookie stays. */
  forget(): void {
    if (this.username !== null) this.ended = true
    this.#token = ''
    this.username = null
    this.scopes = new Set()
    if (!this.byKey) localStorage.removeItem(LEFT)
    this.byKey = false
  }

  /** Returns a token that is valid now, renewed if need be. Throws a Problem if nobody is signed in. */
  async token(): Promise<string> {
    if (this.#token && Date.now() < this.#renewAt) return this.#token
    await this.renew()
    return this.#token
  }

  /** Renews the access token. Calls at the same time share one renewal. */
  async renew(): Promise<void> {
    if (this.username === null) throw new Problem('unauthorized', 'Nobody is signed in.', 401)
    await this.#share()
  }

  #share(): Promise<void> {
    this.#renewing ??= this.#renew().finally(() => (this.#renewing = null))
    return this.#renewing
  }

  async #renew(): Promise<void> {
    try {
      // What the browser's cookie holds may be the login of another account.
      if (this.byKey) throw new Problem('unauthorized', 'The API key is not valid any more.', 401)
      this.#take(await this.#ask('auth/session/refresh', 'POST'))
    } catch (error) {
      if (error instanceof Problem && error.status === 401) this.forget()
      throw error
    }
  }

  async #ask(path: string, method: string, body?: URLSearchParams): Promise<Login> {
    const answer = await fetch(ROOT + path, { method, body })
    if (!answer.ok) throw await problemOf(answer)
    return (await answer.json()) as Login
  }

  #take(login: Login): void {
    this.#token = login.access_token
    this.#renewAt = Date.now() + (login.expires_in - EARLY_SECONDS) * 1000
    // Another account has signed in in another tab: nothing that this tab shows is that account's.
    if (this.username !== null && this.username !== login.username) location.reload()
    this.#begin(login.username, login.scope.split(' ') as Scope[], false)
    localStorage.setItem(LEFT, 'yes')
  }

  #begin(username: string, scopes: Scope[], byKey: boolean): void {
    this.username = username
    this.scopes = new Set(scopes)
    this.byKey = byKey
    this.ended = false
    this.unreached = null
  }
}

export const session = new Session()
