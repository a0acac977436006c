import type { Counts } from '../api/types';

export type CountName = 'accepted' | 'stored' | 'duplicates' | 'deadLetters';

/** Counts since the beginning, at one moment. */
export interface Sample {
  /** Milliseconds since the epoch, by the server's clock. */
  at: number;
  accepted: number;
  stored: number;
  duplicates: number;
  deadLetters: number;
  /** Duplicates included; undefined when the server did not say. */
  dropped: number | undefined;
}

/** Samples kept: a quarter of an hour of one a second, and some of a history. */
export const capacity = 960;

export function sample(counts: Counts): Sample | undefined {
  const at = Date.parse(counts.at);
  if (Number.isNaN(at)) return undefined;
  const { accepted, stored, duplicates, dead_letters: deadLetters, dropped } = counts;
  return { at, accepted, stored, duplicates, deadLetters, dropped };
}

/** Two samples are apart by about a second at least, however often a server tells: what is drawn of them costs by their number. */
const spacing = 900;

/** The samples with one more at the end; one that is not newer than the last is left out. */
export function append(samples: readonly Sample[], next: Sample): readonly Sample[] {
  const [before, last] = [samples.at(-2), samples.at(-1)];
  if (last && next.at <= last.at) return samples;
  if (before && next.at - before.at < spacing) return [...samples.slice(0, -1), next];
  const kept = samples.length >= capacity ? samples.slice(samples.length - capacity + 1) : samples;
  return [...kept, next];
}

/** The samples of a history, in order, none twice. */
function fromHistory(points: readonly Counts[]): readonly Sample[] {
  const sorted = points
    .map(sample)
    .filter((s): s is Sample => s !== undefined)
    .sort((a, b) => a.at - b.at);
  return sorted.filter((s, i) => i === 0 || s.at > (sorted[i - 1]?.at ?? 0));
}

/**
 * The samples with a history around them. A history may be coarser than what is known already, so it only fills what lies
 * before and after; but when the counts have gone back, the server began anew and the history alone holds.
 */
export function merge(samples: readonly Sample[], points: readonly Counts[]): readonly Sample[] {
  const history = fromHistory(points);
  const [first, last, now] = [samples[0], samples.at(-1), history.at(-1)];
  if (!first || !last || !now || now.accepted < last.accepted) return history.slice(-capacity);
  return [...history.filter((s) => s.at < first.at), ...samples, ...history.filter((s) => s.at > last.at)].slice(
    -capacity,
  );
}

/** Events a second between two samples; undefined when a count went back (the server began anew). */
function rateBetween(from: Sample | undefined, to: Sample | undefined, name: CountName): number | undefined {
  if (!from || !to || to.at <= from.at) return undefined;
  const delta = to[name] - from[name];
  return delta < 0 ? undefined : (delta * 1000) / (to.at - from.at);
}

/**
 * The mean rate over at least the last `windowMs` before the sample at index `end`: counts are cumulative, so the mean over
 * any stretch is true, and a stretch that is too short only shows in which order counters were written. Undefined while it
 * is not known.
 */
export function rateAt(
  samples: readonly Sample[],
  name: CountName,
  windowMs: number,
  end = samples.length - 1,
): number | undefined {
  const to = samples[end];
  if (!to) return undefined;
  let start = end - 1;
  for (; start > 0; start--) {
    const [before, at] = [samples[start - 1], samples[start]];
    if (!before || !at || to.at - at.at >= windowMs || before[name] > at[name]) break;
  }
  return rateBetween(samples[start], to, name);
}

/** Rates as a chart wants them: times in seconds, and null where no line may be drawn. */
export interface RateSeries {
  at: number[];
  rates: Record<CountName, (number | null)[]>;
}

export function rateSeries(samples: readonly Sample[], names: readonly CountName[], smoothMs: number): RateSeries {
  const at: number[] = [];
  const rates: RateSeries['rates'] = { accepted: [], stored: [], duplicates: [], deadLetters: [] };
  samples.forEach((s, i) => {
    if (i === 0) return;
    at.push(s.at / 1000);
    for (const name of names) rates[name].push(rateAt(samples, name, smoothMs, i) ?? null);
  });
  return { at, rates };
}

/** The samples of the last `windowMs`, and the one before them, from which their first rate is taken. */
export function lastWindow(samples: readonly Sample[], windowMs: number): readonly Sample[] {
  const last = samples.at(-1);
  if (!last) return samples;
  const first = samples.findIndex((s) => s.at >= last.at - windowMs);
  return samples.slice(Math.max(0, first - 1));
}

/**
 * Where a chart of at most `windowMs` begins, in milliseconds: just before the first event of the window, so that a server
 * that has just started does not show as a sliver, but with at least a minute to look at.
 */
export function chartStart(samples: readonly Sample[], windowMs: number): number {
  const last = samples.at(-1);
  if (!last) return 0;
  const earliest = last.at - windowMs;
  const latest = last.at - 60_000;
  const active = samples.findIndex((s, i) => i > 0 && s.at >= earliest && s.accepted !== samples[i - 1]?.accepted);
  const before = samples[active - 1];
  return before ? Math.min(Math.max(before.at, earliest), latest) : earliest;
}

export interface Balance {
  accepted: number;
  stored: number;
  duplicates: number;
  /** Dropped for another reason than being a duplicate. */
  dropped: number;
  deadLetters: number;
  /** What is accepted and not yet settled; never below zero. */
  inFlight: number;
  /** How much more was settled than accepted; zero when all is well. */
  over: number;
}

/** Where everything accepted is: accepted = stored + duplicates + dropped + dead letters + in flight. */
export function balance(s: Sample): Balance {
  const dropped = Math.max(0, (s.dropped ?? s.duplicates) - s.duplicates);
  const rest = s.accepted - s.stored - s.duplicates - dropped - s.deadLetters;
  return {
    accepted: s.accepted,
    stored: s.stored,
    duplicates: s.duplicates,
    dropped,
    deadLetters: s.deadLetters,
    inFlight: Math.max(0, rest),
    over: Math.max(0, -rest),
  };
}

/** How much more was settled than accepted throughout the last `windowMs`: the counts of a moment need not be of one instant. */
export function lastingOver(samples: readonly Sample[], windowMs: number): number {
  const last = samples.at(-1);
  if (!last || last.at - (samples[0]?.at ?? last.at) < windowMs) return 0;
  return Math.min(...samples.filter((s) => s.at >= last.at - windowMs).map((s) => balance(s).over));
}
