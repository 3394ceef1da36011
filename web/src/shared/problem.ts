/** An error that a person reads: a code, and a sentence that says what happened and what to do (RFC 9457). */
export class Problem extends Error {
  constructor(
    readonly code: string,
    readonly detail: string,
    readonly status = 0,
    readonly retryAfterSeconds: number | null = null,
  ) {
    super(detail)
  }
}

/** Returns the problem that an answer tells of, whatever its body is. */
export async function problemOf(answer: Response): Promise<Problem> {
  const seconds = Number(answer.headers.get('Retry-After')) || null
  try {
    const body = (await answer.json()) as { code?: string; detail?: string; title?: string }
    return new Problem(body.code ?? `http_${answer.status}`, body.detail ?? body.title ?? '', answer.status, seconds)
  } catch {
    const detail = `The server, or a proxy before it, answered with status ${answer.status}. Try again.`
    return new Problem(`http_${answer.status}`, detail, answer.status, seconds)
  }
}

/** Returns what a person is shown of anything that was thrown. */
export function asProblem(thrown: unknown): Problem {
  if (thrown instanceof Problem) return thrown
  if (thrown instanceof TypeError) return new Problem('not_connected', 'The server cannot be reached. Try again.')
  return new Problem('page_error', thrown instanceof Error ? thrown.message : String(thrown))
}
