import type { Carrier } from '../carriers/health';

/** A carrier that is well, with what a test cares about put in. */
export const carrier = (source: string, change: Partial<Carrier> = {}): Carrier => ({
  source,
  per_second: 1.5,
  stored: 1_350,
  last_at: '2025-11-20T12:00:00Z',
  silent_ms: 2_000,
  usual_gap_ms: 60_000,
  silent: false,
  error_share: 0,
  duplicate_share: 0.02,
  unknown_code_share: 0,
  health: 'fine',
  delay: { count: 1_350, p50_ms: 900, p95_ms: 4_000, p99_ms: 9_000, max_ms: 20_000 },
  ...change,
});
