/** Why a request of an upload failed, as a problem that a person reads, and whether it passes by itself. */
import { DetailedError } from 'tus-js-client/lib/browser/index.js'
import { Problem } from '../shared/problem'

/** Returns the problem that an error of tus-js-client tells of. */
export async function problemOfUpload(error: Error, file: File, path: string): Promise<Problem> {
  const answer = error instanceof DetailedError ? error.originalResponse : null
  const status = answer?.getStatus() ?? 0
  if (answer && status > 0) {
    const { code, detail } = parsed(answer.getBody())
    const seconds = Number(answer.getHeader('Retry-After')) || null
    // After a cut, a browser may send a request again by itself, from where the server is no more.
    if (code === 'offset_mismatch') return new Problem('not_connected', 'The connection broke. The upload goes on from what has arrived.')
    return new Problem(code ?? `http_${status}`, detail ?? inWords(status), status, seconds)
  }
  if (error instanceof DetailedError && error.causingError instanceof Problem) return error.causingError
  // A browser tells of a broken line and of a file that cannot be read in the same way. So the file is read once.
  if (await isReadable(file)) return new Problem('not_connected', 'The server cannot be reached.')
  return new Problem('file_changed', `${path} was changed, moved or deleted on this computer since it was chosen. Choose it again.`)
}

/** An answer to HEAD has no words of its own. */
function inWords(status: number): string {
  if (status === 404 || status === 410) return 'The server has nothing of this upload any more: it was deleted, or it has expired. Retry to send the file from its beginning.'
  return `The server answered with status ${status}.`
}

/** Returns whether the same request may succeed a little later. */
export function passes(problem: Problem): boolean {
  const { status, code } = problem
  return code === 'not_connected' || (status >= 500 && code !== 'quota_exceeded') || [401, 408, 423, 429].includes(status)
}

async function isReadable(file: File): Promise<boolean> {
  try {
    await file.slice(0, 1).arrayBuffer()
    return true
  } catch {
    return false
  }
}

function parsed(body: string): { code?: string; detail?: string } {
  try {
    return JSON.parse(body) as { code?: string; detail?: string }
  } catch {
    return {}
  }
}
