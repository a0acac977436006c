import { infiniteQueryOptions, keepPreviousData, queryOptions } from '@tanstack/react-query';
import { type Api, answer, type Schema } from '../api/typed';
import { type Facet, type LettersSearch, queryOf } from './filter';

/** Begins the keys of all that is kept of dead letters: whatever is done to them makes it old. */
export const lettersKey = (api: Api) => [api.tenant, 'letters'] as const;

const pageSize = 100;

/** What of a search says which letters: not how they are shown. */
const which = ({ letter: _, view: __, job: ___, ...filter }: LettersSearch) => filter;

export const lettersQuery = (api: Api, search: LettersSearch) =>
  infiniteQueryOptions({
    queryKey: [...lettersKey(api), 'list', which(search)],
    queryFn: ({ signal, pageParam }) =>
      answer(
        api.GET('/api/v1/dead-letters', {
          params: { query: { ...queryOf(search), limit: pageSize, ...(pageParam && { cursor: pageParam }) } },
          signal,
        }),
      ),
    initialPageParam: '',
    getNextPageParam: (page) => page.next_cursor || undefined,
    placeholderData: keepPreviousData,
  });

const groupName = {
  state: 'state',
  stage: 'stage',
  reason: 'reason',
  source: 'source',
  eventType: 'event_type',
  pipeline: 'pipeline',
} as const satisfies Record<Facet, keyof Schema<'LetterGroup'>>;

/** How many letters have each value of a facet, whatever is chosen of that one. */
export const facetQuery = (api: Api, search: LettersSearch, facet: Facet) => {
  const { [facet]: _, ...others } = which(search);
  return queryOptions({
    queryKey: [...lettersKey(api), 'facet', facet, others],
    queryFn: async ({ signal }) => {
      const query = queryOf(others);
      const state = facet === 'state' ? (['all'] as const) : query.state;
      const groups = await answer(
        api.GET('/api/v1/dead-letters/groups', {
          params: { query: { ...query, ...(state && { state: [...state] }), by: [groupName[facet]] } },
          signal,
        }),
      );
      return (groups.items ?? []).map((g) => ({ value: String(g[groupName[facet]] ?? ''), count: g.count }));
    },
    placeholderData: keepPreviousData,
  });
};

/** Letters that belong together: the same stage, reason and carrier. */
export const groupsQuery = (api: Api, search: LettersSearch) =>
  queryOptions({
    queryKey: [...lettersKey(api), 'groups', which(search)],
    queryFn: async ({ signal }) =>
      (
        await answer(
          api.GET('/api/v1/dead-letters/groups', {
            params: { query: { ...queryOf(search), by: ['stage', 'reason', 'source'] } },
            signal,
          }),
        )
      ).items ?? [],
    placeholderData: keepPreviousData,
  });

export const letterQuery = (api: Api, id: string) =>
  queryOptions({
    queryKey: [...lettersKey(api), 'one', id],
    queryFn: ({ signal }) => answer(api.GET('/api/v1/dead-letters/{id}', { params: { path: { id } }, signal })),
  });

export const jobsQuery = (api: Api) =>
  queryOptions({
    queryKey: [...lettersKey(api), 'jobs'],
    queryFn: async ({ signal }) =>
      (await answer(api.GET('/api/v1/dead-letters/jobs', { params: { query: { limit: 50 } }, signal }))).items ?? [],
  });

export const jobQuery = (api: Api, id: string) =>
  queryOptions({
    queryKey: [...lettersKey(api), 'job', id],
    queryFn: ({ signal }) => answer(api.GET('/api/v1/dead-letters/jobs/{id}', { params: { path: { id } }, signal })),
  });

export const auditQuery = (api: Api) =>
  infiniteQueryOptions({
    queryKey: [api.tenant, 'audit'],
    queryFn: ({ signal, pageParam }) =>
      answer(
        api.GET('/api/v1/audit', {
          params: { query: { limit: 50, ...(pageParam > 0 && { cursor: pageParam }) } },
          signal,
        }),
      ),
    initialPageParam: 0,
    getNextPageParam: (page) => page.next_cursor || undefined,
  });
