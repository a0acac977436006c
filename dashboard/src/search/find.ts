import { getTraceByAggregate, getTraceByCorrelation, isNotFound } from '../api/client';
import type { Trace } from '../api/types';
import { spellings } from './identify';

export interface Found {
  trace: Trace;
  /** What the identifier turned out to be: the journey itself, or a piece that travels on it. */
  by: 'correlation' | 'aggregate';
}

/** Finds the trace of an identifier: first as a journey, then as a piece. Throws the last 404 when there is none. */
export async function findTrace(text: string, signal?: AbortSignal): Promise<Found> {
  const ids = spellings(text);
  let missing: unknown = new Error('no identifier was given');
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
  throw missing;
}
