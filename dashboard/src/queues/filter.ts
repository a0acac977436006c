import type { Schema } from '../api/typed';

/** What dead letters can be told apart by, each a list of which one must match. */
export const facets = ['state', 'stage', 'reason', 'source', 'eventType', 'pipeline'] as const;
export type Facet = (typeof facets)[number];

export type State = Schema<'Letter'>['state'] | 'all';
export const states: readonly State[] = ['open', 'redriving', 'stored', 'passed', 'dropped', 'superseded', 'discarded'];

/** What of the dead letters stands in the address. Lists are written with commas, as people would. */
export interface LettersSearch extends Partial<Record<Facet, string>> {
  correlationId?: string;
  /** The letter that is open beside the list. */
  letter?: string;
  /** What is shown instead of the list. */
  view?: 'jobs' | 'audit';
  /** The job that is followed. */
  job?: string;
}

export function readLettersSearch(search: Record<string, unknown>): LettersSearch {
  const read: LettersSearch = {};
  for (const name of [...facets, 'correlationId', 'letter', 'job'] as const) {
    const value = search[name];
    if (typeof value === 'string' && value !== '') read[name] = value;
    else if (typeof value === 'number') read[name] = String(value);
  }
  if (search.view === 'jobs' || search.view === 'audit') read.view = search.view;
  return read;
}

export const listOf = (text: string | undefined): string[] => (text ?? '').split(',').filter(Boolean);

/** The search with a value of a facet put in, or taken out when it is in. */
export function toggled(search: LettersSearch, facet: Facet, value: string): LettersSearch {
  const values = listOf(search[facet]);
  const next = values.includes(value) ? values.filter((v) => v !== value) : [...values, value];
  const { [facet]: _, letter: __, ...rest } = search;
  return next.length > 0 ? { ...rest, [facet]: next.join() } : rest;
}

/** The filter as the parameters of an address of the API. */
export function queryOf(search: LettersSearch) {
  const list = (facet: Facet) => {
    const values = listOf(search[facet]);
    return values.length > 0 ? values : undefined;
  };
  return {
    state: list('state') as State[] | undefined,
    stage: list('stage'),
    reason: list('reason'),
    source: list('source'),
    eventType: list('eventType'),
    pipeline: list('pipeline'),
    ...(search.correlationId && { correlationId: search.correlationId }),
  };
}

/** The filter as the body of an action. Without a state those are meant that are open. */
export function bodyOf(search: LettersSearch): Schema<'LetterFilter'> {
  const { eventType, correlationId, ...rest } = queryOf(search);
  const filter: Schema<'LetterFilter'> = {};
  for (const [name, values] of Object.entries(rest)) if (values) Object.assign(filter, { [name]: values });
  if (eventType) filter.event_type = eventType;
  if (correlationId) filter.correlation_id = correlationId;
  return filter;
}

/** The search that an action's filter was made of, as far as it can stand in an address. */
export function searchOf(filter: Schema<'LetterFilter'>): LettersSearch {
  const search: LettersSearch = {};
  const put = (name: Facet, values: readonly string[] | null | undefined) => {
    if (values && values.length > 0) search[name] = values.join();
  };
  put('state', filter.state);
  put('stage', filter.stage);
  put('reason', filter.reason);
  put('source', filter.source);
  put('eventType', filter.event_type);
  put('pipeline', filter.pipeline);
  if (filter.correlation_id) search.correlationId = filter.correlation_id;
  return search;
}

/** Beyond this many letters the count must be written by hand before anything is done to them. */
export const typedAbove = 1_000;

/** Whether what was written is the count: with or without separators of thousands. */
export const confirms = (text: string, count: number): boolean => text.replace(/[\s.,'’]/g, '') === String(count);
