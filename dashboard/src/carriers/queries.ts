import { keepPreviousData, queryOptions } from '@tanstack/react-query';
import { type Api, answer, type Schema } from '../api/typed';
import { lookedAt, type UnmappedCode, unmappedCodes } from './unmapped';

/** How each source does, over a window that ends now such as `15m`. */
export const carriersQuery = (api: Api, window: string) =>
  queryOptions({
    queryKey: ['carriers', api.tenant, window],
    queryFn: async ({ signal }) => {
      const { items } = await answer(api.GET('/api/v1/carriers', { params: { query: { window } }, signal }));
      return items ?? [];
    },
    placeholderData: keepPreviousData,
  });

/** Why events of a source were rejected since a time, the most frequent reason first. */
export const rejectsQuery = (api: Api, source: string, window: string, since: () => string) =>
  queryOptions({
    queryKey: ['carrier-rejects', api.tenant, source, window],
    queryFn: async ({ signal }): Promise<Schema<'LetterGroup'>[]> => {
      const query = {
        source: [source],
        state: ['all' as const],
        by: ['stage' as const, 'reason' as const],
        after: since(),
      };
      return (await answer(api.GET('/api/v1/dead-letters/groups', { params: { query }, signal }))).items ?? [];
    },
  });

/** The copies that a source sent since a time; undefined when it sent none. */
export const copiesQuery = (api: Api, source: string, window: string, since: () => string) =>
  queryOptions({
    queryKey: ['carrier-copies', api.tenant, source, window],
    queryFn: async ({ signal }): Promise<Schema<'DuplicateSource'> | null> => {
      // Without naming it, so that its share is told of all.
      const query = { since: since() };
      const { sources } = await answer(api.GET('/api/v1/duplicates/sources', { params: { query }, signal }));
      return sources?.find((one) => one.source === source) ?? null;
    },
  });

/** The codes of a source that map to nothing, among its last events that do not. */
export const unmappedQuery = (api: Api, source: string) =>
  queryOptions({
    queryKey: ['carrier-unmapped', api.tenant, source],
    queryFn: async ({ signal }): Promise<UnmappedCode[]> => {
      const query = { source: [source], milestone: ['unknown'], limit: lookedAt };
      const text = await answer(api.GET('/api/v1/events', { params: { query }, signal, parseAs: 'text' }));
      return unmappedCodes(text);
    },
  });

export const tenantQuery = (api: Api) =>
  queryOptions({
    queryKey: ['tenant', api.tenant],
    queryFn: ({ signal }) => answer(api.GET('/api/v1/tenant', { signal })),
    staleTime: 30_000,
  });
