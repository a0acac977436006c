import type { paths } from '../api/schema';
import type { Kind, Milestone } from '../api/types';
import { micros } from '../i18n/format';

type Query = NonNullable<paths['/api/v1/traces']['get']['parameters']['query']>;

/** What the API is asked for, less what differs from page to page. */
export type TracesQuery = Omit<Query, 'cursor' | 'limit' | 'count' | 'tenant'>;

/** Filters that are lists: one of the values must match. */
export const listFilters = [
  'status',
  'milestone',
  'kind',
  'exception',
  'anomaly',
  'source',
  'carrier',
  'location',
  'flight',
  'eventType',
] as const;
export type ListFilter = (typeof listFilters)[number];

export const clocks = ['last', 'first', 'updated'] as const;
/** Which time of a trace a range is of: of its last event, of its first, or when the last one was received. */
export type ListClock = (typeof clocks)[number];

/** How far back, in milliseconds. */
export const spans = {
  '15m': 15 * 60_000,
  '1h': 3_600_000,
  '6h': 6 * 3_600_000,
  '24h': 24 * 3_600_000,
  '7d': 7 * 24 * 3_600_000,
  '30d': 30 * 24 * 3_600_000,
} as const;
export type Span = keyof typeof spans;

export const sorts = { last: 'last_event_at', first: 'first_event_at', updated: 'updated_at' } as const;

/** What of the list of traces stands in its address. Lists are separated by commas. */
export type TracesSearch = { [K in ListFilter]?: string } & {
  /** Beginning of an identifier. */
  q?: string;
  span?: Span;
  /** RFC 3339; instead of a span. */
  from?: string;
  until?: string;
  clock?: ListClock;
  sort?: ListClock;
  order?: 'asc';
};

export const statuses: readonly Milestone[] = [
  'announced',
  'accepted',
  'processing',
  'loaded',
  'in_transit',
  'arrived',
  'transfer',
  'available',
  'out_for_delivery',
  'delivered',
  'returned',
  'cancelled',
  'lost',
  'destroyed',
  'expired',
  'unknown',
];
export const kinds: readonly Kind[] = ['baggage', 'cargo', 'parcel', 'passenger', 'equipment'];
export const anomalies = ['any', 'post_terminal', 'id_conflict'] as const;

/** Shorter beginnings than this match too much; the API refuses them. */
export const shortestPrefix = 3;

const comma = /(?<!\\),/;

/** The values of a list in an address: a comma inside one has a backslash before it. */
export const splitList = (text: string | undefined): string[] => [
  ...new Set(
    (text ?? '')
      .split(comma)
      .map((value) => value.replaceAll('\\,', ',').trim())
      .filter(Boolean),
  ),
];

export const joinList = (values: readonly string[]): string | undefined =>
  values.length === 0 ? undefined : values.map((value) => value.replaceAll(',', '\\,')).join(',');

const text = (value: unknown): string | undefined => {
  const written =
    typeof value === 'number' ? String(value) : Array.isArray(value) ? value.map(String).join(',') : value;
  return typeof written === 'string' && written.trim() !== '' ? written : undefined;
};
const time = (value: unknown): string | undefined =>
  typeof value === 'string' && !Number.isNaN(micros(value)) ? value : undefined;
const oneOf = <T extends string>(value: unknown, all: readonly T[]): T | undefined => all.find((one) => one === value);

/** Reads an address; what does not belong there is left out. */
export function readSearch(search: Record<string, unknown>): TracesSearch {
  const found: Record<string, string | undefined> = {
    q: text(search.q),
    from: time(search.from),
    until: time(search.until),
    span: oneOf(search.span, Object.keys(spans)),
    clock: oneOf(search.clock, ['first', 'updated']),
    sort: oneOf(search.sort, ['first', 'updated']),
    order: oneOf(search.order, ['asc']),
  };
  for (const name of listFilters) found[name] = joinList(splitList(text(search[name])));
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined)) as TracesSearch;
}

/** Whether anything narrows the list. */
export const isFiltered = (search: TracesSearch): boolean =>
  Boolean(search.q || search.span || search.from || search.until || listFilters.some((name) => search[name]));

/** The search without what narrows it. */
export const unfiltered = ({ sort, order }: TracesSearch): TracesSearch => ({
  ...(sort && { sort }),
  ...(order && { order }),
});

const ranges = {
  last: ['lastEventFrom', 'lastEventUntil'],
  first: ['firstEventFrom', 'firstEventUntil'],
  updated: ['updatedFrom', 'updatedUntil'],
} as const;

/** What the API is to be asked for, at a moment: a span ends then, and has to stay where it is while pages are read. */
export function queryOf(search: TracesSearch, now: number): TracesQuery {
  const query: TracesQuery = { sort: sorts[search.sort ?? 'last'], order: search.order ?? 'desc' };
  for (const name of listFilters) {
    const values = splitList(search[name]);
    if (values.length > 0) query[name] = values;
  }
  const q = search.q?.trim() ?? '';
  if (q.length >= shortestPrefix) query.q = q;
  const [from, until] = ranges[search.clock ?? 'last'];
  const start = search.span ? new Date(now - spans[search.span]).toISOString() : search.from;
  if (start) query[from] = start;
  if (!search.span && search.until) query[until] = search.until;
  return query;
}
