/** The api as typed functions. The types are made from the api's own OpenAPI document (`make types`). */
import type { Client } from 'openapi-fetch'
import type { components, paths } from './api-types'
import { problemOf } from './problem'
import { ROOT, session } from './session.svelte'

type Schemas = components['schemas']
export type File = Schemas['FileView']
export type FileDetail = Schemas['FileDetailView']
export type Delivery = Schemas['DeliveryView']
export type DeliveryDetail = Schemas['DeliveryDetailView']
export type Batch = Schemas['BatchView']
export type Receipt = Schemas['ReceiptView']
export type Failure = Schemas['FailureView']
export type Target = Schemas['TargetView']
export type Check = Schemas['CheckView']
export type Account = Schemas['AccountView']
export type Key = Schemas['KeyView']

/** Sends a request with the access token, and once more with a new one if the server does not take the first. */
export async function authorized(request: Request): Promise<Response> {
  const again = request.clone()
  const answer = await fetch(withToken(request, await session.token()))
  if (answer.status !== 401) return answer
  await session.renew()
  return fetch(withToken(again, await session.token()))
}

function withToken(request: Request, token: string): Request {
  request.headers.set('Authorization', `Bearer ${token}`)
  return request
}

/** Sends a request with the access token. Throws a Problem if the answer is an error. */
export async function answered(request: Request): Promise<Response> {
  const answer = await authorized(request)
  if (!answer.ok) throw await problemOf(answer)
  return answer
}

interface Asked {
  params?: { path?: Record<string, string>; query?: Record<string, unknown>; header?: Record<string, string> }
  body?: unknown
  bodySerializer?: (body: unknown) => string
  headers?: Record<string, string>
  signal?: AbortSignal
}

async function send(method: string, path: string, { params = {}, body, bodySerializer = JSON.stringify, headers, signal }: Asked = {}) {
  const filled = path.slice(1).replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(params.path?.[name] ?? ''))
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(params.query ?? {}))
    for (const one of [value].flat()) if (one != null) query.append(name, String(one))
  const text = body === undefined ? undefined : bodySerializer(body)
  const request = new Request(`${ROOT}${filled}${query.size ? `?${query}` : ''}`, {
    method,
    signal,
    body: text,
    headers: { ...(text === undefined ? {} : { 'Content-Type': 'application/json' }), ...params.header, ...headers },
  })
  const response = await answered(request)
  const answer = await response.text()
  return { data: answer ? (JSON.parse(answer) as unknown) : undefined, response }
}

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const

/**
 * `api.GET(path, …)` and so on for each method: what a path takes and answers is typed by openapi-fetch, whose own code
 * is four times as long as `send`. Every call throws a Problem if the answer is an error, so `data` is always there.
 */
export const api = Object.fromEntries(METHODS.map((method) => [method, send.bind(null, method)])) as unknown as Client<paths>

/** Returns the data of an answer of `api`. Lists could also be JSON Lines, which only `lines` asks for. */
export async function data<T>(answer: Promise<{ data?: T }>): Promise<Exclude<NonNullable<T>, string>> {
  return (await answer).data as Exclude<NonNullable<T>, string>
}
