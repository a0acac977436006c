import { useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import type { Schema } from '../api/typed';
import { metricsQuery, refreshOf } from '../app/figures';
import { useApi } from '../app/scope';
import { absolute, useRange } from '../frame/range';
import { useI18n } from '../i18n/i18n';
import { useInterval } from '../live/live';
import { ChartCard } from '../ui/ChartCard';
import { chartOf, valuesOf } from '../ui/metrics';
import { laggards, settled } from './lag';

const hues = ['--validate', '--dedupe', '--enrich', '--persist', '--other', '--ingest'] as const;

/** How late events were at each stage over the range: where a delay begins. */
export function LagChart({ stages }: { stages: readonly Schema<'Stage'>[] | undefined }) {
  const { t, f } = useI18n();
  const api = useApi();
  const [range, setRange] = useRange();
  const shown = useMemo(() => laggards(stages ?? []), [stages]);
  const series = shown.map((s) => `age.p95:${s.id}`);
  const metrics = useQuery({
    ...metricsQuery(api, range, series),
    enabled: series.length > 0,
    refetchInterval: useInterval(refreshOf(range)),
  });
  const several = new Set(shown.map((s) => s.pipeline)).size > 1;
  const data = chartOf(
    metrics.data,
    range,
    shown.map((s, i) => ({
      key: `age.p95:${s.id}`,
      label: several ? s.id : s.name,
      colour: hues[i] ?? '--text-2',
    })),
  );
  const quiet = data.series.every((s) => s.values.every((v) => v === null));
  return (
    <ChartCard
      id="lag"
      title={t.overview.lag}
      note={t.overview.lagNote}
      data={data}
      value={f.ms}
      least={10}
      label={t.overview.lagSummary}
      empty={!metrics.data ? t.overview.waiting : quiet ? t.overview.noLatency : undefined}
      onZoom={(from, to) => setRange(absolute(from * 1000, to * 1000))}
    />
  );
}

/** The series that the chart of what events became is of. */
export const settledSeries = ['accepted', 'stored', 'duplicates', 'dropped', 'dead_letters'] as const;

/** What became of what was accepted over the range: lines that part are events that wait. */
export function SettledChart({ metrics }: { metrics: Schema<'Metrics'> | undefined }) {
  const { t, f } = useI18n();
  const [range, setRange] = useRange();
  const words = t.overview.balance;
  const known = chartOf(metrics, range, [
    { key: 'accepted', label: words.accepted, colour: '--ingest' },
    { key: 'duplicates', label: words.duplicates, colour: '--dedupe' },
    { key: 'dropped', label: words.dropped, colour: '--other' },
    { key: 'dead_letters', label: words.deadLetters, colour: '--bad' },
  ]);
  // What is dropped counts duplicates too.
  const all = settled((['stored', 'dropped', 'dead_letters'] as const).map((name) => valuesOf(metrics, name)));
  const duplicates = valuesOf(metrics, 'duplicates');
  const series = known.series.map((s) =>
    s.key === 'dropped' ? { ...s, values: s.values.map((v, i) => v && Math.max(0, v - (duplicates[i] ?? 0))) } : s,
  );
  const [accepted, ...rest] = series;
  return (
    <ChartCard
      id="settled"
      title={t.overview.settled}
      note={t.overview.settledNote}
      data={{
        ...known,
        series: [
          ...(accepted ? [accepted] : []),
          { key: 'settled', label: t.overview.settledAll, colour: '--persist', values: all, fill: true },
          ...rest,
        ],
      }}
      value={(n) => `${f.rate(n)} ${t.overview.perSecond}`}
      axis={f.rate}
      least={1}
      label={t.overview.settledSummary}
      empty={metrics ? undefined : t.overview.waiting}
      onZoom={(from, to) => setRange(absolute(from * 1000, to * 1000))}
    />
  );
}
