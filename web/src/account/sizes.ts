/** Sizes as a person enters them, such as "2 TiB". */
import { UNITS } from '../shared/format'

/** Returns the bytes that a text means; null if it means none. A number alone is bytes. */
export function bytesOf(text: string): number | null {
  const found = /^([\d.]+)\s*([KMGTP]iB|B)?$/i.exec(text.trim())
  if (!found) return null
  const unit = UNITS.findIndex((one) => one.toLowerCase() === (found[2] ?? 'B').toLowerCase())
  const bytes = Math.round(Number(found[1]) * 1024 ** unit)
  return Number.isSafeInteger(bytes) ? bytes : null
}

/** Returns a text that means exactly these bytes: in the largest unit that needs no fraction. */
export function exactly(bytes: number): string {
  let unit = 0
  let value = bytes
  while (value >= 1024 && value % 1024 === 0 && unit < UNITS.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${value} ${UNITS[unit]}`
}
