import { getTraceByAggregate, getTraceByCorrelation, isNotFound } from '../api/client';
import { get } from '../api/get';
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

/** What an identifier may be. */
export interface Guess {
  kind: 'air_waybill' | 'bag_tag' | 'container' | 'sscc' | 'uld' | 'flight' | 'event' | 'free';
  value: string;
  why: string;
  doubtful?: boolean;
}

/** GET api/v1/search */
export interface SearchAnswer {
  guesses: Guess[];
  exists: boolean;
  found: { by: FoundBy; value: string; trace: { correlation_id: string; status: string; kind?: string } }[];
}

/** Asks what an identifier is, and which journeys have it. */
export const searchIdentifier = (q: string, signal?: AbortSignal): Promise<SearchAnswer> =>
  get<SearchAnswer>('search', { q }, signal);

/**
 * Finds the trace of an identifier: first as a journey, then as a piece, then as whatever else the server can tell it by.
 * Throws the last 404 when there is none.
 */
export async function findTrace(text: string, signal?: AbortSignal): Promise<Found> {
  const ids = spellings(text);
  const [id] = ids;
  if (!id) throw new Error('no identifier was given');
  let missing: unknown;
  for (const by of ['correlation', 'aggregate'] as const) {
    const get = by === 'correlation' ? getTraceByCorrelation : getTraceByAggregate;
    for (const id of ids) {
      try {
        return { trace: await get(id, signal), by };
      } catch (error) {
        if (!isNotFound(error)) throw error;
        missing = error;
      }
    }
  }
  return (await bySearch(id, signal)) ?? Promise.reject(missing);
}

async function bySearch(id: string, signal?: AbortSignal): Promise<Found | undefined> {
  let answer: SearchAnswer;
  try {
    answer = await searchIdentifier(id, signal);
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
  const [first] = answer.found;
  if (!first) return undefined;
  const journeys = [...new Set(answer.found.map((found) => found.trace.correlation_id))];
  const [correlation = '', ...others] = journeys;
  return {
    trace: await getTraceByCorrelation(correlation, signal),
    by: first.by,
    ...(others.length > 0 && { others }),
  };
}
