/** What an admin enters of an account, and the request that it makes: only what has changed. */
import { bytesOf, exactly } from '../account/sizes'
import type { Account } from '../shared/api'
import { Problem } from '../shared/problem'
import type { Scope } from '../shared/session.svelte'

export interface Draft {
  scopes: Scope[]
  everyRoot: boolean
  roots: string
  everyTarget: boolean
  targets: string[]
  quota: string
  openFiles: string
}

interface Settings {
  scopes?: Scope[]
  roots?: string[] | null
  targets?: string[] | null
  quota_bytes?: number | null
  max_open_files?: number | null
}

export function draftOf(account: Account | null): Draft {
  return {
    scopes: [...(account?.scopes ?? (['prepare', 'finalize', 'read', 'delete'] as Scope[]))] as Scope[],
    everyRoot: account ? account.roots === null : true,
    roots: account?.roots?.join('\n') ?? '',
    everyTarget: account ? account.targets === null : true,
    targets: [...(account?.targets ?? [])],
    quota: account?.quota_bytes == null ? '' : exactly(account.quota_bytes),
    openFiles: account?.max_open_files == null ? '' : String(account.max_open_files),
  }
}

/** Returns the settings that the draft means. Throws a Problem if one cannot be read. */
export function settingsOf(draft: Draft): Required<Settings> {
  const quota = draft.quota.trim() ? bytesOf(draft.quota) : null
  if (draft.quota.trim() && quota === null)
    throw new Problem('quota_unclear', `The quota “${draft.quota}” is not a size. Write a number with B, KiB, MiB, GiB or TiB, such as “500 GiB”.`)
  return {
    scopes: [...draft.scopes],
    roots: draft.everyRoot ? null : lines(draft.roots),
    targets: draft.everyTarget ? null : [...draft.targets],
    quota_bytes: quota,
    max_open_files: draft.openFiles.trim() ? Number(draft.openFiles) : null,
  }
}

/** Returns only what differs from the account: a change of its quota alone needs no password. */
export function changesOf(draft: Draft, account: Account): Settings {
  const wanted = settingsOf(draft)
  const differs = ([name, value]: [string, unknown]) => text(value) !== text(account[name as keyof Settings])
  return Object.fromEntries(Object.entries(wanted).filter(differs))
}

/** Whether the changes give access, so that the api asks for the password of the admin. */
export function givesAccess(changes: Settings): boolean {
  return ['scopes', 'roots', 'targets'].some((name) => name in changes)
}

function text(value: unknown): string {
  return JSON.stringify(Array.isArray(value) ? [...value].sort() : (value ?? null))
}

function lines(entered: string): string[] {
  return entered.split('\n').map((line) => line.trim()).filter(Boolean)
}
