/** What a target was seen to be able to do, and what each ability means for a delivery, in words. */
import type { Target } from '../shared/api'

export interface Ability {
  name: string
  can: boolean
  means: string
}

/** Returns the abilities in words; [] as long as no test has succeeded. */
export function abilitiesOf(target: Target): Ability[] {
  const can = target.abilities
  if (!can) return []
  return [
    {
      name: 'Whole objects only',
      can: can.atomic,
      means: can.atomic
        ? 'An object gets its name once it is whole. Nobody sees a part of it.'
        : 'An object is written under its final name, so somebody may see a part of it meanwhile.',
    },
    { name: 'Never replaces by accident', can: can.exclusive, means: exclusive(target, can.exclusive) },
    {
      name: 'Safe from a loss of power',
      can: can.durable,
      means: can.durable
        ? 'What the target has acknowledged is on its disk.'
        : 'The target does not tell when an object is on its disk. A loss of power there right after a delivery may lose it.',
    },
    {
      name: 'Goes on after a break',
      can: can.resumable,
      means: can.resumable
        ? 'The next attempt sends only what is missing.'
        : 'The next attempt sends the whole object anew.',
    },
    { name: 'Tells a digest', can: can.digest !== null, means: checked(target.kind, can.digest) },
    {
      name: 'Tells its free space',
      can: can.free_space,
      means: can.free_space
        ? 'If an object does not fit, the delivery waits and says how many bytes are free.'
        : 'If an object does not fit, only the attempt to write it shows that.',
    },
  ]
}

function exclusive(target: Target, can: boolean): string {
  if (can) return 'An object that takes the name at the last moment stays as it is.'
  const replaced = 'An object that takes the name at the last moment is replaced.'
  if (target.allow_overwrite_race === null) return replaced
  if (target.allow_overwrite_race)
    return `${replaced} The operator accepts that (allow_overwrite_race), so the name is looked at right before, and receipts say “exclusive: false”.`
  return `${replaced} So deliveries that must not replace anything are refused. The operator can accept the risk with allow_overwrite_race.`
}

const DIGESTS: Record<string, string> = { 'sha-256': 'SHA-256', md5: 'MD5' }

function checked(kind: string, digest: string | null): string {
  if (digest === null)
    return kind === 'http' ? 'Objects are read back to be checked, unless the server tells their digest.' : 'Objects are read back to be checked.'
  const name = DIGESTS[digest] ?? digest
  return kind === 's3'
    ? `The target checks the ${name} of each part, and was seen to refuse a wrong one.`
    : `The target tells the ${name} of an object, so that nothing is read back.`
}
