import { elements, members } from './lossless';
import type { Me, Problem, Trace, TraceEvent, TraceWire } from './types';

/** An address of the server, under whatever path prefix the page was served from. */
export const address = (path: string): string => new URL(path, document.baseURI).href;

/** The API said no; `problem` says why. */
export class ApiError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail ?? problem.title);
    this.name = 'ApiError';
    this.problem = problem;
  }

  get status(): number {
    return this.problem.status;
  }
}

/** The server could not be reached, or did not answer in time. */
export class UnreachableError extends Error {
  constructor(cause: unknown) {
    super('the server does not answer', { cause });
    this.name = 'UnreachableError';
  }
}

export const isNotFound = (error: unknown): boolean => error instanceof ApiError && error.status === 404;
export const isUnauthenticated = (error: unknown): boolean => error instanceof ApiError && error.status === 401;

const timeout = 15_000;

export interface SendOptions extends RequestInit {
  /** Let it take as long as it takes: an export does. */
  patient?: boolean;
}

/** Asks the server; an answer that is no success is thrown. */
export async function send(input: string | Request, { patient = false, ...init }: SendOptions = {}): Promise<Response> {
  const given = init.signal ?? (input instanceof Request ? input.signal : undefined);
  const deadline = patient ? undefined : AbortSignal.timeout(timeout);
  const signal = given && deadline ? AbortSignal.any([given, deadline]) : (given ?? deadline);
  let response: Response;
  try {
    response = await fetch(input, { credentials: 'same-origin', ...init, signal });
  } catch (cause) {
    if (given?.aborted) throw cause;
    throw new UnreachableError(cause);
  }
  if (response.ok) return response;
  throw new ApiError(await problemOf(response));
}

/** Asks for a path of the server. */
export const request = (path: string, init: SendOptions): Promise<Response> => send(address(path), init);

async function problemOf(response: Response): Promise<Problem> {
  const fallback: Problem = { type: 'about:blank', title: response.statusText, status: response.status };
  const instance = response.headers.get('x-request-id');
  if (instance) fallback.instance = instance;
  if (!response.headers.get('content-type')?.includes('json')) return fallback;
  try {
    // The status line is what counts: a proxy may answer with a JSON of its own.
    return { ...fallback, ...((await response.json()) as Partial<Problem>), status: response.status };
  } catch {
    return fallback;
  }
}

const json = { accept: 'application/json, application/problem+json' };

export async function getMe(signal?: AbortSignal): Promise<Me> {
  const response = await request('api/v1/me', { headers: json, signal });
  const me = (await response.json()) as Me;
  return { ...me, roles: me.roles ?? [], tenants: me.tenants ?? [], features: me.features ?? [] };
}

/** Reads a trace from its response, keeping each payload and revision as the text it was. */
export function parseTrace(text: string): Trace {
  const wire = JSON.parse(text) as TraceWire;
  const raw = elements(members(text)?.get('events') ?? '[]') ?? [];
  const events = (wire.events ?? []).map((event, i): TraceEvent => {
    const rawText = raw[i] ?? '';
    const fields = members(rawText);
    const payloadText = fields?.get('payload');
    return {
      ...event,
      rawText,
      payloadText: payloadText === 'null' ? undefined : payloadText,
      revisionText: fields?.get('revision'),
    };
  });
  return { ...wire, events, rawText: text };
}

/** Ends the session at the server; afterwards the page must be left. */
export async function signOut(): Promise<string | undefined> {
  // Redirects are followed by the browser, not by fetch: the identity provider's page is another origin's.
  const response = await request('auth/sign-out', {
    method: 'POST',
    headers: { 'X-Rastro-CSRF': '1', ...json },
  });
  if (response.headers.get('content-type')?.includes('json')) {
    const body = (await response.json().catch(() => undefined)) as { location?: string } | undefined;
    if (body?.location) return body.location;
  }
  return undefined;
}

/** Where to sign in, coming back to the present page afterwards. */
export function signInAddress(): string {
  const here = location.pathname + location.search;
  return address(`auth/sign-in?${new URLSearchParams({ return_to: here })}`);
}
