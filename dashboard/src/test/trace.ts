import type { Milestone, Trace, TraceEvent } from '../api/types';

let serial = 0;

/** An event of a journey of a bag, with what a test cares about put in. */
export function event(change: Partial<TraceEvent> & { milestone?: Milestone; exception?: string } = {}): TraceEvent {
  const { milestone, exception, ...rest } = change;
  serial++;
  return {
    uid: `u${String(serial).padStart(4, '0')}`,
    tenant_id: 'andina',
    source: 'bhs',
    event_id: `E${serial}`,
    correlation_id: '0045123456',
    aggregate_id: '0045123456',
    kind: 'baggage',
    event_type: 'LOD',
    classifier: 'actual',
    timestamp: '2025-11-20T10:00:00-05:00',
    received_at: '2025-11-20T15:00:02Z',
    enrichment: { ...(milestone && { milestone }), ...(exception && { exception }) },
    rawText: '{}',
    ...rest,
  };
}

export function trace(events: TraceEvent[], change: Partial<Trace> = {}): Trace {
  return {
    tenant_id: 'andina',
    correlation_id: '0045123456',
    aggregate_id: '0045123456',
    aggregates: ['0045123456'],
    kind: 'baggage',
    status: 'loaded',
    milestones: [],
    event_count: events.length,
    events,
    rawText: '{}',
    ...change,
  };
}
