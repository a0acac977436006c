import { QueryCache, QueryClient, queryOptions } from '@tanstack/react-query';
import { ApiError, getMe, isUnauthenticated, UnreachableError } from '../api/client';
import { getTraceByCorrelation } from '../api/trace';
import type { Api } from '../api/typed';
import type { Trace } from '../api/types';
import { findTrace } from '../search/find';
import { isTerminal } from '../trace/chronology';
import type { Past } from '../trace/moments';

const worthRetrying = (error: unknown): boolean =>
  error instanceof UnreachableError || (error instanceof ApiError && error.status >= 500);

/** The cache of what the API answered. onUnauthenticated is called when the session has ended. */
export function createQueryClient(onUnauthenticated: () => void): QueryClient {
  return new QueryClient({
    queryCache: new QueryCache({
      onError: (error) => {
        if (isUnauthenticated(error)) onUnauthenticated();
      },
    }),
    defaultOptions: {
      queries: {
        retry: (failures, error) => failures < 2 && worthRetrying(error),
        retryDelay: (failures) => 400 * 2 ** failures,
        staleTime: 2_000,
        networkMode: 'always',
      },
    },
  });
}

export const meQuery = queryOptions({
  queryKey: ['me'],
  queryFn: ({ signal }) => getMe(signal),
  staleTime: 5 * 60_000,
});

/** How often an open trace looks for news: often while it moves, seldom once it has ended. */
const traceInterval = (trace: Trace | undefined): number =>
  !trace ? 10_000 : isTerminal(trace.status) ? 60_000 : 5_000;

export const traceQuery = (api: Api, id: string) =>
  queryOptions({
    queryKey: ['trace', api.tenant, id],
    queryFn: ({ signal }) => findTrace(api, id, signal),
    refetchInterval: (query) => traceInterval(query.state.data?.trace),
  });

/** A trace as it was. What is known of a past moment changes only when something comes in late. */
export const pastTraceQuery = (api: Api, correlationId: string, past: Past | undefined) =>
  queryOptions({
    queryKey: ['trace-past', api.tenant, correlationId, past],
    queryFn: ({ signal }) => getTraceByCorrelation(api, correlationId, signal, past && { [past.clock]: past.at }),
    enabled: past !== undefined,
    staleTime: 30_000,
  });
