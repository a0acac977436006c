import type { Schema } from '../api/typed';
import type { StageGauge } from '../live/stream';

export type Health = 'ok' | 'warn' | 'bad' | 'idle' | 'paused';

/** From when on something is late, in milliseconds. */
export const lateAfter = { warn: 30_000, bad: 120_000 } as const;

const order: readonly Health[] = ['bad', 'paused', 'warn', 'idle', 'ok'];

/** The lower, the sooner it wants to be seen. */
export const urgency = (health: Health): number => order.indexOf(health);

export const worst = (all: readonly Health[]): Health =>
  all.reduce<Health>((a, b) => (urgency(b) < urgency(a) ? b : a), 'ok');

export const healthOfAge = (ms: number | undefined): Health =>
  ms === undefined || ms < lateAfter.warn ? 'ok' : ms < lateAfter.bad ? 'warn' : 'bad';

/** How a stage does: what is slow to come and go counts, and what its breakers say. One that was paused is late on purpose. */
export function healthOfStage(stage: Schema<'Stage'>, now: StageGauge = stage.now): Health {
  if (stage.paused) return 'paused';
  if (stage.breaker === 'open') return 'bad';
  if (stage.processes === 0 && stage.breaker === 'unknown' && now.in_per_second === 0) return 'idle';
  const rest: Health[] = [healthOfAge(now.age_ms)];
  if (stage.breaker === 'half-open') rest.push('warn');
  if (now.rejected_per_second > 0 || now.retried_per_second > 0) rest.push('warn');
  return worst(rest);
}

/** How a queue does: by how long its first frame waits, and whether it grows. One that nobody is to read may do both. */
export function healthOfQueue(queue: Schema<'Queue'>): Health {
  if (queue.paused) return 'paused';
  const waits = (queue.ready ?? queue.depth ?? 0) > 0;
  const age = queue.head_ms ?? (waits ? queue.oldest_ms : undefined);
  const late = healthOfAge(age);
  if (queue.trend === 'growing' && (queue.depth ?? 0) > growingFrom) return worst([late, 'warn']);
  return late;
}

/** A queue of less than this many frames may grow as it likes: it is but breathing. */
const growingFrom = 100;
