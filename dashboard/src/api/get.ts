import { request } from './client';

export type Param = string | number | boolean | readonly string[] | undefined;
export type Params = Readonly<Record<string, Param>>;

/** A path with its query: lists are repeated, what is undefined, empty or false is left out. */
export function withParams(path: string, params: Params = {}): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value === undefined || value === '' || value === false) continue;
    if (typeof value === 'object') for (const one of value) query.append(name, one);
    else query.set(name, String(value));
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

const json = { accept: 'application/json, application/problem+json' };

/** What the API answers as JSON. Its numbers are read as doubles: where the digits count, take getText and slice. */
export async function get<T>(path: string, params?: Params, signal?: AbortSignal): Promise<T> {
  return JSON.parse(await getText(path, params, signal)) as T;
}

/** What the API answers as JSON, as text. */
export async function getText(path: string, params?: Params, signal?: AbortSignal): Promise<string> {
  const response = await request(`api/v1/${withParams(path, params)}`, { headers: json, signal });
  return response.text();
}
