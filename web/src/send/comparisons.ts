/** Computes the SHA-256 of the files of this tab's uploads, to be compared with those of the server's records. */
import { sha256Of, whyNoDigest } from '../shared/hashing'
import { asProblem } from '../shared/problem'
import type { Upload } from './upload'

export class Comparisons {
  #running = new Map<Upload, AbortController>()

  constructor(private readonly moved: () => void) {}

  /** Begins with the upload's file, unless its digest is known; files are read one after the other. */
  async begin(upload: Upload): Promise<void> {
    if (whyNoDigest() || upload.ownDigest || this.#running.has(upload)) return
    const stop = new AbortController()
    this.#running.set(upload, stop)
    upload.notCompared = null
    const read = (bytes: number) => {
      upload.hashed = bytes
      this.moved()
    }
    try {
      upload.ownDigest = await sha256Of(upload.file, read, stop.signal)
    } catch (error) {
      upload.hashed = 0
      if (!stop.signal.aborted) upload.notCompared = asProblem(error).detail
    } finally {
      this.#running.delete(upload)
      this.moved()
    }
  }

  stop(upload: Upload): void {
    this.#running.get(upload)?.abort()
  }
}
