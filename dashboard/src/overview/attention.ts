import type { Schema } from '../api/typed';
import type { Catalog } from '../i18n/es';
import type { Formats } from '../i18n/format';
import { type Health, healthOfAge, healthOfQueue, urgency } from '../topology/health';

/** Something that wants to be looked at, and where. */
export interface Trouble {
  id: string;
  health: Health;
  text: string;
  /** The stage that it is about. */
  stage?: string;
  /** The dead letters that it is about: those of a stage, or all. */
  letters?: boolean;
  queue?: string;
}

interface Known {
  stages: readonly Schema<'Stage'>[];
  queues: readonly Schema<'Queue'>[];
  overview: Schema<'Overview'> | undefined;
}

/** All that is not well, the worst first. */
export function troubles({ stages, queues, overview }: Known, t: Catalog, f: Formats): Trouble[] {
  const words = t.overview.attention;
  const found: Trouble[] = [];
  for (const pause of overview?.paused ?? [])
    found.push({
      id: `paused ${pause.id}`,
      health: 'paused',
      text: words.paused(pause.id, pause.paused_by_name || pause.paused_by, pause.reason),
      stage: pause.id,
    });
  for (const stage of stages) {
    if (stage.paused) continue; // it stands still on purpose
    const at = { stage: stage.id };
    if (stage.breaker === 'open')
      found.push({ ...at, id: `breaker ${stage.id}`, health: 'bad', text: words.breaker(stage.id) });
    if (stage.breaker === 'half-open')
      found.push({ ...at, id: `breaker ${stage.id}`, health: 'warn', text: words.halfOpen(stage.id) });
    const age = healthOfAge(stage.now.age_ms);
    if (age !== 'ok')
      found.push({ ...at, id: `age ${stage.id}`, health: age, text: words.late(stage.id, f.ms(stage.now.age_ms)) });
    if (stage.now.rejected_per_second > 0)
      found.push({
        ...at,
        id: `rejects ${stage.id}`,
        health: 'warn',
        text: words.rejects(stage.id, f.rate(stage.now.rejected_per_second)),
      });
    if (stage.now.retried_per_second > 0)
      found.push({
        ...at,
        id: `retries ${stage.id}`,
        health: 'warn',
        text: words.retries(stage.id, f.rate(stage.now.retried_per_second)),
      });
  }
  for (const queue of queues) {
    const health = healthOfQueue(queue);
    if (health === 'ok' || health === 'paused') continue;
    const depth = f.count(queue.depth ?? 0);
    const text =
      queue.trend === 'growing'
        ? words.grows(queue.topic, depth)
        : words.waits(queue.topic, depth, f.ms(queue.head_ms ?? queue.oldest_ms));
    found.push({ id: `queue ${queue.topic} ${queue.reader}`, health, text, queue: queue.topic });
  }
  const open = overview?.dead_letters_open ?? 0;
  if (open > 0) {
    const recent = overview?.dead_letters_last_hour ?? 0;
    found.push({
      id: 'letters',
      health: 'warn',
      text: recent > 0 ? words.lettersNew(open, f.count(open), f.count(recent)) : words.letters(open, f.count(open)),
      letters: true,
    });
  }
  for (const b of overview?.balance ?? []) {
    if (b.twice > 0)
      found.push({ id: `twice ${b.pipeline}`, health: 'bad', text: words.twice(b.pipeline, f.count(b.twice)) });
  }
  return found.sort((a, b) => urgency(a.health) - urgency(b.health));
}
