import { get } from '../api/get';
import type { TraceEvent } from '../api/types';

export type Outcome = 'stored' | 'duplicate' | 'dropped' | 'dead_lettered';

/** Something that became of an event. */
export interface PassportEntry {
  at: string;
  verdict: string;
  pipeline?: string;
  stage?: string;
  reason?: string;
  message?: string;
  field?: string;
  attempts?: number;
  of?: string;
  dead_letter_id?: string;
  who?: string;
  trace_id?: string;
}

/** GET api/v1/events/{uid}, less the event itself. */
export interface Passport {
  uid: string;
  outcome: Outcome;
  event?: Pick<TraceEvent, 'correlation_id' | 'timestamp' | 'received_at'>;
  entries: PassportEntry[] | null;
  copies: number;
}

/** An event that was dropped as a copy of another. */
export interface Duplicate {
  uid: string;
  of?: string;
  pipeline: string;
  stage: string;
  code: string;
  source: string;
  event_id: string;
  event_type: string;
  received_at: string;
  later_seconds?: number;
  how?: 'resent' | 'second_source';
}

export const passportQuery = (uid: string) => ({
  queryKey: ['passport', uid],
  queryFn: ({ signal }: { signal: AbortSignal }) => get<Passport>(`events/${encodeURIComponent(uid)}`, {}, signal),
});

/** Copies of the events of a journey: enough to explain each, the latest first. */
export const duplicatesQuery = (correlationId: string) => ({
  queryKey: ['duplicates', correlationId],
  queryFn: async ({ signal }: { signal: AbortSignal }) =>
    (await get<{ duplicates: Duplicate[] | null }>('duplicates', { correlationId, limit: 1000 }, signal)).duplicates ??
    [],
});
