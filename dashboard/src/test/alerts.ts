import type { Alert, AlertList } from '../alerts/queries';

const base = 'https://github.com/rastrohq/rastro/blob/main/docs/runbooks/';

/** An alert that fires, with what a test cares about put in. */
export const alert = (kind: string, change: Partial<Alert> = {}): Alert => ({
  id: `${kind}:x`,
  kind,
  severity: 'warning',
  state: 'firing',
  scope: 'tenant',
  subject: {},
  message: `in words of the server: ${kind}`,
  value: 200_000,
  limit: 30_000,
  unit: 'ms',
  since: '2026-06-20T11:50:00Z',
  fired_at: '2026-06-20T11:50:00Z',
  seen_at: '2026-06-20T12:00:00Z',
  runbook: 'RastroX',
  runbook_url: `${base}RastroX.md`,
  ...change,
});

export const breaker = alert('breaker-open', {
  id: 'breaker-open:tracking:persist',
  severity: 'critical',
  scope: 'system',
  subject: { pipeline: 'tracking', stage: 'persist' },
  value: 1,
  limit: 0,
  unit: 'count',
  runbook: 'RastroBreakerOpen',
  runbook_url: `${base}RastroBreakerOpen.md`,
});

export const letters = alert('dead-letters-open', {
  id: 'dead-letters-open',
  severity: 'notice',
  value: 3,
  limit: 0,
  unit: 'letters',
});

/** What the server says when these alerts fire. */
export function alertList(items: Alert[], change: Partial<AlertList> = {}): AlertList {
  const open = items.filter((a) => !a.silence);
  const count = (severity: Alert['severity']) => open.filter((a) => a.severity === severity).length;
  return {
    items,
    pending: [],
    resolved: [],
    counts: {
      critical: count('critical'),
      warning: count('warning'),
      notice: count('notice'),
      silenced: items.length - open.length,
    },
    watched: [
      {
        kind: 'breaker-open',
        severity: 'critical',
        limit: 0,
        unit: 'count',
        lasts_ms: 0,
        runbook: 'RastroBreakerOpen',
      },
      { kind: 'queue-lag', severity: 'critical', limit: 30_000, unit: 'ms', lasts_ms: 0, runbook: 'RastroQueueLag' },
    ],
    looked_at: '2026-06-20T12:00:00Z',
    ...change,
  };
}
