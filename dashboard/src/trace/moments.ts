import type { TraceEvent } from '../api/types';
import { micros } from '../i18n/format';
import { isActual } from './chronology';

/** Which clock a trace is turned back by: what had happened by then, or what was known by then. */
export type Clock = 'asOf' | 'knownAt';

/** A trace as it was; without one, as it is. */
export interface Past {
  clock: Clock;
  /** RFC 3339, to the microsecond. */
  at: string;
}

/** Microseconds since the epoch as RFC 3339 in UTC. Half a microsecond is nothing: numbers are exact here well beyond this century. */
export function fromMicros(at: number): string {
  const ms = Math.floor(at / 1000);
  const rest = at - ms * 1000;
  return new Date(ms).toISOString().replace('Z', `${String(rest).padStart(3, '0')}Z`);
}

/** The moments at which a trace changed, in order, none twice: when its events occurred, or when they were received. */
export function moments(events: readonly TraceEvent[], clock: Clock): string[] {
  const times = events
    .filter((e) => clock === 'knownAt' || isActual(e))
    .map((e) => micros(clock === 'asOf' ? e.timestamp : e.received_at))
    .filter((at) => !Number.isNaN(at));
  return [...new Set(times)].sort((a, b) => a - b).map(fromMicros);
}

/** How many of the moments were over at a time: where a slider over them stands. */
export function stepAt(all: readonly string[], at: string): number {
  const now = micros(at);
  return all.filter((moment) => micros(moment) <= now).length;
}
