import { describe, expect, it, vi } from 'vitest';
import { type ApiError, isNotFound } from '../api/client';
import { apiOf } from '../api/typed';
import { findTrace } from './find';

const api = apiOf('t', 't');
const nothing = { guesses: [], exists: false, found: [] };

/** A server that knows some addresses and answers 404 for the others. */
function server(known: Record<string, string>, status = 404, search: object = nothing) {
  const asked: string[] = [];
  vi.stubGlobal('fetch', ({ url }: Request) => {
    const path = url.replace('http://localhost/api/v1/', '');
    asked.push(path);
    if (path.startsWith('search?') && status === 404) {
      return Promise.resolve(new Response(JSON.stringify(search), { headers: { 'content-type': 'application/json' } }));
    }
    const correlation = known[path];
    const body = correlation
      ? { correlation_id: correlation, status: 'loaded', event_count: 0, events: [] }
      : { type: '/problems/not-found', title: 'Not Found', status };
    const type = correlation ? 'application/json' : 'application/problem+json';
    return Promise.resolve(
      new Response(JSON.stringify(body), { status: correlation ? 200 : status, headers: { 'content-type': type } }),
    );
  });
  return asked;
}

describe('findTrace', () => {
  it('takes the journey first', async () => {
    const asked = server({ 'trace/X1': 'X1', 'trace?aggregateId=X1': 'other' });
    const found = await findTrace(api, ' X1 ');
    expect(found).toMatchObject({ by: 'correlation', trace: { correlation_id: 'X1' } });
    expect(asked).toEqual(['trace/X1']);
  });

  it('then the piece', async () => {
    const asked = server({ 'trace?aggregateId=0117814872': 'PNR7' });
    const found = await findTrace(api, '0117814872');
    expect(found).toMatchObject({ by: 'aggregate', trace: { correlation_id: 'PNR7' } });
    expect(asked).toEqual(['trace/0117814872', 'trace?aggregateId=0117814872']);
  });

  it('tries the other spelling of an air waybill', async () => {
    server({ 'trace/020-12345675': '020-12345675' });
    expect((await findTrace(api, '02012345675')).trace.correlation_id).toBe('020-12345675');
  });

  it('then whatever else the server can tell it by', async () => {
    const trace = (correlation_id: string) => ({ by: 'event', value: 'U-1', trace: { correlation_id }, link: '' });
    const asked = server({ 'trace/J1': 'J1' }, 404, { guesses: [], exists: true, found: [trace('J1'), trace('J2')] });
    const found = await findTrace(api, 'U-1');
    expect(found).toMatchObject({ by: 'event', trace: { correlation_id: 'J1' }, others: ['J2'] });
    expect(asked.slice(2)).toEqual(['search?q=U-1', 'trace/J1']);
  });

  it('says 404 when neither exists', async () => {
    server({});
    const error = await findTrace(api, 'nothing').catch((e: unknown) => e);
    expect(isNotFound(error)).toBe(true);
  });

  it('does not take another error for an absence', async () => {
    const asked = server({}, 503);
    const error = await findTrace(api, 'X1').catch((e: unknown) => e);
    expect((error as ApiError).status).toBe(503);
    expect(asked).toHaveLength(1);
  });

  it('asks nothing when nothing is given', async () => {
    const asked = server({});
    await expect(findTrace(api, '  ')).rejects.toThrow('no identifier');
    expect(asked).toEqual([]);
  });
});
