/** Which files the page can show something of, and how. Documents that could run something are shown as text at most. */
import type { File } from '../shared/api'

export const TEXT_BYTES = 64 * 1024
export const IMAGE_BYTES = 20 * 1024 * 1024
const IMAGES = new Set(['image/png', 'image/jpeg', 'image/gif', 'image/webp', 'image/avif'])
const TEXTS = new Set([
  'application/json', 'application/xml', 'application/yaml', 'application/x-yaml', 'application/toml', 'application/javascript',
  'application/x-ndjson', 'application/jsonl', 'application/x-sh', 'application/sql', 'application/x-tex', 'application/rtf', 'application/x-python',
])
const TEXT_NAMES = /(^|\/)(readme|license|makefile|dockerfile|sha256sums)$|\.(log|md|ya?ml|toml|ini|cfg|conf|ndjson|jsonl|tsv|csv|txt)$/i

export type Kind = 'text' | 'image' | 'large image' | null

export function kindOf(file: File): Kind {
  const type = file.content_type
  if (IMAGES.has(type)) return (file.length ?? 0) <= IMAGE_BYTES ? 'image' : 'large image'
  if (type.startsWith('text/') || TEXTS.has(type) || type.endsWith('+json') || type.endsWith('+xml') || TEXT_NAMES.test(file.name)) return 'text'
  return null
}

/** Returns the bytes as text; null: they are no text. A character that is cut at the end is left out. */
export function textOf(bytes: ArrayBuffer, cut: boolean): string | null {
  const text = new TextDecoder('utf-8').decode(bytes, { stream: cut })
  return text.includes('\0') ? null : text
}
