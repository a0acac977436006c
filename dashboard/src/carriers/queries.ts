import { keepPreviousData, queryOptions } from '@tanstack/react-query';
import { type Api, answer, type Schema } from '../api/typed';

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

/** Begins the keys of all that is kept of unmapped codes: whatever is decided about one makes it old. */
export const inboxKey = (api: Api) => [api.tenant, 'unmapped'] as const;

/** How many codes are shown: those that came most often. */
export const inboxSize = 100;

/** The codes that nothing knows and nobody has decided about, of a source or of all. */
export const inboxQuery = (api: Api, source?: string) =>
  queryOptions({
    queryKey: [...inboxKey(api), source ?? ''],
    queryFn: ({ signal }) => {
      const query = { ...(source && { carrier: source }), limit: inboxSize };
      return answer(api.GET('/api/v1/carriers/unmapped', { params: { query }, signal }));
    },
    placeholderData: keepPreviousData,
  });

/** How far the traces of a code are folded anew. */
export const codeJobQuery = (api: Api, id: string) =>
  queryOptions({
    queryKey: [...inboxKey(api), 'job', id],
    queryFn: ({ signal }) =>
      answer(api.GET('/api/v1/carriers/unmapped/jobs/{id}', { params: { path: { id } }, signal })),
  });

export const tenantQuery = (api: Api) =>
  queryOptions({
    queryKey: ['tenant', api.tenant],
    queryFn: ({ signal }) => answer(api.GET('/api/v1/tenant', { signal })),
    staleTime: 30_000,
  });

/** What holds for what a source sends, by each carrier that it may be of. */
export const carrierSettingsQuery = (api: Api, source: string) =>
  queryOptions({
    queryKey: ['carrier-settings', api.tenant, source],
    queryFn: async ({ signal }) =>
      (await answer(api.GET('/api/v1/carriers/settings', { params: { query: { source } }, signal }))).items ?? [],
    staleTime: 30_000,
  });
