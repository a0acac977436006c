import { keepPreviousData, queryOptions } from '@tanstack/react-query';
import { type Api, answer } from '../api/typed';
import { bounds, type Range, rangeText, windowOf } from '../frame/range';

// What several pages ask about how everything does. Keys begin with the tenant: see Api.

export const overviewQuery = (api: Api, range: Range) =>
  queryOptions({
    queryKey: [api.tenant, 'overview', windowOf(range)],
    queryFn: ({ signal }) =>
      answer(api.GET('/api/v1/overview', { params: { query: { window: windowOf(range) } }, signal })),
    placeholderData: keepPreviousData,
  });

export const topologyQuery = (api: Api, range: Range) =>
  queryOptions({
    queryKey: [api.tenant, 'topology', windowOf(range)],
    queryFn: ({ signal }) =>
      answer(api.GET('/api/v1/topology', { params: { query: { window: windowOf(range) } }, signal })),
    placeholderData: keepPreviousData,
  });

export const queuesQuery = (api: Api) =>
  queryOptions({
    queryKey: [api.tenant, 'queues'],
    queryFn: ({ signal }) => answer(api.GET('/api/v1/queues', { signal })),
  });

/** Open dead letters by where they were rejected. */
export const openLettersQuery = (api: Api) =>
  queryOptions({
    queryKey: [api.tenant, 'letters', 'open'],
    queryFn: ({ signal }) =>
      answer(api.GET('/api/v1/dead-letters/groups', { params: { query: { by: ['pipeline', 'stage'] } }, signal })),
  });

/** Points of a chart, at most: two for each three pixels of a wide one. */
const chartPoints = 300;

export const metricsQuery = (api: Api, range: Range, series: readonly string[]) =>
  queryOptions({
    queryKey: [api.tenant, 'metrics', rangeText(range) ?? '', series.join()],
    queryFn: ({ signal }) => {
      const { from, to } = bounds(range, Date.now());
      return answer(
        api.GET('/api/v1/metrics', {
          params: {
            query: {
              series: [series.join()],
              from: new Date(from).toISOString(),
              to: new Date(to).toISOString(),
              points: chartPoints,
            },
          },
          signal,
        }),
      );
    },
    placeholderData: keepPreviousData,
  });

/** How often figures of a range are asked for again, in milliseconds: a long one hardly changes. */
export const refreshOf = (range: Range): number =>
  range.kind === 'absolute' ? 60_000 : range.ms <= 3_600_000 ? 10_000 : 60_000;
