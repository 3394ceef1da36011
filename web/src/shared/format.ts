/** Figures and times as people read them. Sizes are in binary units everywhere alike. */

export const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const

/** `1536` is "1.50 KiB". From 1 KiB on, at least three digits are shown, so that a figure keeps its width while it grows. */
export function bytes(count: number): string {
  let value = count
  let unit = 0
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1024
    unit += 1
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2
  return `${value.toFixed(digits)} ${UNITS[unit]}`
}

/** A name with characters that turn the direction of text made visible: `a<U+202E>gnp.exe` must not look like `aexe.png`. */
export function visible(name: string): string {
  return name.replace(/[\u202a-\u202e\u2066-\u2069]/g, (turn) => `⟨U+${turn.charCodeAt(0).toString(16).toUpperCase()}⟩`)
}

export function rate(bytesPerSecond: number | null): string {
  return bytesPerSecond === null ? '' : `${bytes(bytesPerSecond)}/s`
}

export function count(number: number, one: string, many = `${one}s`): string {
  return `${number.toLocaleString('en')} ${number === 1 ? one : many}`
}

/** The percentage that is done, rounded down, so that 100 % means all. */
export function percent(done: number, whole: number): number {
  return whole === 0 ? 100 : Math.floor((done / whole) * 100)
}

/** `3725` is "1 h 2 min". */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  if (whole < 60) return `${whole} s`
  const minutes = Math.round(whole / 60)
  if (minutes < 60) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`
  return `${Math.round(hours / 24)} days`
}

/** The time that is left at this rate, in words; "time left unknown" if nothing has moved for a while. */
export function timeLeft(left: number, bytesPerSecond: number | null): string {
  return bytesPerSecond ? `${duration(left / bytesPerSecond)} left` : 'time left unknown'
}

const DAY = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric' })
const CLOCK = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' })
const MINUTES = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' })

/** A time in the zone of the browser: today's as "14:03:09", others as "3 Nov 2026, 14:03". */
export function localTime(time: Date, now = new Date()): string {
  return time.toDateString() === now.toDateString() ? CLOCK.format(time) : `${DAY.format(time)}, ${MINUTES.format(time)}`
}

/** A time as in RFC 3339, in UTC, to whole seconds. */
export function utc(time: Date): string {
  return `${time.toISOString().slice(0, 19).replace('T', ' ')} UTC`
}
