/** Reads a stream of server-sent events (WHATWG HTML, 9.2.6) from the pieces in which its text arrives. */

type Take = (name: string, data: string, id: string) => void

export class EventParser {
  #rest = '' // the beginning of an event whose end has not arrived

  /** `take` is called with each event: its name, its data and its id, each "" if the event has none. */
  constructor(private readonly take: Take) {}

  feed(piece: string): void {
    const blocks = (this.#rest + piece).split(/\r?\n\r?\n/)
    this.#rest = blocks.pop() ?? ''
    for (const block of blocks) this.#read(block)
  }

  /** A line that begins with a colon is a comment, which only keeps the connection. */
  #read(block: string): void {
    const fields: Record<string, string[]> = { event: [], data: [], id: [] }
    for (const line of block.split(/\r?\n/)) {
      const [, name = '', value = ''] = /^(\w+):? ?([^]*)$/.exec(line) ?? []
      fields[name]?.push(value)
    }
    const { event = [], data = [], id = [] } = fields
    if (data.length) this.take(event.at(-1) ?? '', data.join('\n'), id.at(-1) ?? '')
  }
}
