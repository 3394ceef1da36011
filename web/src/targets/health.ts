/** How a target is, by its last test: a sign with a word, and what to do if the test failed. */
import type { Target } from '../shared/api'
import type { Tone } from '../shared/states'

export const KINDS: Record<string, string> = {
  directory: 'a directory of the workers’ machine',
  webdav: 'a WebDAV server',
  s3: 'an S3 bucket',
  sftp: 'an SFTP server',
  http: 'an HTTP server that takes a plain PUT',
}

export function healthOf(target: Target): { word: string; tone: Tone } {
  if (target.state === 'RETIRED') return { word: 'Not tested', tone: 'warn' }
  if (target.state === 'PROBING') return { word: 'Testing', tone: 'moving' }
  if (target.tried_at === null) return { word: 'Waits for its test', tone: 'rest' }
  if (target.error) return { word: 'Test failed', tone: 'bad' }
  if (target.outdated) return { word: 'Has changed', tone: 'warn' }
  return { word: 'Works', tone: 'good' }
}

const ADVICE: Record<string, string> = {
  target_unavailable: 'See whether the server runs and whether the workers’ machines reach it. Deliveries wait and go on by themselves.',
  target_locked: 'Something else holds a lock at the target. The next test comes by itself.',
  target_busy: 'The target takes no more at the moment. Deliveries wait and go on by themselves.',
  target_full: 'Make room at the target. Deliveries wait and go on by themselves.',
  target_inconsistent: 'Something else changed the target during the test. Test it again.',
  target_refused: 'See whether the account, its key or password, and its rights at the target are right. Then test it again.',
  target_misconfigured: 'Put the target’s section in targets.toml right, restart the workers and the api, and test it again.',
  not_an_object: 'Something else than an object lies under a name that the test needs. Move it away, and test again.',
}

/** Returns what to do after a test failed with this code. */
export function adviceOn(code: string): string {
  return ADVICE[code] ?? 'Test it again once the cause is mended.'
}
