/** What a target was seen to be able to do, and what each ability means for a delivery, in words. */
import type { components } from '../shared/api-types'

type Abilities = components['schemas']['AbilitiesView']
export interface Ability {
  name: string
  can: boolean
  means: string
}

/** `accepted` is the target's setting `allow_overwrite_race`; null: it has none, or is not known. */
export function abilitiesOf(can: Abilities, accepted: boolean | null = null): Ability[] {
  const ability = (name: string, is: boolean, yes: string, no: string) => ({ name, can: is, means: is ? yes : no })
  return [
    ability(
      'Whole objects only',
      can.atomic,
      'An object gets its name once it is whole. Nobody sees a part of it.',
      'An object is written under its final name, so somebody may see a part of it meanwhile.',
    ),
    ability(
      'Never replaces by accident',
      can.exclusive,
      'An object that takes the name at the last moment stays as it is.',
      `An object that takes the name at the last moment is replaced. ${overwriteRace(accepted)}`,
    ),
    ability(
      'Safe from a loss of power',
      can.durable,
      'What the target has acknowledged is on its disk.',
      'The target does not tell when an object is on its disk. A loss of power there right after a delivery may lose it.',
    ),
    ability('Goes on after a break', can.resumable, 'The next attempt sends only what is missing.', 'The next attempt sends the whole object anew.'),
    ability(
      'Tells a digest',
      can.digest !== null,
      `The target tells or checks the ${DIGESTS[can.digest ?? ''] ?? can.digest} of an object, so that nothing is read back.`,
      'Objects are read back to be checked, unless an operator vouches for the digest that the target tells.',
    ),
    ability(
      'Tells its free space',
      can.free_space,
      'If an object does not fit, the delivery waits and says how many bytes are free.',
      'If an object does not fit, only the attempt to write it shows that.',
    ),
  ]
}

const DIGESTS: Record<string, string> = { 'sha-256': 'SHA-256', md5: 'MD5' }

function overwriteRace(accepted: boolean | null): string {
  if (accepted === null) return ''
  return accepted
    ? 'The operator accepts that (allow_overwrite_race), so the name is looked at right before, and receipts say “exclusive: false”.'
    : 'So deliveries that must not replace anything are refused. The operator can accept the risk with allow_overwrite_race.'
}
