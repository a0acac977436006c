import { keepPreviousData, useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { answer, type Schema } from '../api/typed';
import { useApi } from '../app/scope';
import { useTraceWatch } from '../live/live';
import type { TracesQuery } from './filters';

export type TraceItem = Schema<'TraceItem'>;

const pageSize = 50;
/** News are counted at most so often, in milliseconds: each time the server is asked. */
const newsEvery = 2_500;
/** Beyond this many, news are "more than". */
export const newsUpTo = 200;

export interface TraceList {
  items: readonly TraceItem[];
  /** How many the filter matches on all pages; exact is false when there are more. */
  count: { value: number; exact: boolean } | undefined;
  /** How many traces that match have come or changed since, and are not among the items. */
  news: number;
  /** Uids of rows that changed since they were read. */
  changed: ReadonlySet<string>;
  error: unknown;
  loading: boolean;
  hasMore: boolean;
  loadingMore: boolean;
  more: () => void;
  /** Reads the list anew: the news come in. */
  refresh: () => void;
}

/**
 * The traces that match, page by page. Rows stay where they are: what changes of one on show is changed in place, and what else
 * there is by now is only counted, until the list is read anew.
 */
export function useTraceList(query: TracesQuery, asked: number, refresh: () => void): TraceList {
  const api = useApi();
  const list = useInfiniteQuery({
    queryKey: ['traces', api.tenant, query, asked],
    initialPageParam: undefined as string | undefined,
    queryFn: async ({ pageParam, signal }) => {
      const first = pageParam === undefined;
      const asked = api.GET('/api/v1/traces', {
        params: { query: { ...query, limit: pageSize, ...(first ? { count: true } : { cursor: pageParam }) } },
        signal,
      });
      const page = (await answer(asked)) as Schema<'PageTraceItem'>;
      return { ...page, readAt: dateOf((await asked).response) };
    },
    getNextPageParam: (last) => last.next_cursor,
    placeholderData: keepPreviousData,
    staleTime: Number.POSITIVE_INFINITY,
    refetchOnWindowFocus: false,
    refetchOnReconnect: false,
  });

  const read = list.data?.pages;
  const since = read?.[0]?.readAt;
  const [updates, heard] = useUpdates(query);
  const [items, changed] = useMemo(
    () => withUpdates(read?.flatMap((page) => page.items ?? []) ?? [], updates),
    [read, updates],
  );

  const news = useQuery({
    queryKey: ['traces-news', api.tenant, query, since, asked, heard],
    queryFn: async ({ signal }) => {
      const from = latest(since, query.updatedFrom);
      return (await answer(
        api.GET('/api/v1/traces', {
          params: { query: { ...query, sort: 'updated_at', order: 'desc', updatedFrom: from, limit: newsUpTo } },
          signal,
        }),
      )) as Schema<'PageTraceItem'>;
    },
    enabled: heard > 0 && since !== undefined,
    placeholderData: keepPreviousData,
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
    retry: false,
  });
  const shown = useMemo(() => new Set(items.map((item) => item.correlation_id)), [items]);
  const found = heard > 0 ? (news.data?.items ?? []) : [];

  const { fetchNextPage } = list;
  return {
    items,
    count: read?.[0]?.count,
    news: found.filter((item) => !shown.has(item.correlation_id)).length,
    changed,
    error: list.error,
    loading: list.isLoading || list.isPlaceholderData,
    hasMore: list.hasNextPage,
    loadingMore: list.isFetchingNextPage,
    more: () => void fetchNextPage(),
    refresh,
  };
}

/** When the server answered, by its own clock. */
function dateOf(response: Response): string {
  const at = Date.parse(response.headers.get('date') ?? '');
  return new Date(Number.isNaN(at) ? Date.now() : at).toISOString();
}

const latest = (a: string | undefined, b: string | undefined): string | undefined =>
  a && b ? (a > b ? a : b) : (a ?? b);

/** A trace as the stream tells it. */
type Told = Omit<TraceItem, 'aggregates' | 'anomalies' | 'voided_count' | 'unknown_count'> & {
  voided_count?: number;
  unknown_count?: number;
};
type Updates = ReadonlyMap<string, Told>;
const none: Updates = new Map();

/** Filters that a trace which matches goes on to match, whatever becomes of it. */
const lasting = ['kind', 'milestone', 'source', 'carrier', 'location', 'flight', 'eventType'] as const;

/** What the stream is asked for: by the other filters it would not tell of a row that no longer matches. */
export function lastingFilter(query: TracesQuery): Readonly<Record<string, readonly string[]>> {
  const filter: Record<string, readonly string[]> = query.q ? { q: [query.q] } : {};
  for (const name of lasting) {
    const values = query[name];
    if (values) filter[name] = values;
  }
  return filter;
}

/** Traces that changed since the list was read, as the stream tells them, and how often there was reason to count news. */
function useUpdates(query: TracesQuery): [Updates, number] {
  const [updates, setUpdates] = useState<Updates>(none);
  const [heard, setHeard] = useState(0);
  const waiting = useRef<Map<string, Told>>(new Map());
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const reset = useCallback(() => {
    clearTimeout(timer.current);
    timer.current = undefined;
    waiting.current = new Map();
  }, []);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another query begins without updates
  useEffect(() => {
    setUpdates(none);
    setHeard(0);
    return reset;
  }, [query, reset]);

  const soon = () => {
    timer.current ??= setTimeout(() => {
      timer.current = undefined;
      const told = waiting.current;
      waiting.current = new Map();
      if (told.size > 0) setUpdates((known) => new Map([...known, ...told]));
      setHeard((n) => n + 1);
    }, newsEvery);
  };
  useTraceWatch({
    filter: lastingFilter(query),
    onTrace: (data) => {
      const item = JSON.parse(data) as Told;
      waiting.current.set(item.correlation_id, item);
      soon();
    },
    onResync: soon,
  });
  return [updates, heard];
}

/** The items with what is known to have changed of them, in their places. */
function withUpdates(items: readonly TraceItem[], updates: Updates): [readonly TraceItem[], ReadonlySet<string>] {
  const changed = new Set<string>();
  const merged = items.map((item) => {
    const update = updates.get(item.correlation_id);
    if (!update || update.updated_at <= item.updated_at) return item;
    changed.add(item.correlation_id);
    // The stream tells a trace in brief: what it leaves out is no longer so, but for what it never tells.
    return { aggregates: item.aggregates, anomalies: item.anomalies, voided_count: 0, unknown_count: 0, ...update };
  });
  return [merged, changed];
}
