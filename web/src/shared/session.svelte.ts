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
const OWED = 'gridhaul-sign-out-owed' // says that the server could not be told of a sign-out, and the cookie is still good

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
  /** Whose work this tab shows, or has shown since it was loaded; null: nobody's. */
  #holder: string | null = null
  #turn = 0 // grows when a login ends: an answer that belongs to an earlier turn comes too late
  #tabs = new BroadcastChannel('gridhaul')

  constructor() {
    // Another tab of this browser has signed out, or signed in as somebody else. The access token of this tab would be good
    // for some minutes more.
    this.#tabs.onmessage = ({ data: username }) => {
      if (!this.byKey && this.username !== username) this.forget()
    }
  }

  may(scope: Scope): boolean {
    return this.scopes.has(scope)
  }

  /** Goes on with a login that the browser's cookie still has. */
  async restore(): Promise<void> {
    this.unreached = null
    try {
      if (localStorage.getItem(OWED)) await this.#endCookie()
      else if (localStorage.getItem(LEFT)) await this.#renew()
    } catch (error) {
      const problem = asProblem(error)
      if (problem.status !== 401) this.unreached = problem
    } finally {
      this.beginning = false
    }
  }

  async signIn(username: string, password: string): Promise<void> {
    const login = await this.#ask('auth/session', 'POST', new URLSearchParams({ username, password }))
    this.#tabs.postMessage(login.username)
    this.#take(login)
  }

  /** Signs in with an API key. The key is forgotten when the page is left or loaded again. */
  async signInWithKey(key: string): Promise<void> {
    const answer = await fetch(`${ROOT}account`, { headers: { Authorization: `Bearer ${key}` } })
    if (!answer.ok) throw await problemOf(answer)
    const account = (await answer.json()) as { username: string; granted_scopes: Scope[] }
    if (this.#isOfAnother(account.username))
      throw new Problem('other_account', `This tab has shown the work of ${this.#holder}. Load the page again, and sign in then.`)
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
    localStorage.removeItem(LEFT)
    this.#tabs.postMessage(null)
    await this.#renewing?.catch(() => undefined) // its answer would set the cookie again
    localStorage.setItem(OWED, 'yes')
    await this.#endCookie()
  }

  async #endCookie(): Promise<void> {
    const answer = await fetch(`${ROOT}auth/session`, { method: 'DELETE' })
    if (!answer.ok) throw await problemOf(answer)
    localStorage.removeItem(OWED)
  }

  /** Forgets the login in this tab. The cookie stays: it may be that of another tab, which has signed in meanwhile. */
  forget(): void {
    if (this.username !== null) this.ended = true
    this.#turn += 1
    this.#token = ''
    this.username = null
    this.scopes = new Set()
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
    const turn = this.#turn
    const byKey = this.byKey
    try {
      // What the browser's cookie holds may be the login of another account.
      if (byKey) throw new Problem('unauthorized', 'The API key is not valid any more.', 401)
      const login = await this.#ask('auth/session/refresh', 'POST')
      if (turn !== this.#turn) throw new Problem('unauthorized', 'The login has ended meanwhile.', 401)
      this.#take(login)
    } catch (error) {
      if (error instanceof Problem && error.status === 401 && turn === this.#turn) {
        this.forget()
        if (!byKey) localStorage.removeItem(LEFT)
      }
      throw error
    }
  }

  async #ask(path: string, method: string, body?: URLSearchParams): Promise<Login> {
    const answer = await fetch(ROOT + path, { method, body })
    if (!answer.ok) throw await problemOf(answer)
    return (await answer.json()) as Login
  }

  #take(login: Login): void {
    if (this.#isOfAnother(login.username)) {
      // Nothing that this tab holds is that account's: neither what it shows nor the files that wait to be sent.
      this.forget()
      localStorage.setItem(LEFT, 'yes')
      location.reload()
      throw new Problem('other_account', `This tab has shown the work of ${this.#holder}. The page is loaded again.`, 401)
    }
    localStorage.setItem(LEFT, 'yes')
    localStorage.removeItem(OWED)
    this.#token = login.access_token
    this.#renewAt = Date.now() + (login.expires_in - EARLY_SECONDS) * 1000
    this.#begin(login.username, login.scope.split(' ') as Scope[], false)
  }

  #isOfAnother(username: string): boolean {
    return this.#holder !== null && this.#holder !== username
  }

  #begin(username: string, scopes: Scope[], byKey: boolean): void {
    this.username = this.#holder = username
    this.scopes = new Set(scopes)
    this.byKey = byKey
    this.ended = false
    this.unreached = null
  }
}

export const session = new Session()
