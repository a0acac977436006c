import { queryOptions } from '@tanstack/react-query';
import { type Api, answer, type Schema } from '../api/typed';

export type Passport = Schema<'Passport'>;
export type PassportEntry = Schema<'PassportEntry'>;
export type Duplicate = Schema<'ExplainedDuplicate'>;

/** What became of an event. */
export const passportQuery = (api: Api, uid: string) =>
  queryOptions({
    queryKey: ['passport', api.tenant, uid],
    queryFn: async ({ signal }): Promise<Passport> =>
      answer(api.GET('/api/v1/events/{uid}', { params: { path: { uid } }, signal })),
  });

/** Copies of the events of a journey, the latest first: enough to explain each. */
export const duplicatesQuery = (api: Api, correlationId: string) =>
  queryOptions({
    queryKey: ['duplicates', api.tenant, correlationId],
    queryFn: async ({ signal }): Promise<Duplicate[]> => {
      const query = { correlationId, limit: 1000 };
      return (await answer(api.GET('/api/v1/duplicates', { params: { query }, signal }))).duplicates ?? [];
    },
  });
