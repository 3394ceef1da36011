/** A test of a target, asked for by a person: begins it, and waits until a worker has done it. */
import { api, data, type Target } from '../shared/api'

const LOOK_MS = 500

/** Returns the target after its test. `seen` gets it as it is meanwhile. Throws a Problem, also if `left` is aborted. */
export async function testTarget(name: string, { seen, left }: { seen: (target: Target) => void; left: AbortSignal }): Promise<Target> {
  const params = { path: { target_name: name } }
  let target = await data(api.POST('/targets/{target_name}/probe', { params, signal: left }))
  while (target.tried_at === null) {
    seen(target)
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
    target = await data(api.GET('/targets/{target_name}', { params, signal: left }))
  }
  return target
}
