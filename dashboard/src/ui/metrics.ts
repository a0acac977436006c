import type { Schema } from '../api/typed';
import { bounds, type Range } from '../frame/range';
import type { ChartData, ChartSeries } from './TimeChart';

/** Figures as the API answers them, as a chart draws them. A series that was not answered is one of nothing known. */
export function chartOf(
  metrics: Schema<'Metrics'> | undefined,
  range: Range,
  wanted: readonly Omit<ChartSeries, 'values'>[],
): ChartData {
  const byName = new Map((metrics?.series ?? []).map((s) => [s.name, s.points ?? []]));
  const points = metrics?.series?.[0]?.points ?? [];
  const { from, to } = metrics
    ? { from: Date.parse(metrics.from), to: Date.parse(metrics.to) }
    : bounds(range, Date.now());
  return {
    at: points.map((p) => Date.parse(p.at) / 1000),
    series: wanted.map((s) => ({ ...s, values: points.map((_, i) => byName.get(s.key)?.[i]?.value ?? null) })),
    from: from / 1000,
    to: Math.max(to, from + 60_000) / 1000,
  };
}

/** The values of one series. */
export const valuesOf = (metrics: Schema<'Metrics'> | undefined, name: string): readonly (number | null)[] =>
  (metrics?.series?.find((s) => s.name === name)?.points ?? []).map((p) => p.value ?? null);
