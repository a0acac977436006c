import { beforeEach, describe, expect, it, vi } from 'vitest';
import { ApiError, UnreachableError } from './client';
import { answer, apiOf } from './typed';

const asked: Request[] = [];

const serve = (respond: () => Response | Promise<Response>) =>
  vi.stubGlobal('fetch', (request: Request) => {
    asked.push(request);
    return Promise.resolve(respond());
  });

const json = (body: unknown, status = 200) =>
  new Response(JSON.stringify(body), {
    status,
    headers: { 'content-type': status < 400 ? 'application/json' : 'application/problem+json' },
  });

beforeEach(() => {
  asked.length = 0;
});

describe('the typed API', () => {
  it('asks for one’s own data without naming whose, and repeats lists', async () => {
    serve(() => json({ items: [] }));
    const api = apiOf('andina', 'andina');
    await answer(api.GET('/api/v1/dead-letters/groups', { params: { query: { by: ['stage', 'reason'] } } }));
    expect(asked[0]?.url).toBe(`${location.origin}/api/v1/dead-letters/groups?by=stage&by=reason`);
    expect(asked[0]?.headers.get('X-Rastro-CSRF')).toBeNull();
  });

  it('names another tenant in everything it asks', async () => {
    serve(() => json({ items: [] }));
    const api = apiOf('boreal', 'andina');
    await answer(api.GET('/api/v1/queues'));
    await answer(api.GET('/api/v1/stages/{id}', { params: { path: { id: 'a.b' }, query: { window: '1h' } } }));
    expect(asked.map((r) => r.url.replace(location.origin, ''))).toEqual([
      '/api/v1/queues?tenant=boreal',
      '/api/v1/stages/a.b?window=1h&tenant=boreal',
    ]);
  });

  it('guards what changes something', async () => {
    serve(() => json({ job: {} }, 202));
    await answer(apiOf('a', 'a').POST('/api/v1/dead-letters/discard', { body: { filter: {}, reason: 'old' } }));
    expect(asked[0]?.headers.get('X-Rastro-CSRF')).toBe('1');
    expect(await asked[0]?.json()).toEqual({ filter: {}, reason: 'old' });
  });

  it('throws problems as problems, and silence as silence', async () => {
    serve(() => json({ type: '/problems/count-differs', title: 'Conflict', status: 409, detail: '7 match now' }, 409));
    const refused = answer(apiOf('a', 'a').GET('/api/v1/queues'));
    await expect(refused).rejects.toBeInstanceOf(ApiError);
    await expect(refused).rejects.toMatchObject({ problem: { status: 409, detail: '7 match now' } });
    serve(() => Promise.reject(new TypeError('Failed to fetch')));
    await expect(answer(apiOf('a', 'a').GET('/api/v1/queues'))).rejects.toBeInstanceOf(UnreachableError);
  });
});
