import createClient, { type Client, createQuerySerializer } from 'openapi-fetch';
import { address, send } from './client';
import type { components, paths } from './schema';

/** A type of the API's document. */
export type Schema<Name extends keyof components['schemas']> = components['schemas'][Name];

/** The API as its document types it, asked about one tenant's data. */
export interface Api extends Client<paths> {
  /** Whose data: part of the key of whatever is kept of an answer. */
  readonly tenant: string;
  /** The same without naming a tenant: of what is nobody's. */
  readonly anyTenant: Client<paths>;
}

/**
 * The API about the data of `tenant`, of somebody who belongs to `own`. Another tenant than one's own is asked for by name, which
 * needs the role tenants:all and is noted in that tenant's audit. An answer that is an error is thrown: see ApiError.
 */
export function apiOf(tenant: string, own: string): Api {
  const anyTenant = clientOf(undefined);
  return Object.assign(tenant === own ? clientOf(undefined) : clientOf(tenant), { tenant, anyTenant });
}

/** The API, asked about a tenant by name, or without naming one. */
function clientOf(tenant: string | undefined): Client<paths> {
  const serialize = createQuerySerializer({ array: { style: 'form', explode: true } });
  const client = createClient<paths>({
    baseUrl: address('.').replace(/\/$/, ''),
    fetch: (request) => send(request),
    querySerializer: (query) => serialize(tenant === undefined ? query : { ...(query as object), tenant }),
    headers: { accept: 'application/json, application/problem+json' },
  });
  client.use({
    onRequest({ request }) {
      // What a form of another site cannot send: see api/auth.
      if (request.method !== 'GET') request.headers.set('X-Rastro-CSRF', '1');
    },
  });
  return client;
}

/** What was answered. Errors have been thrown by then, so that there is always something. */
export async function answer<T>(asked: Promise<{ data?: T }>): Promise<T> {
  const { data } = await asked;
  if (data === undefined) throw new TypeError('the server answered with nothing');
  return data;
}
