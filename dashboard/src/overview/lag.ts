import type { Schema } from '../api/typed';
import { urgency } from '../topology/health';

type Stage = Schema<'Stage'>;

/** Lines that an eye can tell apart. */
const lines = 6;

/** The stages whose lag is drawn, as they follow on each other; of many those that do worst, and among these those that are the latest. */
export function laggards(stages: readonly Stage[]): readonly Stage[] {
  if (stages.length <= lines) return stages;
  const late = (s: Stage) => s.age?.p95_ms ?? 0;
  const worst = [...stages].sort((a, b) => urgency(a.health) - urgency(b.health) || late(b) - late(a)).slice(0, lines);
  return stages.filter((s) => worst.includes(s));
}

/** What a second became of what was accepted: the sum of all that it ends as. Null where nothing is known. */
export function settled(parts: readonly (readonly (number | null)[])[]): (number | null)[] {
  const [first = []] = parts;
  return first.map((_, i) => {
    const known = parts.flatMap((values) => values[i] ?? []);
    return known.length === 0 ? null : known.reduce((sum, n) => sum + n, 0);
  });
}
