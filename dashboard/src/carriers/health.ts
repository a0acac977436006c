import type { Schema } from '../api/typed';
import type { Tone } from '../ui/Mark';

export type Carrier = Schema<'Carrier'>;

/** What is to be said of a carrier first, as the server says: see api/live/health.go. */
export type Health = Carrier['health'];

export const tones: Record<Health, Tone> = {
  silent: 'bad',
  failing: 'bad',
  unmapped: 'warn',
  repeating: 'warn',
  fine: 'ok',
  unknown: 'idle',
};

const rank: Record<Health, number> = { silent: 5, failing: 4, unmapped: 3, repeating: 2, unknown: 1, fine: 0 };

export const columns = [
  'source',
  'health',
  'silence',
  'rate',
  'stored',
  'errors',
  'duplicates',
  'unknown',
  'delay',
] as const;
export type Column = (typeof columns)[number];

/** How a carrier is ordered by a column: the larger, the sooner it is to be looked at. Undefined is what is not known. */
const keys: Record<Exclude<Column, 'source'>, (c: Carrier) => number | undefined> = {
  // Of two that are silent, that one first which has been for longest against what is usual. The others stay where they are.
  health: (c) => rank[c.health] + (c.silent ? Math.min(0.9, silenceRatio(c) / 1000) : 0),
  silence: (c) => c.silent_ms,
  rate: (c) => c.per_second,
  stored: (c) => c.stored,
  errors: (c) => c.error_share,
  duplicates: (c) => c.duplicate_share,
  unknown: (c) => c.unknown_code_share,
  delay: (c) => c.delay?.p50_ms,
};

/** How often what is usual it has been silent; 0 when that is not known. */
export const silenceRatio = (c: Carrier): number => (c.usual_gap_ms ? c.silent_ms / c.usual_gap_ms : 0);

export interface Sorting {
  by: Column;
  /** The smallest first. */
  up: boolean;
}

/** The worst first, or as somebody wants it. What is not known comes last either way. */
export function sorted(carriers: readonly Carrier[], { by, up }: Sorting): Carrier[] {
  const names = (a: Carrier, b: Carrier) => a.source.localeCompare(b.source);
  if (by === 'source') return [...carriers].sort((a, b) => (up ? names(a, b) : names(b, a)));
  const key = keys[by];
  return [...carriers].sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    if (x === undefined || y === undefined) return Number(x === undefined) - Number(y === undefined) || names(a, b);
    return (up ? x - y : y - x) || names(a, b);
  });
}
