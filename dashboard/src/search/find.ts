import { isNotFound } from '../api/client';
import { getTraceByAggregate, getTraceByCorrelation } from '../api/trace';
import { type Api, answer } from '../api/typed';
import type { Trace } from '../api/types';
import { spellings } from './identify';

/** What an identifier turned out to be: the journey itself, a piece that travels on it, or an event of it. */
export type FoundBy = 'correlation' | 'aggregate' | 'event';

export interface Found {
  trace: Trace;
  by: FoundBy;
  /** The other journeys that the identifier leads to. */
  others?: string[];
}

/**
 * Finds the trace of an identifier: first as a journey, then as a piece, then as whatever else the server can tell it by.
 * Throws the last 404 when there is none.
 */
export async function findTrace(api: Api, text: string, signal?: AbortSignal): Promise<Found> {
  const ids = spellings(text);
  const [id] = ids;
  if (!id) throw new Error('no identifier was given');
  let missing: unknown;
  for (const by of ['correlation', 'aggregate'] as const) {
    const get = by === 'correlation' ? getTraceByCorrelation : getTraceByAggregate;
    for (const id of ids) {
      try {
        return { trace: await get(api, id, signal), by };
      } catch (error) {
        if (!isNotFound(error)) throw error;
        missing = error;
      }
    }
  }
  return (await bySearch(api, id, signal)) ?? Promise.reject(missing);
}

async function bySearch(api: Api, q: string, signal?: AbortSignal): Promise<Found | undefined> {
  const { found } = await answer(api.GET('/api/v1/search', { params: { query: { q } }, signal }));
  const [first] = found ?? [];
  if (!first) return undefined;
  const [journey = '', ...others] = new Set((found ?? []).map(({ trace }) => trace.correlation_id));
  const trace = await getTraceByCorrelation(api, journey, signal);
  return { trace, by: first.by, ...(others.length > 0 && { others }) };
}
