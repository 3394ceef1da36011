/** The cells of a chunk map: what each shows, and what the whole map says in words. */
import type { components } from '../shared/api-types'
import { count } from '../shared/format'

export type ChunkMap = components['schemas']['ChunkMapView']
export type Sign = 'stored' | 'repaired' | 'partly' | 'missing' | 'wrong'
export interface Cell {
  sign: Sign
  first: number
  last: number
}
export interface Totals {
  stored: number
  /** null: the length is not known yet. */
  missing: number | null
  wrong: number
  repaired: number
}

const NOT_THERE = 'chunk_missing' // such a chunk is not wrong: it is counted as missing anyway

/** Returns the numbers of the chunks that are wrong, and of those that were wrong and are repaired. */
function faults(map: ChunkMap): { wrong: Set<number>; repaired: Set<number> } {
  const wrong = new Set<number>()
  const repaired = new Set<number>()
  for (const { n, code, outcome } of map.findings) {
    if (n === null) continue
    if (outcome === 'repaired') repaired.add(n)
    else if (code !== NOT_THERE) wrong.add(n)
  }
  return { wrong, repaired }
}

export function cellsOf(map: ChunkMap): Cell[] {
  const { wrong, repaired } = faults(map)
  const size = map.chunks_per_cell
  const inCell = (numbers: Set<number>) => new Set([...numbers].map((n) => Math.min(Math.floor(n / size), map.stored.length - 1)))
  const wrongCells = inCell(wrong)
  const repairedCells = inCell(repaired)
  return map.stored.map((stored, index) => {
    const first = index * size
    const last = Math.min(first + size, map.chunk_count ?? Infinity) - 1
    const whole = stored >= last - first + 1
    const sign = wrongCells.has(index) ? 'wrong' : stored === 0 ? 'missing' : !whole ? 'partly' : repairedCells.has(index) ? 'repaired' : 'stored'
    return { sign, first, last }
  })
}

export function totalsOf(map: ChunkMap): Totals {
  const { wrong, repaired } = faults(map)
  const stored = map.stored.reduce((sum, one) => sum + one, 0)
  return { stored, missing: map.chunk_count === null ? null : Math.max(0, map.chunk_count - stored), wrong: wrong.size, repaired: repaired.size }
}

const WORDS: Record<Sign, string> = {
  stored: 'stored',
  repaired: 'stored, and repaired by the last check',
  partly: 'partly stored',
  missing: 'not stored',
  wrong: 'wrong',
}

export function cellWords({ sign, first, last }: Cell): string {
  return `${first === last ? `Chunk ${first}` : `Chunks ${first} to ${last}`}: ${sign === 'wrong' && first !== last ? 'at least one is wrong' : WORDS[sign]}`
}

/** The whole map as a sentence, for those who do not see it. */
export function mapWords(map: ChunkMap): string {
  const { stored, missing, wrong, repaired } = totalsOf(map)
  const of = map.chunk_count === null ? '' : ` of ${map.chunk_count.toLocaleString('en')}`
  const words = [`${stored.toLocaleString('en')}${of} ${stored === 1 ? 'chunk is' : 'chunks are'} stored`]
  if (missing) words.push(`${missing.toLocaleString('en')} missing`)
  if (wrong) words.push(`${wrong} wrong`)
  if (repaired) words.push(`${count(repaired, 'chunk')} repaired by the last check`)
  return `${words.join(', ')}.`
}
