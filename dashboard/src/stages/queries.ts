import { keepPreviousData, queryOptions } from '@tanstack/react-query';
import { type Api, answer } from '../api/typed';
import { type Range, windowOf } from '../frame/range';

export const stagesQuery = (api: Api, range: Range) =>
  queryOptions({
    queryKey: [api.tenant, 'stages', windowOf(range)],
    queryFn: ({ signal }) =>
      answer(api.GET('/api/v1/stages', { params: { query: { window: windowOf(range) } }, signal })),
    placeholderData: keepPreviousData,
  });

export const stageQuery = (api: Api, id: string, range: Range) =>
  queryOptions({
    queryKey: [api.tenant, 'stage', id, windowOf(range)],
    queryFn: ({ signal }) =>
      answer(api.GET('/api/v1/stages/{id}', { params: { path: { id }, query: { window: windowOf(range) } }, signal })),
  });
