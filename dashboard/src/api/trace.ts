import { parseTrace } from './client';
import { type Api, answer } from './typed';
import type { Trace } from './types';

/** When a trace is to be told as it was: RFC 3339 times, either or both. */
export interface TraceTimes {
  asOf?: string;
  knownAt?: string;
}

// Both are read as text: what a carrier sent is sliced out of it, never parsed.

/** The trace of a journey. */
export async function getTraceByCorrelation(
  api: Api,
  correlationId: string,
  signal?: AbortSignal,
  times: TraceTimes = {},
): Promise<Trace> {
  const params = { path: { correlationId }, query: times };
  return parseTrace(await answer(api.GET('/api/v1/trace/{correlationId}', { params, signal, parseAs: 'text' })));
}

/** The trace of the journey that a thing was last on. */
export async function getTraceByAggregate(api: Api, aggregateId: string, signal?: AbortSignal): Promise<Trace> {
  const params = { query: { aggregateId } };
  return parseTrace(await answer(api.GET('/api/v1/trace', { params, signal, parseAs: 'text' })));
}
