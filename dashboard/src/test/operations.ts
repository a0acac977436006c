import { alertList, breaker, letters } from './alerts';
import { type Answer, me, serve } from './render';

export const operator = {
  ...me,
  roles: ['traces:read', 'ops:read', 'ops:write', 'tenants:all'],
  features: ['traces', 'stream', 'operations', 'dead_letters', 'redrive'],
  tenants: [
    { id: 'andina', name: 'Andina' },
    { id: 'boreal', name: 'Boreal' },
  ],
};
export const gauge = {
  in_per_second: 5,
  out_per_second: 5,
  dropped_per_second: 0,
  rejected_per_second: 0,
  retried_per_second: 0,
};
export const stage = (name: string, more: object = {}) => ({
  id: `tracking.${name}`,
  pipeline: 'tracking',
  name,
  use: name,
  hop: name,
  topic: `tracking.${name}`,
  to: [],
  workers: 2,
  processes: 1,
  paused_processes: 0,
  breaker: 'closed',
  health: 'ok',
  now: gauge,
  outcomes: { pass: 90, reject: 10 },
  ...more,
});
export const letter = (id: string) => ({
  id,
  uid: `uid-${id}`,
  tenant_id: 'andina',
  pipeline: 'tracking',
  stage: 'validate',
  reason: 'future',
  message: 'too far ahead',
  source: 'LA',
  event_type: 'LOD',
  correlation_id: '0045123456',
  attempts: 1,
  rejected_at: '2026-06-20T12:00:00Z',
  changed_at: '2026-06-20T12:00:00Z',
  state: 'open',
  redrives: 0,
});
export const group = (count: number, more: object = {}) => ({
  stage: 'validate',
  reason: 'future',
  pipeline: 'tracking',
  count,
  oldest: '2026-06-20T12:00:00Z',
  newest: '2026-06-20T12:00:00Z',
  example: 'too far ahead',
  ...more,
});
export const original = '{"scanId": 9007199254740993}';

/** Plays a server that knows the operations; the first whose beginning matches answers. */
export function operations(special: Record<string, Answer | (() => Answer)> = {}, count = 3) {
  const usual: Record<string, Answer | (() => Answer)> = {
    me: { body: operator },
    alerts: { body: alertList([breaker, { ...letters, value: count }]) },
    'overview?': {
      body: {
        at: '2026-06-20T12:00:00Z',
        window: '15m0s',
        accepted_per_second: {},
        stored_per_second: { value: 5, previous: 4, delta: 0.25 },
        p95_ms: { value: 120 },
        dead_letters_open: count,
        dead_letters_last_hour: 1,
        now: { in_flight: 0, stages: {} },
        paused: [],
        balance: [],
        failures: [],
        slowest: [],
      },
    },
    'topology?': {
      body: {
        nodes: [stage('validate'), stage('persist', { breaker: 'open', health: 'bad' })],
        edges: [
          { topic: 'in', from: [], to: ['tracking.validate'], per_second: 5 },
          { topic: 'tracking.persist', from: ['tracking.validate'], to: ['tracking.persist'], per_second: 5 },
        ],
      },
    },
    queues: {
      body: {
        items: [
          {
            topic: 'tracking.persist',
            reader: 'tracking',
            stage: 'persist',
            depth: 500,
            ready: 500,
            in_flight: 0,
            delayed: 0,
            head_ms: 200_000,
            approximate: true,
            in_per_second: 5,
            out_per_second: 1,
            trend: 'growing',
            health: 'bad',
          },
          {
            topic: 'in',
            reader: 'tracking',
            depth: 0,
            ready: 0,
            in_flight: 0,
            delayed: 0,
            approximate: true,
            in_per_second: 5,
            out_per_second: 5,
            trend: 'steady',
            health: 'ok',
          },
        ],
      },
    },
    'metrics?': { body: { from: '2026-06-20T11:45:00Z', to: '2026-06-20T12:00:00Z', step_seconds: 60, series: [] } },
    'dead-letters/groups?': { body: { items: [group(count)] } },
    'dead-letters/jobs?': { body: { items: [] } },
    'dead-letters/l1': {
      body: {
        ...letter('l1'),
        original: btoa(original),
        history: [{ at: '2026-06-20T12:00:00Z', what: 'rejected', reason: 'future', message: 'too far ahead' }],
      },
    },
    'dead-letters?': { body: { items: [letter('l1'), letter('l2')] } },
    'stages/tracking.validate?': {
      body: {
        ...stage('validate'),
        summary: 'Checks events.',
        config: 'future_skew: 5m\n',
        fields: [{ path: 'future_skew', type: 'duration', default: '5m', doc: 'How far ahead.' }],
        version: 'abc',
        took_distribution: [
          { up_to_ms: 1, count: 3 },
          { up_to_ms: 2, count: 7 },
        ],
        took: { count: 10, p50_ms: 1, p95_ms: 2, p99_ms: 2, max_ms: 2 },
      },
    },
    'stages?': {
      body: { version: 'abc', items: [stage('validate'), stage('persist', { breaker: 'open', health: 'bad' })] },
    },
  };
  // What is special is looked for first.
  const known = { ...special, ...Object.fromEntries(Object.entries(usual).filter(([path]) => !(path in special))) };
  const answering = new Proxy(known, {
    get: (all, path: string) => Object.entries(all).find(([begin]) => path === begin || path.startsWith(begin))?.[1],
  });
  return serve(answering);
}
