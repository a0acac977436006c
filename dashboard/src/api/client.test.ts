import { afterEach, describe, expect, it, vi } from 'vitest';
import { ApiError, isNotFound, parseTrace, signInAddress, signOut, UnreachableError } from './client';
import { getTraceByAggregate, getTraceByCorrelation } from './trace';
import { apiOf } from './typed';

const answer = (body: string, init: ResponseInit = {}) =>
  vi.fn((_input: string | Request, _init?: RequestInit) =>
    Promise.resolve(new Response(body, { headers: { 'content-type': 'application/json' }, ...init })),
  );

const addressOf = (input: string | Request | undefined) => (input instanceof Request ? input.url : input);

const traceText =
  '{"tenant_id":"t","correlation_id":"C","status":"loaded","event_count":2,"events":[' +
  '{"uid":"u1","revision":9223372036854775807,"payload":{"id": 9007199254740993,"w":1.10},"event_type":"BKD"},' +
  '{"uid":"u2","payload":null,"event_type":"DEP"}]}';

describe('parseTrace', () => {
  it('keeps payloads and revisions byte for byte', () => {
    const [first, second] = parseTrace(traceText).events;
    expect(first?.payloadText).toBe('{"id": 9007199254740993,"w":1.10}');
    expect(first?.revisionText).toBe('9223372036854775807');
    expect(first?.rawText).toContain('"uid":"u1"');
    expect(second?.payloadText).toBeUndefined();
    expect(second?.revisionText).toBeUndefined();
  });

  it('takes a trace without events', () => {
    expect(parseTrace('{"correlation_id":"C","events":null}').events).toEqual([]);
    expect(parseTrace('{"correlation_id":"C"}').events).toEqual([]);
  });
});

describe('requests', () => {
  afterEach(() => {
    document.head.querySelector('base')?.remove();
  });

  it('encode what they look for', async () => {
    const fetch = answer(traceText);
    vi.stubGlobal('fetch', fetch);
    await getTraceByCorrelation(apiOf('t', 't'), 'a/b c?');
    await getTraceByAggregate(apiOf('t', 't'), 'a&b');
    expect(fetch.mock.calls.map(([input]) => addressOf(input))).toEqual([
      'http://localhost/api/v1/trace/a%2Fb%20c%3F',
      'http://localhost/api/v1/trace?aggregateId=a%26b',
    ]);
  });

  it('stay under the path prefix of the page', async () => {
    const base = document.createElement('base');
    base.href = '/ops/';
    document.head.append(base);
    const fetch = answer(traceText);
    vi.stubGlobal('fetch', fetch);
    await getTraceByCorrelation(apiOf('t', 't'), 'C');
    expect(addressOf(fetch.mock.calls[0]?.[0])).toBe('http://localhost/ops/api/v1/trace/C');
    expect(signInAddress()).toBe('http://localhost/ops/auth/sign-in?return_to=%2F');
  });

  it('turn problem details into an error', async () => {
    const problem = { type: '/problems/not-found', title: 'Not Found', status: 404, detail: 'no', instance: 'r1' };
    vi.stubGlobal(
      'fetch',
      answer(JSON.stringify(problem), { status: 404, headers: { 'content-type': 'application/problem+json' } }),
    );
    const error = await getTraceByCorrelation(apiOf('t', 't'), 'C').catch((e: unknown) => e);
    expect(error).toBeInstanceOf(ApiError);
    expect((error as ApiError).problem).toEqual(problem);
    expect(isNotFound(error)).toBe(true);
  });

  it('understand an error that is not ours', async () => {
    vi.stubGlobal(
      'fetch',
      answer('<html>', { status: 502, statusText: 'Bad Gateway', headers: { 'x-request-id': 'r9' } }),
    );
    const error = (await getTraceByCorrelation(apiOf('t', 't'), 'C').catch((e: unknown) => e)) as ApiError;
    expect(error.problem).toMatchObject({ status: 502, title: 'Bad Gateway', instance: 'r9' });
  });

  it('say when the server does not answer', async () => {
    vi.stubGlobal(
      'fetch',
      vi.fn(() => Promise.reject(new TypeError('failed'))),
    );
    await expect(getTraceByCorrelation(apiOf('t', 't'), 'C')).rejects.toBeInstanceOf(UnreachableError);
  });

  it('sign out with the header that forged requests cannot carry', async () => {
    const fetch = answer('', { status: 200, headers: {} });
    vi.stubGlobal('fetch', fetch);
    await signOut();
    const [url, init] = fetch.mock.calls[0] ?? [];
    expect(url).toBe('http://localhost/auth/sign-out');
    expect(init?.method).toBe('POST');
    expect(new Headers(init?.headers).get('X-Rastro-CSRF')).toBe('1');
  });
});
