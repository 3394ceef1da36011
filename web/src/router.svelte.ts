/** The address of a view: `#/files/65f0…?state=FAILED`. It is behind `#`, because the api has the paths themselves. */

class Router {
  /** The parts of the path: `['files', '65f0…']`. */
  path: string[] = $state([])
  query: URLSearchParams = $state(new URLSearchParams())

  constructor() {
    this.#read()
    addEventListener('hashchange', () => this.#read())
  }

  get view(): string {
    return this.path[0] ?? ''
  }

  go(address: string): void {
    location.hash = address
  }

  /** Puts the parameters into the address. Those that are empty go away; a list is a parameter that is repeated. No entry of the browser's history is made. */
  filter(parameters: Record<string, string | readonly string[] | undefined>): void {
    const query = new URLSearchParams(this.query)
    for (const [name, value] of Object.entries(parameters)) {
      query.delete(name)
      for (const one of [value ?? ''].flat()) if (one) query.append(name, one)
    }
    history.replaceState(null, '', addressOf(this.path, query))
    this.query = query
  }

  #read(): void {
    const [path = '', query = ''] = location.hash.replace(/^#\/?/, '').split('?', 2)
    this.path = path.split('/').filter(Boolean).map(decoded)
    this.query = new URLSearchParams(query)
  }
}

/** An address that somebody has typed may have a `%` that stands for nothing. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

export function addressOf(path: readonly string[], query?: URLSearchParams): string {
  const text = query?.toString()
  return `#/${path.map(encodeURIComponent).join('/')}${text ? `?${text}` : ''}`
}

export const router = new Router()
