/** The api as typed functions. The types are made from the api's own OpenAPI document (`web/check_page.py`). */
import createClient from 'openapi-fetch'
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

/** Every method throws a Problem if the answer is an error, so `data` is always there. */
export const api = createClient<paths>({ baseUrl: ROOT, fetch: answered })

/** Returns the data of an answer of `api`. Lists could also be JSON Lines, which only `lines` asks for. */
export async function data<T>(answer: Promise<{ data?: T }>): Promise<Exclude<NonNullable<T>, string>> {
  return (await answer).data as Exclude<NonNullable<T>, string>
}
