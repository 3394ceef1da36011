/** The text of the way "A list of paths": pasted, or a file of this computer. */
import { formatOf, type ListFormat } from './sending'

const LOOKED_AT_BYTES = 4096 // of a file, to guess its format

class Listed {
  text = $state('')
  file: File | null = $state.raw(null)
  format: ListFormat = $state('paths')
  base = $state('')

  get manifest(): boolean {
    return this.format === 'sha256sums' || this.format === 'jsonl'
  }

  get empty(): boolean {
    return this.file === null ? this.text.trim() === '' : this.file.size === 0
  }

  /** What is sent to the server. A line break at the end of a pasted text may be missing. */
  get body(): Blob | string {
    return this.file ?? this.text.replace(/\r\n/g, '\n').replace(/\n*$/, '\n')
  }

  /** Guesses the format of what was pasted. */
  guess(): void {
    this.format = formatOf(this.text)
  }

  /** Empties the way, unless it has another text than this meanwhile. */
  forget(body: Blob | string): void {
    if (this.body === body) [this.text, this.file] = ['', null]
  }

  async take(file: File | null): Promise<void> {
    this.file = file
    if (file) this.format = formatOf(await file.slice(0, LOOKED_AT_BYTES).text())
    else this.guess()
  }
}

export const listed = new Listed()
